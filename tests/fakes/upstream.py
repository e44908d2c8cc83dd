"""A scripted upstream resolver: real UDP and TCP sockets on one port of loopback, a thread, a function per query.

The function gets a `Call` and sends what it likes, when it likes: true answers, forged ones, none. Used as a context
manager; leaving it closes everything.
"""

import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pytest

from blockerd.settings import Scheme, Upstream
from tests.fakes.packets import AAAA, a, aaaa, name_of, response, soa, type_of


@dataclass(slots=True)
class Call:
    """One query that came: its octets, over which transport, from which port; `send` answers it."""

    packet: bytes
    stream: bool
    port: int
    server: "StubUpstream"
    send: Callable[[bytes], None]

    @property
    def name(self) -> str:
        """The name asked for, as dotted text."""
        return name_of(self.packet)

    def later(self, seconds: float, packet: bytes) -> None:
        """Sends `packet` in a while."""
        self.server.at(time.monotonic() + seconds, lambda: self.send(packet))


Handler = Callable[[Call], None]


def answer(call: Call) -> None:
    """The plain way: one address for every name."""
    call.send(response(call.packet, [a(b"\xc0\x0c")]))


def both(call: Call) -> None:
    """An address of the kind that is asked for."""
    call.send(response(call.packet, [aaaa(b"\xc0\x0c") if type_of(call.packet) == AAAA else a(b"\xc0\x0c")]))


def of_type_a(*records: bytes) -> Handler:
    """`records` for A; nothing for AAAA."""

    def handler(call: Call) -> None:
        if type_of(call.packet) == AAAA:
            call.send(response(call.packet, [], [soa("example")]))
        else:
            call.send(response(call.packet, records))

    return handler


def silent(_call: Call) -> None:
    """Never answers."""


@dataclass(slots=True)
class StubUpstream:
    """The running stub. `calls` grows with every query; `tcp` False refuses TCP connections."""

    handler: Handler = answer
    tcp: bool = True
    host: str = "127.0.0.1"
    calls: list[Call] = field(default_factory=list)
    port: int = 0
    _timers: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    _stop: bool = False

    def address(self, scheme: Scheme = Scheme.UDP) -> Upstream:
        """How the settings would name it."""
        return Upstream(scheme, self.host, self.port)

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Does `action` at `when` on the monotonic clock; called by handlers only."""
        self._timers.append((when, action))

    def over(self, *, stream: bool) -> list[Call]:
        """The queries that came over one of the transports."""
        return [call for call in self.calls if call.stream is stream]

    def _serve(self, udp: socket.socket, listener: socket.socket | None) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(udp, selectors.EVENT_READ, self._datagram)
            if listener:
                selector.register(listener, selectors.EVENT_READ, lambda _: self._accept(selector, listener))
            while not self._stop:
                for key, _ in selector.select(0.005):
                    key.data(key.fileobj)
                due = [timer for timer in self._timers if timer[0] <= time.monotonic()]
                self._timers = [timer for timer in self._timers if timer not in due]
                for _, action in due:
                    action()
            for key in list(selector.get_map().values()):
                if key.fileobj not in (udp, listener):
                    _connection(key.fileobj).close()

    def _datagram(self, udp: socket.socket) -> None:
        packet, address = udp.recvfrom(65535)
        self._called(Call(packet, False, address[1], self, lambda octets: _send_to(udp, octets, address)))

    def _accept(self, selector: selectors.BaseSelector, listener: socket.socket) -> None:
        connection, address = listener.accept()
        data = bytearray()

        def read(_: socket.socket) -> None:
            try:
                got = connection.recv(65535)
            except ConnectionResetError:
                got = b""
            data.extend(got)
            if not got:
                selector.unregister(connection)
                connection.close()
            while len(data) >= 2 and len(data) >= 2 + int.from_bytes(data[:2], "big"):
                end = 2 + int.from_bytes(data[:2], "big")
                packet = bytes(data[2:end])
                del data[:end]
                self._called(Call(packet, True, address[1], self, lambda octets: _send_framed(connection, octets)))

        selector.register(connection, selectors.EVENT_READ, read)

    def _called(self, call: Call) -> None:
        self.calls.append(call)
        self.handler(call)


@contextmanager
def stub_upstream(handler: Handler = answer, *, tcp: bool = True, host: str = "127.0.0.1") -> Iterator[StubUpstream]:
    """A stub that answers by `handler` until the block is left."""
    stub = StubUpstream(handler, tcp, host)
    udp, listener = _bound(host)
    stub.port = udp.getsockname()[1]
    if not tcp:
        listener.close()
    thread = threading.Thread(target=stub._serve, args=(udp, listener if tcp else None), daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        stub._stop = True
        thread.join(5)
        udp.close()
        listener.close()


Stubs = Callable[..., StubUpstream]
"""Makes a stub of the arguments of `stub_upstream`."""


def made_stubs() -> Iterator[Stubs]:
    """Makes stubs that run until the end of a test: `stubs = pytest.fixture(made_stubs)`."""
    with ExitStack() as stack:
        yield lambda *handler, **rest: stack.enter_context(stub_upstream(*handler, **rest))


def forbid_the_system(patch: pytest.MonkeyPatch) -> None:
    """Whoever asks the system's resolver fails."""

    def never(*_: object, **__: object) -> object:
        raise AssertionError("asked the system's resolver")

    for name in ("getaddrinfo", "gethostbyname"):
        patch.setattr(socket, name, never)


def dead_port() -> int:
    """A UDP port of 127.0.0.1 where nobody is: packets to it are refused by ICMP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _bound(host: str) -> tuple[socket.socket, socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(50):
        udp = socket.socket(family, socket.SOCK_DGRAM)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        tcp = socket.socket(family, socket.SOCK_STREAM)
        udp.bind((host, 0))
        try:
            tcp.bind(udp.getsockname())
        except OSError:
            udp.close()
            tcp.close()
            continue
        tcp.listen(64)
        return udp, tcp
    raise OSError(f"no port of {host} is free for both UDP and TCP")


def _send_to(sock: socket.socket, packet: bytes, address: tuple[str, int]) -> None:
    try:
        sock.sendto(packet, address)
    except OSError:
        return  # the asker has gone


def _send_framed(sock: socket.socket, packet: bytes) -> None:
    try:
        sock.sendall(len(packet).to_bytes(2, "big") + packet)
    except OSError:
        return  # the same


def _connection(thing: object) -> socket.socket:
    assert isinstance(thing, socket.socket)
    return thing
