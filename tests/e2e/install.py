"""A whole install in a temporary folder: its configuration, its commands, its daemon, and questions to it.

Everything is real: processes, sockets, files; loopback only. Waits for conditions, never for a time. Called by the
tests of this folder and by the tests of processes and builds.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blockerd.policy.name import from_text

ROOT = Path(__file__).resolve().parents[2]
NXDOMAIN, NOERROR, SERVFAIL = 3, 0, 2


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: `rcode`, number of answer records, the octets, and how long it took in seconds."""

    rcode: int
    answers: int
    data: bytes
    seconds: float


def free_port() -> int:
    """A port on 127.0.0.1 that is free for UDP and TCP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def wait_until(condition: Callable[[], Any], seconds: float = 10.0, said: Callable[[], str] = str) -> float:
    """Waits for `condition` to be true; how long that took in seconds. `said` tells more where it never is."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"not within {seconds} s: {said()}")
        time.sleep(0.005)
    return time.monotonic() - began


def packet(name: str, qtype: int = 1, number: int = 0x1234) -> bytes:
    """A plain query with RD set."""
    return (
        number.to_bytes(2, "big")
        + b"\x01\x00\x00\x01"
        + bytes(6)
        + from_text(name)
        + qtype.to_bytes(2, "big")
        + b"\0\1"
    )


class Install:
    """An install in `folder`, listening on a port of its own; `config` is added to the file, `dns` to its section."""

    def __init__(self, folder: Path, upstream: int, config: str = "", *, dns: str = "", starter: bool = False) -> None:
        self.folder = folder
        self.port = free_port()
        self.file = folder / "blockerd.toml"
        self.var = folder / "var"
        self._head = f'[dns]\nlisten = ["127.0.0.1:{self.port}"]\nupstreams = ["127.0.0.1:{upstream}"]\n{dns}\n'
        self._starter = starter
        self.configure(config)
        self.started: list[subprocess.Popen[bytes]] = []

    def configure(self, config: str = "", lists: str = "") -> None:
        """Writes the configuration file again; `lists` goes into its section."""
        starter = "" if self._starter else "starter = false\n"
        self.file.write_text(f"{self._head}[lists]\n{starter}{lists}\n{config}\n")

    def add_list(self, source: str, text: str, category: str = "adult") -> str:
        """Writes the list `source`.txt; the lines of configuration that name it."""
        (self.folder / f"{source}.txt").write_text(text)
        return f'[[lists.source]]\nid = "{source}"\ncategory = "{category}"\npath = "{source}.txt"\n'

    def command(self, *words: str) -> list[str]:
        """The command line of `blockerd WORDS` here."""
        return [sys.executable, "-m", "blockerd", *words, "--config", str(self.file)]

    def call(self, *words: str, stdin: str = "", timeout: float = 30) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end."""
        return subprocess.run(
            self.command(*words), cwd=self.folder, env=environment(), input=stdin, capture_output=True, text=True,
            timeout=timeout, check=False,
        )  # fmt: skip

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Starts a process that stays, in a session of its own; what it says is in `said`."""
        with (self.folder / "said.txt").open("ab") as said:
            process = subprocess.Popen(
                self.command(*words), cwd=self.folder, env=environment(), stdin=subprocess.DEVNULL, stdout=said,
                stderr=said, start_new_session=True,
            )  # fmt: skip
        self.started.append(process)
        return process

    def run(self) -> subprocess.Popen[bytes]:
        """Starts the daemon and waits until it answers and has a journal."""
        process = self.start("run")
        self.wait_answering()
        wait_until(lambda: (self.var / "run" / "control.sock").exists() and self.pid("control"), said=self.said)
        return process

    def wait_answering(self, seconds: float = 15) -> float:
        """Waits until the test name is refused."""
        return wait_until(lambda: self.rcode("blocked.example") == NXDOMAIN, seconds, self.said)

    def said(self) -> str:
        """Everything that started processes have printed."""
        try:
            return (self.folder / "said.txt").read_text("utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def ask(self, name: str, qtype: int = 1, timeout: float = 5.0, port: int = 0) -> Reply:
        """One question over UDP.

        Raises:
            OSError: nobody answered in time, or nobody listens.
        """
        began = time.monotonic()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(timeout)
            sock.connect(("127.0.0.1", port or self.port))
            sock.send(packet(name, qtype))
            data = sock.recv(4096)
        return Reply(data[3] & 15, int.from_bytes(data[6:8], "big"), data, time.monotonic() - began)

    def ask_tcp(self, name: str, timeout: float = 5.0) -> Reply:
        """One question over TCP."""
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", self.port), timeout) as sock:
            query = packet(name)
            sock.sendall(len(query).to_bytes(2, "big") + query)
            stream = sock.makefile("rb")
            data = stream.read(int.from_bytes(stream.read(2), "big"))
        return Reply(data[3] & 15, int.from_bytes(data[6:8], "big"), data, time.monotonic() - began)

    def rcode(self, name: str) -> int | None:
        """The answer's code, None where there is no answer within 0.2 s."""
        try:
            return self.ask(name, timeout=0.2).rcode
        except OSError:
            return None

    def log(self) -> list[dict[str, Any]]:
        """All attempts, as `blockerd log --json` tells them."""
        done = self.call("log", "--json")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def pid(self, what: str) -> int:
        """The pid in the file of a running process, 0 where there is none."""
        try:
            pid = int((self.var / "run" / f"{what}.pid").read_text() or 0)
        except (FileNotFoundError, ValueError):
            return 0
        return pid if alive(pid) else 0

    def pointer(self) -> dict[str, Any]:
        """What `policy.current` says."""
        got: dict[str, Any] = json.loads((self.var / "policy.current").read_bytes())
        return got

    def end(self) -> None:
        """Ends whatever was started here, children included."""
        for process in self.started:
            for pid in (process.pid, *members(process.pid)):
                kill(pid, signal.SIGKILL)
            process.wait(10)


def environment() -> dict[str, str]:
    """The environment of commands: this checkout's package comes first."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def kill(pid: int, number: int) -> None:
    """Sends a signal to a process that may be gone."""
    assert pid > 0, "there is no such process here (0 would be our own group)"
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def alive(pid: int) -> bool:
    """True if `pid` is a process that has not ended; a zombie has."""
    return _stat(pid)[:1] not in ([], ["Z"])


def members(session: int) -> list[int]:
    """The processes of a session that have not ended."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return [pid for pid in pids if (stat := _stat(pid)) and stat[0] != "Z" and stat[3] == str(session)]


def _stat(pid: int) -> Sequence[str]:
    """State, parent, group, session … of a process (proc(5)); empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
