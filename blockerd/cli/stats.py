"""`lists stats`: size, growth, trouble, age and use of each list. No name is shown. Called by `cli.lists`."""

import argparse
from typing import Any

from blockerd import clock
from blockerd.cli.edit import DAYS, seen
from blockerd.cli.output import Stop, bold, columns, dump, say, settings_of
from blockerd.lists import stats, watch
from blockerd.settings import Settings


def register_verb(verbs: "argparse._SubParsersAction[Any]") -> None:
    """Adds the verb of this file to `lists`."""
    verb = verbs.add_parser("stats", help="size, growth, overlap and use of each list", allow_abbrev=False)
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit 0, 1 where the result cannot be kept."""
    settings = settings_of(args)
    try:
        rows = stats.health(settings, seen(settings), clock.now(), DAYS)
        notes = watch.notes(settings)
    except OSError as error:
        raise Stop(f"{settings.state.dir}: {error.strerror or error}", 1) from None
    if args.json:
        dump({"lists": [stats.as_dict(row) for row in rows], "notes": notes})
        return 0
    if not rows:
        say("No policy is built yet; run: blockerd lists build")
        return 0
    head = ("LIST", "CATEGORY", "NAMES", "GROWTH", "UNREAD", "SHARED", "REDUNDANT", "AGE", f"BLOCKED ({DAYS} D)")
    lines = columns([head, *map(_row, rows)], right=frozenset(range(2, 9)))
    say(bold(lines[0]))
    for line in lines[1:]:
        say(line)
    for row in rows:
        for note in row.notes:
            if not note.startswith((stats.IDLE, stats.ASLEEP)):
                say(f"{row.id}: {note}")
    _together(rows, stats.IDLE, f"Blocked nothing in {DAYS} days")
    _together(rows, stats.ASLEEP, "Do not block, for lists.categories does not hold theirs")
    say_remarks(settings, notes)
    return 0


def _together(rows: list[stats.Health], begin: str, title: str) -> None:
    ids = [row.id for row in rows if any(note.startswith(begin) for note in row.notes)]
    if ids:
        say(f"{title}: {', '.join(ids)}")


def say_remarks(settings: Settings, notes: list[str]) -> None:
    """Lists that are switched off, and what in the own files has no effect."""
    if off := stats.switched_off(settings):
        say(f"Switched off: {', '.join(off)}")
    for note in notes:
        say(note)


def _row(row: stats.Health) -> tuple[str, ...]:
    growth = "-" if row.growth is None else f"{row.growth:+,}" if row.growth else "0"
    age = "-" if row.age_days is None else f"{row.age_days:.0f} d"
    return (
        row.id, row.category, f"{row.entries:,}", growth, f"{row.issues:,}", _share(row.overlap, row.entries),
        _share(row.redundant, row.entries), age, f"{row.attempts:,}",
    )  # fmt: skip


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if part and whole else "0"
