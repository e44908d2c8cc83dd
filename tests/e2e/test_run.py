"""`blockerd run` from packet to summary: one daemon, a stub upstream, and the commands a person uses.

The tests share the daemon; each uses names of its own.
"""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.install import NOERROR, NXDOMAIN, Install, wait_until
from tests.e2e.stub import ADDRESS, Stub

LISTED = "".join(f"listed{n}.test\n" for n in range(50))
CHAT = "talk.test\n"


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    with Stub() as stub:
        yield stub


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, stub: Stub) -> Iterator[Install]:
    folder = tmp_path_factory.mktemp("run")
    install = Install(folder, stub.port)
    install.configure(install.add_list("mine", LISTED) + install.add_list("other", CHAT, "chat"))
    install.run()
    yield install
    install.end()
    assert "Traceback" not in install.said()


@pytest.mark.needs_tool("dig", package="bind9-dnsutils")
def test_dig_gets_nxdomain_with_soa_for_the_test_name(daemon: Install):
    out = _dig(daemon, "blocked.example")
    assert "status: NXDOMAIN" in out
    assert "AUTHORITY: 1" in out
    assert re.search(r"\sSOA\s", out)
    assert "EDE: 17" in out


@pytest.mark.needs_tool("dig", package="bind9-dnsutils")
def test_dig_gets_a_protected_and_an_unlisted_name_from_the_upstream(daemon: Install):
    for name in ("samaritans.org", "www.unlisted.test"):
        out = _dig(daemon, name)
        assert "status: NOERROR" in out
        assert ADDRESS in out


@pytest.mark.needs_tool("dig", package="bind9-dnsutils")
def test_dig_over_tcp_gets_the_same(daemon: Install):
    assert "status: NXDOMAIN" in _dig(daemon, "blocked.example", "+tcp")
    assert ADDRESS in _dig(daemon, "tcp.unlisted.test", "+tcp")


