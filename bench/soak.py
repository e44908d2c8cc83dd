"""The long run: `blockerd run` under a small steady load for hours; memory, descriptors and threads must not grow.

`make soak`, or `python -m bench.soak --hours 0.1` for a try. Writes the section `soak`; not part of `python -m bench`.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench.alone import PORT, within
from bench.load import dnsperf
from bench.process import family, memory_kb, say
from bench.results import table, write
from bench.server import Setting
from bench.servers import Daemon

RATE, STEP = 200, 60  # queries a second; seconds from one look to the next
SETTLED = 0.2  # the first part of the run fills caches and is left out of the slope
SLOPE_GOAL = 1.0  # MB an hour


@dataclass(frozen=True, slots=True)
class Look:
    """All processes of the daemon at one moment."""

    hours: float
    rss_mb: float
    descriptors: int
    threads: int


def run(setting: Setting, hours: float) -> None:
    """Load and look in turn until the time is over, then write the section."""
    looks, lost, sent = [], 0, 0
    began = time.monotonic()
    with Daemon(setting) as server:
        while time.monotonic() - began < hours * 3600:
            load = dnsperf(server.port, setting.names.mixed, seconds=STEP, qps=RATE)
            lost, sent = lost + load.lost, sent + load.sent
            looks.append(_look(server.pid, (time.monotonic() - began) / 3600))
            say(f"{looks[-1].hours:.2f} h: {looks[-1].rss_mb:.1f} MB, {looks[-1].descriptors} files, {lost} lost")
    settled = looks[int(len(looks) * SETTLED) :]
    first, last = settled[0], settled[-1]
    rows = [
        ("RSS slope, MB an hour", f"{slope(settled):.2f}", f"≤ {SLOPE_GOAL:.0f}"),
        ("RSS, MB", f"{first.rss_mb:.1f} → {last.rss_mb:.1f}", "–"),
        ("open files", f"{first.descriptors} → {last.descriptors}", "constant"),
        ("threads", f"{first.threads} → {last.threads}", "constant"),
        ("lost", f"{lost:,} of {sent:,}", "0"),
    ]
    write("soak", f"{hours:g} hours at {RATE} queries/s", table(("what", "measured", "goal"), rows))


def slope(looks: list[Look]) -> float:
    """MB an hour, by least squares; 0 for a single look."""
    middle = sum(look.hours for look in looks) / len(looks)
    below = sum((look.hours - middle) ** 2 for look in looks)
    return sum((look.hours - middle) * look.rss_mb for look in looks) / below if below else 0.0


def _look(pid: int, hours: float) -> Look:
    members = family(pid)
    counts = {part: sum(_entries(Path(f"/proc/{member}/{part}")) for member in members) for part in ("fd", "task")}
    return Look(hours, memory_kb(pid)["VmRSS"] / 1024, counts["fd"], counts["task"])


def _entries(folder: Path) -> int:
    try:
        return sum(1 for _ in folder.iterdir())
    except OSError:
        return 0


def main() -> int:
    """The benchmark alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=2.0, help="how long (default 2)")
    parser.add_argument("--names", type=int, default=1_000_000, help="how many names are listed (default 1000000)")
    options = parser.parse_args()
    return within(options.names, PORT, lambda setting: run(setting, options.hours))


if __name__ == "__main__":
    sys.exit(main())
