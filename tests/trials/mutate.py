"""Damages packets: flips, cuts, insertions, copies and splices. Pure; called by the generator and the trials."""

from collections.abc import Sequence

from tests.trials.seed import Chance

TELLING = (0, 1, 2, 5, 12, 28, 39, 41, 46, 63, 64, 65, 128, 192, 193, 254, 255)
"""Octets that mean something in DNS: counts, types, label types, pointers."""


def mutate(packet: bytes, chance: Chance, keep: int = 0, pool: Sequence[bytes] = ()) -> bytes:
    """`packet` with one to four damages behind its first `keep` octets; `pool` lends the other half of splices."""
    head, tail = packet[:keep], bytearray(packet[keep:])
    for _ in range(1 + chance.below(4)):
        _damage(tail, chance, pool)
    return head + bytes(tail)


def _damage(data: bytearray, chance: Chance, pool: Sequence[bytes]) -> None:
    at, length = chance.below(len(data) + 1), 1 + chance.below(9)
    match chance.below(7):
        case 0 | 1 if at < len(data):
            data[at] = chance.one(TELLING)
        case 2 if at < len(data):
            data[at] ^= 1 << chance.below(8)
        case 3:
            del data[at : at + length]
        case 4:
            data[at:at] = chance.octets(length)
        case 5 if pool:
            other = chance.one(pool)
            data[at:] = other[chance.below(len(other) + 1) :]
        case _:
            data[at:at] = data[max(0, at - 4 * length) : at]
