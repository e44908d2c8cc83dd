"""`lists update`: fetches the lists that have an address, then builds the policy from what is there.

Exit 0 when every list is as its publisher has it, 1 when one was held or could not be had; its last good copy then
stays in use, and one line says why. `cli.lists` registers the verb and imports this file when it is called for.
"""

import argparse
import sys
from dataclasses import asdict

from blockerd import clock
from blockerd.cli.output import Stop, dump, say, settings_of, warn
from blockerd.lists import build as building
from blockerd.lists.fetch.fetch import Result, Row
from blockerd.lists.guard import GuardError
from blockerd.lists.update import Progress, UpdateError, update

_WIDTH = 24


def run_update(args: argparse.Namespace) -> int:
    """Fetches and builds; the exit code says whether every list is well."""
    settings = settings_of(args)
    try:
        rows = update(settings, clock.now(), ids=args.ids, due_only=args.due, progress=_bar())
        built = building.build(settings)
    except UpdateError as error:
        raise Stop(f"lists update: {error}", 2 if error.usage else 1) from None
    except GuardError as error:
        raise Stop(str(error), 1) from None
    except OSError as error:
        raise Stop(f"{settings.state.dir}: {error.strerror or error}; the policy stays as it was", 1) from None
    finally:
        _end_bar()
    if args.json:
        dump([asdict(row) for row in rows])
    else:
        _show(rows, built)
    return 0 if all(row.well for row in rows) else 1


def _show(rows: list[Row], built: building.BuildReport) -> None:
    if not rows:
        say("no list has an address; add one with `blockerd lists add URL`")
    for row in rows:
        if row.well:
            say(f"{row.id}: {_well(row)}")
        else:
            warn(f"list {row.id}: {_trouble(row)}")
    if built.written:
        say(f"policy {built.generation}: {built.entries:,} names from {len(built.sources)} lists")


def _well(row: Row) -> str:
    if row.result is Result.FRESH:
        change = f"+{row.added:,} −{row.removed:,}"
        return f"{row.names:,} names ({change})" + (f"; {row.reason}" if row.reason else "")
    if row.result is Result.WAITING:
        return "not due yet"
    return f"{row.names:,} names, nothing new"


def _trouble(row: Row) -> str:
    what = "held" if row.result is Result.HELD else "could not be had"
    if row.age_days is None:
        return f"{what}: {row.reason}; there is no earlier copy, so it blocks nothing"
    return f"{what}: {row.reason}; the copy of {_days(row.age_days)} stays in use"


def _days(age: float) -> str:
    whole = int(age)
    return "today" if not whole else "yesterday" if whole == 1 else f"{whole} days ago"


def _bar() -> Progress | None:
    """A bar on a terminal's standard error, nothing elsewhere."""
    if not sys.stderr.isatty():
        return None

    def show(octets: int, done: int, total: int) -> None:
        filled = _WIDTH * done // max(total, 1)
        bar = "#" * filled + "." * (_WIDTH - filled)
        sys.stderr.write(f"\r\x1b[K[{bar}] {done} of {total} lists, {octets / 1e6:.1f} MB")
        sys.stderr.flush()

    return show


def _end_bar() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
