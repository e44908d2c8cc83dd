"""`demo`: four invented weeks in a temporary folder, and the note that would come of them. Opens no connection.

What is invented are the requests; spool, journal, summary and text are the real ones.
"""

import argparse
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from blockerd import clock
from blockerd.cli.output import Stop, bold, dump, say, settings_of
from blockerd.cli.report import as_dict, summary_of
from blockerd.journal.append import Journal
from blockerd.journal.outcome import DrainState
from blockerd.journal.read import View
from blockerd.journal.schema import JournalError
from blockerd.journal.spool import Meta, Writer
from blockerd.model import CATEGORIES, kind_of
from blockerd.policy.name import from_text
from blockerd.report.period import Period, before, week_of
from blockerd.report.render import text
from blockerd.report.summarise import PeriodSummary
from blockerd.report.synthetic import Sign, Visit, moments

SEED = 20
WEEKS = 4

_TYPES = (1, 28, 65)  # A, AAAA, HTTPS: what a browser asks for one page


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command of this file."""
    demo = commands.add_parser("demo", help="four invented weeks and their note; installs nothing", allow_abbrev=False)
    demo.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit 0 done, 1 the temporary folder cannot be filled."""
    zone_name = settings_of(args).time.zone
    zone = ZoneInfo(zone_name)
    now = clock.now_us()
    weeks = last_weeks(now, zone)
    try:
        folder = Path(tempfile.mkdtemp(prefix="blockerd-demo-"))
        (folder / "blockerd.toml").write_text(f'[state]\ndir = "."\n[time]\nzone = "{zone_name}"\n', "utf-8")
        fill(folder, moments(weeks, SEED))
        with View(folder / "journal.sqlite", folder / "spool") as record:
            summary = summary_of(record, weeks[-1], now)
    except (OSError, JournalError) as error:
        raise Stop(f"no demo: {error}", 1) from None
    if args.json:
        dump({"folder": str(folder), "config": str(folder / "blockerd.toml"), "summary": as_dict(summary)})
    else:
        _show(folder, summary, zone)
    return 0


def last_weeks(now_us: int, zone: ZoneInfo) -> list[Period]:
    """The WEEKS ISO weeks before the current one, oldest first."""
    found = [week_of(now_us, zone)]
    for _ in range(WEEKS):
        found.append(before(found[-1], zone))
    return found[:0:-1]


def fill(folder: Path, story: Iterable[Visit | Sign]) -> None:
    """Writes `story` through a spool below `folder` and drains it into a journal there.

    Raises:
        OSError, JournalError: they cannot be written.
    """
    spool = folder / "spool"
    spool.mkdir(mode=0o700)
    _write(spool, story)
    journal = Journal(folder / "journal.sqlite", clock.now_us)
    try:
        drained = journal.drain(spool)
    finally:
        journal.close()
    if drained.state != DrainState.OK:
        raise JournalError(drained.message)


def _write(spool: Path, story: Iterable[Visit | Sign]) -> None:
    at = 0
    writer = Writer(spool, "dns", lambda: at, lambda: 0.0)
    combos = tuple(("demo", "Demo list", category, kind_of(category)) for category in CATEGORIES)
    writer.meta(Meta(1, "", "NXDOMAIN", combos))
    for moment in story:
        at = moment.at
        if isinstance(moment, Sign):
            writer.event({"kind": "coverage", "process": "dns", "state": moment.state, "boot": "demo"})
            continue
        name, combo = from_text(moment.site), CATEGORIES.index(moment.category)
        for number in range(moment.questions):
            kind = _TYPES[number % len(_TYPES)]
            writer.attempts([0, combo], [name + kind.to_bytes(2, "big") + b"\x00\x01"])
            at += 2_000_000 if kind == _TYPES[-1] else 1000
    writer.close()
    if writer.take_lost():
        raise OSError(f"{spool}: the disk takes no more: free some space")


def _show(folder: Path, summary: PeriodSummary, zone: ZoneInfo) -> None:
    config = folder / "blockerd.toml"
    say(bold(f"A demo with invented requests of {WEEKS} weeks; nothing was installed, sent or looked up."))
    say()
    say(text(summary, zone))
    say(f"All of it lies in {folder} (delete it when you like). Look further with:")
    say(f"  blockerd log --since 60d --config {config}")
    say(f"  blockerd report preview --week {before_label(summary, zone)} --config {config}")


def before_label(summary: PeriodSummary, zone: ZoneInfo) -> str:
    """The label of the week before that of `summary`."""
    return week_of(summary.start - 1, zone).label
