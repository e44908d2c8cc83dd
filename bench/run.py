"""`python -m bench`: ratios to the floor, table of all servers, start and memory; with --full also burst and swap.

Writes RESULTS.md. Needs Linux, two cores, a C compiler and dnsperf; says in one line what is absent.
"""

import argparse
import sys

from bench import burst, gopeers, lineup, memory, ratios, startup, swap
from bench.alone import PORT, within
from bench.process import say
from bench.server import Setting
from bench.servers import Blockerd


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, run what it asks for; 0 done, 1 something could not be measured, 2 usage."""
    options = _parser().parse_args(arguments)
    if sys.platform != "linux":
        print("bench: needs Linux (recvmmsg, /proc, taskset)", file=sys.stderr)
        return 2
    return within(options.names, options.port, lambda setting: _run(options, setting))


def _run(options: argparse.Namespace, setting: Setting) -> None:
    if options.install_go_peers:
        gopeers.install()
    turns, seconds = (3, 1) if options.quick else (5, 2)
    kinds = (*lineup.OURS, *(() if options.no_peers else lineup.PEERS))
    if options.only:
        wanted = {name.lower() for name in options.only}
        kinds = tuple(kind for kind in (*lineup.OURS, *lineup.PEERS) if kind.name.lower() in wanted | {"floor"})
    absent = Blockerd(setting).missing()
    if absent:
        say(absent)
    ours = not absent and (not options.only or "blockerd" in options.only)
    if ours:
        ratios.run(setting, turns, seconds)
    lineup.run(setting, kinds, 3, 1)
    if ours and not options.quick:
        startup.run(setting)
        memory.run(setting)
    if ours and options.full:
        burst.run(setting)
        swap.run(setting)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure blockerd side by side; writes bench/RESULTS.md."
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs, no start and memory part")
    parser.add_argument("--full", action="store_true", help="also the burst and the swap under load")
    parser.add_argument(
        "--only", metavar="NAME", action="append", help="only this server beside the floor (again for more)"
    )
    parser.add_argument("--no-peers", action="store_true", help="blockerd and the floor alone")
    parser.add_argument(
        "--install-go-peers", action="store_true", help="go install blocky and dnsproxy into the build folder first"
    )
    parser.add_argument("--names", type=int, default=1_000_000, help="how many names are listed (default 1000000)")
    parser.add_argument("--port", type=int, default=PORT, help=f"first of ten ports used on loopback (default {PORT})")
    return parser
