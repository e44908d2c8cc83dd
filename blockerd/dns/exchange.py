"""One question on its way to the upstreams: whom to ask next, what counts as its answer, when to give up. Pure.

Forged, early, late and malformed replies are told from the true one and passed over while it is awaited
(draft-li-dnsop-response-preprocessing, CVE-2023-29483). Every try has an ID of its own and, over UDP, a mixture of
cases that the reply must repeat (draft-vixie-dnsext-dns0x20). At most three tries a server (RFC 9520 section 3.1).
Called by `dns.upstream`, which owns the sockets and the timers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from blockerd.dns.glance import answer
from blockerd.dns.reply import Malformed, Scan, Unusable, matches, matches_but_case, scan_for
from blockerd.settings import Scheme, Upstream

WAITS = {2: (0.8, 1.4), 3: (0.8, 1.4, 2.2), 6: (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)}
"""Seconds that each try in turn may take, by how many there are; together under 5, as long as a client waits."""

IN_ALL = 4.6
"""Seconds after which no try goes on, whatever detours were taken."""

STREAM_WAIT = 1.5
"""Seconds that a try over a connection has at least: it may have to be made first."""

DOWN_AFTER, DOWN_TRIES = 2.0, 4
"""A server is down when so many tries in a row and all within so many seconds went unanswered: loss is not death."""

NO_EDNS_FOR = 3600.0
"""Seconds for which a server that answers only without EDNS is asked so (RFC 6891 section 6.2.2)."""

MISCASED = 3
"""Replies in another case after which a server is taken to change cases, and is asked in the client's from then on."""

OPT_LENGTH = 11

Chance = Callable[[int], bytes]
"""So many random octets."""

_FORMERR, _SERVFAIL, _REFUSED = 1, 2, 5
_LETTERS = bytes(0x20 if 0x41 <= (octet & 0xDF) <= 0x5A else 0 for octet in range(256))
_EXPLORED = 24
"""One in so many questions goes to a server that is not the quickest, so that its latency stays known."""


@dataclass(slots=True, eq=False)
class Server:
    """One upstream and what real questions said of it. Times are on the caller's clock, in seconds.

    `stream` is True where every question goes over a connection.
    """

    address: Upstream
    latency: float = 0.0
    failures: int = 0
    since: float = 0.0
    retry_at: float = 0.0
    backoff: float = 0.0
    edns_at: float = 0.0
    miscased: int = 0
    stream: bool = field(init=False)

    def __post_init__(self) -> None:
        self.stream = self.address.scheme is not Scheme.UDP

    def down(self, now: float) -> bool:
        """True while it has been silent for long, until it may be tried again."""
        return self.retry_at > now

    def good(self, seconds: float) -> None:
        """It answered in `seconds`."""
        self.failures = 0
        self.retry_at = self.backoff = 0.0
        self.latency = seconds if not self.latency else 0.8 * self.latency + 0.2 * seconds

    def bad(self, now: float) -> None:
        """It did not answer: down after a while of that, for 2 to 60 seconds at a time, doubling."""
        self._missed(now)
        if not self.down(now) and self.failures >= DOWN_TRIES and now - self.since >= DOWN_AFTER:
            self.backoff = min(60.0, 2 * self.backoff or 2.0)
            self.retry_at = now + self.backoff

    def refused(self, now: float) -> None:
        """Nobody listens there: asked after the others for two seconds."""
        self._missed(now)
        self.retry_at = now + 2.0

    def _missed(self, now: float) -> None:
        self.failures += 1
        if self.failures == 1:
            self.since = now


def order(servers: Sequence[Server], now: float, chance: Chance) -> list[Server]:
    """Who is asked first: the quickest of those that answer; unknown ones count as quick, those that are down last.

    Now and then the second quickest, once both have been measured: before, the order is the configured one.
    """
    if len(servers) == 1:
        return list(servers)
    found = sorted(servers, key=lambda server: (server.retry_at if server.down(now) else 0.0, server.latency))
    if found[0].latency and not found[1].down(now) and chance(1)[0] % _EXPLORED == 0:
        found.insert(0, found.pop(1))
    return found


class Step(Enum):
    """What to do after a packet."""

    WAIT = "it is not the answer: go on waiting"
    AGAIN = "ask `next`"
    ANSWER = "`reply` is the answer"


@dataclass(slots=True, eq=False)
class Try:
    """One packet to one server, and until when its answer is worth waiting for before another try is made.

    `over` once its answer was heard: what else comes is a duplicate. `retried` once a packet that anybody could have
    sent had the question asked again.
    """

    server: Server
    packet: bytes
    stream: bool
    edns: bool
    asked: float
    until: float
    over: bool = False
    retried: bool = False


