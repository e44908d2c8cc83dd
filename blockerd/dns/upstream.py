"""Asks upstreams over real sockets: UDP from a fresh port per try, TCP, and encrypted connections that are kept.

What is believed and who is asked next, `dns.exchange` says; here are the sockets and the timers. A connected socket
takes packets from its upstream only, and it stays open until the question is answered: a late reply is one. A scheme
that encrypts is never replaced by one that does not. One event loop owns everything here.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from blockerd.dns.exchange import OPT_LENGTH, Exchange, Server, Step, Try
from blockerd.dns.readiness import Deadlines, Readiness
from blockerd.dns.reply import Scan
from blockerd.policy.name import suffixes
from blockerd.settings import Endpoint, Scheme, Upstream

if TYPE_CHECKING:
    from blockerd.dns.secure import Channel

log = logging.getLogger(__name__)

MAX_PENDING = 2000
"""Questions under way at once; beyond it a new one is refused rather than the memory filled."""

_POOL = 8192
_NONBLOCK: int = getattr(socket, "SOCK_NONBLOCK", 0)
"""Makes a socket that never blocks in one call; macOS needs a second one."""

Done = Callable[[bytes | None, Scan | None], None]
"""Called once with the reply and what it says; None when nobody answered, b"" when the question could not be sent."""


class Upstreams:
    """The configured upstreams, and by zone the resolvers of `local` domains (canonical wire names)."""

    def __init__(
        self,
        addresses: Sequence[Upstream],
        loop: asyncio.AbstractEventLoop,
        *,
        local: Mapping[bytes, Upstream] | None = None,
        bootstrap: Sequence[Endpoint] = (),
    ) -> None:
        self.servers = [Server(address) for address in addresses]
        self.local = {zone: [Server(address)] for zone, address in (local or {}).items()}
        self._configured = self.local
        self.loop = loop
        self.pending = 0
        self.deadlines = Deadlines(loop)
        self.sockets = Readiness(loop)
        self.tasks: set[asyncio.Task[None]] = set()
        self._bootstrap = tuple(bootstrap)
        self._channels: dict[Server, Channel] = {}
        self._seen: set[str] = set()
        self._pool = b""
        self._drawn = 0
        self._held: list[_Asking] | None = None
        self._ready: list[tuple[_Asking, Try, socket.SocketType]] | None = None

    def ask(self, query: bytes, done: Done) -> None:
        """Asks with `query` (ID zero, our OPT at its end); `done` is called within 5 seconds."""
        servers = self.servers_for(query) if self.local else self.servers
        if self.pending >= MAX_PENDING or not servers:
            done(b"", None)
            return
        self.pending += 1
        now = self.loop.time()
        asking = _Asking(self, Exchange(query, servers, now, self.chance), done)
        if self._held is None:
            asking.go_on(now)
        else:
            self._held.append(asking)

    def hold(self) -> None:
        """Sends nothing of the questions to come until `release`."""
        self._held = []

    def release(self) -> None:
        """Sends all that was held, one packet right behind the other: a server that is awake costs less to reach
        than one that has to be woken for each (a tenth of a forwarded question, 2026-11)."""
        held, self._held = self._held, None
        if not held:
            return
        now = self.loop.time()
        ready = self._ready = []
        try:
            for asking in held:
                asking.go_on(now)
        finally:
            self._ready = None
        for asking, attempt, sock in ready:
            asking.send(attempt, sock)

    def when_ready(self, asking: "_Asking", attempt: Try, sock: socket.SocketType) -> None:
        """Has `asking` send now, or with the others that are being released."""
        if self._ready is None:
            asking.send(attempt, sock)
        else:
            self._ready.append((asking, attempt, sock))

    def lead(self, roads: Mapping[bytes, Sequence[Upstream]]) -> None:
        """Asks others about these zones from now on, and about no others of before; the configured ones come first."""
        led = {zone: [Server(address) for address in addresses] for zone, addresses in roads.items()}
        self.local = led | self._configured

    def servers_for(self, query: bytes) -> list[Server]:
        """Those of the longest local zone that the name in `query` falls under, else the upstreams."""
        name = query[12 : -4 - OPT_LENGTH].lower()
        return next((self.local[zone] for zone in suffixes(name) if zone in self.local), self.servers)

    def chance(self, count: int) -> bytes:
        """`count` octets of the system's random numbers, fetched many at once."""
        end = self._drawn + count
        if end > len(self._pool):
            self._pool, end = os.urandom(_POOL), count
        self._drawn = end
        return self._pool[end - count : end]

    def channel(self, server: Server) -> "Channel":
        """The kept connection to an upstream that encrypts."""
        from blockerd.dns.secure import open_channel  # loaded only where an upstream wants it

        found = self._channels.get(server)
        if found is None:
            found = self._channels[server] = open_channel(server.address, self._bootstrap)
        return found

    def surprise(self, error: Exception) -> None:
        """Says, once per kind, that a question could not be asked for a reason that nobody thought of."""
        kind = type(error).__name__
        if kind not in self._seen:
            self._seen.add(kind)
            log.warning("asking an upstream: %s, further ones are not logged", kind, exc_info=error)

    def close(self) -> None:
        """Lets everything go; questions under way are not answered any more."""
        self.deadlines.end()
        self.sockets.end()
        for task in self.tasks:
            task.cancel()
        for channel in self._channels.values():
            channel.close()


