"""Writes tests/data/seeds.tsv.gz: 5,000 packets, 2,500 of clients and 2,500 of upstreams, each with a line about it.

`python -m tests.trials.generate`. One fixed seed, so a second run writes the same; what the families leave open up to
the number is filled with mixtures of them. Refuses to write a file that says one packet twice.
"""

import sys
from collections.abc import Iterator

from tests.fakes.packets import opt, option, query
from tests.trials.make_broken import BROKEN
from tests.trials.make_queries import queries
from tests.trials.make_sound import SOUND
from tests.trials.mutate import mutate
from tests.trials.seed import FILE, PLACE, Chance, Kind, Seed, write

COUNT = 2500
SEED = 1035


def seeds() -> list[Seed]:
    """All of them, queries first."""
    chance = Chance(SEED)
    return [*_filled(list(queries(chance)), chance), *_filled(list(_responses(chance)), chance)]


def _responses(chance: Chance) -> Iterator[Seed]:
    for family in (*SOUND, *BROKEN):
        for outcome, title, packet in family(chance):
            yield Seed(Kind.RESPONSE, outcome, f"{family.__name__[1:]}: {title}", packet)


def _filled(made: list[Seed], chance: Chance) -> list[Seed]:
    """The first COUNT different packets; where there are fewer, more of the same kind."""
    found = {seed.packet: seed for seed in reversed(made)}
    unique = list({seed.packet: found[seed.packet] for seed in made}.values())
    kind, originals = unique[0].kind, list(unique)
    if len(unique) > COUNT:
        raise SystemExit(f"generate: {len(unique)} {kind} seeds, {COUNT} wanted: widen COUNT or cut a family")
    while len(unique) < COUNT:
        seed = _further(kind, originals, chance, len(unique))
        if seed.packet not in found:
            found[seed.packet] = seed
            unique.append(seed)
    return unique


def _further(kind: Kind, originals: list[Seed], chance: Chance, number: int) -> Seed:
    if kind is Kind.RESPONSE:
        near = chance.one(originals)
        return Seed(
            kind, "odd", f"mixture {number} near {near.title}"[:90], mutate(near.packet, chance, _kept(near.packet))
        )
    codes = [
        option(chance.one((3, 11, 12, 15, 65001)), chance.octets(chance.below(20))) for _ in range(chance.below(4))
    ]
    form = opt(size=chance.below(65536), do=bool(chance.below(2)), options=b"".join(codes)) if chance.below(4) else b""
    labels = [chance.octets(1 + chance.below(12)) for _ in range(1 + chance.below(5))] + [b"test"]
    packet = query(labels, chance.one((1, 28, 65, 16, 255, 12)), qid=chance.below(65536), edns=form)
    return Seed(kind, "answer", f"mixture {number}: {len(labels)} labels, {len(codes)} options", packet)


def _kept(packet: bytes) -> int:
    """Octets that a mutation leaves alone: header and question."""
    return min(len(packet), 12 + len(PLACE) + 4)


def main() -> int:
    """The command."""
    made = seeds()
    write(made)
    print(f"{FILE.name}: {len(made)} packets, {FILE.stat().st_size:,} octets", file=sys.stderr)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
