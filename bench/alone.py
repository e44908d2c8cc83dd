"""Runs one benchmark by itself, `python -m bench.startup` and the like, with the names and the stub of a whole run."""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.names import prepare
from bench.process import BUILD, BenchError, stub
from bench.server import Setting

PORT = int(os.environ.get("BLOCKERD_BENCH_PORT", "25350"))  # the first of ten on loopback; another beside a long run


def alone(run: Callable[[Setting], None]) -> int:
    """Give `run` a setting of its own and call it; 0 done, 1 it could not be measured."""
    parser = argparse.ArgumentParser(description=sys.modules[run.__module__].__doc__)
    parser.add_argument("--names", type=int, default=1_000_000, help="how many names are listed (default 1000000)")
    options = parser.parse_args()
    return within(options.names, PORT, run)


def within(names: int, port: int, run: Callable[[Setting], None]) -> int:
    """Prepare names, folder and stub, run, and turn a BenchError into its one line."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that servers are ended when the run is
    try:
        with tempfile.TemporaryDirectory(prefix="blockerd-bench-") as folder, stub(port + 9):
            run(Setting(Path(folder), prepare(BUILD, names), port, port + 9))
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
