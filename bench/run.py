"""`python -m bench`: ratios to the floor, table of all servers, start and memory; with --full also burst and swap.

Writes RESULTS.md. Needs Linux, two cores, a C compiler and dnsperf; says in one line what is absent.
"""

import argparse
import sys
from collections.abc import Callable, Iterator

from bench import burst, forwarded, gopeers, lineup, memory, ratios, startup, swap
from bench.alone import PORT, within
from bench.process import BenchError
from bench.server import Server, Setting
from bench.servers import Blockerd, Floor

KNOWN = [kind.name for kind in (*lineup.OURS, *lineup.PEERS)]


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, run what it asks for; 0 done, 1 something could not be measured, 2 usage."""
    options = _parser().parse_args(arguments)
    if sys.platform != "linux":
        print("bench: needs Linux (recvmmsg, /proc, taskset)", file=sys.stderr)
        return 2
    wrongs: list[str] = []
    code = within(options.names, options.port, lambda setting: wrongs.extend(_run(options, setting)))
    return code or bool(wrongs)


def _run(options: argparse.Namespace, setting: Setting) -> Iterator[str]:
    """Each part that was asked for, one after the other; yields what hindered one, the others go on."""
    if options.install_go_peers:
        gopeers.install()
    for part in _parts(options, setting):
        try:
            part()
        except BenchError as error:
            print(error, file=sys.stderr)
            yield str(error)


def _parts(options: argparse.Namespace, setting: Setting) -> Iterator[Callable[[], None]]:
    pairs, seconds = (3, 1) if options.quick else (9, 2)
    ours = not options.only or Blockerd.name in options.only
    if ours:
        yield lambda: ratios.run(setting, pairs, seconds)
    yield lambda: lineup.run(setting, _kinds(options), 3, 1)
    if ours and not options.quick:
        yield lambda: startup.run(setting)
        yield lambda: memory.run(setting)
        yield lambda: forwarded.run(setting)
    if ours and options.full:
        yield lambda: burst.run(setting)
        yield lambda: swap.run(setting)


def _kinds(options: argparse.Namespace) -> list[type[Server]]:
    known = (*lineup.OURS, *(() if options.no_peers else lineup.PEERS))
    return [kind for kind in known if not options.only or kind.name in (*options.only, Floor.name)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure blockerd side by side; writes bench/RESULTS.md."
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs, no start and memory part")
    parser.add_argument("--full", action="store_true", help="also the burst and the swap under load")
    parser.add_argument(
        "--only",
        metavar="NAME",
        action="append",
        choices=KNOWN,
        help="only this server beside the floor (again for more)",
    )
    parser.add_argument("--no-peers", action="store_true", help="blockerd and the floor alone")
    parser.add_argument(
        "--install-go-peers", action="store_true", help="go install blocky and dnsproxy into the build folder first"
    )
    parser.add_argument("--names", type=int, default=1_000_000, help="how many names are listed (default 1000000)")
    parser.add_argument("--port", type=int, default=PORT, help=f"first of ten ports used on loopback (default {PORT})")
    return parser
