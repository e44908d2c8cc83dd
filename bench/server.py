"""What every server of a run has in common: a folder, a port, a way to start it and to know that it blocks.

Subclasses say only what differs: configuration, command line, version. A server that cannot run here says why in
`missing`, one that does not come up raises BenchError with the end of its own output. Called by every benchmark.
"""

import shutil
import socket
import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self

from bench.names import Names
from bench.process import SERVER_CORE, BenchError, end, spawn

if TYPE_CHECKING:
    import subprocess

START_LIMIT = 180.0  # seconds until a server must have answered a listed name as blocked


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a server runs: its folder, the names, its own port and that of the stub upstream."""

    folder: Path
    names: Names
    port: int
    upstream: int


class Server(ABC):
    """A DNS server with the run's list. As a context manager: prepared, started, blocking; ended on exit."""

    name: ClassVar[str]
    program: ClassVar[str] = ""
    logs: ClassVar[str] = "no"
    how: ClassVar[str] = ""  # how it blocks, for the table
    blocked_rcode: ClassVar[str] = "NXDOMAIN"
    core: ClassVar[str] = SERVER_CORE
    echoes: ClassVar[bool] = False  # answers everything alike (the floor): nothing is blocked

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.folder = setting.folder / self.name.replace(" ", "-")
        self.start_seconds = 0.0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The server's process (its children are found from there)."""
        if self.process is None:
            raise BenchError(f"{self.name}: not started")
        return self.process.pid

    @property
    def port(self) -> int:
        return self.setting.port

    def missing(self) -> str:
        """Empty when the server can run here, else the reason."""
        return "" if shutil.which(self.program) else f"{self.program} is not installed"

    def prepare(self) -> None:  # noqa: B027 - not every server has something to write
        """Write the configuration below `self.folder`; not part of the start time."""

    @abstractmethod
    def command(self) -> list[str]:
        """The command line that starts it."""

    def version(self) -> str:
        return ""

    def environment(self) -> dict[str, str] | None:
        """The process's environment, None for the caller's."""
        return None

    def log_bytes(self) -> int:
        """How much the server has written about queries so far; 0 for one that logs nothing."""
        return 0

    def __enter__(self) -> Self:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.prepare()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process and wait until it blocks; `start_seconds` runs from exec to the first blocked answer.

        A server that then still lets names of the sample through has started only when it blocks them all.

        Raises:
            BenchError: it does not start, or another program has its port and would be measured in its place.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            try:
                taken.bind(("127.0.0.1", self.port))
            except OSError as error:
                told = f"{self.name}: port {self.port}: {error.strerror}; BLOCKERD_BENCH_PORT gives other ports"
                raise BenchError(told) from None
        began = time.monotonic()
        self.process = spawn(self.command(), self.folder, self.core, env=self.environment())
        self._until(self._first, began)
        self.start_seconds = time.monotonic() - began
        if not self._whole():  # some servers answer before all of their list is in force: that is not started yet
            self._until(self._whole, began)
            self.start_seconds = time.monotonic() - began
        self._until(lambda: bool(ask(self.port, "ready.test")), began)

    def stop(self) -> None:
        if self.process is not None:
            end(self.process)
            self.process = None

    def _until(self, condition: Callable[[], bool], began: float) -> None:
        while not condition():
            if self.process is None or self.process.poll() is not None or time.monotonic() - began > START_LIMIT:
                self.stop()
                raise BenchError(f"{self.name}: did not start: {self._last_words()}")

    def _first(self) -> bool:
        return self.echoes or blocks(self.port, self.setting.names.sample[0])

    def _whole(self) -> bool:
        return self.echoes or all(blocks(self.port, name) for name in self.setting.names.sample)

    def _last_words(self) -> str:
        text = (self.folder / "output").read_text(errors="replace").strip() if (self.folder / "output").exists() else ""
        return " ".join(text[-300:].split()) or "it said nothing"


def ask(port: int, name: str, qtype: int = 1, patience: float = 0.05) -> bytes:
    """One query over UDP to loopback; the reply, or nothing when none came in time."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    query = b"\x12\x34\x01\x00\x00\x01" + bytes(6) + labels + b"\0" + struct.pack("!HH", qtype, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(patience)
        try:
            sock.connect(("127.0.0.1", port))
            sock.send(query)
            return sock.recv(4096)
        except TimeoutError:
            return b""
        except OSError:  # nobody listens yet: do not spin
            time.sleep(0.002)  # polls with a limit, gently
            return b""


def blocks(port: int, name: str) -> bool:
    """Whether the server answers this name as blocked: NXDOMAIN, or the address 0.0.0.0."""
    reply = ask(port, name)
    return len(reply) > 12 and (
        reply[3] & 15 == 3 or (reply[3] & 15 == 0 and reply[7] > 0 and reply.endswith(bytes(4)))
    )
