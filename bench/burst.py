"""20,000 queries a second for 30 seconds, each another listed name: is any lost, is every attempt counted afterwards?

Runs `blockerd run`, so the journal's writer works beside the resolver; neither is bound to a core, as in life.
`python -m bench.burst`; part of `python -m bench --full`.
"""

import json
import subprocess
import sys
import time

from bench.alone import alone
from bench.load import dnsperf, wrong
from bench.names import head
from bench.process import memory_kb, say
from bench.results import table, write
from bench.server import Setting
from bench.servers import Daemon

RATE, SECONDS, COUNT_LIMIT = 20_000, 30, 60.0
SETTLE = 2.5  # seconds; the log may be one second behind


def run(setting: Setting) -> None:
    """One burst, then ask the log until it has everything or the time is over."""
    with Daemon(setting) as server:
        time.sleep(SETTLE)  # what the start itself costs is not part of the burst
        before = counted(server)
        queries = head(setting.names.distinct, server.folder / "burst.q", RATE * SECONDS)
        load = dnsperf(server.port, queries, once=True, qps=RATE, outstanding=1000)
        say(f"burst: {load.answered:,} of {load.sent:,} answered at {load.qps:,.0f} q/s, {load.lost} lost")
        found, took = _until_counted(server, before + load.answered)
        found -= before
        memory = memory_kb(server.pid)["VmRSS"] / 1024
    say(f"burst: {found:,} counted {took:.1f} s after it")
    rows = [
        ("rate reached, queries/s", f"{load.qps:,.0f}", f"{RATE:,}"),
        ("lost", f"{load.lost:,} of {load.sent:,}", "0"),
        ("answers", wrong(load, {"NXDOMAIN": 1.0}) or "all blocked", "all blocked"),
        ("attempts counted by `blockerd log --json`", f"{found:,} of {load.answered:,}", "all"),
        ("seconds until they were, with the command's own time", f"{took:.1f}", f"≤ {COUNT_LIMIT:.0f}"),
        ("RSS of all processes afterwards, MB", f"{memory:.0f}", "–"),
    ]
    title = f"A burst: {RATE:,} distinct blocked names a second for {SECONDS} s"
    write("burst", title, table(("what", "measured", "goal"), rows))


def counted(server: Daemon) -> int:
    """The sum of `count` over all attempts that the log holds."""
    command = [*server.program_words(), "log", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=server.environment(), cwd=server.folder
    ) as reader:
        return sum(json.loads(line)["count"] for line in reader.stdout or ())


def _until_counted(server: Daemon, wanted: int) -> tuple[int, float]:
    """What the log holds once that is `wanted` or the limit has passed, and the seconds that took."""
    began = time.monotonic()
    while True:
        found = counted(server)
        took = time.monotonic() - began
        if found >= wanted or took > COUNT_LIMIT:
            return found, took
        time.sleep(0.5)  # between two counts: each reads the whole log and would compete with what it waits for


def main() -> int:
    """The benchmark alone."""
    return alone(run)


if __name__ == "__main__":
    sys.exit(main())
