"""Mutated queries through the hot path and the engine: no exception, no reply to a response, the next one answered."""

import random

import pytest

from blockerd.dns.engine import Forward
from blockerd.dns.wire import SLOT
from tests.dns.corpus import cases
from tests.fakes import packets
from tests.fakes.packets import opt, query, response
from tests.fakes.policies import Listing, policy
from tests.fakes.resolvers import CLIENT, Pair

PLAIN = query("www.listed.test", edns=opt())


def _seeds() -> list[bytes]:
    shapes = [b"", opt(), opt(do=True, size=4096), opt(options=packets.option(10, b"c" * 8))]
    names = ["blocked.example", "www.listed.test", "site.test", "own.test", "a.below.test", "x.sex", "ok.shy.test"]
    made = [query(name, qtype, edns=edns) for name in names for qtype in (1, 28, 65) for edns in shapes]
    return made + [case.packet for case in cases()]


def _mutated(seed: bytes, chance: random.Random) -> bytes:
    data = bytearray(seed)
    for _ in range(chance.randint(0, 3)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(6):
            case 0 | 1 if at < len(data):
                data[at] = chance.choice([0, 1, 12, 41, 63, 64, 65, 128, 192, 255, chance.randrange(256)])
            case 2:
                del data[at : at + chance.randint(1, 9)]
            case 3:
                data[at:at] = chance.randbytes(chance.randint(1, 40))
            case 4:
                data[at:] = chance.choice(_POOL)[chance.randrange(12) :]
            case _:
                data[at:at] = data[chance.randrange(at + 1) : at]
    return bytes(data[:SLOT])


_POOL = _seeds()


def _run(count: int, seed: int) -> tuple[int, int]:
    """Asks `count` mutated queries; how many were answered by the hot path and by the engine."""
    chance = random.Random(seed)
    pair = Pair(
        policy(
            Listing("listed.test"), Listing("local=/*.below.test/", format="dnsmasq"), Listing("||sex^", "cam"),
            Listing("||shy.test^\n@@||ok.shy.test^"), block=["own.test"], level="site",
        ),
        0.0,
    )  # fmt: skip
    pair.engine.handle(PLAIN, CLIENT, 0.0)
    hot = slow = 0
    for number in range(count):
        packet = _mutated(chance.choice(_POOL), chance)
        hot_one = pair.hot(packet, 0.0)
        fast = hot_one.answer
        outcome = pair.engine.handle(packet, CLIENT, 0.0, unlisted=hot_one.unlisted)
        if fast is not None:
            assert fast == outcome, packet.hex()
            hot += 1
        if isinstance(outcome, Forward):
            outcome = pair.engine.finish(
                outcome, response(outcome.query, [packets.a(b"\xc0\x0c", ttl=number % 3)]), 0.0
            )
        slow += outcome is not None and fast is None
        _proper(packet, outcome)
        if number % 100 == 0:
            assert pair.hot(PLAIN, 0.0).answer == pair.engine.handle(PLAIN, CLIENT, 0.0)
            pair.attempts.clear()
            for kept in (pair.engine.cache, pair.engine.fast.templates, pair.engine.fast.memo):
                kept.clear()
    return hot, slow


def _proper(packet: bytes, answer: bytes | None) -> None:
    if len(packet) < 12 or packet[2] & 0x80:
        assert answer is None, packet.hex()
        return
    assert answer is not None, packet.hex()
    assert answer[:2] == packet[:2]
    assert answer[2] & 0x80
    assert len(answer) <= (1232 if packet[10:12] == b"\x00\x01" else 512)


def test_mutated_queries_end_in_a_proper_answer_or_in_silence():
    hot, slow = _run(20_000, 1035)
    assert hot > 500, "the mutations leave the hot path something"
    assert slow > 5000


@pytest.mark.soak
def test_a_million_mutated_queries():
    hot, slow = _run(1_000_000, 2)
    assert min(hot, slow) > 20_000
