"""The resolver at its sockets: reads batches, hands leftovers to the engine, sends answers.

`Resolver` owns the sockets and the loop's callbacks; one event loop, one thread. Nothing is read before `go` is
called with a good policy. A datagram handler's surprise is counted and logged once per kind, and the next packet is
read: no octets on the port may stop the service.
"""

import asyncio
import logging
import select
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from blockerd import clock
from blockerd.dns.batch import Batch, open_batch
from blockerd.dns.clients import Clients, packed
from blockerd.dns.engine import PATIENCE, Engine, Forward
from blockerd.dns.reply import Scan
from blockerd.dns.tcp import Connections
from blockerd.dns.upstream import Upstreams
from blockerd.dns.wire import BATCH, Serve
from blockerd.journal.spool import From, Writer

if TYPE_CHECKING:
    from blockerd.dns.cache import Key

log = logging.getLogger(__name__)

MOST_WAITING = 2000
"""Clients that may wait for the answer to one question; who comes later asks again."""

LINGER = 1
"""Milliseconds that the reader waits for the next packet before it goes back to the loop."""

TURN = 0.002
"""Seconds that one call of the reader may take before timers, upstreams and TCP have their turn."""

_LAST_REPLIES = 10.0
_LAN = {socket.AF_INET: From.ADDRESSES4, socket.AF_INET6: From.ADDRESSES6}
_LOOPBACK = {"127.0.0.1": From.LOOPBACK4, "::1": From.LOOPBACK6}


Reply = Callable[[bytes], None]
Waiting = list[tuple[Forward, Reply]]
"""Who waits for the answer to one question, which the first of them had asked; that one may have had an answer."""


@dataclass(slots=True)
class _Udp:
    sock: socket.socket
    batch: Batch
    flags: From
    lan: bool
    more: Callable[[int], object]


