"""20,000 queries a second for 30 seconds, every one another listed name: is any lost, and is every attempt counted afterwards?

Runs `blockerd run`, so the journal's writer works beside the resolver. `python -m bench.burst`; part of `python -m bench --full`.
"""

import json
import subprocess
import sys
import time

from bench.alone import alone
from bench.load import dnsperf, wrong
from bench.names import sliced
from bench.process import memory_kb, say
from bench.results import table, write
from bench.server import Setting
from bench.servers import Daemon

RATE, SECONDS, COUNT_LIMIT = 20_000, 30, 60.0


def run(setting: Setting) -> None:
    """One burst, then ask the log until it has everything or the time is over."""
    total = RATE * SECONDS
    with Daemon(setting) as server:
        before = counted(server)
        load = dnsperf(
            server.port,
            sliced(setting.names.distinct, server.folder / "burst.q", 0, total),
            once=True,
            qps=RATE,
            outstanding=1000,
        )
        ended = time.monotonic()
        say(f"burst: {load.answered:,} of {load.sent:,} answered at {load.qps:,.0f} q/s, {load.lost} lost")
        found = counted(server) - before
        took = time.monotonic() - ended
        while found < load.answered and took < COUNT_LIMIT:
            time.sleep(0.5)
            found = counted(server) - before
            took = time.monotonic() - ended
        memory = memory_kb(server.pid)["VmRSS"] / 1024
    say(f"burst: {found:,} counted {took:.1f} s after it")
    rows = [
        ("rate reached, queries/s", f"{load.qps:,.0f}", f"{RATE:,}"),
        ("lost", f"{load.lost:,} of {load.sent:,}", "0"),
        ("answers", wrong(load, {"NXDOMAIN": 1.0}) or "all blocked", "all blocked"),
        ("attempts counted by `blockerd log --json`", f"{found:,} of {load.answered:,}", "all"),
        (
            "seconds from the end of the burst until they were (the command's own time included)",
            f"{took:.1f}",
            f"≤ {COUNT_LIMIT:.0f}",
        ),
        ("RSS of all processes afterwards, MB", f"{memory:.0f}", "–"),
    ]
    write(
        "burst",
        f"A burst: {RATE:,} distinct blocked names a second for {SECONDS} s",
        table(("what", "measured", "goal"), rows),
    )


def counted(server: Daemon) -> int:
    """The sum of `count` over all attempts that the log holds, without the names that the readiness check asked."""
    with subprocess.Popen(
        [*server.program_words(), "log", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env=server.environment(),
        cwd=server.folder,
    ) as reader:
        return sum(json.loads(line).get("count", 0) for line in reader.stdout or ())


def main() -> int:
    """The benchmark alone."""
    return alone(run)


if __name__ == "__main__":
    sys.exit(main())
