"""Lists are built and swapped again and again under 5,000 queries a second: is any lost, does a listed name ever slip through?

The names asked stand in both lists, so every answer must be a block, before, during and after each swap. `python -m bench.swap`;
part of `python -m bench --full`.
"""

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from bench.alone import alone
from bench.load import Load, dnsperf
from bench.names import generate
from bench.process import BenchError, say
from bench.results import table, write
from bench.server import Setting, blocks
from bench.servers import Blockerd

RATE, SECONDS = 5_000, 40
OWN = 20_000  # names that only one of the two lists holds


def run(setting: Setting) -> None:
    """Build and swap for as long as the load runs, then write the section."""
    with Blockerd(setting) as server:
        lists = [*_lists(setting, server.folder)]
        result: list[Load] = []
        load = threading.Thread(
            target=lambda: result.append(
                dnsperf(server.port, setting.names.rotation, seconds=SECONDS, qps=RATE, outstanding=1000)
            )
        )
        load.start()
        swaps = [*_swaps(server, lists, load)]
        load.join()
    if not result:
        raise BenchError("swap: the load gave no result")
    done = result[0]
    slipped = done.answered - done.rcodes.get("NXDOMAIN", 0)
    rows = [
        ("swaps of the whole list under load", f"{len(swaps)}", "–"),
        ("queries", f"{done.sent:,} at {done.qps:,.0f}/s", f"{RATE:,}/s"),
        ("lost", f"{done.lost:,}", "0"),
        ("listed names that slipped", f"{slipped:,}", "0"),
        ("seconds of a build and its swap", f"{min(swaps):.1f}–{max(swaps):.1f}" if swaps else "–", "–"),
    ]
    write("swap", "Builds and swaps under load", table(("what", "measured", "goal"), rows))


def _swaps(server: Blockerd, lists: list[tuple[Path, str]], load: threading.Thread) -> Iterator[float]:
    turn = 0
    while load.is_alive():
        path, own = lists[turn % 2]
        began = time.monotonic()
        server.configure(path)
        server.build()
        while not blocks(server.port, own):
            if time.monotonic() - began > SECONDS:
                raise BenchError("swap: a new list did not come live")
        took = time.monotonic() - began
        say(f"swap {turn + 1}: {took:.1f} s")
        turn += 1
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
