"""Budgets, late hours and long sessions by the user's own measure, and a week beside their own baseline. Pure.

Numbers to look at, no judgement: nothing here blocks or tells anybody else. Times are microseconds unless named
otherwise. Called by `blockerd time` and the agent's warnings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import Any

from blockerd.policy.schedule import Window
from blockerd.screentime.heartbeat import SECOND, Beat, union
from blockerd.screentime.sums import by_hour
from blockerd.settings import Budget, Per

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

SESSION_PAUSE = 5 * MINUTE
"""A pause this long (µs) ends a session."""

COMPARABLE = 0.7
"""Two weeks are compared only if at least this share of the better known one is known of the other."""

MARKS = (11, 12)
"""Hours a week that the literature speaks of."""


class Left(StrEnum):
    """Where a budget stands."""

    FINE = "fine"
    NEAR = "near the end"
    OVER = "used up"


@dataclass(frozen=True, slots=True)
class Standing:
    """A budget and what was used of it; `left` is negative beyond the end."""

    budget: Budget
    used: int

    @property
    def left(self) -> int:
        """Microseconds that remain."""
        return self.budget.minutes * MINUTE - self.used

    @property
    def state(self) -> Left:
        """Fine, near the end (its second half at the earliest), or used up."""
        if self.left <= 0:
            return Left.OVER
        return Left.NEAR if self.left <= min(self.budget.warn, self.budget.minutes / 2) * MINUTE else Left.FINE

    @property
    def text(self) -> str:
        """One line, e.g. "firefox: 50 of 60 minutes of this day"."""
        budget = self.budget
        return f"{budget.of}: {self.used // MINUTE} of {budget.minutes} minutes of this {budget.per}"


def standings(budgets: Sequence[Budget], day: Mapping[str, int], week: Mapping[str, int]) -> list[Standing]:
    """How each budget stands; `day` and `week` are microseconds by app and category, and "all" for their whole."""
    return [Standing(budget, (day if budget.per == Per.DAY else week).get(budget.of, 0)) for budget in budgets]


def late(active: Sequence[Beat[Any]], windows: Sequence[Window], zone: tzinfo) -> int:
    """Microseconds of activity inside the user's own late hours."""
    total = 0
    for beat in active:
        at = beat.start
        while at < beat.end:
            stop = min(beat.end, (at // MINUTE + 1) * MINUTE)
            if any(_inside(minute_of(at, zone), window) for window in windows):
                total += stop - at
            at = stop
    return total


def sessions(active: Sequence[Beat[str]], at_least: int) -> list[Beat[None]]:
    """Sessions of `at_least` µs, pauses under SESSION_PAUSE included."""
    found: list[Beat[None]] = []
    for beat in union(active):
        if found and beat.start - found[-1].end < SESSION_PAUSE:
            found[-1] = Beat(found[-1].start, beat.end, None)
        else:
            found.append(beat)
    return [session for session in found if session.length >= at_least]


@dataclass(frozen=True, slots=True)
class Week:
    """One week: `used` µs at listed categories, and `known` µs about which something is known."""

    label: str
    used: int
    known: int


@dataclass(frozen=True, slots=True)
class Against:
    """A week beside the baseline; `regained` µs is None where the two cannot be compared."""

    week: Week
    baseline: Week
    regained: int | None


def against(week: Week, baseline: Week) -> Against:
    """`week` beside the user's own `baseline`: hours regained, negative where it was more.

    None if one of them is known much less than the other: a gap would pass for a gain.
    """
    least, most = sorted((week.known, baseline.known))
    comparable = most > 0 and least >= COMPARABLE * most
    return Against(week, baseline, baseline.used - week.used if comparable else None)


def mark_text(used: int) -> str:
    """What the user's own view says about the week on request; for nobody else, and not by itself."""
    low, high = MARKS
    hours = used / HOUR
    place = "below both" if hours < low else "between them" if hours < high else "above both"
    return (
        f"Studies often speak of {low} or {high} hours a week; this week's estimate is {hours:.1f} h, {place}."
        " It is a number to talk about, not a diagnosis."
    )


def minute_of(at: int, zone: tzinfo) -> int:
    """Minute of the day in `zone`."""
    local = datetime.fromtimestamp(at // SECOND, UTC).astimezone(zone)
    return local.hour * 60 + local.minute


def _inside(minute: int, window: Window) -> bool:
    if window.end > window.start:
        return window.start <= minute < window.end
    return minute >= window.start or minute < window.end


def busiest(active: Sequence[Beat[Any]], zone: tzinfo) -> list[int]:
    """Microseconds of activity by hour of the day (24 of them)."""
    found = [0] * 24
    for hour, length in by_hour(active, zone).items():
        found[hour.hour] += length
    return found
