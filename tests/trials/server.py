"""The resolver under trial: a real `blockerd dns` process with its own configuration, seen from outside alone.

When a trial ends, the process must still be the one that was started, and must not have printed a traceback. Called by
the trials of this folder; loopback only.
"""

import json
import os
import shutil
import socket
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.e2e.install import NXDOMAIN, Install

LISTED = "listed.test"
TICK = os.sysconf("SC_CLK_TCK")


class Server:
    """`blockerd dns` on a port of its own; blocks `listed.test` and the test name, forwards the rest to `upstreams`.

    `upstreams` are ports of 127.0.0.1 or addresses as the settings take them; `dns` is added to that section.
    Once entered, `ready` are the seconds until it blocked.
    """

    def __init__(
        self, folder: Path, *upstreams: int | str, dns: str = "", port: int = 0, host: str = "127.0.0.1"
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.install = Install(folder, 9)
        self.install.port = self.port = port or self.install.port
        self._configure(upstreams, dns)
        self.pid = 0
        self.ready = 0.0

    def _configure(self, upstreams: Iterable[int | str], dns: str) -> None:
        addresses = ", ".join(f'"{one}"' if isinstance(one, str) else f'"127.0.0.1:{one}"' for one in upstreams)
        listed = self.install.add_list("mine", f"{LISTED}\n")
        self.install.file.write_text(
            f'[dns]\nlisten = ["127.0.0.1:{self.port}"]\nupstreams = [{addresses}]\n{dns}\n'
            f"[lists]\nstarter = false\n{listed}",
        )

    def __enter__(self) -> "Server":
        built = self.install.call("lists", "build")
        assert built.returncode == 0, built.stderr
        process = self.install.start("dns")
        self.pid = process.pid
        self.ready = self.install.wait_answering()
        return self

    def status(self) -> dict[str, Any]:
        """What it last wrote about itself; empty where it has not yet."""
        try:
            got: dict[str, Any] = json.loads((self.install.var / "run" / "dns.json").read_bytes())
        except FileNotFoundError:
            return {}
        return got

    def forwarded(self) -> int:
        """Questions handed to upstreams, as the status says."""
        return int(self.status().get("counters", {}).get("forwarded", 0))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        alive = self.install.started[-1].poll() is None
        said = self.install.said()
        self.install.end()
        if error is None:
            assert alive, f"it ended by itself: {said[:2000]}"
            assert "Traceback" not in said, said[:2000]
            shutil.rmtree(self.install.folder, ignore_errors=True)

    def udp(self, packet: bytes, timeout: float = 5.0) -> bytes | None:
        """The answer to one datagram, None where there is none in time."""
        with self.socket(timeout) as sock:
            sock.send(packet)
            try:
                return sock.recv(65535)
            except TimeoutError:
                return None

    def tcp(self, *packets: bytes, timeout: float = 6.0) -> list[bytes]:
        """The answers to packets sent at once over one connection, in the order they came; fewer where it closed."""
        found: list[bytes] = []
        with socket.create_connection(("127.0.0.1", self.port), timeout) as sock, sock.makefile("rb") as stream:
            sock.sendall(b"".join(framed(packet) for packet in packets))
            while len(found) < len(packets) and len(head := stream.read(2)) == 2:
                found.append(stream.read(int.from_bytes(head, "big")))
        return found

    def socket(self, timeout: float = 5.0, source: str = "") -> socket.socket:
        """A connected UDP socket with room for many answers."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.settimeout(timeout)
        if source:
            sock.bind((source, 0))
        sock.connect(("127.0.0.1", self.port))
        return sock

    def blocks(self) -> bool:
        """True if the test name is refused within a second."""
        return self.install.rcode("blocked.example") == NXDOMAIN

    def rss_mb(self) -> float:
        """Resident memory without mapped files."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024

    def descriptors(self) -> int:
        """Open files of the process."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu_seconds(self) -> float:
        """User and system time that the process took so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK


def framed(packet: bytes) -> bytes:
    """A message as TCP carries it (RFC 1035 section 4.2.2)."""
    return len(packet).to_bytes(2, "big") + packet
