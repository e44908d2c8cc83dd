"""Asks upstreams: UDP from a fresh port per query, TCP where the answer was cut, the next one where one is silent.

A connected socket takes packets from that upstream only; what is not the answer to the very question is dropped and
the true one awaited (draft-li-dnsop-response-preprocessing, CVE-2023-29483). Health comes from real queries alone:
an upstream that did not answer goes behind the others for a while. One event loop owns everything here.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

from blockerd.dns.reply import matches
from blockerd.settings import Scheme, Upstream

TIMEOUTS = (0.8, 1.4, 2.2)
"""Seconds that each try in turn may take; together under 5, so that a client's own time-out is met."""

IN_ALL = 4.6
"""Seconds after which no try goes on, whatever detours over TCP were taken."""

MAX_PENDING = 2000
"""Questions under way at once; beyond it a new one is refused rather than the memory filled."""

_BUILT = (Scheme.UDP, Scheme.TCP)
"""Others are left out rather than asked in the clear; `config check` says so."""

Done = Callable[[bytes | None], None]
"""Called once with the reply, or None when nobody answered."""


@dataclass(slots=True)
class Server:
    """One upstream and what real queries said of it. `bad_until` is a time on the loop's clock."""

    address: Upstream
    bad_until: float = 0.0
    failures: int = 0
    latency: float = 0.0

    def good(self, seconds: float) -> None:
        """It answered in `seconds`."""
        self.failures = 0
        self.bad_until = 0.0
        self.latency = seconds if not self.latency else 0.8 * self.latency + 0.2 * seconds

    def bad(self, now: float) -> None:
        """It did not answer: asked last for 2 to 60 seconds, doubling."""
        self.failures += 1
        self.bad_until = now + min(60.0, 2.0**self.failures)


class Upstreams:
    """The configured upstreams in their order of preference."""

    def __init__(self, addresses: tuple[Upstream, ...], loop: asyncio.AbstractEventLoop) -> None:
        self.servers = [Server(address) for address in addresses if address.scheme in _BUILT]
        self.loop = loop
        self.pending = 0

    def order(self) -> list[Server]:
        """Who is asked first: those in good health as configured, then the others by when they may be tried again."""
        now = self.loop.time()
        return sorted(self.servers, key=lambda server: server.bad_until if server.bad_until > now else 0.0)

    def ask(self, query: bytes, done: Done) -> None:
        """Asks with `query` (ID zero); `done` gets the reply's octets or None within 5 seconds."""
        if self.pending >= MAX_PENDING or not self.servers:
            done(None)
            return
        self.pending += 1
        _Exchange(self, query, done).next()


class _Exchange:
    """One question on its way: tries, sockets and timers. Ends exactly once, by `_end`."""

    __slots__ = ("_done", "_end_by", "_owner", "_query", "_server", "_sock", "_started", "_task", "_timer", "_tries")

    def __init__(self, owner: Upstreams, query: bytes, done: Done) -> None:
        self._owner = owner
        self._query = query
        self._done = done
        order = owner.order()
        self._tries = [order[n % len(order)] for n in range(max(len(TIMEOUTS), len(order)))][: len(TIMEOUTS)]
        self._server = order[0]
        self._sock: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._started = 0.0
        self._end_by = owner.loop.time() + IN_ALL

    def next(self) -> None:
        """Asks the next upstream in turn, with a new ID from a new port; gives up when all had theirs."""
        self._close()
        while self._tries:
            self._server = self._tries.pop(0)
            self._query = os.urandom(2) + self._query[2:]
            timeout = TIMEOUTS[len(TIMEOUTS) - len(self._tries) - 1]
            self._started = self._owner.loop.time()
            timeout = min(timeout, self._end_by - self._started)
            if timeout <= 0:
                break
            if self._server.address.scheme is Scheme.TCP:
                self._over_tcp(timeout)
                return
            if self._send():
                self._timer = self._owner.loop.call_later(timeout, self._late)
                return
            self._server.bad(self._started)
        self._end(None)

    def _send(self) -> bool:
        address = self._server.address
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        try:
            sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        except OSError:  # no descriptors left, or no such family here
            return False
        try:
            sock.connect((address.host, address.port))
            sock.send(self._query)
        except OSError:
            sock.close()
            return False
        self._sock = sock
        self._owner.loop.add_reader(sock.fileno(), self._readable)
        return True

    def _readable(self) -> None:
        assert self._sock is not None
        try:
            packet = self._sock.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            self._server.bad(self._owner.loop.time())
            self.next()
            return
        if not matches(packet, self._query):
            return
        if packet[2] & 0x02:
            self._close()
            self._over_tcp(min(TIMEOUTS[-1], self._end_by - self._owner.loop.time()))
            return
        self._answered(packet)

    def _answered(self, packet: bytes) -> None:
        """The server's answer; where it only says that it cannot help, another one is asked."""
        self._server.good(self._owner.loop.time() - self._started)
        if packet[3] & 0x0F in (2, 5) and any(server is not self._server for server in self._tries):
            self.next()
            return
        self._end(packet)

    def _late(self) -> None:
        self._server.bad(self._owner.loop.time())
        self.next()

    def _over_tcp(self, seconds: float) -> None:
        self._task = self._owner.loop.create_task(self._tcp(seconds))

    async def _tcp(self, seconds: float) -> None:
        """Asks the same upstream over TCP (RFC 7766 section 5)."""
        packet = None
        try:
            async with asyncio.timeout(seconds):
                packet = await exchange_tcp(self._server.address, self._query)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            self._server.bad(self._owner.loop.time())
        self._task = None
        if packet is None or not matches(packet, self._query):
            self.next()
            return
        self._answered(packet)

    def _close(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._sock:
            self._owner.loop.remove_reader(self._sock.fileno())
            self._sock.close()
            self._sock = None

    def _end(self, packet: bytes | None) -> None:
        self._close()
        self._owner.pending -= 1
        self._done(packet)


async def exchange_tcp(address: Upstream, query: bytes) -> bytes:
    """One question over a TCP connection of its own.

    Raises:
        OSError, asyncio.IncompleteReadError: no connection, or it ended early.
    """
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        writer.write(len(query).to_bytes(2, "big") + query)
        length = int.from_bytes(await reader.readexactly(2), "big")
        return await reader.readexactly(length)
    finally:
        writer.close()
