"""Periods: ISO 8601 weeks and days in a time zone, and runs of whole days. Pure.

A day is what the zone's calendar says, so one of 23 or 25 hours where clocks are changed. Refuses weeks that the ISO
calendar does not have. Called by `report.summarise`, `report.due`, their callers and the command line.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

YEARS = range(1970, 9999)
"""Years of which days and weeks are read: what comes before and after one of them exists too."""
_WEEK = re.compile(r"^(\d{4})-W(\d{2})$")


@dataclass(frozen=True, slots=True)
class Day:
    """One calendar day: from `start` up to, not including, `end`, in Unix microseconds."""

    date: date
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Period:
    """Days without a hole between them; `label` names the period, e.g. 2026-W47."""

    label: str
    days: tuple[Day, ...]

    @property
    def start(self) -> int:
        """Unix microseconds of the first moment."""
        return self.days[0].start

    @property
    def end(self) -> int:
        """Unix microseconds of the first moment after it."""
        return self.days[-1].end


def week(label: str, zone: tzinfo) -> Period:
    """The ISO week that `label` names, e.g. 2026-W47.

    Raises:
        ValueError: not such a label, or a week that year does not have.
    """
    parts = _WEEK.match(label)
    try:
        monday = date.fromisocalendar(int(parts[1]), int(parts[2]), 1) if parts else None
    except ValueError:
        monday = None
    if monday is None or monday.year not in YEARS:
        raise ValueError(f"{label}: no week; write year and week like 2026-W47")
    return _days(label, monday, 7, zone)


def day_named(text: str) -> date:
    """The calendar day that `text` names, e.g. 2026-11-22.

    Raises:
        ValueError: it names none, or one outside YEARS.
    """
    found = date.fromisoformat(text)
    if found.year not in YEARS:
        raise ValueError(f"{text}: no day of the years {YEARS.start} to {YEARS.stop - 1}")
    return found


def week_of(at_us: int, zone: tzinfo) -> Period:
    """The ISO week that holds `at_us` (Unix microseconds)."""
    today = day_of(at_us, zone)
    year, number, weekday = today.isocalendar()
    return _days(f"{year:04d}-W{number:02d}", today - timedelta(days=weekday - 1), 7, zone)


def before(period: Period, zone: tzinfo) -> Period:
    """The ISO week before `period`."""
    return week_of(period.start - 1, zone)


def run_of(first: date, count: int, zone: tzinfo) -> Period:
    """`count` whole days from `first`; one that is an ISO week is named like one, a day by its date.

    Any other is named as an ISO 8601 interval by its first day and length, e.g. 2026-11-15/P7D.

    Raises:
        ValueError: `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"a period of {count} days: it has at least one")
    if count == 7 and first.weekday() == 0:
        year, number, _ = first.isocalendar()
        return _days(f"{year:04d}-W{number:02d}", first, count, zone)
    return _days(first.isoformat() if count == 1 else f"{first.isoformat()}/P{count}D", first, count, zone)


def last_of(label: str) -> date:
    """The last day of the period that `run_of` named so."""
    first, _, count = label.partition("/P")
    if count:
        return date.fromisoformat(first) + timedelta(days=int(count.removesuffix("D")) - 1)
    year, week, number = label.partition("-W")
    return date.fromisocalendar(int(year), int(number), 7) if week else date.fromisoformat(label)


def day_of(at_us: int, zone: tzinfo) -> date:
    """The calendar day in `zone` that holds `at_us` (Unix microseconds)."""
    return datetime.fromtimestamp(at_us / 1e6, zone).date()


def midnight(day: date, zone: tzinfo) -> int:
    """Unix microseconds at which `day` begins in `zone`.

    Where clocks skip midnight this is the moment of the change: PEP 495 reads a skipped time by the offset before it.
    """
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * 1_000_000


def _days(label: str, first: date, count: int, zone: tzinfo) -> Period:
    starts = [midnight(first + timedelta(days=n), zone) for n in range(count + 1)]
    return Period(label, tuple(Day(first + timedelta(days=n), starts[n], starts[n + 1]) for n in range(count)))
