"""When a category blocks: weekly wall-clock windows, compiled to the minutes of a week. Pure but for zone files.

A window belongs to the day on which it begins: "21:00-07:00" on Monday ends on Tuesday. What the clock on the wall
shows decides: a minute skipped by a change to summer time blocks nothing, one that comes twice blocks both times.
A category without a schedule blocks always. Called by `policy.decide`, by the settings and by `binding.change`.
"""

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 24 * 60
WEEK = 7 * DAY

_WINDOW = re.compile(r"([0-9]{1,2}):([0-9]{2})\s*-\s*([0-9]{1,2}):([0-9]{2})", re.ASCII)
_HORIZON = 16 * 86400
"""Seconds within which a change must come if ever: a skipped hour can swallow one week's window, never two."""
_LAST = 253_399_622_400
"""A month before the year 10000, so that a wild clock meets no overflow."""


Weekly = tuple[str, Sequence[str], Sequence[str]]
"""What a schedule says: category, days as in DAYS, windows as texts."""


@dataclass(frozen=True, slots=True)
class Window:
    """Minutes of the day, `start` included, `end` not; an `end` up to `start` lies on the next day."""

    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.start // 60:02d}:{self.start % 60:02d}-{self.end // 60:02d}:{self.end % 60:02d}"

    @property
    def length(self) -> int:
        """Minutes on a day without clock change."""
        return self.end - self.start if self.end > self.start else self.end - self.start + DAY


def parse_window(text: str) -> Window:
    """The window "HH:MM-HH:MM"; 24:00 may end it.

    Raises:
        ValueError: not of this form, no time of day, or nothing between begin and end.
    """
    found = _WINDOW.fullmatch(text.strip())
    if not found:
        raise ValueError(f'"{text}" is no window; write e.g. "21:00-07:00"')
    start, end = int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])
    if start >= DAY or end > DAY or int(found[2]) > 59 or int(found[4]) > 59:
        raise ValueError(f'"{text}": a window begins at 00:00 to 23:59 and ends by 24:00')
    if start == end:
        raise ValueError(f'"{text}" begins when it ends; write "00:00-24:00" for the whole day')
    return Window(start, end)


def zone_of(key: str) -> tzinfo:
    """The time zone `key` of the IANA database.

    Raises:
        ValueError: there is none of this name here.
    """
    if key == "UTC":
        return UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(key)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = "write one of the IANA database, e.g. Europe/Berlin (the system's package tzdata has them)"
        raise ValueError(f'"{key}" is no time zone known here; {hint}') from None


def minutes(schedules: Iterable[Weekly], category: str) -> bytes:
    """One byte for each minute of the week from Monday 00:00: 1 where `category` blocks. All 1 without a schedule."""
    week = bytearray(WEEK)
    found = False
    for name, days, windows in schedules:
        if name != category:
            continue
        found = True
        for start, length in _spans(days, windows):
            for minute in range(start, start + length):
                week[minute % WEEK] = 1
    return bytes(week) if found else b"\x01" * WEEK


def _spans(days: Sequence[str], windows: Sequence[str]) -> Iterable[tuple[int, int]]:
    """(minute of the week, length) of each window on each day."""
    for day in days:
        if day not in DAYS:
            raise ValueError(f'"{day}" is no day; write one of: {" ".join(DAYS)}')
        for text in windows:
            window = parse_window(text)
            yield DAYS.index(day) * DAY + window.start, window.length


@dataclass(frozen=True, slots=True)
class _Week:
    """Minutes of one category and, sorted, those at which it begins or ends."""

    minutes: bytes
    edges: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Schedules:
    """All schedules, compiled for one time zone. Times are Unix seconds."""

    zone: tzinfo
    weeks: Mapping[str, _Week]

    def active(self, category: str, at: float) -> bool:
        """True if `category` blocks at `at`."""
        week = self.weeks.get(category)
        return week is None or bool(week.minutes[self._minute(_second(at))])

    def until(self, category: str, at: float) -> float | None:
        """The first time after `at` at which `active(category, …)` changes; None if nothing in the schedule does."""
        week = self.weeks.get(category)
        if week is None or not week.edges:
            return None
        now = _second(at)
        state, end = week.minutes[self._minute(now)], now + _HORIZON
        while now < end:
            now = self._step(week, now)
            if week.minutes[self._minute(now)] != state:
                return float(now)
        return None

    def next_change(self, at: float) -> float | None:
        """The first time after `at` at which any category begins or ends to block; None if none ever does."""
        if not self.weeks:
            return None
        return min((time for name in self.weeks if (time := self.until(name, at)) is not None), default=None)

    def _step(self, week: _Week, now: int) -> int:
        """The next edge by the clock on the wall, or an earlier change of that clock, or a day later."""
        local = self._local(now)
        minute = local.weekday() * DAY + local.hour * 60 + local.minute
        place = bisect_right(week.edges, minute)
        edge = week.edges[place] if place < len(week.edges) else week.edges[0] + WEEK
        then = min(now + (edge - minute) * 60 - local.second, now + 86400)
        return self._turn(now, then) if self._offset(then) != self._offset(now) else then

    def _turn(self, before: int, after: int) -> int:
        """The first second of the new offset in (`before`, `after`]."""
        old = self._offset(before)
        while after - before > 1:
            middle = (before + after) // 2
            if self._offset(middle) == old:
                before = middle
            else:
                after = middle
        return after

    def _minute(self, second: int) -> int:
        local = self._local(second)
        return local.weekday() * DAY + local.hour * 60 + local.minute

    def _offset(self, second: int) -> float:
        offset = self._local(second).utcoffset()
        return offset.total_seconds() if offset is not None else 0.0

    def _local(self, second: int) -> datetime:
        return datetime.fromtimestamp(second, self.zone)


def _second(at: float) -> int:
    """`at` as whole seconds within the calendar."""
    return math.floor(min(max(0.0, at), _LAST))


def compile_schedules(schedules: Iterable[Weekly], zone: str) -> Schedules:
    """`schedules` for `zone` (IANA name); several of one category add up.

    Raises:
        ValueError: a bad window, day or zone.
    """
    every = tuple(schedules)
    weeks = {}
    for category in dict.fromkeys(category for category, _, _ in every):
        week = minutes(every, category)
        weeks[category] = _Week(week, tuple(m for m in range(WEEK) if week[m] != week[m - 1]))
    return Schedules(zone_of(zone) if weeks else UTC, weeks)
