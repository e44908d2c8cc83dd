"""`report`: the weekly note; for now `report preview`, what the note to yourself says about a week."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from blockerd import clock
from blockerd.cli.log import stamp, view
from blockerd.cli.output import Stop, dump, say, settings_of
from blockerd.journal.read import View
from blockerd.journal.schema import JournalError
from blockerd.lists import fetch_record
from blockerd.lists.added import merged
from blockerd.report.period import Period, week, week_of
from blockerd.report.render import text
from blockerd.report.summarise import ListState, PeriodSummary, summarise
from blockerd.settings import Settings


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands of this file."""
    report = commands.add_parser("report", help="the weekly note", allow_abbrev=False)
    words = report.add_subparsers(dest="word", required=True, metavar="WORD")
    preview = words.add_parser("preview", help="show the note; nothing is sent", allow_abbrev=False)
    preview.add_argument("--role", choices=["self"], default="self", help="for whom; so far only: self")
    preview.add_argument("--week", metavar="YYYY-Www", help="an ISO week, e.g. 2026-W47; without it the current one")
    preview.set_defaults(run=run_preview)


def run_preview(args: argparse.Namespace) -> int:
    """Exit 0 done, 1 the journal cannot be read, 2 no such week."""
    settings = settings_of(args)
    zone = ZoneInfo(settings.time.zone)
    now = clock.now_us()
    try:
        period = week(args.week, zone) if args.week else week_of(now, zone)
    except ValueError as error:
        raise Stop(f"--week {error}") from None
    try:
        with view(settings) as record:
            summary = summary_of(record, period, now)
    except JournalError as error:
        raise Stop(str(error), 1) from None
    show(summary, zone, list_states(settings), as_json=args.json)
    return 0


def list_states(settings: Settings) -> list[ListState]:
    """How the fetched lists stand."""
    found = []
    for source in merged(settings).lists.source:
        if source.url and source.enabled:
            meta = fetch_record.load(settings, source.id)
            found.append(ListState(source.category, meta.age_days(clock.now()), bool(meta.held or meta.problem)))
    return found


def summary_of(record: View, period: Period, now_us: int) -> PeriodSummary:
    """The summary of `period` from `record`.

    Raises:
        JournalError: the journal became unreadable.
    """
    bounds = [day.start for day in period.days] + [period.end]
    return summarise(period, record.tallies(bounds), record.facts(period.start, period.end), now_us)


def show(summary: PeriodSummary, zone: tzinfo, lists: Sequence[ListState] = (), *, as_json: bool) -> None:
    """Prints the note, or its facts as one JSON object."""
    if as_json:
        dump({**as_dict(summary), "lists": [asdict(one) for one in lists]})
    else:
        say(text(summary, zone, lists).rstrip("\n"))


def as_dict(summary: PeriodSummary) -> dict[str, Any]:
    """The facts of `summary`; times in RFC 3339, minutes and counts as numbers."""
    cover = summary.coverage
    return {
        "period": summary.label,
        "start": stamp(summary.start),
        "end": stamp(summary.end),
        "until": stamp(summary.until),
        "role": "self",
        "coverage": {
            "running_minutes": cover.running,
            "unknown_minutes": cover.unknown,
            "first": None if cover.first is None else stamp(cover.first),
            "last": None if cover.last is None else stamp(cover.last),
            "lost": cover.lost,
        },
        "days": [
            {
                "date": day.date.isoformat(),
                "attempts": dict(day.attempts),
                "bypass": day.bypass,
                "running_minutes": day.running,
            }
            for day in summary.days
        ],
        "attempts": dict(summary.attempts),
        "total": summary.total,
        "bypass": summary.bypass,
    }
