"""`log`: the recorded attempts. The screen shows the newest, masked; `--json` gives all of them as they are stored."""

import argparse
import json
from collections.abc import Iterator
from datetime import datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from blockerd import clock
from blockerd.cli import data, record
from blockerd.cli.output import Stop, bold, columns, say, settings_of, shown
from blockerd.cli.reading import moment, stamp, view
from blockerd.journal.read import View
from blockerd.journal.schema import JournalError
from blockerd.model import Attempt

ON_SCREEN = 50
"""Attempts shown on a screen where no limit is given."""


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command of this file."""
    log = commands.add_parser("log", help="the recorded attempts", allow_abbrev=False)
    log.add_argument("--since", metavar="WHEN", help="from then on: 2h, 7d (ago), 2026-11-22, 2026-11-22T18:00:00Z")
    log.add_argument("--until", metavar="WHEN", help="up to then; a date means to the end of that day")
    log.add_argument("--limit", metavar="N", type=int, help=f"the newest N (screen: {ON_SCREEN}, --json: all)")
    log.add_argument("--reveal", action="store_true", help="show names in full")
    log.set_defaults(run=run)
    record.add_words(data.add_erase(log))


def run(args: argparse.Namespace) -> int:
    """Exit 0 done, 1 the journal cannot be read, 2 a time that cannot be read."""
    settings = settings_of(args)
    zone = ZoneInfo(settings.time.zone)
    since = moment("--since", args.since, zone, clock.now_us()) if args.since else 0
    until = moment("--until", args.until, zone, clock.now_us(), whole_day=True) if args.until else 1 << 62
    if args.limit is not None and args.limit < 0:
        raise Stop(f"--limit {args.limit}: give 0 or more")
    try:
        with view(settings) as record:
            if args.json:
                encode = json.JSONEncoder(ensure_ascii=False).encode
                for attempt in record.attempts(since, until, args.limit):
                    say(encode(as_dict(attempt)))
            else:
                _screen(record, since, until, args, zone)
    except JournalError as error:
        raise Stop(str(error), 1) from None
    return 0


def as_dict(attempt: Attempt) -> dict[str, Any]:
    """`attempt` with the keys of the contract, in its order."""
    return {
        "time": stamp(attempt.time),
        "last": stamp(attempt.last),
        "site": attempt.site,
        "names": list(attempt.names),
        "category": attempt.category,
        "source": attempt.source,
        "list": attempt.list,
        "action": attempt.action,
        "channel": attempt.channel,
        "client": attempt.client,
        "user": attempt.user,
        "count": attempt.count,
        "kind": attempt.kind,
    }


def _screen(record: View, since: int, until: int, args: argparse.Namespace, zone: tzinfo) -> None:
    limit = ON_SCREEN if args.limit is None else args.limit
    total = sum(tally.attempts for tally in record.tallies((since, until)))
    newest = record.attempts(since, until, limit)
    for line in _lines(newest, zone, reveal=args.reveal):
        say(line)
    if not total:
        say("Nothing was recorded in this time.")
    elif total > limit:
        say(f"{total - limit:,} earlier ones are not shown; --limit {total} shows all.")


def _lines(attempts: Iterator[Attempt], zone: tzinfo, *, reveal: bool) -> list[str]:
    """A heading and a line for each attempt; the column of names only where there are any."""
    rows = [_row(attempt, zone, reveal) for attempt in attempts]
    if not rows:
        return []
    table = [("Time", "Category", "Site", "Names", "Requests"), *rows]
    shown_columns = [n for n in range(5) if n != 3 or any(row[3] for row in rows)]
    lines = columns([tuple(row[n] for n in shown_columns) for row in table], right=frozenset({len(shown_columns) - 1}))
    return [bold(lines[0]), *lines[1:]]


def _row(attempt: Attempt, zone: tzinfo, reveal: bool) -> tuple[str, str, str, str, str]:
    local = datetime.fromtimestamp(attempt.time // 1_000_000, zone)
    names = [name for name in attempt.names if name != attempt.site]
    first = f"{shown(names[0], reveal=reveal)}{f' +{len(names) - 1}' if names[1:] else ''}" if names else ""
    site = shown(attempt.site, reveal=reveal) if attempt.site else "–"
    return f"{local:%Y-%m-%d %H:%M:%S}", attempt.category or "–", site, first, str(attempt.count)
