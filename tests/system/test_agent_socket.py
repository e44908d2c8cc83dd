"""The socket of an installed `control` for the one person's agent: others are not heard, and agents alone answered."""

import json
import os
import pwd
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.e2e.install import Install, wait_until


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A control whose person is the one who runs the tests; the path of its socket for their agent."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        monkeypatch.setenv("RUNTIME_DIRECTORY", name)
        monkeypatch.setenv("BLOCKERD_PERSON", pwd.getpwuid(os.getuid()).pw_name)
        install = Install(tmp_path, 9)
        install.start("control")
        wait_until(lambda: (folder / "agent.sock").exists(), said=install.said)
        yield folder / "agent.sock"
        install.end()
        assert "Traceback" not in install.said()


def ask(path: Path, request: dict[str, object]) -> dict[str, object]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(str(path))
        sock.sendall(json.dumps(request).encode() + b"\n")
        got: dict[str, object] = json.loads(sock.makefile("rb").readline())
    return got


def test_the_persons_agent_is_heard_and_nothing_else_is_answered(heard: Path):
    assert "last" in ask(heard, {"do": "notices"})
    assert ask(heard, {"do": "bounds"}) == {"titles": False, "hide": [], "proxy": ""}
    for what in ("status", "erase", "report-halt"):
        assert list(ask(heard, {"do": what})) == ["error"]


@pytest.mark.needs_kernel("another user to ask as: root", os.geteuid() == 0)
def test_another_user_of_the_machine_learns_nothing(heard: Path):
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads that other tests may have left
        child = os.fork()
    if not child:
        try:
            os.setresuid(65534, 65534, 65534)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(5)
                sock.connect(str(heard))
                sock.sendall(b'{"do": "notices"}\n')
                os.write(writing, b"said " + sock.makefile("rb").readline())
        except OSError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() in (b"said ", b"[Errno 32] Broken pipe", b"[Errno 104] Connection reset by peer")
