"""Before and after: the CPU per query of this checkout to that of another one, both beside the floor.

`python -m bench.against CHECKOUT` (`git worktree add` makes one). Floor and both take turns within seconds, and who of
the two goes first alternates, so a machine that gets faster or slower does so for all. Writes the section `against`.
"""

import argparse
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import ratios
from bench.alone import PORT, within
from bench.load import sample
from bench.process import BenchError, say
from bench.ratios import Workload
from bench.results import spread, table, write
from bench.server import Server, Setting
from bench.servers import Blockerd, Floor

HEAD = ("load", "this / the other", "this / floor", "the other / floor")
SECONDS = 2


class Other(Blockerd):
    """blockerd of another checkout, with this one's Python and libraries."""

    name = "the other"


@dataclass(frozen=True, slots=True)
class Measured:
    """Ratios of one load, one of each a round."""

    each: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)


def run(setting: Setting, checkout: Path, rounds: int) -> None:
    """Measure all loads without a pause and write the section.

    Raises:
        BenchError: there is no blockerd in `checkout`, or answers were not right.
    """
    if not (checkout / "blockerd").is_dir():
        raise BenchError(f"{checkout}: no checkout of blockerd")
    Other.checkout = checkout
    told = ["git", "-C", str(checkout), "log", "-1", "--format=%h of %cs"]
    commit = subprocess.run(told, capture_output=True, text=True, check=False).stdout.strip()
    rows = []
    with (
        Floor(setting) as floor,
        Blockerd(replace(setting, port=setting.port + 1)) as ours,
        Other(replace(setting, port=setting.port + 2)) as theirs,
    ):
        for server in (floor, ours, theirs):
            ratios.warm(server)
        for work in ratios.workloads(setting.names):
            if not work.qps:
                got = _measure(work, floor, ours, theirs, rounds)
                rows.append((work.title, spread(got.each, 3), spread(got.ours), spread(got.theirs)))
    what = f"- {rounds} rounds for each load; the other: {commit or 'of no known commit'}."
    write("against", "This code and another", [*table(HEAD, rows), "", what])


def _measure(work: Workload, floor: Server, ours: Server, theirs: Server, rounds: int) -> Measured:
    got = Measured()
    for turn in range(rounds):
        order = (floor, ours, theirs) if turn % 2 else (floor, theirs, ours)
        cpu = {server.name: _sample(work, server, turn) for server in order}
        base, this, other = cpu[floor.name], cpu[ours.name], cpu[theirs.name]
        got.each.append(this / other)
        got.ours.append(this / base)
        got.theirs.append(other / base)
        say(f"{work.title}: {this:.2f} and {other:.2f} µs, floor {base:.2f} µs")
    return got


def _sample(work: Workload, server: Server, turn: int) -> float:
    found = sample(server.pid, lambda: work.drive(server, turn, SECONDS))
    if not server.echoes and (trouble := work.wrong(found.load)):
        raise BenchError(f"bench: {server.name}: {trouble}")
    return found.cpu_us


def main() -> int:
    """The benchmark alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path, help="folder of the other checkout")
    parser.add_argument("--rounds", type=int, default=12, help="how often all three take a turn (default 12)")
    parser.add_argument("--names", type=int, default=1_000_000, help="how many names are listed (default 1000000)")
    options = parser.parse_args()
    checkout = options.checkout.resolve()
    return within(options.names, PORT, lambda setting: run(setting, checkout, options.rounds))


if __name__ == "__main__":
    sys.exit(main())