class Exchange:
    """`query` (ID zero, our own bare OPT at its end) on its way to `servers`, begun at `now`.

    `reply` holds the answer once there is one, or the best that was heard when `next` gives None; `scan` what it says.
    """

    __slots__ = (
        *(
            "_chance",
            "_current",
            "_detours",
            "_end_by",
            "_miscased",
            "_name",
            "_qtype",
            "_query",
            "_refused",
            "_servers",
            "_turn",
        ),
        *("_waits", "reply", "scan"),
    )

    def __init__(self, query: bytes, servers: Sequence[Server], now: float, chance: Chance) -> None:
        self._query = query
        self._name = query[12 : -4 - OPT_LENGTH]
        self._qtype = int.from_bytes(query[-4 - OPT_LENGTH : -2 - OPT_LENGTH], "big")
        self._chance = chance
        self._end_by = now + IN_ALL
        self._servers = order(servers, now, chance)
        self._waits = _waits(self._servers, now)
        self._turn = 0
        self._current: Server | None = None
        self._detours: list[tuple[Server, bool, bool]] = []
        self._refused: list[Server] = []
        self._miscased = False
        self.reply: bytes | None = None
        self.scan: Scan | None = None

    def next(self, now: float) -> Try | None:
        """The next try; None when all had theirs or time is up."""
        if self._detours:
            server, stream, edns = self._detours.pop()
            wait = STREAM_WAIT if stream else 1.0
        else:
            in_turn = self._in_turn()
            if in_turn is None:
                return None
            server, wait = in_turn, self._waits[self._turn]
            self._turn += 1
            stream, edns = server.stream, server.edns_at <= now
        if stream:
            wait = max(wait, STREAM_WAIT)
        until = min(now + wait, self._end_by)
        if until <= now:
            return None
        self._current = server
        return Try(server, self._packet(server, stream, edns), stream, edns, now, until)

    def arrived(self, attempt: Try, packet: bytes, now: float) -> Step:
        """Judges `packet`, which came to `attempt`'s socket from its server's address."""
        if attempt.over:
            return Step.WAIT
        if not matches(packet, attempt.packet):
            return self._other(attempt, packet, now)
        scan = answer(packet, self._name, self._qtype)
        if not scan and not packet[2] & 0x02:
            try:
                scan = scan_for(packet, self._name, self._qtype)
            except Unusable:
                pass  # it is an answer, and no better one will come
            except Malformed:
                return Step.WAIT
        server = attempt.server
        server.good(now - attempt.asked)
        attempt.over = True
        rcode = packet[3] & 0x0F
        if packet[2] & 0x02 and not attempt.stream:
            return self._detour(server, stream=True, edns=attempt.edns)
        if rcode == _FORMERR and attempt.edns and packet[10:12] == b"\x00\x00":
            return self._detour(server, stream=attempt.stream, edns=False)
        if not attempt.edns and rcode != _FORMERR and server.edns_at <= now:
            server.edns_at = now + NO_EDNS_FOR
        self.reply, self.scan = packet, scan
        if rcode in (_SERVFAIL, _REFUSED):
            self._refused.append(server)
            if self._current not in self._refused:
                return Step.WAIT  # for the one that is being asked already
            if self._in_turn():
                return Step.AGAIN
        return Step.ANSWER

    def failed(self, attempt: Try, now: float, *, refused: bool = False) -> None:
        """No answer came to `attempt` in its time; `refused`: the network says that nobody is there."""
        if refused:
            attempt.server.refused(now)
        else:
            attempt.server.bad(now)

    def _in_turn(self) -> Server | None:
        """Whose turn it is: each in order, again and again, but for those that said that they cannot help."""
        while self._turn < len(self._waits):
            server = self._servers[self._turn % len(self._servers)]
            if server not in self._refused:
                return server
            self._turn += 1
        return None

    def _other(self, attempt: Try, packet: bytes, now: float) -> Step:
        """What a packet that does not match may still be: a FORMERR without question, or the answer in another case.

        Neither is believed over UDP: whoever forges one gets nothing but another question from us.
        """
        server = attempt.server
        if attempt.edns and not attempt.retried and _bare_formerr(packet, attempt.packet):
            attempt.retried = True
            return self._detour(server, stream=attempt.stream, edns=False)
        if not matches_but_case(packet, attempt.packet):
            return Step.WAIT
        if not attempt.stream:
            if self._miscased:
                return Step.WAIT
            self._miscased = True
            server.miscased += 1
            return self._detour(server, stream=True, edns=attempt.edns)
        server.good(now - attempt.asked)
        self.reply, self.scan = packet, None
        return Step.ANSWER

    def _detour(self, server: Server, *, stream: bool, edns: bool) -> Step:
        """The same server once more, another way; before any other."""
        self._detours.append((server, stream, edns))
        return Step.AGAIN

    def _packet(self, server: Server, stream: bool, edns: bool) -> bytes:
        query = self._query
        mixed = not stream and server.miscased < MISCASED
        chance = self._chance(len(query) - 25 if mixed else 2)
        name = self._name
        if mixed:
            mask = int.from_bytes(name.translate(_LETTERS)) & int.from_bytes(chance[2:])
            name = (int.from_bytes(name) ^ mask).to_bytes(len(name))
        if edns:
            return b"".join((chance[:2], query[2:12], name, query[-4 - OPT_LENGTH :]))
        return b"".join((chance[:2], query[2:11], b"\x00", name, query[-4 - OPT_LENGTH : -OPT_LENGTH]))


def _waits(servers: list[Server], now: float) -> tuple[float, ...]:
    """How long each try in turn may take: three a server, six in all; two where none is known to be there."""
    if servers[0].down(now):
        return WAITS[2]
    return WAITS[3] if len(servers) == 1 else WAITS[6]


def _bare_formerr(packet: bytes, asked: bytes) -> bool:
    """A FORMERR of a server that does not know EDNS and repeats no question (RFC 6891 section 7)."""
    return (
        len(packet) >= 12
        and packet[:2] == asked[:2]
        and packet[2] & 0xF8 == 0x80
        and packet[3] & 0x0F == _FORMERR
        and packet[4:6] == b"\x00\x00"
    )
