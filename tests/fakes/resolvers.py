"""The two ways a query takes, side by side without sockets: the hot path over its buffer, and the engine alone.

`Pair` keeps a second engine that the hot path never feeds or reads: what it answers is what should be answered.
Called by the property tests and by the fuzzing ones.
"""

from dataclasses import dataclass, field
from mmap import mmap

from blockerd.dns import gate
from blockerd.dns.cache import Cache
from blockerd.dns.engine import Engine, Forward, block_tail
from blockerd.dns.gate import Question
from blockerd.dns.wire import SLOT, make_serve, prepare
from blockerd.model import Decision
from blockerd.policy.decide import Policy

CLIENT = "127.0.0.1"
Outcome = bytes | Forward | None


@dataclass(frozen=True, slots=True)
class Attempted:
    """One call of the engine's `attempted`."""

    question: Question
    decision: Decision
    name: bytes
    client: str


def engine_of(policy: Policy, at: float, cache: Cache | None = None) -> tuple[Engine, list[Attempted]]:
    """An engine over `policy` as of `at`, and where its attempts gather."""
    attempts: list[Attempted] = []
    fast = prepare(policy, at, block_tail(policy), protected_digest=policy.table.protected_digest)

    def note(question: Question, decision: Decision, name: bytes, client: str) -> None:
        attempts.append(Attempted(question, decision, name, client))

    return Engine(policy, Cache(1000) if cache is None else cache, note, fast), attempts


@dataclass(slots=True)
class Hot:
    """What the hot loop did with one packet: `answer` None where it left it to the engine, perhaps as `unlisted`."""

    answer: bytes | None
    names: list[bytes]
    pairs: list[int]
    unlisted: bool = False


@dataclass(slots=True)
class Pair:
    """The resolver as built (`engine` with its hot path) and `plain`, the same without a hot path."""

    policy: Policy
    at: float
    engine: Engine = field(init=False)
    plain: Engine = field(init=False)
    attempts: list[Attempted] = field(init=False)
    plain_attempts: list[Attempted] = field(init=False)

    def __post_init__(self) -> None:
        self.engine, self.attempts = engine_of(self.policy, self.at)
        self.plain, self.plain_attempts = engine_of(self.policy, self.at)

    def change(self, policy: Policy, at: float) -> None:
        """Takes up another policy as the process does: cache kept, hot path new."""
        for engine in (self.engine, self.plain):
            engine.policy = policy
            engine.fast = prepare(policy, at, block_tail(policy), protected_digest=policy.table.protected_digest)
        self.policy, self.at = policy, at

    def hot(self, packet: bytes, now: float) -> Hot:
        """The hot path alone, in a buffer with another packet's slot behind it, which must stay as it is."""
        return run_hot(self.engine, packet, now)

    def ask(self, packet: bytes, now: float) -> Outcome:
        """The hot path, and the engine where that left it."""
        hot = self.hot(packet, now)
        if hot.answer is None:
            return self.engine.handle(packet, CLIENT, now, unlisted=hot.unlisted)
        return hot.answer

    def finish(self, forward: Forward, reply: bytes | None, now: float) -> bytes:
        """Hands an upstream's reply to both engines; they must agree."""
        answer = self.engine.finish(forward, reply, now)
        assert self.plain.finish(forward, reply, now) == answer
        return answer


def run_hot(engine: Engine, packet: bytes, now: float) -> Hot:
    """One packet through the hot loop of `engine`."""
    buffer = mmap(-1, 2 * SLOT)
    buffer[SLOT:] = b"\xaa" * SLOT
    buffer[: len(packet)] = packet
    names: list[bytes] = []
    pairs: list[int] = []
    sizes, rest = make_serve(engine.fast)(buffer, (0, SLOT), [len(packet)], names, pairs, now)
    assert buffer[SLOT:] == b"\xaa" * SLOT, "wrote into the next packet's slot"
    assert len(sizes) == 1
    assert len(pairs) == 2 * len(names)
    if rest:
        assert (rest[0] in (0, ~0), len(rest), sizes, names, buffer[: len(packet)]) == (True, 1, [0], [], packet)
        return Hot(None, [], [], unlisted=rest[0] < 0)
    return Hot(bytes(buffer[: sizes[0]]), names, pairs)


def read_question(packet: bytes) -> Question:
    """The question of a packet that passes the gate."""
    return gate.read(packet)
