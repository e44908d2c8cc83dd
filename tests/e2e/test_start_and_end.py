"""Starting and ending: ports that are taken, signals at any moment, a policy that is missing or damaged.

Each test has an install of its own.
"""

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.install import NXDOMAIN, Install, alive, kill, members, wait_until


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    install = Install(tmp_path, 9)
    yield install
    install.end()
    assert "Traceback" not in install.said()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_2_seconds_and_leaves_no_process(install: Install, number: signal.Signals):
    process = install.run()
    assert len(members(process.pid)) == 3
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(2.0) == 0
    assert time.monotonic() - began < 2.0
    assert members(process.pid) == []
    assert not (install.var / "run" / "control.sock").exists()


def test_children_end_within_2_seconds_of_a_killed_supervisor_and_the_next_start_works_at_once(install: Install):
    process = install.run()
    process.kill()
    again = install.start("run")
    wait_until(lambda: members(process.pid) == [], 2.0)
    install.wait_answering()
    wait_until(lambda: install.pid("control"), 5, install.said)
    assert again.poll() is None
    assert install.call("status").returncode == 0


@pytest.mark.parametrize("words", [("dns",), ("service", "dns")])
def test_settings_that_an_upgrade_refuses_do_not_keep_the_resolver_from_answering(
    install: Install, words: tuple[str, ...]
):
    assert install.call("lists", "build").returncode == 0
    install.configure('[privacy]\nretention_days = 7\n[report.smtp]\nfrom = "jürgen@home.test"\n[gone]\nkey = 1')
    install.start(*words)
    install.wait_answering()
    assert install.rcode("blocked.example") == NXDOMAIN
    for key in ("privacy.retention_days", "report.smtp.from", "gone"):
        assert f" {key}: " in install.said()
    for refused in (("control",), ("service", "control"), ("config", "check")):
        done = install.call(*refused)
        assert (done.returncode, "privacy.retention_days: 7 is out of range" in done.stderr) == (2, True)


@pytest.mark.parametrize("config", ["[dns]\nblock_ttl = -1", '[[client]]\nname = "tv"\naddresses = ["home"]'])
def test_the_resolver_does_not_start_with_what_it_reads_itself_wrong(install: Install, config: str):
    install.file.write_text(f'[state]\ndir = "var"\n{config}\n')
    assert install.call("dns").returncode == 2


def test_sighup_at_any_moment_of_the_start_ends_nothing(install: Install):
    process = install.start("run")
    wait_until(lambda: install.pid("run"), said=install.said)
    while install.rcode("blocked.example") != NXDOMAIN or not install.pid("control"):
        assert process.poll() is None, install.said()
        process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    assert "ended with" not in install.said()
    process.terminate()
    assert process.wait(3.0) == 0


def test_sigterm_during_the_first_build_leaves_no_process(install: Install):
    install.configure(install.add_list("big", "".join(f"n{n}.test\n" for n in range(200_000))))
    process = install.start("run")
    wait_until(lambda: (install.var / "build.lock").exists(), said=install.said)
    process.terminate()
    assert process.wait(2.0) == 0
    assert members(process.pid) == []
    assert not (install.var / "policy.current").exists()


def test_sigterm_during_a_rebuild_leaves_no_process(install: Install):
    process = install.run()
    install.configure(install.add_list("big", "".join(f"n{n}.test\n" for n in range(200_000))))
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(members(process.pid)) == 4, 5)
    process.terminate()
    assert process.wait(2.0) == 0
    wait_until(lambda: members(process.pid) == [], 0.5)


@pytest.mark.parametrize(
    ("word", "kinds"),
    [
        ("dns", (socket.SOCK_DGRAM,)),
        ("dns", (socket.SOCK_STREAM,)),
        ("run", (socket.SOCK_DGRAM, socket.SOCK_STREAM)),
    ],
)
def test_a_taken_port_exits_2_names_the_holder_and_starts_nothing(
    install: Install, word: str, kinds: tuple[socket.SocketKind, ...]
):
    held = [socket.socket(socket.AF_INET, kind) for kind in kinds]
    try:
        for sock in held:
            sock.bind(("127.0.0.1", install.port))
            if sock.type == socket.SOCK_STREAM:
                sock.listen()
        done = install.call(word)
    finally:
        for sock in held:
            sock.close()
    assert done.returncode == 2
    line = next(line for line in done.stderr.splitlines() if "in use" in line)
    assert f"127.0.0.1:{install.port}" in line
    assert "held by python" in line
    assert "dns.listen" in line
    assert "Traceback" not in done.stderr
    assert not (install.var / "journal.sqlite").exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", install.port), 1).close()