def _dig(daemon: Install, *words: str) -> str:
    command = ["dig", "@127.0.0.1", "-p", str(daemon.port), "+tries=1", "+time=5", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout


def test_every_type_of_a_listed_name_and_of_names_below_is_withheld(daemon: Install):
    for qtype in (1, 28, 65, 64, 15, 16, 255):
        assert daemon.ask("listed0.test", qtype).rcode == NXDOMAIN
        assert daemon.ask("deep.below.listed0.test", qtype).rcode == NXDOMAIN


def test_a_name_that_only_ends_alike_is_open(daemon: Install):
    reply = daemon.ask("notlisted0.test")
    assert (reply.rcode, reply.answers) == (NOERROR, 1)


def test_an_attempt_is_in_the_log_within_a_second(daemon: Install):
    assert daemon.ask("listed1.test").rcode == NXDOMAIN
    assert daemon.ask_tcp("listed1.test").rcode == NXDOMAIN
    wait_until(lambda: _count(daemon, "listed1.test") == 2, 1.0)
    row = next(row for row in daemon.log() if row["site"] == "listed1.test")
    assert list(row) == [
        "time", "last", "site", "names", "category", "source", "list", "action", "channel", "client", "user", "count",
        "kind",
    ]  # fmt: skip
    assert (row["category"], row["source"], row["action"]) == ("adult", "mine", "NXDOMAIN")
    assert (row["channel"], row["client"], row["kind"]) == ("dns", "127.0.0.1", "attempt")


def _count(daemon: Install, site: str) -> int:
    return sum(row["count"] for row in daemon.log() if row["site"] == site)


def test_status_and_healthcheck_say_that_it_protects(daemon: Install):
    done = daemon.call("--json", "status")
    told = json.loads(done.stdout)
    assert (done.returncode, told["protecting"], told["journal"], told["problem"]) == (0, True, "", "")
    assert told["generation"] == daemon.pointer()["generation"]
    assert told["pids"] == {"dns": daemon.pid("dns"), "control": daemon.pid("control")}
    assert daemon.call("status").stdout.startswith("Protecting.")
    assert daemon.call("healthcheck").returncode == 0


def test_the_preview_counts_the_attempts(daemon: Install):
    assert daemon.ask("listed2.test").rcode == NXDOMAIN
    preview = json.loads(daemon.call("report", "preview", "--json").stdout)
    assert preview["attempts"]["adult"] >= 1
    assert preview["coverage"]["lost"] == 0
    assert daemon.call("report", "preview").returncode == 0


def test_the_own_lists_are_live_in_a_moment(daemon: Install, record_property: Callable[[str, object], None]):
    for verb, name, rcode in (
        ("block", "own.unlisted.test", NXDOMAIN), ("unblock", "own.unlisted.test", NOERROR),
        ("allow", "listed3.test", NOERROR), ("unblock", "listed3.test", NXDOMAIN),
    ):  # fmt: skip
        assert daemon.ask(name).rcode != rcode
        assert daemon.call(verb, name).returncode == 0
        took = wait_until(lambda name=name, rcode=rcode: daemon.rcode(name) == rcode, 1.0)  # type: ignore[misc]
        record_property(f"{verb} live after", f"{took:.3f} s")


def test_a_category_turned_off_is_live_after_sighup_and_nothing_is_built(daemon: Install):
    sources = daemon.file.read_text()
    generation = daemon.pointer()["generation"]
    assert daemon.ask("talk.test").rcode == NXDOMAIN
    daemon.file.write_text(sources.replace("[lists]\n", '[lists]\ncategories = ["adult"]\n'))
    _hup(daemon)
    wait_until(lambda: daemon.rcode("talk.test") == NOERROR, 5)
    daemon.file.write_text(sources)
    _hup(daemon)
    wait_until(lambda: daemon.rcode("talk.test") == NXDOMAIN, 5)
    assert daemon.pointer()["generation"] == generation


def test_a_list_that_grew_is_live_after_sighup(daemon: Install):
    assert daemon.ask("grown.test").rcode == NOERROR
    with (daemon.folder / "mine.txt").open("a") as file:
        file.write("grown.test\n")
    _hup(daemon)
    wait_until(lambda: daemon.rcode("grown.test") == NXDOMAIN, 5)


def test_sighup_with_a_typo_keeps_everything_and_says_where(daemon: Install):
    good, control = daemon.file.read_text(), daemon.pid("control")
    daemon.file.write_text(good.replace("[dns]", "[dns]\nblock_tll = 1"))
    try:
        _hup(daemon)
        wait_until(lambda: "did you mean dns.block_ttl?" in daemon.said(), 5)
    finally:
        daemon.file.write_text(good)
    _hup(daemon)
    assert daemon.pid("control") == control
    assert daemon.rcode("listed0.test") == NXDOMAIN


def _hup(daemon: Install) -> None:
    daemon.started[0].send_signal(1)


def test_a_second_instance_exits_2_naming_the_first(daemon: Install):
    """T56."""
    done = daemon.call("run")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"pid {daemon.started[0].pid}" in done.stderr
    alone = daemon.call("dns")
    assert alone.returncode == 2
    assert f"pid {daemon.pid('dns')}" in alone.stderr


@pytest.mark.parametrize("what", ["dns", "control"])
def test_a_killed_child_is_back_within_2_seconds(daemon: Install, what: str):
    before = daemon.pid(what)
    subprocess.run(["kill", "-9", str(before)], check=True)
    wait_until(lambda: daemon.pid(what) not in (0, before), 2.0, daemon.said)
    if what == "dns":
        daemon.wait_answering(2.0)
    assert daemon.call("status").returncode == 0


def test_a_damaged_newer_snapshot_leaves_the_live_one(daemon: Install):
    (daemon.folder / "mine.txt").write_text(LISTED + "newer.test\n")
    live, pid = daemon.pointer(), daemon.pid("dns")
    done = daemon.call("lists", "build", "--json")
    path = daemon.var / f"policy-{live['generation'] + 1}.snapshot"
    assert json.loads(done.stdout)["generation"] == live["generation"] + 1
    wait_until(lambda: daemon.rcode("newer.test") == NXDOMAIN, 2)
    _damage(path)
    daemon.call("block", "after.damage.test")  # moves the pointer, so that it is read again
    wait_until(lambda: daemon.rcode("after.damage.test") == NXDOMAIN, 2)
    assert daemon.rcode("listed0.test") == NXDOMAIN
    assert daemon.pid("dns") == pid
    assert daemon.call("lists", "build").returncode == 0
    wait_until(lambda: daemon.rcode("newer.test") == NXDOMAIN, 2)


def _damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.unlink()
    path.write_bytes(data)