class Resolver:
    """Serves the sockets of `dns.sockets.bind` once `go` has given it an engine and a hot path."""

    def __init__(
        self,
        pairs: Sequence[tuple[socket.socket, socket.socket]],
        writer: Writer,
        upstreams: Upstreams,
        loop: asyncio.AbstractEventLoop,
        clients: Clients | None = None,
    ) -> None:
        self._pairs = pairs
        self._writer = writer
        self._upstreams = upstreams
        self._loop = loop
        self._waiting: dict[tuple[Key, bytes], Waiting] = {}
        self._clients = clients or Clients()
        self._connections = Connections(self._stream, loop, lambda client: self._clients.near(packed(client)))
        self._servers: list[asyncio.Server] = []
        self._names: list[bytes] = []
        self._numbers: list[int] = []
        self._engine: Engine | None = None
        self._serve: Serve | None = None
        self._seen: set[str] = set()

    async def go(self, engine: Engine, serve: Serve) -> None:
        """Begins to read, with a good policy."""
        self._engine, self._serve = engine, serve
        for udp, tcp in self._pairs:
            host = udp.getsockname()[0]
            lan = not host.startswith("127.") and host != "::1"
            flags = _LAN[udp.family] if lan else _LOOPBACK.get(host, From.LOOPBACK4)
            entry = _Udp(udp, open_batch(udp), flags, lan, _waiter(udp))
            self._loop.add_reader(udp.fileno(), self._readable, entry)
            self._servers.append(await self._loop.create_server(self._connections.protocol, sock=tcp))

    def ask(self, upstreams: Upstreams, clients: Clients) -> None:
        """Asks `upstreams` and serves `clients` from the next question on; what is under way goes on as it was."""
        before, self._upstreams, self._clients = self._upstreams, upstreams, clients
        self._loop.call_later(_LAST_REPLIES, before.close)

    def change(self, engine: Engine, serve: Serve) -> None:
        """Answers by a new policy from the next packet on."""
        self._engine, self._serve = engine, serve

    def close(self) -> None:
        """Stops reading and closes every socket."""
        for udp, _ in self._pairs:
            self._loop.remove_reader(udp.fileno())
            udp.close()
        for server in self._servers:
            server.close()
        self._connections.close()
        self._upstreams.close()

    def _readable(self, udp: _Udp) -> None:
        """Drains the socket, at most TURN seconds.

        While nobody else waits for the loop, the next packet is awaited right here for a moment: going through the
        loop for each costs twice what answering it does (2026-11, `make bench`, 20,000 queries/s).
        """
        clock_, receive, end = self._loop.time, udp.batch.receive, self._loop.time() + TURN
        while lengths := receive():
            self._batch(udp, lengths)
            if clock_() > end:
                return
            if len(lengths) < BATCH // 4 and (self._waiting or self._connections.open or not udp.more(LINGER)):
                return

    def _batch(self, udp: _Udp, lengths: Sequence[int]) -> None:
        assert self._serve is not None
        assert self._engine is not None
        batch, names, numbers = udp.batch, self._names, self._numbers
        now = clock.now()
        seats: list[int] | None = [] if udp.lan else None
        if udp.lan:
            may = self._clients.may_ask
            lengths = [length if may(batch.address(n), now) else 0 for n, length in enumerate(lengths)]
        try:
            sizes, rest = self._serve(batch.buffer, batch.offsets, lengths, names, numbers, now, seats=seats)
        except Exception as error:  # the datagram edge: no packet may cost the others of its batch their answers
            self._surprise("batch", error)
            sizes, rest = [0] * len(lengths), list(range(len(lengths)))
            names.clear()
            numbers.clear()
        counters, answered, blocked = self._engine.counters, len(lengths) - len(rest), len(names)
        counters.queries += answered
        counters.blocked += blocked
        counters.cached += answered - blocked
        if names:
            self._record(udp, names, numbers, seats)
            names.clear()
            numbers.clear()
        if not rest:
            batch.send(sizes, ())
            return
        self._upstreams.hold()
        try:
            self._leftovers(udp, rest, lengths, sizes, now)
        finally:
            self._upstreams.release()

    def _leftovers(self, udp: _Udp, rest: Sequence[int], lengths: Sequence[int], sizes: list[int], now: float) -> None:
        """Has the engine see to what the hot path left, and sends all answers of the batch that are there."""
        unanswered = []
        for one in rest:
            index, unlisted = (one, False) if one >= 0 else (~one, True)
            if not self._plain(udp, index, lengths[index], sizes, now, unlisted=unlisted):
                unanswered.append(index)
        udp.batch.send(sizes, unanswered)

    def _record(self, udp: _Udp, names: list[bytes], numbers: list[int], seats: list[int] | None) -> None:
        """Spools the attempts of a batch; on the home's network only those of devices that are recorded."""
        if seats is None:
            if not self._clients.another:
                self._writer.attempts(numbers, names, udp.flags, b"")
            return
        address, enrolled = udp.batch.address, self._clients.enrolled
        kept = [n for n, seat in enumerate(seats) if enrolled(address(seat))]
        if kept:
            pairs = [number for n in kept for number in numbers[2 * n : 2 * n + 2]]
            by = b"".join(address(seats[n]) for n in kept)
            self._writer.attempts(pairs, [names[n] for n in kept], udp.flags, by)

    def _plain(self, udp: _Udp, index: int, length: int, sizes: list[int], now: float, *, unlisted: bool) -> bool:
        """Answers packet `index` by the engine; False where nothing is to be sent from the batch."""
        batch = udp.batch
        offset = batch.offsets[index]
        packet = batch.buffer[offset : offset + length]
        reply = partial(self._send, batch, batch.sender(index))
        answer = self._handle(packet, batch.client(index)[0], now, reply, unlisted=unlisted)
        if not answer:
            return False
        batch.buffer[offset : offset + len(answer)] = answer
        sizes[index] = len(answer)
        return True

    def _handle(
        self, packet: bytes, client: str, now: float, reply: Reply,
        *, stream: bool = False, unlisted: bool = False,
    ) -> bytes | None:  # fmt: skip
        """The engine's answer, b"" for none, or None where `reply` will be called later."""
        assert self._engine is not None
        try:
            outcome = self._engine.handle(packet, client, now, stream=stream, unlisted=unlisted)
        except Exception as error:  # the datagram edge: no packet may end the service; counted, logged once per kind
            self._surprise("query", error)
            return b""
        if isinstance(outcome, Forward):
            self._forward(outcome, reply, now)
            return None
        return outcome or b""

    def _forward(self, forward: Forward, reply: Reply, now: float) -> None:
        """Asks an upstream; equal questions under way are merged into one (CVE-2020-25686)."""
        assert self._engine is not None
        key = forward.key, forward.instead
        waiting = self._waiting.get(key)
        if waiting is not None:
            served = waiting[0][1] is _nobody
            old = self._engine.late(forward, now) if served else None
            if old is not None:
                reply(old)
            elif len(waiting) < MOST_WAITING:
                waiting.append((forward, reply))
            else:
                reply(b"")
            return
        waiting = self._waiting[key] = [(forward, reply)]
        if self._engine.has_old(forward, now):
            self._upstreams.deadlines.at(self._loop.time() + PATIENCE, partial(self._impatient, waiting))
        self._upstreams.ask(forward.query, partial(self._replied, waiting))

    def _impatient(self, waiting: Waiting) -> None:
        """Serves the old answer to all who still wait, where there is one; the upstream's own is kept when it comes."""
        first, now = waiting[0][0], clock.now()
        if not self._engine or self._waiting.get((first.key, first.instead)) is not waiting:
            return
        still: Waiting = [(first, _nobody)]
        for forward, reply in waiting:
            old = self._engine.late(forward, now)
            if old is None:
                still.append((forward, reply))
            else:
                reply(old)
        waiting[:] = still

    def _replied(self, waiting: Waiting, packet: bytes | None, scan: Scan | None) -> None:
        assert self._engine is not None
        now, first = clock.now(), waiting[0][0]
        del self._waiting[first.key, first.instead]
        for number, (forward, reply) in enumerate(waiting):
            try:
                told = reply is _nobody
                answer = self._engine.finish(forward, packet, now, scan=scan, first=number == 0, told=told)
            except Exception as error:  # the same edge, for replies
                self._surprise("reply", error)
                answer = self._engine.finish(forward, None, now)
            reply(answer)

    def _send(self, batch: Batch, to: bytes, answer: bytes) -> None:
        """Sends an answer that had to be waited for, together with the others that came at the same moment."""
        if answer:
            batch.later(to, answer)
            self._upstreams.sockets.after(batch.flush)

    def _stream(self, packet: bytes, client: str, reply: Reply) -> None:
        """A question that came over TCP."""
        now = clock.now()
        if not self._clients.may_ask(packed(client), now):
            reply(b"")
        elif self._serve and self._engine:
            answer = self._handle(packet, client, now, reply, stream=True)
            if answer is not None:
                reply(answer)

    def _surprise(self, where: str, error: Exception) -> None:
        kind = f"{where}: {type(error).__name__}"
        if kind not in self._seen:
            self._seen.add(kind)
            log.warning("%s, further ones are not logged", kind, exc_info=not isinstance(error, OSError))


def _waiter(sock: socket.socket) -> Callable[[int], object]:
    """Waits up to so many milliseconds for a packet; true when there is one. Never, where the system has no poll."""
    if not hasattr(select, "poll"):
        return lambda milliseconds: False
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return poll.poll


def _nobody(answer: bytes) -> None:
    """Takes the answer for a client that has had one."""
