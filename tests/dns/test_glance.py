"""The glance against the full look: on every seed, on what chance makes of plain answers, and on what it is for."""

import pytest

from blockerd.dns import glance, reply
from blockerd.dns.reply import Malformed, Scan, Unusable
from tests.fakes.packets import AAAA, a, opt, option, query, question_end, record, response
from tests.trials.mutate import mutate
from tests.trials.seed import PLACE, Chance, Kind, load

SEEDS = load(Kind.RESPONSE)
ME = b"\xc0\x0c"


def _full(packet: bytes, name: bytes, qtype: int) -> Scan | None:
    try:
        return reply.scan_for(packet, name, qtype)
    except (Malformed, Unusable):
        return None


def _agree(packet: bytes, name: bytes = PLACE) -> bool:
    """Holds every glance at `packet` to the full look; True where there was something to see."""
    seen = False
    for qtype in (1, 28, 65):
        found = glance.answer(packet, name, qtype)
        if found is not None:
            assert found == _full(packet, name, qtype), packet.hex()
            seen = True
    return seen


def test_a_glance_sees_what_the_full_look_sees_in_every_seed():
    assert sum(_agree(seed.packet) for seed in SEEDS if len(seed.packet) >= 16 + len(PLACE)) > 20


def test_a_glance_at_what_chance_makes_of_addresses_equals_the_full_look():
    chance = Chance(1035)
    plain = [response(query("seedname.trial.test", kind, edns=opt()), [_address(kind, n) for n in range(count)])
             for kind in (1, AAAA) for count in (1, 2, 5)]  # fmt: skip
    plain += [packet[:11] + b"\x01" + packet[12:] + opt(options=option(15, b"\0\1")) for packet in plain]
    seen = 0
    for _ in range(20_000):
        packet = mutate(chance.one(plain), chance, pool=plain)
        if len(packet) >= 16 + len(PLACE):  # shorter ones match no question
            seen += _agree(packet)
    assert seen > 2000


def _address(kind: int, number: int) -> bytes:
    return record(ME, kind, bytes((192, number, 2, 1)) if kind == 1 else bytes((0x20, number, *range(14))), 60 + number)


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "127.0.0.1", "169.254.1.1", "172.16.0.1", "192.168.1.1"])
@pytest.mark.parametrize("ttl", [0, 1, 86400])
@pytest.mark.parametrize("flags", [0x8180, 0x81A0, 0x8590])
def test_addresses_are_read_at_a_glance(address: str, ttl: int, flags: int):
    asked = query("site.test", edns=opt())
    packet = response(asked, [a(ME, "198.51.100.7", 9), a(ME, address, ttl)], flags=flags)
    found = glance.answer(packet, asked[12 : question_end(asked) - 4], 1)
    assert found is not None
    assert found == _full(packet, asked[12 : question_end(asked) - 4], 1)
    assert found.private == (address != "192.0.2.1")


_IPV6 = {
    "::": "0" * 32, "::1": "0" * 31 + "1", "fd00::": "fd" + "0" * 30, "fe80::": "fe80" + "0" * 28,
    "::ffff:10.0.0.1": "0" * 20 + "ffff0a000001", "64:ff9b::127.0.0.1": "0064ff9b" + "0" * 16 + "7f000001",
    "2001:db8::": "20010db8" + "0" * 24,
}  # fmt: skip


@pytest.mark.parametrize("octets", _IPV6.values(), ids=_IPV6)
def test_addresses_of_ipv6_too(octets: str):
    asked = query("site.test", AAAA)
    packet = response(asked, [record(ME, AAAA, bytes.fromhex(octets))])
    found = glance.answer(packet, asked[12:-4], AAAA)
    assert found is not None
    assert found == _full(packet, asked[12:-4], AAAA)
