"""Who is at the machine: from readings of the idle counter to periods of activity and absence. Pure.

The beginning of an absence is dated back to the last input. A period is told only when it is certain, so the newest
part (up to the time-out) may stay open. What no reading covers is `UNKNOWN`, never a guess. Times are microseconds
since boot, which no clock step touches. Called by `track`.
"""

from dataclasses import dataclass
from enum import StrEnum

from blockerd.screentime.heartbeat import SECOND, Beat

TIMEOUT = 180 * SECOND
"""Without input for this long (µs) nobody is there."""

MEDIA_LONGEST = 3 * 3600 * SECOND
"""A video that plays stands for somebody who watches, up to this long (µs) after the last input."""

GAP = 5 * SECOND
"""Readings further apart than this (µs) leave open what happened between them."""


class Presence(StrEnum):
    """What is known about a moment; the first two are ActivityWatch's words."""

    ACTIVE = "not-afk"
    AWAY = "afk"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Reading:
    """One look: `idle` µs since the last input (None: cannot be told), whether the session is `held` (locked, or
    another user has the screen), whether `media` plays in front, and µs the machine `slept` since the last look."""

    at: int
    idle: int | None
    held: bool = False
    media: bool = False
    slept: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """`status` holds since `decided`, up to where all is told; `active` is the last sign of somebody (it may lie before
    `decided`), `seen` the last reading, which was `held` or not."""

    status: Presence
    decided: int
    active: int
    seen: int
    held: bool = False


Periods = tuple[Beat[Presence], ...]


def begin(at: int) -> State:
    """The state before the first reading at `at`: nothing is known."""
    return State(Presence.UNKNOWN, at, at, at)


def observe(state: State, reading: Reading, timeout: int = TIMEOUT) -> tuple[State, Periods]:
    """The next state, and the periods that `reading` makes certain.

    The periods of a run of readings tile the time from the first reading to `decided`, in order and without a hole.
    A reading older than the last one says nothing.
    """
    if reading.at < state.seen:
        return state, ()
    if reading.slept > 0:
        return _closed(state, reading, state.active, Presence.AWAY)
    if reading.idle is None:
        return _closed(state, reading, state.active, Presence.UNKNOWN)
    last = reading.at - max(0, reading.idle)
    if reading.held:
        return _held(state, reading, last)
    if state.held or (reading.media and reading.idle <= MEDIA_LONGEST):
        last = reading.at  # unlocking is a sign of somebody too
    return _open(state, reading, last, timeout)


def _open(state: State, reading: Reading, last: int, timeout: int) -> tuple[State, Periods]:
    """Nothing keeps the user out; `last` is the newest sign of somebody."""
    hole = Presence.UNKNOWN if reading.at - state.seen > GAP and last > state.seen else Presence.AWAY
    ends: list[tuple[int, Presence]]
    if state.status == Presence.ACTIVE:
        last = max(last, state.active)
        ends = [(last, Presence.ACTIVE)]
        if last - state.active >= timeout:
            ends = [(state.active, Presence.ACTIVE), (last, hole)]
    else:
        ends = [(last, Presence.UNKNOWN if state.status == Presence.UNKNOWN else hole)]
    away = reading.at - last >= timeout or (state.status == Presence.AWAY and last < state.decided)
    if away:
        ends.append((reading.at, Presence.AWAY))
    decided, periods = _tiles(state.decided, ends)
    status = Presence.AWAY if away else Presence.ACTIVE
    return State(status, decided, last, reading.at), periods


def _held(state: State, reading: Reading, last: int) -> tuple[State, Periods]:
    """Locked or switched away: activity ends with the last input before it; keys pressed at the lock wake nobody."""
    if reading.at - state.seen > GAP:
        return _closed(state, reading, state.active, Presence.UNKNOWN, held=True)
    return _closed(state, reading, max(last, state.active), Presence.AWAY, held=True)


def _closed(state: State, reading: Reading, last: int, kind: Presence, *, held: bool = False) -> tuple[State, Periods]:
    """Activity, where there was any, ends at `last`; from there to this reading it is `kind`."""
    ends = [(last, Presence.ACTIVE)] if state.status == Presence.ACTIVE else []
    decided, periods = _tiles(state.decided, [*ends, (reading.at, kind)])
    status = Presence.UNKNOWN if kind == Presence.UNKNOWN and not held else Presence.AWAY
    return State(status, decided, last, reading.at, held), periods


def _tiles(at: int, ends: list[tuple[int, Presence]]) -> tuple[int, Periods]:
    """Periods from `at` to each of `ends` in turn, and where the last one ends."""
    periods = list[Beat[Presence]]()
    for end, kind in ends:
        if end > at:
            periods.append(Beat(at, end, kind))
            at = end
    return at, tuple(periods)
