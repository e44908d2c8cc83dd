"""Heartbeats become events: merging, closing of small gaps, cutting to periods. Pure; ActivityWatch's vocabulary.

Times are whole microseconds on one line of time, an event covers [start, end). Nothing here changes its arguments.
Called by `track` while measuring, and by `usage` when the record is read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

SECOND = 1_000_000
FLOOD = 5 * SECOND
"""A hole up to this long between two events is a hiccup of measuring, not a pause."""

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Beat(Generic[T]):
    """`data` held from `start` to `end` (µs); a heartbeat is one that is short or has no length."""

    start: int
    end: int
    data: T

    @property
    def length(self) -> int:
        """Microseconds."""
        return self.end - self.start


def merge(last: Beat[T], beat: Beat[T], pulse: int) -> Beat[T] | None:
    """`last` lengthened by `beat`; None where `beat` begins an event of its own.

    They merge if the data are equal and `beat` starts inside `last` or at most `pulse` µs behind it:

        last   ├──────┤
        beat            ├─┤      → ├──────────┤   if the hole is not over `pulse`
    """
    if last.data != beat.data or not last.start <= beat.start <= last.end + pulse:
        return None
    return Beat(last.start, max(last.end, beat.end), last.data)


def merged(beats: Iterable[Beat[T]], pulse: int) -> list[Beat[T]]:
    """The events that `beats`, in order of time, make."""
    found: list[Beat[T]] = []
    waiting = iter(beats)
    last = next(waiting, None)
    if last is None:
        return found
    start, end, data = last.start, last.end, last.data
    for beat in waiting:
        if beat.data == data and start <= beat.start <= end + pulse:
            if beat.end > end:
                end = beat.end
            continue
        found.append(Beat(start, end, data))
        start, end, data = beat.start, beat.end, beat.data
    found.append(Beat(start, end, data))
    return found


def flood(beats: Sequence[Beat[T]], limit: int = FLOOD) -> list[Beat[T]]:
    """`beats` (in order, none overlapping) with each hole up to `limit` given to the longer of its neighbours."""
    found: list[Beat[T]] = []
    for beat in beats:
        last = found[-1] if found else None
        hole = beat.start - last.end if last else 0
        if last is None or not 0 < hole <= limit:
            found.append(beat)
        elif last.length >= beat.length:
            found[-1] = Beat(last.start, beat.start, last.data)
            found.append(beat)
        else:
            found.append(Beat(last.end, beat.end, beat.data))
    return merged(found, 0)


def intersect(beats: Sequence[Beat[T]], periods: Sequence[Beat[U]]) -> list[Beat[T]]:
    """The parts of `beats` inside `periods`; each of the two is in order and does not overlap itself.

        beats    ├──A──┤├───B───┤
        periods     ├──────┤  ├──┤
        result      ├A─┤├B─┤  ├B┤
    """  # fmt: skip
    found: list[Beat[T]] = []
    at = 0
    for beat in beats:
        while at < len(periods) and periods[at].end <= beat.start:
            at += 1
        here = at
        while here < len(periods) and periods[here].start < beat.end:
            found.append(Beat(max(beat.start, periods[here].start), min(beat.end, periods[here].end), beat.data))
            here += 1
    return found


def without(periods: Sequence[Beat[T]], taken: Sequence[Beat[U]]) -> list[Beat[T]]:
    """The parts of `periods` outside `taken`; both as in `intersect`. Together with `intersect` they are the whole."""
    found: list[Beat[T]] = []
    at = 0
    for period in periods:
        start = period.start
        while at < len(taken) and taken[at].end <= start:
            at += 1
        here = at
        while here < len(taken) and taken[here].start < period.end:
            if taken[here].start > start:
                found.append(Beat(start, taken[here].start, period.data))
            start = max(start, taken[here].end)
            here += 1
        if start < period.end:
            found.append(Beat(start, period.end, period.data))
    return found


def union(beats: Iterable[Beat[T]]) -> list[Beat[None]]:
    """Times covered by any of `beats`, in order and without overlap."""
    found: list[Beat[None]] = []
    for start, end in sorted((beat.start, beat.end) for beat in beats):
        if found and start <= found[-1].end:
            if end > found[-1].end:
                found[-1] = Beat(found[-1].start, end, None)
        elif end > start:
            found.append(Beat(start, end, None))
    return found
