"""The process around mitmdump, with a small program in its place: restarts, the memory cap, the end of both."""

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from blockerd.proxy.environment import Environment
from blockerd.proxy.process import command, resident
from tests.e2e.install import ROOT, alive, kill, wait_until
from tests.lists.places import Place

PROGRAM = f"""#!{sys.executable}
import os, select, sys
held = bytearray(int(open("grow").read()) << 20) if os.path.exists("grow") else b""
open("started", "a").write(f"{{os.getpid()}}\\n")
open("words", "w").write(" ".join(sys.argv))
if os.path.exists("refuse"):
    sys.exit(1)
words = int(os.environ["BLOCKERD_WORDS"])
os.write(words, b"ready\\n")
select.select([int(os.environ["BLOCKERD_LIFELINE"])], [], [])
"""
PARENT = """
import sys
from pathlib import Path
from blockerd.proxy.environment import Environment
from blockerd.proxy.process import ProxyProcess
from blockerd.settings import load
reload = lambda: load(Path("b.toml"), {}, Path.cwd())
raise SystemExit(ProxyProcess(reload(), Environment(Path("venv")), reload, memory_mb=100).run(-1, print))
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.write()
    program = tmp_path / "venv" / "bin" / "mitmdump"
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return place


@pytest.fixture
def parent(place: Place) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (place.folder / "said").open("wb") as said:
        process = subprocess.Popen([sys.executable, "-c", PARENT], cwd=place.folder, env=environment, stderr=said)
    yield process
    process.kill()
    process.wait(10)


def _started(place: Place) -> list[int]:
    try:
        return [int(line) for line in (place.folder / "started").read_text().splitlines()]
    except FileNotFoundError:
        return []


@pytest.mark.usefixtures("parent")
def test_it_starts_again_after_its_death(place: Place):
    wait_until(lambda: _started(place))
    kill(_started(place)[0], signal.SIGKILL)
    wait_until(lambda: len(_started(place)) == 2)


def test_it_ends_with_its_parent_however_that_ends(place: Place, parent: subprocess.Popen[bytes]):
    wait_until(lambda: _started(place))
    parent.kill()
    wait_until(lambda: not alive(_started(place)[0]), 2)


def test_sigterm_ends_both_at_once(place: Place, parent: subprocess.Popen[bytes]):
    wait_until(lambda: _started(place))
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(5) == 0
    assert not alive(_started(place)[0])


@pytest.mark.usefixtures("parent")
def test_over_the_memory_cap_it_is_started_again(place: Place):
    (place.folder / "grow").write_text("1")
    wait_until(lambda: _started(place))
    (place.folder / "grow").write_text("150")
    kill(_started(place)[0], signal.SIGKILL)
    wait_until(lambda: len(_started(place)) >= 2)
    (place.folder / "grow").write_text("1")
    wait_until(lambda: len(_started(place)) >= 3)


def test_changed_settings_are_taken_up_and_bad_ones_are_not(place: Place, parent: subprocess.Popen[bytes]):
    wait_until(lambda: _started(place))
    place.rest = "[proxy]\nlisten = "
    place.write()
    parent.send_signal(signal.SIGHUP)
    wait_until(lambda: "stay as they were" in (place.folder / "said").read_text())
    place.rest = '[proxy]\nlisten = "127.0.0.1:8055"\nmode = "transparent"\n'
    place.write()
    parent.send_signal(signal.SIGHUP)
    wait_until(lambda: len(_started(place)) == 2)
    wait_until(lambda: "listen_port=8055" in (place.folder / "words").read_text())
    assert "mode=transparent" in (place.folder / "words").read_text()
    assert not alive(_started(place)[0])
    parent.send_signal(signal.SIGHUP)
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(5) == 0
    assert len(_started(place)) == 2


def test_a_port_that_is_taken_is_told_once(place: Place):
    (place.folder / "refuse").touch()
    with socket.create_server(("127.0.0.1", 0)) as other:
        place.rest = f'[proxy]\nlisten = "127.0.0.1:{other.getsockname()[1]}"\n'
        place.write()
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with (place.folder / "said").open("wb") as said:
            process = subprocess.Popen([sys.executable, "-c", PARENT], cwd=place.folder, env=environment, stderr=said)
        try:
            wait_until(lambda: len(_started(place)) >= 3)
        finally:
            process.kill()
            process.wait(10)
    told = (place.folder / "said").read_text()
    assert told.count("is taken; choose another in proxy.listen") == told.count("\n") == 1


def test_what_never_came_up_is_told_by_the_exit_code(place: Place):
    (place.folder / "refuse").touch()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=place.folder, env=environment, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: len(_started(place)) >= 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 1
    finally:
        process.kill()
        process.wait(10)


def test_the_command_listens_on_loopback_and_keeps_nothing(place: Place):
    words = command(place.settings, Environment(place.folder / "venv"))
    told = dict(word.split("=", 1) for word in words if "=" in word)
    assert (told["listen_host"], told["listen_port"]) == ("127.0.0.1", "8054")
    assert (told["onboarding"], told["connection_strategy"], told["upstream_cert"]) == ("false", "lazy", "false")
    assert Path(told["confdir"]).stat().st_mode & 0o777 == 0o700


def test_memory_of_a_process_is_seen():
    assert resident(os.getpid()) > 1 << 20
    assert resident(0) == 0
