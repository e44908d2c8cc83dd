"""The process around mitmdump, with a small program in its place: restarts, the memory cap, the end of both."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from blockerd.proxy import environment
from blockerd.proxy.environment import Environment, SetupError
from blockerd.proxy.process import command, resident
from tests.e2e.install import ROOT, alive, kill, wait_until
from tests.lists.places import Place

PROGRAM = f"""#!{sys.executable}
import os, select, sys
open("started", "a").write(f"{{os.getpid()}}\\n")
words = int(os.environ["BLOCKERD_WORDS"])
os.write(words, b"ready\\n")
held = bytearray(int(open("grow").read()) << 20) if os.path.exists("grow") else b""
select.select([int(os.environ["BLOCKERD_LIFELINE"])], [], [])
"""
PARENT = """
import sys
from pathlib import Path
from blockerd.proxy.environment import Environment
from blockerd.proxy.process import ProxyProcess
from blockerd.settings import load
settings = load(Path("b.toml"), {}, Path.cwd())
raise SystemExit(ProxyProcess(settings, Environment(Path("venv")), memory_mb=100).run(-1, print))
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
    process = subprocess.Popen([sys.executable, "-c", PARENT], cwd=place.folder, env=environment)
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


def test_the_command_listens_on_loopback_and_keeps_nothing(place: Place):
    words = command(place.settings, Environment(place.folder / "venv"))
    told = dict(word.split("=", 1) for word in words if "=" in word)
    assert (told["listen_host"], told["listen_port"]) == ("127.0.0.1", "8054")
    assert (told["onboarding"], told["connection_strategy"], told["upstream_cert"]) == ("false", "lazy", "false")
    assert Path(told["confdir"]).stat().st_mode & 0o777 == 0o700


def test_memory_of_a_process_is_seen():
    assert resident(os.getpid()) > 1 << 20
    assert resident(0) == 0


def test_each_python_gets_its_line_of_mitmproxy_and_the_base_alone():
    assert environment.requirements((3, 11))[0] == "mitmproxy==11.0.2"
    assert environment.requirements((3, 13))[0] == "mitmproxy>=12.2.3,<13"
    rest = " ".join(environment.requirements((3, 11))[1:])
    assert "dnslib" in rest
    assert not any(word in rest for word in ("apsw", "cryptography", "httpx2", "extra"))


def test_an_interpreter_that_is_none_is_told_in_a_line(tmp_path: Path):
    with pytest.raises(SetupError, match="nothing"):
        environment.make(tmp_path / "v", tmp_path / "nothing", str)  # type: ignore[arg-type]


def test_an_environment_sees_this_blockerd_and_nothing_beside_it(tmp_path: Path):
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    environment.link(Environment(tmp_path))
    environment.link(Environment(tmp_path))
    assert [path.name for path in packages.iterdir()] == ["blockerd"]
    assert (packages / "blockerd" / "proxy" / "addon" / "load.py").exists()
