"""The record of this install and its times, as every command that shows some of it opens and writes them."""

import re
from datetime import date, timedelta, tzinfo
from functools import lru_cache

from blockerd import clock
from blockerd.cli.output import Stop, warn
from blockerd.journal.read import View
from blockerd.journal.spool import Level
from blockerd.report.period import midnight
from blockerd.settings import Settings

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"^(\d{1,9})([smhdw])$")
_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_FAR = 1 << 62
"""Microseconds: what SQLite can still compare with."""
_FORMS = "write 2h, 7d, 2026-11-22 or 2026-11-22T18:00:00Z"


def view(settings: Settings) -> View:
    """The record of this install.

    Raises:
        JournalError: it cannot be read.
    """
    folder = settings.state.dir
    seen = View(folder / "journal.sqlite", folder / "spool", Level(settings.privacy.level))
    if seen.unread:
        warn(f"{seen.unread[0]}: cannot be read, so what waits in {len(seen.unread)} files is missing; try sudo")
    return seen


def moment(option: str, text: str, zone: tzinfo, now_us: int, *, whole_day: bool = False) -> int:
    """Unix microseconds for `text`: that long ago, a day in `zone` (its end where `whole_day`), or RFC 3339.

    Raises:
        Stop: none of these.
    """
    try:
        if ago := _DURATION.match(text):
            return max(now_us - int(ago[1]) * _UNITS[ago[2]] * 1_000_000, -_FAR)
        if _DATE.match(text):
            return midnight(date.fromisoformat(text) + timedelta(days=int(whole_day)), zone)
        return round(clock.parse_rfc3339(text) * 1_000_000)
    except (ValueError, OverflowError):
        raise Stop(f"{option} {text}: no time; {_FORMS}") from None


def stamp(at_us: int) -> str:
    """Unix microseconds as RFC 3339 in UTC with milliseconds, cut, not rounded."""
    return f"{_second(at_us // 1_000_000)}.{at_us // 1000 % 1000:03d}Z"


@lru_cache(256)
def _second(seconds: int) -> str:
    return clock.rfc3339(seconds).partition(".")[0]
