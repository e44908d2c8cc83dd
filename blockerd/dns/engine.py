"""Answers one query the plain way: gate, policy, cache, upstream. Pure: no socket, no clock, no file.

The order of the steps is `STEPS`. A step returns the answer's octets, or None to pass on; when all have passed, the
caller is handed a `Forward` to ask an upstream with, and `finish` turns the reply into the client's answer.
Order of effects for a refused question: decide, record the attempt, answer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from blockerd.dns import gate, message, reply, special
from blockerd.dns.cache import Cache, Entry, Key, key_of, one, template
from blockerd.dns.gate import Question
from blockerd.dns.special import Special
from blockerd.dns.wire import OPT_LENGTH, Fast
from blockerd.model import Action, Decision, Query
from blockerd.policy.decide import Policy, decide

Attempted = Callable[[Question, Decision, bytes, str], None]
"""Called with the question, the decision, the name it was about (a CNAME target or the question's), and the client."""

_ADDRESSES = (1, 28, 64, 65)
"""Types that lead to a host: A, AAAA, SVCB, HTTPS."""

_MEMO_ENTRIES = 16384
_OPT_FORMS = 64


@dataclass(frozen=True, slots=True)
class Forward:
    """A question for an upstream: `query` is the message to send, its ID still zero.

    `instead` is set where another name is asked in place of the question's (safe search): its wire name.
    """

    key: Key
    question: Question
    limit: int
    client: str
    query: bytes
    instead: bytes = b""


@dataclass(slots=True)
class Counters:
    """What this process did since its start. `fast` counts what `wire` answered."""

    queries: int = 0
    blocked: int = 0
    cached: int = 0
    forwarded: int = 0
    refused: int = 0
    dropped: int = 0
    servfail: int = 0


@dataclass(slots=True)
class Engine:
    """Policy, cache and counters of the resolver; one thread owns it. `fast` is replaced with the policy.

    `special` are the zones answered here (`dns.special`), `safe` the names that another host answers for.
    """

    policy: Policy
    cache: Cache
    attempted: Attempted
    fast: Fast
    special: Mapping[bytes, Special] = field(default_factory=dict)
    safe: Mapping[bytes, bytes] = field(default_factory=dict)
    counters: Counters = field(default_factory=Counters)

    def handle(self, packet: bytes, client: str, now: float, *, stream: bool = False) -> bytes | Forward | None:
        """The answer to `packet`, a question to forward, or None where nothing is to be said."""
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
        for step in STEPS:
            answer = step(self, question, packet, client, now)
            if answer is not None:
                return _fit(answer, question, limit) if answer else None
        self.counters.forwarded += 1
        instead = self.safe.get(question.name, b"") if question.qtype in _ADDRESSES else b""
        return Forward(key_of(question), question, limit, client, upstream_query(question, instead), instead)

    def finish(self, forward: Forward, packet: bytes | None, now: float, *, first: bool = True) -> bytes:
        """The client's answer from an upstream's reply `packet` (None: nobody answered).

        `first` is False for the further clients of a merged query, whose reply is decided but not cached again.
        """
        question = forward.question
        entry = self._entry(forward, packet, now, first=first)
        if entry is None:
            self.counters.servfail += 1
            return message.failure(question, gate.SERVFAIL)
        answer = entry if isinstance(entry, bytes) else self._render(question, entry, now)
        return _fit(answer, question, forward.limit)

    def _entry(self, forward: Forward, packet: bytes | None, now: float, *, first: bool) -> Entry | bytes | None:
        """The reply as an entry, the block answer where its chain leads to a listed name, or None if it is no use."""
        question = forward.question
        if packet is None:
            return None
        try:
            if forward.instead:
                packet = message.by_alias(question, forward.instead, packet)
            scan = reply.scan(packet, question)
            if scan.foreign:
                packet = message.only(packet, (question.name, *scan.targets))
                scan = reply.scan(packet, question)
        except reply.Malformed:
            return None
        withheld = self._led_astray(question, scan.targets, forward.client, now)
        if withheld is not None:
            return withheld
        entry = _keepable(packet, scan, question, now)
        if first and scan.ttl > 0:
            self.cache.put(key_of(question), entry)
        return entry

    def _led_astray(self, question: Question, targets: tuple[bytes, ...], client: str, now: float) -> bytes | None:
        """The block answer where one of `targets` is listed, unless the question's own name is protected or allowed."""
        if not targets or self._open(question, now):
            return None
        for target in targets:
            decision = decide(self.policy, Query(target, question.qtype), now)
            if decision.blocked:
                return self._withhold(question, decision, target, client)
        return None

    def _open(self, question: Question, now: float) -> bool:
        """True for a name that the protected or the own list opens; only their rules have no category."""
        rule = decide(self.policy, Query(question.name, question.qtype), now).rule
        return rule is not None and not rule.category

    def _withhold(self, question: Question, decision: Decision, name: bytes, client: str) -> bytes:
        self.counters.blocked += 1
        self.attempted(question, decision, name, client)
        if decision.action is Action.DROP:
            return b""
        state = self.policy.state
        return message.blocked(question, decision, zero=state.block_answer == "zero", ttl=state.block_ttl)

    def _render(self, question: Question, entry: Entry, now: float) -> bytes:
        made = template(entry, question, message.opt_record(question))
        return question.id.to_bytes(2, "big") + made.render(now)


def _by_special_name(engine: Engine, question: Question, packet: bytes, client: str, now: float) -> bytes | None:
    found = special.find(engine.special, question.name)
    return message.special(question, found) if found else None


def _by_policy(engine: Engine, question: Question, packet: bytes, client: str, now: float) -> bytes | None:
    decision = decide(engine.policy, Query(question.name, question.qtype), now)
    if decision.action is Action.LOCAL_DATA:
        return message.local(question, decision.data, ttl=engine.policy.state.block_ttl)
    if not decision.blocked:
        return None
    opt = packet[-OPT_LENGTH:]
    answer = engine._withhold(question, decision, question.name, client)
    if answer and question.edns and _bare(opt, packet, question) and len(engine.fast.opts) < _OPT_FORMS:
        engine.fast.opts[opt] = block_tail(engine.policy, question)
    return answer


def _bare(opt: bytes, packet: bytes, question: Question) -> bool:
    """True if the packet ends with an OPT record without options and without flags other than DO."""
    return len(packet) == 12 + len(question.raw) + OPT_LENGTH and opt[8] == 0 and opt[7] in (0, 0x80)


def _by_cache(engine: Engine, question: Question, packet: bytes, client: str, now: float) -> bytes | None:
    entry = engine.cache.get(key_of(question), now)
    if entry is None:
        return None
    withheld = engine._led_astray(question, entry.targets, client, now)
    if withheld is not None:
        return withheld
    engine.counters.cached += 1
    made = template(entry, question, message.opt_record(question))
    if len(made.data) + 2 <= min(question.size, message.UDP_SIZE):
        if len(engine.fast.templates) >= _MEMO_ENTRIES:
            engine.fast.templates.clear()
            engine.fast.memo.clear()
        engine.fast.templates[packet[2:]] = made
    return packet[:2] + made.render(now)


STEPS: tuple[Callable[[Engine, Question, bytes, str, float], bytes | None], ...] = (
    _by_special_name,  # first: nothing of these may leave the machine, and no list has a say in them
    _by_policy,  # before the cache: a name blocked a moment ago must not be answered from it
    _by_cache,
)


def _keepable(packet: bytes, scan: reply.Scan, question: Question, now: float) -> Entry:
    """The reply cut after its authority section: what follows is of no use to a stub and may be anything."""
    start = 12 + len(question.raw)
    flags = bytes((0x80 | (packet[2] & 0x02), 0x80 | (packet[3] & 0x2F)))
    counts = packet[4:10] + b"\x00\x00"
    ttls = tuple((offset - start, ttl) for offset, ttl in scan.ttls)
    body = bytearray(packet[start : scan.end])
    for offset, ttl in ttls:
        body[offset : offset + 4] = ttl.to_bytes(4, "big")
    return Entry(one(flags), one(counts), bytes(body), one(ttls), now, now + scan.ttl, scan.targets)


def _fit(answer: bytes, question: Question, limit: int) -> bytes:
    return answer if len(answer) <= limit else message.truncated(answer, question)


def upstream_query(question: Question, instead: bytes = b"") -> bytes:
    """The message that asks an upstream: RD set, CD and AD as the client has them, EDNS with our size, ID zero.

    `instead` is asked in place of the question's name where it is given.
    """
    flags = bytes((0x01, question.ad << 5 | question.cd << 4))
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
        question = replace(question, edns=asked.edns, do=asked.do)
    decision = Decision(Action.NXDOMAIN, "")
    return message.blocked(question, decision, zero=False, ttl=policy.state.block_ttl)[12 + len(question.raw) :]
