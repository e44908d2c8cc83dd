"""What a question costs that has to be asked of an upstream, in pairs with Unbound: nobody's cache knows any name.

`python -m bench.forwarded`; also part of `python -m bench`. Both forward to the same stub on the load's core; every
run asks names that were never asked before, each once. Unbound runs without a validator and on one thread.
"""

import sys
from dataclasses import replace
from pathlib import Path

from bench.alone import alone
from bench.load import Sample, dnsperf, sample, wrong
from bench.names import queries
from bench.peers import Unbound
from bench.process import BenchError, say
from bench.results import median, spread, table, write
from bench.server import Server, Setting
from bench.servers import Blockerd

GOAL = 2.5
PAIRS, SECONDS, MOST = 5, 3, 120_000
LEVELS = (100, 20)
"""Questions under way at once."""


def run(setting: Setting) -> None:
    """Measure the pairs and write the section.

    Raises:
        BenchError: Unbound is not here.
    """
    with Blockerd(setting) as ours, Unbound(replace(setting, port=setting.port + 1)) as theirs:
        folder = ours.folder
        rows = [_level(folder, ours, theirs, outstanding) for outstanding in LEVELS]
        versions = f"- {ours.version()}. {theirs.version()}."
    head = ("questions under way", "ratio: median (least–largest)", "goal", "Unbound µs", "blockerd µs", "queries/s")
    write("forwarded", "Forwarded questions", [*table(head, rows), "", versions])


def _level(folder: Path, ours: Server, theirs: Server, outstanding: int) -> tuple[str, ...]:
    pairs: list[tuple[Sample, Sample]] = []
    for turn in range(PAIRS + 1):
        pair = []
        for server in (theirs, ours):
            names = (f"n{n}.{outstanding}-{turn}.{server.port}.bench" for n in range(MOST))
            pair.append(_asked(server, queries(folder / "forwarded.q", names), outstanding))
        if turn:  # the first pair warms both up
            pairs.append((pair[0], pair[1]))
            say(f"forwarded, {outstanding} under way: {pair[0].cpu_us:.1f} and {pair[1].cpu_us:.1f} µs")
    return (
        str(outstanding),
        spread([mine.cpu_us / base.cpu_us for base, mine in pairs]),
        f"≤ {GOAL}",
        f"{median([base.cpu_us for base, _ in pairs]):.1f}",
        f"{median([mine.cpu_us for _, mine in pairs]):.1f}",
        f"{median([mine.load.qps for _, mine in pairs]):,.0f}",
    )


def _asked(server: Server, file: Path, outstanding: int) -> Sample:
    found = sample(server.pid, lambda: dnsperf(server.port, file, seconds=SECONDS, once=True, outstanding=outstanding))
    if trouble := wrong(found.load, {"NOERROR": 1.0}):
        raise BenchError(f"bench: forwarded questions to {server.name}: {trouble}")
    return found


def main() -> int:
    """The benchmark alone."""
    return alone(run)


if __name__ == "__main__":
    sys.exit(main())