class _Asking:
    """The sockets of one exchange. Ends exactly once, by `_end`."""

    __slots__ = ("_asked", "_deadline", "_done", "_exchange", "_owner", "_socks", "_tasks", "_try")

    def __init__(self, owner: Upstreams, exchange: Exchange, done: Done) -> None:
        self._owner = owner
        self._exchange = exchange
        self._done: Done | None = done
        self._socks: list[socket.SocketType] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._try: Try | None = None
        self._deadline: tuple[float, Callable[[], None]] | None = None
        self._asked = False

    def go_on(self, now: float) -> None:
        """Makes the next try that can be made at `now`; ends when there is none."""
        try:
            self._next_try(now)
        except Exception as error:  # nobody would be left to end it: all who ask for the name would wait for ever
            self._owner.surprise(error)
            self._end(None)

    def _next_try(self, now: float) -> None:
        while attempt := self._exchange.next(now):
            if attempt.stream:
                self._try, self._asked = attempt, True
                self._connect(attempt)
                return
            sock = self._open(attempt)
            if sock:
                self._try = attempt
                self._wait(attempt)
                self._owner.when_ready(self, attempt, sock)
                return
            self._exchange.failed(attempt, now, refused=True)
        self._end(self._exchange.reply if self._asked else b"")

    def _wait(self, attempt: Try) -> None:
        """Until the time of `attempt` is over, and for no try before it any longer."""
        self._forget_deadline()
        deadline = self._deadline = attempt.until, partial(self._late, attempt)
        self._owner.deadlines.at(*deadline)

    def _forget_deadline(self) -> None:
        if self._deadline:
            self._owner.deadlines.drop(*self._deadline)
            self._deadline = None

    def _open(self, attempt: Try) -> socket.SocketType | None:
        """A socket of its own for `attempt`, on a port that the system chose; None where there can be none."""
        address = attempt.server.address
        sock = None
        try:
            family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
            sock = socket.SocketType(family, socket.SOCK_DGRAM | _NONBLOCK)
            if not _NONBLOCK:
                sock.setblocking(False)
            sock.connect((address.host, address.port))
            self._owner.sockets.watch(sock, partial(self._readable, attempt, sock))
        except OSError:  # no descriptors left, no memory, no such family here, no way there
            if sock:
                sock.close()
            return None
        self._socks.append(sock)
        return sock

    def send(self, attempt: Try, sock: socket.SocketType) -> None:
        """Sends the packet of `attempt`; where the system refuses it, another try is made."""
        try:
            sock.send(attempt.packet)
        except OSError:  # a firewall of this machine, no memory
            self._gone(attempt, sock)
        else:
            self._asked = True

    def _readable(self, attempt: Try, sock: socket.SocketType) -> None:
        while self._done:
            try:
                packet = sock.recv(4096)
            except BlockingIOError:
                return
            except OSError:  # nobody there
                self._gone(attempt, sock)
                return
            if self._judge(attempt, packet):
                return

    def _judge(self, attempt: Try, packet: bytes) -> bool:
        """False where `packet` is passed over."""
        now = self._owner.loop.time()
        step = self._exchange.arrived(attempt, packet, now)
        if step is Step.ANSWER:
            self._end(self._exchange.reply)
        elif step is Step.AGAIN:
            self.go_on(now)
        return step is not Step.WAIT

    def _gone(self, attempt: Try, sock: socket.SocketType) -> None:
        if not self._done:
            return
        self._socks.remove(sock)
        self._owner.sockets.close(sock)
        now = self._owner.loop.time()
        self._exchange.failed(attempt, now, refused=True)
        if attempt is self._try:
            self.go_on(now)

    def _late(self, attempt: Try) -> None:
        """The time of `attempt` is over; nothing is to do where the question is answered or already asked again."""
        if self._done and attempt is self._try:
            now = self._owner.loop.time()
            self._exchange.failed(attempt, now)
            self.go_on(now)

    def _connect(self, attempt: Try) -> None:
        task = self._owner.loop.create_task(self._stream(attempt))
        self._tasks.append(task)
        self._owner.tasks.add(task)
        task.add_done_callback(self._owner.tasks.discard)

    async def _stream(self, attempt: Try) -> None:
        """Asks over a connection: one of its own for TCP (RFC 7766 section 5), the kept one where it is encrypted."""
        heard = False
        try:
            async with asyncio.timeout_at(attempt.until):
                if attempt.server.address.scheme in (Scheme.TLS, Scheme.HTTPS):
                    packet = await self._owner.channel(attempt.server).ask(attempt.packet)
                else:
                    packet = await exchange_tcp(attempt.server.address, attempt.packet)
            heard = not self._done or self._judge(attempt, packet)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        except Exception as error:  # the same: it counts as no answer
            self._owner.surprise(error)
        if self._done and not heard:
            now = self._owner.loop.time()
            self._exchange.failed(attempt, now)
            if attempt is self._try:
                self.go_on(now)

    def _end(self, packet: bytes | None) -> None:
        done, self._done = self._done, None
        if not done:
            return
        scan = self._exchange.scan
        for sock in self._socks:
            self._owner.sockets.close(sock)
        self._forget_deadline()
        current = asyncio.current_task(self._owner.loop) if self._tasks else None
        for task in self._tasks:
            if task is not current:
                task.cancel()
        self._owner.pending -= 1
        done(packet, scan)


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
