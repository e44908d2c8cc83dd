"""The world of one scenario: resolver, scripted upstreams and clock in one process, without sockets or waiting.

Every query goes through the hot path and the engine as it does in the service, and through a second engine without a
hot path, which must answer alike. Questions that are forwarded run through the real `Exchange` in virtual time. What
only `dns.listener` and `dns.upstream` do with sockets is repeated here in its smallest form.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from blockerd.dns.cache import Key
from blockerd.dns.clients import packed
from blockerd.dns.engine import PATIENCE, Engine, Forward
from blockerd.dns.exchange import Exchange, Server, Step, Try
from blockerd.dns.wire import next_second
from blockerd.model import kind_of
from blockerd.policy.match import COMBO_MASK
from blockerd.policy.name import to_text
from blockerd.settings import Upstream
from tests.fakes.resolvers import Hot
from tests.scenarios.servers import Scripted, asked_name, made
from tests.scenarios.setting import Install, shown

START = 1_700_000_000.0
LATENCY = 1 / 64
"""Seconds an upstream takes unless the scenario says otherwise; a binary fraction, so that times stay exact."""

GRAIN = 1024
"""Parts of a second that the clock counts in."""

LONGEST = 20.0
"""Seconds after which a client has no answer."""


@dataclass(slots=True)
class Asked:
    """A client's query and, once there is one, its answer. `done` with `answer` None: nothing will be said."""

    packet: bytes
    client: str
    stream: bool
    at: float
    answer: bytes | None = None
    done: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A query that an upstream got."""

    server: str
    packet: bytes
    stream: bool


@dataclass(frozen=True, slots=True)
class Noted:
    """A recorded attempt: `name` and `qtype` as they reach the log."""

    name: str
    qtype: int
    category: str
    kind: str
    client: str


@dataclass(slots=True)
class _Flight:
    """A question under way: its exchange, the try that is waited for, and who waits."""

    exchange: Exchange
    waiting: list[tuple[Forward, Asked]]
    current: Try | None = None
    impatient: bool = False
    over: bool = False


@dataclass(slots=True)
class World:
    """`install` is what the scenario configures, `scripted` its upstreams."""

    install: Install
    scripted: Scripted
    now: float = START
    seen: list[Seen] = field(default_factory=list)
    noted: list[Noted] = field(default_factory=list)
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _flights: dict[tuple[Key, bytes], _Flight] = field(default_factory=dict)
    _health: dict[str, Server] = field(default_factory=dict)
    _count: int = 0
    _random: random.Random = field(default_factory=lambda: random.Random(2026))

    def ask(self, packet: bytes, client: str, *, stream: bool) -> Asked:
        """Hands `packet` to the resolver at this moment, if `client` is one that it serves."""
        asked = Asked(packet, client, stream, self.now)
        if not self.install.clients.may_ask(packed(client), self.now):
            self._reply(asked, None)
            return asked
        next_second(self.install.engine.fast)
        outcome = self.install.ask(packet, client, self.now, stream=stream, hot=self._note_hot)
        self._note()
        if isinstance(outcome, Forward):
            self._forward(outcome, asked)
        else:
            self._reply(asked, outcome)
        return asked

    def settle(self, group: list[Asked]) -> None:
        """Lets time pass until each of `group` has its answer or will have none."""
        end = self.now + LONGEST
        while not all(asked.done for asked in group) and self._events and self._events[0][0] <= end:
            self._step()

    def advance(self, seconds: float) -> None:
        """Lets `seconds` pass."""
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self._step()
        self.now = end

    def _step(self) -> None:
        when, _, call = heapq.heappop(self._events)
        self.now = max(self.now, when)
        call()
        self._note()

    def _at(self, when: float, call: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (-(-when * GRAIN // 1) / GRAIN, self._count, call))

    def _forward(self, forward: Forward, asked: Asked) -> None:
        """Equal questions under way are merged into one (CVE-2020-25686)."""
        flight = self._flights.get((forward.key, forward.instead))
        if flight is None:
            self._take_off(forward, asked)
        elif not flight.impatient or not self._late(forward, asked):
            flight.waiting.append((forward, asked))

    def _late(self, forward: Forward, asked: Asked) -> bool:
        """Serves the old answer; False where there is none."""
        old = self.install.both(partial(_late, forward, self.now))
        if old is not None:
            self._reply(asked, old)
        return old is not None

    def _take_off(self, forward: Forward, asked: Asked) -> None:
        servers = [self._server(address) for address in self.install.servers(asked_name(forward.query))]
        flight = _Flight(Exchange(forward.query, servers, self.now, self._chance), [(forward, asked)])
        self._flights[forward.key, forward.instead] = flight
        if self.install.engine.has_old(forward, self.now):
            self._at(self.now + PATIENCE, partial(self._impatient, flight))
        self._next(flight)

    def _server(self, address: Upstream) -> Server:
        return self._health.setdefault(shown(address), Server(address))

    def _chance(self, count: int) -> bytes:
        """Random octets, the same in each run; a lone one, the draw for trying a slower server, never wins."""
        return b"\x01" if count == 1 else self._random.randbytes(count)

    def _impatient(self, flight: _Flight) -> None:
        """Serves the old answer to all who wait; the upstream's own is kept when it comes."""
        if flight.over:
            return
        rest = [one for one in flight.waiting if not self._late(*one)]
        flight.waiting = flight.waiting[:1] + [one for one in rest if one is not flight.waiting[0]]
        flight.impatient = True

    def _next(self, flight: _Flight) -> None:
        flight.current = flight.exchange.next(self.now)
        if flight.current is None:
            self._end(flight)
        else:
            self._send(flight, flight.current)

    def _send(self, flight: _Flight, attempt: Try) -> None:
        """The packet reaches its server; what the script says comes back, perhaps after the next try was made."""
        self.seen.append(Seen(shown(attempt.server.address), attempt.packet, attempt.stream))
        self._at(attempt.until, partial(self._timed_out, flight, attempt))
        after = LATENCY
        for send in self.scripted.says(attempt):
            after = float(send.options.get("after", after))
            if send.kind == "unreachable":
                self._at(self.now + after, partial(self._unreachable, flight, attempt))
            elif send.kind != "silence":
                packet = made(send, attempt.packet)
                for _ in range(int(send.options.get("times", "1"))):
                    self._at(self.now + after, partial(self._arrived, flight, attempt, packet))

    def _arrived(self, flight: _Flight, attempt: Try, packet: bytes) -> None:
        if flight.over:
            return
        step = flight.exchange.arrived(attempt, packet, self.now)
        if step is Step.ANSWER:
            self._end(flight)
        elif step is Step.AGAIN:
            self._next(flight)
        elif attempt.stream:
            self._timed_out(flight, attempt)

    def _timed_out(self, flight: _Flight, attempt: Try) -> None:
        if not flight.over and attempt is flight.current:
            flight.exchange.failed(attempt, self.now)
            self._next(flight)

    def _unreachable(self, flight: _Flight, attempt: Try) -> None:
        if not flight.over and attempt is flight.current:
            flight.exchange.failed(attempt, self.now, refused=True)
            self._next(flight)

    def _end(self, flight: _Flight) -> None:
        flight.over = True
        first = flight.waiting[0][0]
        del self._flights[first.key, first.instead]
        reply = flight.exchange.reply
        for number, (forward, asked) in enumerate(flight.waiting):
            answer = self.install.both(partial(_finish, forward, reply, self.now, number == 0, asked.done))
            if not asked.done:
                self._reply(asked, answer)

    def _reply(self, asked: Asked, answer: bytes | None) -> None:
        asked.answer = answer or None
        asked.done = True
        asked.seconds = self.now - asked.at

    def _note(self) -> None:
        """Takes over what the engine recorded."""
        for one in self.install.take_attempts():
            category = one.decision.category
            self._record(to_text(one.question.name), one.question.qtype, category, one.client)

    def _note_hot(self, hot: Hot, client: str) -> None:
        """Takes over what the hot path recorded: a question and a place in the table."""
        combos = self.install.engine.policy.table.combos
        for number, low in enumerate(hot.names):
            category = combos[hot.pairs[2 * number + 1] & COMBO_MASK].category_id
            lowered = int.from_bytes(low[-4:-2], "big")
            qtype = 65 if lowered == 97 else lowered  # the hot path lower-cases the whole question
            self._record(to_text(low[:-4]), qtype, category, client)

    def _record(self, name: str, qtype: int, category: str, client: str) -> None:
        """Only attempts of enrolled clients reach the log."""
        if self.install.clients.enrolled(packed(client)):
            self.noted.append(Noted(name, qtype, category, str(kind_of(category)), client))


def _late(forward: Forward, now: float, engine: Engine) -> bytes | None:
    return engine.late(forward, now)


def _finish(forward: Forward, reply: bytes | None, now: float, first: bool, told: bool, engine: Engine) -> bytes:
    return engine.finish(forward, reply, now, first=first, told=told)
