"""Answers one query the plain way: gate, policy, cache, upstream. Pure: no socket, no clock, no file.

The order of the steps is `STEPS`. A step returns the answer's octets, or None to pass on; when all have passed, the
caller is handed a `Forward` to ask an upstream with, and `finish` turns the reply into the client's answer. While no
upstream can be reached, answers whose time is over are served (RFC 8767) and failures remembered (RFC 9520).
Order of effects for a refused question: decide, record the attempt, answer.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from blockerd.dns import gate, message, reply, special
from blockerd.dns.cache import Cache, Entry, Key, fresh, key_of, one, stale, template, with_ttls
from blockerd.dns.gate import Question
from blockerd.dns.special import Kind, Special
from blockerd.dns.wire import OPT_LENGTH, Fast
from blockerd.model import Action, Decision, Query
from blockerd.policy.decide import Policy, decide
from blockerd.policy.name import BadName, from_text, suffixes

Attempted = Callable[[Question, Decision, bytes, str], None]
"""Called with the question, the decision, the name it was about (a CNAME target or the question's), and the client."""

PATIENCE = 1.8
"""Seconds that a client waits for an upstream before an old answer is served (RFC 8767 section 5)."""

FAILED_FOR, FAILED_FOR_WITH_OLD = 3.0, 30.0
"""Seconds in which a question that no upstream could answer is not asked again: without and with an old answer to
serve meanwhile (RFC 9520 section 3.2, RFC 8767 section 5)."""

_ADDRESSES = (1, 28, 64, 65)
"""Types that lead to a host: A, AAAA, SVCB, HTTPS."""

_NOERROR = 0
_ANSWERS = (_NOERROR, gate.NXDOMAIN)
"""Rcodes by which an upstream says what is there; by all others it has no answer for us (RFC 9520 section 2.2)."""

FLEETING_TTL = 20
"""Seconds for which a client may keep what the resolver of a road said: the road may be closed by then."""

_ANY, _CNAME = 255, 5
_ANY_TTL = 0xFFFFFFFF
_TTL = struct.Struct(">I")
_MEMO_ENTRIES = 16384
_OPT_FORMS = 64
_MOST_FAILED = 10_000


class Forward(NamedTuple):
    """A question for an upstream: `query` is the message to send, its ID still zero.

    `instead` is set where another name is asked in place of the question's (safe search, an own alias): its wire name.
    `policy` is the one under which the question was let through. `fleeting`: its answer is not kept.
    """

    key: Key
    question: Question
    limit: int
    client: str
    query: bytes
    policy: Policy
    instead: bytes = b""
    fleeting: bool = False


@dataclass(slots=True)
class Asked:
    """What the steps see of one query. `unlisted`: no rule covers its name, that is known already. `alias` is set by
    the policy's step: the name to ask in place of its own."""

    question: Question
    packet: bytes
    client: str
    now: float
    unlisted: bool
    alias: bytes = b""


@dataclass(slots=True)
class Counters:
    """What this process did since its start, with what `wire` answered."""

    queries: int = 0
    blocked: int = 0
    cached: int = 0
    forwarded: int = 0
    refused: int = 0
    dropped: int = 0
    servfail: int = 0
    stale: int = 0
    rebound: int = 0


@dataclass(slots=True)
class Engine:
    """Policy, cache and counters of the resolver; one thread owns it. `fast` is replaced with the policy.

    `special` are the zones answered here (`dns.special`), `safe` the names that another host answers for, `local` the
    zones that a resolver at home knows, whose answers may lead into the home; `fleeting` are those among them whose
    resolver is asked for a while only (`dns.roads`): nothing of theirs is kept, or served from before. With `hide_ech`
    the names that any list holds lose the keys of an encrypted hello, so that the proxy can read to which host a
    connection goes.
    """

    policy: Policy
    cache: Cache
    attempted: Attempted
    fast: Fast
    special: Mapping[bytes, Special] = field(default_factory=dict)
    safe: Mapping[bytes, bytes] = field(default_factory=dict)
    local: frozenset[bytes] = frozenset()
    fleeting: frozenset[bytes] = frozenset()
    hide_ech: bool = False
    counters: Counters = field(default_factory=Counters)
    failed: dict[Key, float] = field(default_factory=dict)

    def handle(
        self, packet: bytes, client: str, now: float, *, stream: bool = False, unlisted: bool = False
    ) -> bytes | Forward | None:
        """The answer to `packet`, a question to forward, or None where nothing is to be said.

        With `unlisted` the hot path has found that no rule covers the name: it is not decided a second time.
        """
        self.counters.queries += 1
        try:
            question = gate.read(packet)
        except gate.Dropped:
            self.counters.dropped += 1
            return None
        except gate.Refused as refused:
            self.counters.refused += 1
            return message.refusal(packet, refused.rcode, edns=refused.edns)
        limit = 65535 if stream else min(question.size, message.UDP_SIZE)
        asked = Asked(question, packet, client, now, unlisted)
        for step in STEPS:
            answer = step(self, asked)
            if answer is not None:
                return _fit(answer, question, limit) if answer else None
        self.counters.forwarded += 1
        query = upstream_query(question, asked.alias)
        fleeting = self._fleeting(question.name)
        return Forward(key_of(question), question, limit, client, query, self.policy, asked.alias, fleeting)

    def finish(
        self,
        forward: Forward,
        packet: bytes | None,
        now: float,
        *,
        scan: reply.Scan | None = None,
        first: bool = True,
        told: bool = False,
    ) -> bytes:
        """The client's answer from an upstream's reply `packet` (None: nobody answered, b"": nobody could be asked).

        `scan` is what `packet` says about the name that was asked, where it was looked at already. `first` is False for
        the further clients of a merged query, whose reply is decided but not cached again. With `told` the client has
        had an answer, with its record: the reply is only kept.
        """
        question = forward.question
        entry = self._entry(forward, packet, scan, now, first=first, told=told)
        if isinstance(entry, bytes):
            return _fit(entry, question, forward.limit)
        if entry is not None:
            made = question.id.to_bytes(2, "big") + fresh(entry, question, message.opt_record(question))
            return _fit(made, question, forward.limit)
        answer = None if told else self.late(forward, now)
        old = answer is not None or (told and self.has_old(forward, now))
        if packet != b"":
            self._remember_failure(forward.key, now + (FAILED_FOR_WITH_OLD if old else FAILED_FOR))
        if told:
            return b""
        if answer is None:
            self.counters.servfail += 1
            answer = message.failure(question, gate.SERVFAIL)
        return answer

    def late(self, forward: Forward, now: float) -> bytes | None:
        """An old answer for a client that waits too long or in vain; None where there is none (RFC 8767)."""
        answer = self._listed_since(forward, now, told=False)
        if answer is None:
            answer = self._old(forward.question, forward.instead, forward.client, now)
        return None if answer is None else _fit(answer, forward.question, forward.limit)

    def has_old(self, forward: Forward, now: float) -> bool:
        """True where `late` would find something."""
        if forward.fleeting:
            return False
        entry = self.cache.stale(forward.key, now)
        return entry is not None and entry.alias == forward.instead

    def forget(self) -> None:
        """Forgets every answer and failure."""
        self.cache.clear()
        self.failed.clear()
        self.fast.templates.clear()
        self.fast.memo.clear()

    def _old(self, question: Question, alias: bytes, client: str, now: float) -> bytes | None:
        if self._fleeting(question.name):
            return None
        entry = self.cache.stale(key_of(question), now)
        if entry is None or entry.alias != alias:
            return None
        withheld = self._led_astray(question, entry.targets, client, now)
        if withheld is not None:
            return withheld
        self.counters.stale += 1
        return question.id.to_bytes(2, "big") + stale(entry, question, message.opt_record(question, message.EDE_STALE))

    def _remember_failure(self, key: Key, until: float) -> None:
        if len(self.failed) >= _MOST_FAILED:
            self.failed.clear()
        self.failed[key] = until

    def _entry(
        self, forward: Forward, packet: bytes | None, scan: reply.Scan | None, now: float, *, first: bool, told: bool
    ) -> Entry | bytes | None:
        """The reply as an entry, an answer of ours in its place where its chain leads to a listed name or nowhere but
        into the home, or None if it is no use."""
        question = forward.question
        if not packet:
            return None
        asked = forward.instead or question.name
        try:
            scan = scan or reply.scan_for(packet, asked, question.qtype)
            if scan.rcode not in _ANSWERS:
                return None
            if scan.foreign:
                packet = message.only(packet, (asked, *scan.targets))
            if forward.instead:
                packet = message.by_alias(question, forward.instead, packet)
            if forward.instead or scan.foreign:
                scan = reply.scan(packet, question)
            withheld = self._listed_since(forward, now, told=told)
            if withheld is None:
                withheld = self._led_astray(question, scan.targets, forward.client, now, told=told)
            if withheld is not None:
                return withheld
            private = scan.private and not (forward.fleeting or self._at_home(question.name))
            ech = scan.ech and self.hide_ech and self._listed(question.name)
            if private or ech:
                self.counters.rebound += private
                packet = message.purged(packet, private=private, ech=ech)
                scan = reply.scan(packet, question)
                if not scan.answers:
                    return message.rebound(question, ttl=self.policy.state.block_ttl)
        except reply.Malformed:
            return None
        entry = _keepable(packet, scan, question, now, forward.instead, FLEETING_TTL if forward.fleeting else _ANY_TTL)
        if first and scan.ttl > 0 and not forward.fleeting:
            self.cache.put(forward.key, entry)
            self.failed.pop(forward.key, None)
        return entry

    def _at_home(self, name: bytes) -> bool:
        """True under a local domain, whose resolver is the home's own."""
        return bool(self.local) and any(zone in self.local for zone in suffixes(name))

    def _fleeting(self, name: bytes) -> bool:
        """True under a zone that another resolver is asked about for a while."""
        return bool(self.fleeting) and any(zone in self.fleeting for zone in suffixes(name))

    def _listed(self, name: bytes) -> bool:
        return next(iter(self.policy.table.hits(name)), None) is not None

    def _listed_since(self, forward: Forward, now: float, *, told: bool) -> bytes | None:
        """The block answer where the question's own name came to be listed while it was under way."""
        if forward.policy is self.policy:
            return None
        question = forward.question
        decision = decide(self.policy, Query(question.name, question.qtype), now)
        if not decision.blocked:
            return None
        return self._withhold(question, decision, question.name, forward.client, told=told)

    def _led_astray(
        self, question: Question, targets: tuple[bytes, ...], client: str, now: float, *, told: bool = False
    ) -> bytes | None:
        """The block answer where one of `targets` is listed, unless the question's own name is protected or allowed."""
        if not targets or self._open(question, now):
            return None
        for target in targets:
            decision = decide(self.policy, Query(target, question.qtype), now)
            if decision.blocked:
                return self._withhold(question, decision, target, client, told=told)
        return None

    def _open(self, question: Question, now: float) -> bool:
        """True for a name that the protected or the own list opens; only their rules have no category."""
        rule = decide(self.policy, Query(question.name, question.qtype), now).rule
        return rule is not None and not rule.category

    def _withhold(
        self, question: Question, decision: Decision, name: bytes, client: str, *, told: bool = False
    ) -> bytes:
        if not told:
            self.counters.blocked += 1
            self.attempted(question, decision, name, client)
        if decision.action is Action.DROP:
            return b""
        state = self.policy.state
        return message.blocked(question, decision, zero=state.block_answer == "zero", ttl=state.block_ttl)


def _by_special_name(engine: Engine, asked: Asked) -> bytes | None:
    found = special.find(engine.special, asked.question.name)
    return message.special(asked.question, found) if found and found.kind is not Kind.LOCAL else None


def _by_policy(engine: Engine, asked: Asked) -> bytes | None:
    question, packet = asked.question, asked.packet
    if asked.unlisted:
        if engine.safe and question.qtype in _ADDRESSES:
            asked.alias = engine.safe.get(question.name, b"")
        return None
    decision = decide(engine.policy, Query(question.name, question.qtype), asked.now)
    if decision.action is Action.LOCAL_DATA:
        asked.alias = _alias(decision) if question.qtype != _CNAME else b""
        return None if asked.alias else message.local(question, decision.data, ttl=engine.policy.state.block_ttl)
    if not decision.blocked:
        if question.qtype in _ADDRESSES:
            asked.alias = engine.safe.get(question.name, b"")
        return None
    opt = packet[-OPT_LENGTH:]
    answer = engine._withhold(question, decision, question.name, asked.client)
    if answer and question.edns and _bare(opt, packet, question) and len(engine.fast.opts) < _OPT_FORMS:
        engine.fast.opts[opt] = block_tail(engine.policy, question)
    return answer


def _alias(decision: Decision) -> bytes:
    """The name that a rewrite puts in place of the question's, b"" where it gives other data."""
    try:
        return next((from_text(text) for kind, text in decision.data if kind == "CNAME"), b"")
    except BadName:
        return b""


def _bare(opt: bytes, packet: bytes, question: Question) -> bool:
    """True if the packet ends with an OPT record without options and without flags other than DO."""
    return len(packet) == 12 + len(question.raw) + OPT_LENGTH and opt[8] == 0 and opt[7] in (0, 0x80)


def _by_type(engine: Engine, asked: Asked) -> bytes | None:
    return message.minimal_any(asked.question) if asked.question.qtype == _ANY else None


def _by_cache(engine: Engine, asked: Asked) -> bytes | None:
    question = asked.question
    if engine._fleeting(question.name):
        return None
    entry = engine.cache.get(key_of(question), asked.now)
    if entry is None or entry.alias != asked.alias:
        return None
    withheld = engine._led_astray(question, entry.targets, asked.client, asked.now)
    if withheld is not None:
        return withheld
    engine.counters.cached += 1
    made = template(entry, question, message.opt_record(question))
    if len(made.data) + 2 <= min(question.size, message.UDP_SIZE):
        if len(engine.fast.templates) >= _MEMO_ENTRIES:
            engine.fast.templates.clear()
            engine.fast.memo.clear()
        engine.fast.templates[asked.packet[2:]] = made
    return asked.packet[:2] + made.render(asked.now)


def _by_failure(engine: Engine, asked: Asked) -> bytes | None:
    if not engine.failed:
        return None
    key = key_of(asked.question)
    until = engine.failed.get(key)
    if until is None:
        return None
    if until <= asked.now:
        del engine.failed[key]
        return None
    old = engine._old(asked.question, asked.alias, asked.client, asked.now)
    if old is not None:
        return old
    engine.counters.servfail += 1
    return message.failure(asked.question, gate.SERVFAIL, cached=True)


STEPS: tuple[Callable[[Engine, Asked], bytes | None], ...] = (
    _by_special_name,  # first: nothing of these may leave the machine, and no list has a say in them
    _by_policy,  # before the cache: a name blocked a moment ago must not be answered from it
    _by_type,  # ANY is answered here, and is never worth an upstream's work
    _by_cache,
    _by_failure,  # last: what nobody could answer a moment ago is not asked again
)


def _keepable(
    packet: bytes, scan: reply.Scan, question: Question, now: float, alias: bytes, most: int = _ANY_TTL
) -> Entry:
    """The reply cut after its authority section: what follows is of no use to a stub and may be anything.

    No TTL is over `most`.
    """
    start = 12 + len(question.raw)
    flags = bytes((0x80 | (packet[2] & 0x02), 0x80 | (packet[3] & 0x2F)))
    counts = packet[4:10] + b"\x00\x00"
    body = packet[start : scan.end]
    ttls = tuple([(offset - start, min(ttl, most)) for offset, ttl in scan.ttls])
    for offset, ttl in ttls:
        if _TTL.unpack_from(body, offset)[0] != ttl:
            body = with_ttls(body, ttls)
            break
    return Entry(one(flags), one(counts), body, one(ttls), now, now + scan.ttl, scan.targets, alias)


def _fit(answer: bytes, question: Question, limit: int) -> bytes:
    return answer if len(answer) <= limit else message.truncated(answer, question)


def upstream_query(question: Question, instead: bytes = b"") -> bytes:
    """The message that asks an upstream: RD and AD set, CD as the client has it, EDNS with our size, ID zero.

    AD asks to be told whether the answer was validated (RFC 6840 section 5.7); who has not asked is not told.
    `instead` is asked in place of the question's name where it is given.
    """
    flags = b"\x01\x30" if question.cd else b"\x01\x20"
    opt = b"\x00\x00\x29" + message.UDP_SIZE.to_bytes(2, "big") + bytes((0, 0, question.do << 7, 0, 0, 0))
    return (
        b"\x00\x00" + flags + b"\x00\x01\x00\x00\x00\x00\x00\x01" + (instead or question.name) + question.raw[-4:] + opt
    )


def block_tail(policy: Policy, asked: Question | None = None) -> bytes:
    """What follows the question in a block answer, cut from an answer that `message` made for a name of its own.

    With the EDNS shape of `asked`, or without EDNS.
    """
    question = gate.read(bytes(4) + b"\x00\x01" + bytes(6) + b"\x01x\x00\x00\x10\x00\x01")
    if asked:
        question = question._replace(edns=asked.edns, do=asked.do)
    decision = Decision(Action.NXDOMAIN, "")
    return message.blocked(question, decision, zero=False, ttl=policy.state.block_ttl)[12 + len(question.raw) :]
