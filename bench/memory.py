"""What `blockerd dns` holds in memory: after many names, for each further listed name, and over a hundred reloads.

Resident memory counts the pages of the mapped snapshot that were touched (RssFile) beside its own (RssAnon); both are
shown. `python -m bench.memory`; also part of `python -m bench`.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bench.alone import alone
from bench.load import dnsperf
from bench.names import generate, head, prepare
from bench.process import BUILD, BenchError, memory_kb, say
from bench.results import table, write
from bench.server import Setting, blocks
from bench.servers import Blockerd

RELOADS, RELOAD_NAMES, EARLY = 100, 50_000, 5
RSS_GOAL_MB, BYTES_GOAL, GROWTH_GOAL_MB = 60, 24, 2
PATIENCE = 10.0  # seconds for a reload to be live


def run(setting: Setting) -> None:
    """Measure all three and write the section."""
    count = len(setting.names.listed.read_text(encoding="ascii").split())
    single = loaded(setting)
    twice = loaded(replace(setting, names=prepare(BUILD, 2 * count)))
    each = (twice["VmRSS"] - single["VmRSS"]) * 1024 / count
    early, final = reloads(setting)
    asked = "100,000 blocked and 10,000 cached names asked"
    rows = [
        (f"RSS with {count:,} listed, {asked}", _mb(single), f"≤ {RSS_GOAL_MB} MB"),
        (f"the same with {2 * count:,} listed", _mb(twice), "–"),
        ("each further listed name", f"**{each:.1f} bytes**", f"≤ {BYTES_GOAL} bytes"),
        (f"RSS after {EARLY} reloads ({RELOAD_NAMES:,} names, two lists in turn)", _mb(early), "–"),
        (f"RSS after {RELOADS} reloads", _mb(final), f"flat (± {GROWTH_GOAL_MB} MB)"),
    ]
    write("memory", "Memory of `blockerd dns`", table(("what", "measured", "goal"), rows))


def loaded(setting: Setting) -> dict[str, int]:
    """Memory in kB after 100,000 distinct blocked and 10,000 cached names."""
    with Blockerd(setting) as server:
        names = setting.names
        for file in (names.rotation, names.cached, names.cached):
            load = dnsperf(server.port, file, once=True)
            if load.lost:
                raise BenchError(f"memory: {load.lost} of {load.sent} queries lost")
        found = memory_kb(server.pid)
    say(f"{names.listed.parent.name}: {_mb(found)}")
    return found


def reloads(setting: Setting) -> tuple[dict[str, int], dict[str, int]]:
    """Memory after the first few and after the last of a hundred reloads, each live before the next is built."""
    with Blockerd(replace(setting, names=prepare(BUILD, RELOAD_NAMES))) as server:
        lists = [*_lists(server.folder)]
        few = head(server.setting.names.cached, server.folder / "few.q", 2_000)
        early: dict[str, int] = {}
        for turn in range(RELOADS):
            path, own = lists[turn % 2]
            server.configure(path)
            server.build()
            os.kill(server.pid, signal.SIGHUP)
            _await(server, own, lists[(turn + 1) % 2][1])
            dnsperf(server.port, few, once=True)
            if turn + 1 == EARLY:
                early = memory_kb(server.pid)
        final = memory_kb(server.pid)
    say(f"after {EARLY} reloads: {_mb(early)}; after {RELOADS}: {_mb(final)}")
    return early, final


def _lists(folder: Path) -> Iterator[tuple[Path, str]]:
    for seed in (71, 72):
        names = [*generate(RELOAD_NAMES, seed)]
        path = folder / f"reload{seed}.txt"
        path.write_text("".join(f"{name}\n" for name in names), encoding="ascii")
        yield path, names[len(names) // 2]


def _await(server: Blockerd, listed: str, unlisted: str) -> None:
    """Until the new list is live: its name is blocked, that of the other no longer."""
    limit = time.monotonic() + PATIENCE
    while not blocks(server.port, listed) or blocks(server.port, unlisted):
        if time.monotonic() > limit:
            raise BenchError(f"memory: a new list was not live {PATIENCE:.0f} s after its build")
        time.sleep(0.01)  # polls with a limit, gently: the server shares the machine


def _mb(found: dict[str, int]) -> str:
    whole, anon, file = (found[key] / 1024 for key in ("VmRSS", "RssAnon", "RssFile"))
    return f"**{whole:.1f} MB** ({anon:.1f} own, {file:.1f} mapped files)"


def main() -> int:
    """The benchmark alone."""
    return alone(run)


if __name__ == "__main__":
    sys.exit(main())
