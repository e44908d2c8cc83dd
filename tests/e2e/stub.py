"""A tiny upstream for end-to-end tests: one UDP socket on loopback that knows every name, or says nothing at all.

Answers A with ADDRESS and everything else with an empty NOERROR; never asks anybody. Called by the e2e tests only.
"""

import socket
import threading
from types import TracebackType

ADDRESS = "192.0.2.53"


class Stub:
    """The upstream at `port`; `asked` counts the questions it got. `silent` makes it deaf."""

    def __init__(self, *, silent: bool = False) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self.port: int = self._sock.getsockname()[1]
        self.silent = silent
        self.asked = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> "Stub":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join(5)
        self._sock.close()

    def _serve(self) -> None:
        while True:
            packet, client = self._sock.recvfrom(4096)
            if not packet:
                return
            self.asked += 1
            if not self.silent:
                self._sock.sendto(answer_to(packet), client)


def answer_to(packet: bytes) -> bytes:
    """The reply to a query of one question: header with QR and RA, the question, and for type A one record."""
    end = 12
    while packet[end]:
        end += 1 + packet[end]
    question = packet[12 : end + 5]
    is_a = question[-4:-2] == b"\x00\x01"
    record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04" + socket.inet_aton(ADDRESS) if is_a else b""
    return packet[:2] + bytes((0x81, 0x80)) + b"\x00\x01" + bytes((0, int(is_a))) + bytes(4) + question + record
