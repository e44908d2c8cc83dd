"""How long `blockerd dns` takes to its first blocked answer with the snapshot there, and how long `lists build` takes.

`python -m bench.startup`; also part of `python -m bench`. Every start is a new process; the page cache is warm, as it
is after the build.
"""

import sys
import time
from collections.abc import Iterator

from bench.alone import alone
from bench.names import generate
from bench.process import say
from bench.results import spread, table, write
from bench.server import Setting
from bench.servers import Blockerd

STARTS, BUILDS = 7, 3
START_GOAL, BUILD_GOAL = 0.5, 5.0


def run(setting: Setting) -> None:
    """Measure both and write the section."""
    with Blockerd(setting) as server:
        starts = [server.start_seconds, *_starts(server)]
        builds = [*_builds(server)]
        version = server.version()
    with setting.names.listed.open(encoding="ascii") as lines:
        count = sum(1 for _ in lines)
    rows = [
        ("`blockerd dns` to the first blocked answer", spread(starts), f"≤ {START_GOAL} s"),
        (f"`lists build` of {count:,} plain names", spread(builds), f"≤ {BUILD_GOAL:.0f} s"),
    ]
    head = ("seconds", "median (least–largest)", "goal")
    write("startup", "Start and build", [*table(head, rows), "", f"- {version}."])


def _starts(server: Blockerd) -> Iterator[float]:
    for _ in range(STARTS - 1):
        server.stop()
        server.start()
        say(f"start {server.start_seconds:.3f} s")
        yield server.start_seconds


def _builds(server: Blockerd) -> Iterator[float]:
    """Each build gets another list, so that an unchanged digest cannot spare the work."""
    count = len(server.setting.names.listed.read_text(encoding="ascii").split())
    for turn in range(BUILDS):
        listed = server.folder / f"build{turn}.txt"
        listed.write_text("".join(f"{name}\n" for name in generate(count, seed=100 + turn)), encoding="ascii")
        server.configure(listed)
        began = time.monotonic()
        server.build()
        took = time.monotonic() - began
        say(f"lists build {took:.2f} s")
        yield took


def main() -> int:
    """The benchmark alone."""
    return alone(run)


if __name__ == "__main__":
    sys.exit(main())
