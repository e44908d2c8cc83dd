"""Protected times: the windows of the user's own schedules, and whether they were kept. Pure.

A window is told with the day on which it ends, so each is told once, and what the clock on the wall shows decides, as
in `policy.schedule`. Kept means: no request of its categories while it lasted. Refuses nothing. Called by
`control.days`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

from blockerd.policy.schedule import DAY, DAYS, Weekly, Window, parse_window
from blockerd.report.period import Day
from blockerd.report.requests import Reading, Sort

_MINUTES = 60


@dataclass(frozen=True, slots=True)
class Plan:
    """What the user set for themselves: schedules, whether the yardsticks are asked for, and their late hours."""

    schedules: Sequence[Weekly] = ()
    yardsticks: bool = False
    late: Sequence[Window] = (Window(23 * 60, 5 * 60),)


@dataclass(frozen=True, slots=True)
class Protected:
    """One window: Unix µs of its begin and end, and the categories that it closes."""

    start: int
    end: int
    categories: frozenset[str]

    def holds(self, reading: Reading) -> bool:
        """True if `reading` is a request that lies in it."""
        attempt = reading.attempt
        inside = self.start <= attempt.time < self.end
        return inside and reading.sort == Sort.REQUEST and attempt.category in self.categories


def ending_in(day: Day, schedules: Iterable[Weekly], zone: tzinfo) -> list[Protected]:
    """The windows that end in `day`, in order; equal ones of several categories are one."""
    found: dict[tuple[int, int], set[str]] = {}
    for category, weekdays, windows in schedules:
        for window in map(parse_window, windows):
            for start, end in _spans(day.date, weekdays, window, zone):
                if start < end and day.start < end <= day.end:
                    found.setdefault((start, end), set()).add(category)
    return [Protected(start, end, frozenset(found[start, end])) for start, end in sorted(found)]


def kept(times: Iterable[Protected], readings: Sequence[Reading]) -> int:
    """How many of them hold no request."""
    return sum(not any(time.holds(reading) for reading in readings) for time in times)


def inside(times: Iterable[Protected], readings: Iterable[Reading]) -> int:
    """How many requests lie in any of them."""
    every = list(times)
    return sum(any(time.holds(reading) for time in every) for reading in readings)


def _spans(day: date, weekdays: Sequence[str], window: Window, zone: tzinfo) -> Iterator[tuple[int, int]]:
    """The window as begun on `day` and on the day before, where it begins on such weekdays."""
    for begun in (day - timedelta(days=1), day):
        if DAYS[begun.weekday()] in weekdays:
            yield _moment(begun, window.start, zone), _moment(begun, window.start + window.length, zone)


def _moment(day: date, minute: int, zone: tzinfo) -> int:
    """Unix µs at which the clock on the wall shows `minute` of `day`, or passes it; beyond its end, of the next one."""
    day, minute = day + timedelta(days=minute // DAY), minute % DAY
    wall = datetime(day.year, day.month, day.day, minute // _MINUTES, minute % _MINUTES, tzinfo=zone)
    before, after = int(wall.replace(fold=1).timestamp()), int(wall.timestamp())
    if before < after:  # the clock skips it (PEP 495): the moment at which it is set on
        offset = datetime.fromtimestamp(before, zone).utcoffset()
        while after - before > 1:
            middle = (before + after) // 2
            same = datetime.fromtimestamp(middle, zone).utcoffset() == offset
            before, after = (middle, after) if same else (before, middle)
    return after * 1_000_000