def test_a_second_address_that_is_taken_frees_the_first(install: Install):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind(("127.0.0.2", install.port))
        text = install.file.read_text()
        first = f'"127.0.0.1:{install.port}"'
        install.file.write_text(text.replace(first, f'{first}, "127.0.0.2:{install.port}"'))
        done = install.call("dns")
    assert done.returncode == 2
    assert f"127.0.0.2:{install.port}" in done.stderr
    assert "held by python" in done.stderr


def test_dns_alone_binds_without_a_policy_reads_nothing_and_answers_once_there_is_one(install: Install):
    process = install.start("dns")
    wait_until(lambda: _bound(install.port), said=install.said)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as early:
        early.settimeout(0.3)
        early.connect(("127.0.0.1", install.port))
        early.send(b"\x12\x34\x01\x00\x00\x01" + bytes(6) + b"\x07blocked\x07example\x00\x00\x01\x00\x01")
        with pytest.raises(TimeoutError):
            early.recv(512)
        assert "no policy yet" in install.said()
        assert install.call("status").returncode == 1
        assert install.call("lists", "build").returncode == 0
        early.settimeout(2)
        assert early.recv(512)[3] & 15 == NXDOMAIN  # what waited in the socket is answered by the policy
    assert process.poll() is None


def _bound(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def test_run_without_a_policy_that_can_be_built_still_hears_sighup(install: Install):
    """A state folder that takes no snapshot: the daemon waits, and the next SIGHUP builds."""
    install.var.mkdir()
    (install.var / "policy-1.partial").mkdir()
    process = install.start("run")
    wait_until(lambda: install.pid("control"), said=install.said)
    assert "could not be built" in install.said()
    assert install.rcode("blocked.example") is None
    (install.var / "policy-1.partial").rmdir()
    process.send_signal(signal.SIGHUP)
    install.wait_answering(5)


def test_dns_alone_takes_the_snapshot_before_a_damaged_one(install: Install):
    _two_generations(install)
    _damage(install.var / "policy-2.snapshot")
    install.start("dns")
    install.wait_answering(5)
    assert install.rcode("first.test") == NXDOMAIN
    assert "policy-2.snapshot: checksum differs" in install.said()
    done = install.call("check", "first.test")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1


def test_dns_alone_never_serves_where_both_are_damaged(install: Install):
    _two_generations(install)
    for number in (1, 2):
        _damage(install.var / f"policy-{number}.snapshot")
    install.start("dns")
    wait_until(lambda: "checksum differs" in install.said(), 5)
    assert install.rcode("first.test") is None
    assert install.call("check", "first.test").returncode == 2
    assert install.call("lists", "build").returncode == 0
    wait_until(lambda: install.rcode("first.test") == NXDOMAIN, 2)


def test_run_builds_anew_where_the_snapshot_is_damaged(install: Install):
    _two_generations(install)
    _damage(install.var / "policy-2.snapshot")
    install.run()
    assert install.rcode("second.test") == NXDOMAIN


def _two_generations(install: Install) -> None:
    install.configure(install.add_list("mine", "first.test\n"))
    assert install.call("lists", "build").returncode == 0
    install.add_list("mine", "first.test\nsecond.test\n")
    assert install.call("lists", "build").returncode == 0
    assert install.pointer()["generation"] == 2


def _damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.unlink()
    path.write_bytes(data)


def test_a_state_folder_with_a_long_name_has_its_filter_and_its_journal(install: Install):
    """A Unix socket's path is limited to about 100 octets; the socket may be missing, nothing else."""
    text = install.file.read_text()
    install.var = install.folder / ("deep" * 20) / ("deeper" * 10) / "var"
    install.file.write_text(f'[state]\ndir = "{install.var.relative_to(install.folder)}"\n{text}')
    process = install.start("run")
    install.wait_answering()
    wait_until(lambda: (install.var / "journal.sqlite").exists(), 5, install.said)
    control = install.pid("control")
    assert install.call("status").returncode == 0
    assert install.pid("control") == control
    assert "ended with" not in install.said()
    process.terminate()
    assert process.wait(2.0) == 0


def test_a_stopped_child_does_not_outlive_the_daemon(install: Install):
    process = install.run()
    control = install.pid("control")
    kill(control, signal.SIGSTOP)
    process.terminate()
    assert process.wait(2.5) == 0
    assert not alive(control)
