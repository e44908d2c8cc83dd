"""Sums of time by day, by hour and by key, in the zone of the settings. Pure.

Events are cut at every quarter of an hour, where all zones of today change day, hour and offset; so the parts always
add up to the whole, on days of 23 and 25 hours too. Times are Unix microseconds. Called by `usage` and the reports.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, tzinfo
from functools import lru_cache
from typing import NamedTuple, TypeVar

from blockerd.screentime.heartbeat import SECOND, Beat

QUARTER = 900 * SECOND

T = TypeVar("T")
K = TypeVar("K")


class Hour(NamedTuple):
    """An hour as the clock on the wall shows it; where clocks are set back one of them is longer."""

    day: date
    hour: int


def by_hour(beats: Iterable[Beat[T]], zone: tzinfo) -> Counter[Hour]:
    """Microseconds of `beats` in each hour of `zone`."""
    found: Counter[Hour] = Counter()
    for beat in beats:
        for start, end in pieces(beat.start, beat.end):
            found[hour_of(start, zone)] += end - start
    return found


def by_day(beats: Iterable[Beat[T]], zone: tzinfo) -> Counter[date]:
    """Microseconds of `beats` on each day of `zone`."""
    found: Counter[date] = Counter()
    for beat in beats:
        for start, end in pieces(beat.start, beat.end):
            found[hour_of(start, zone).day] += end - start
    return found


def by_data(beats: Iterable[Beat[K]]) -> Counter[K]:
    """Microseconds of `beats` for each of their data."""
    found: Counter[K] = Counter()
    for beat in beats:
        found[beat.data] += beat.length
    return found


def clip(beats: Iterable[Beat[T]], start: int, end: int) -> list[Beat[T]]:
    """The parts of `beats` between `start` and `end`; they need no order."""
    return [
        Beat(max(start, beat.start), min(end, beat.end), beat.data)
        for beat in beats
        if beat.start < end and beat.end > start
    ]


def whole_seconds(parts: Mapping[K, int], unit: int = SECOND) -> dict[K, int]:
    """`parts` (µs) in whole units that add up to the whole, cut: the largest remainders are rounded up."""
    floors = {key: value // unit for key, value in parts.items()}
    missing = sum(parts.values()) // unit - sum(floors.values())
    by_remainder = sorted(parts, key=lambda key: -(parts[key] % unit))
    for key in by_remainder[:missing]:
        floors[key] += 1
    return floors


def pieces(start: int, end: int) -> Iterator[tuple[int, int]]:
    """[start, end) cut at every quarter of an hour."""
    while start < end:
        stop = min(end, (start // QUARTER + 1) * QUARTER)
        yield start, stop
        start = stop


def hour_of(at: int, zone: tzinfo) -> Hour:
    """The hour of `zone` that holds `at`."""
    return _hour(at // QUARTER, zone)


@lru_cache(8192)
def _hour(quarter: int, zone: tzinfo) -> Hour:
    local = datetime.fromtimestamp(900 * quarter, UTC).astimezone(zone)
    return Hour(local.date(), local.hour)
