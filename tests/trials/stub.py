"""A scripted upstream for heavy use: UDP and TCP on one port of 127.0.0.1, a thread, a function for each query.

Takes many datagrams at a time, forgets nothing it is told to do later, and is not surprised by clients that go away.
Called by the trials as a context manager, `upstream(handler)`.
"""

import heapq
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from tests.fakes.packets import a, name_of, response


@dataclass(slots=True)
class Call:
    """One query that came: its octets, over which transport, from which port; `send` answers it."""

    packet: bytes
    stream: bool
    port: int
    server: "Stub"
    send: Callable[[bytes], None]

    @property
    def name(self) -> str:
        """The name asked for, in lower case."""
        return name_of(self.packet).lower()

    def later(self, seconds: float, packet: bytes) -> None:
        """Sends `packet` in a while."""
        self.server.at(time.monotonic() + seconds, lambda: self.send(packet))


Handler = Callable[[Call], None]


def answer(call: Call) -> None:
    """The plain way: one address for every name."""
    call.send(response(call.packet, [a(b"\xc0\x0c")]))


@dataclass(slots=True)
class Stub:
    """The running upstream. `calls` grows with every query until somebody clears it."""

    handler: Handler
    port: int = 0
    calls: list[Call] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    _timers: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Does `action` at `when` on the monotonic clock; called by handlers only."""
        heapq.heappush(self._timers, (when, next(self._numbers), action))

    def asked(self, name: str) -> list[Call]:
        """The queries about a name."""
        return [call for call in self.calls if call.name == name]

    def serve(self, udp: socket.socket, listener: socket.socket | None) -> None:
        """The thread: reads, answers, does what is due."""
        with selectors.DefaultSelector() as selector:
            selector.register(udp, selectors.EVENT_READ, lambda: self._datagrams(udp))
            if listener:
                selector.register(listener, selectors.EVENT_READ, lambda: self._accept(selector, listener))
            while not self.ended.is_set():
                for key, _ in selector.select(self._pause()):
                    key.data()
                while self._timers and self._timers[0][0] <= time.monotonic():
                    heapq.heappop(self._timers)[2]()
            for key in list(selector.get_map().values()):
                if isinstance(key.fileobj, socket.socket) and key.fileobj not in (udp, listener):
                    key.fileobj.close()

    def _pause(self) -> float:
        return min(0.02, max(0.0, self._timers[0][0] - time.monotonic())) if self._timers else 0.02

    def _datagrams(self, udp: socket.socket) -> None:
        for _ in range(64):
            try:
                packet, client = udp.recvfrom(65535)
            except OSError:  # none left, or word of a client that has gone
                return
            self._called(Call(packet, False, client[1], self, partial(_to, udp, client)))

    def _accept(self, selector: selectors.BaseSelector, listener: socket.socket) -> None:
        connection, client = listener.accept()
        data = bytearray()

        def read() -> None:
            try:
                got = connection.recv(65535)
            except OSError:  # it went away in the middle
                got = b""
            data.extend(got)
            if not got:
                selector.unregister(connection)
                connection.close()
            while len(data) >= 2 and len(data) >= 2 + int.from_bytes(data[:2], "big"):
                end = 2 + int.from_bytes(data[:2], "big")
                packet = bytes(data[2:end])
                del data[:end]
                self._called(Call(packet, True, client[1], self, partial(_over, connection)))

        selector.register(connection, selectors.EVENT_READ, read)

    def _called(self, call: Call) -> None:
        self.calls.append(call)
        self.handler(call)


@contextmanager
def upstream(handler: Handler = answer, *, tcp: bool = True) -> Iterator[Stub]:
    """An upstream that answers by `handler` until the block is left; without `tcp` it refuses connections."""
    stub = Stub(handler)
    udp, listener = _bound()
    stub.port = udp.getsockname()[1]
    if not tcp:
        listener.close()
    thread = threading.Thread(target=stub.serve, args=(udp, listener if tcp else None), daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        stub.ended.set()
        thread.join(5)
        udp.close()
        listener.close()


def _bound() -> tuple[socket.socket, socket.socket]:
    """A free port for both, for others on 127.0.0.2 too."""
    for _ in range(50):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        udp.bind(("127.0.0.1", 0))
        try:
            tcp.bind(udp.getsockname())
        except OSError:
            udp.close()
            tcp.close()
            continue
        udp.setblocking(False)
        tcp.listen(128)
        return udp, tcp
    raise OSError("no port of 127.0.0.1 is free for both UDP and TCP")


def _to(udp: socket.socket, client: tuple[str, int], packet: bytes) -> None:
    try:
        udp.sendto(packet, client)
    except OSError:
        return  # the asker has gone


def _over(connection: socket.socket, packet: bytes) -> None:
    try:
        connection.sendall(len(packet).to_bytes(2, "big") + packet)
    except OSError:
        return  # the same
