"""Lists are built and swapped again and again under 5,000 queries a second: is one lost, does a listed name slip by?

The names asked stand in both lists, so every answer must be a block, before, during and after each swap.
`python -m bench.swap`; part of `python -m bench --full`.
"""

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.alone import alone
from bench.load import dnsperf
from bench.names import generate
from bench.process import BenchError, say
from bench.results import table, write
from bench.server import Setting, blocks
from bench.servers import Blockerd

RATE, SECONDS = 5_000, 40
OWN = 20_000  # names that only one of the two lists holds


def run(setting: Setting) -> None:
    """Build and swap for as long as the load runs, then write the section."""
    asked = setting.names.rotation
    with Blockerd(setting) as server, ThreadPoolExecutor(1) as pool:
        lists = [*_lists(setting, server.folder)]
        pending = pool.submit(dnsperf, server.port, asked, seconds=SECONDS, qps=RATE, outstanding=1000)
        swaps = [*_swaps(server, lists, pending.done)]
        load = pending.result()
    slipped = load.answered - load.rcodes.get("NXDOMAIN", 0)
    rows = [
        ("swaps of the whole list under load", f"{len(swaps)}", "–"),
        ("queries", f"{load.sent:,} at {load.qps:,.0f}/s", f"{RATE:,}/s"),
        ("lost", f"{load.lost:,}", "0"),
        ("listed names that slipped", f"{slipped:,}", "0"),
        ("seconds of a build and its swap", f"{min(swaps):.1f}–{max(swaps):.1f}", "–"),
    ]
    write("swap", "Builds and swaps under load", table(("what", "measured", "goal"), rows))


def _swaps(server: Blockerd, lists: list[tuple[Path, str]], over: Callable[[], bool]) -> Iterator[float]:
    """Seconds of each build until the name that only its list holds is blocked."""
    turn = 0
    while not over():
        path, own = lists[turn % 2]
        began = time.monotonic()
        server.configure(path)
        server.build()
        while not blocks(server.port, own):
            if time.monotonic() - began > SECONDS:
                raise BenchError("swap: a new list did not come live")
            time.sleep(0.01)  # polls with a limit, gently: the server shares the machine
        took = time.monotonic() - began
        turn += 1
        say(f"swap {turn}: {took:.1f} s")
        yield took


def _lists(setting: Setting, folder: Path) -> Iterator[tuple[Path, str]]:
    common = setting.names.listed.read_text(encoding="ascii")
    for seed in (81, 82):
        own = [*generate(OWN, seed)]
        path = folder / f"swap{seed}.txt"
        path.write_text(common + "".join(f"{name}\n" for name in own), encoding="ascii")
        yield path, own[-1]


def main() -> int:
    """The benchmark alone."""
    return alone(run)


if __name__ == "__main__":
    sys.exit(main())
