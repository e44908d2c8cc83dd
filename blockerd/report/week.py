"""WeekFacts: everything a note may say, built from the daily summaries of one reader and nothing else. Pure.

A day holds only what the reader's role may have; what is None was not told, not measured or not kept, and no text is
made of it. Refuses days from before sharing began. Called by whoever prepares a note, before `roles.cut`.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, timedelta

from blockerd.report.period import Period

TREND = 8
"""Weeks of a trend, the one of the note included."""
_WEEK = timedelta(days=7)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Cover:
    """Minutes of a time by state; they sum to its length. See `coverage.State`."""

    monitored: int = 0
    asleep: int = 0
    off: int = 0
    unmonitored: int = 0
    not_running: int = 0
    unknown: int = 0

    @property
    def powered_on(self) -> int:
        """Minutes in which the computer is known to have been awake."""
        return self.monitored + self.unmonitored

    @property
    def total(self) -> int:
        """Minutes of the whole time."""
        return sum(getattr(self, one.name) for one in fields(self))

    def __add__(self, other: "Cover") -> "Cover":
        return Cover(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


@dataclass(frozen=True, slots=True)
class Marks:
    """Counts of what was done to the filter; `paused`, `vpn`, `elsewhere` and `another` in minutes."""

    pauses: int = 0
    paused: int = 0
    unlocks: int = 0
    weaker: int = 0
    stronger: int = 0
    bypass: int = 0
    vpn: int = 0
    elsewhere: int = 0
    another: int = 0
    clock: int = 0
    unclean: int = 0
    rejected: int = 0
    lost: int = 0
    protected: int = 0
    kept: int = 0

    def __add__(self, other: "Marks") -> "Marks":
        return Marks(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


@dataclass(frozen=True, slots=True)
class Signs:
    """What was done against one's own plan, as counts: opened early, went on after a limit."""

    control: int = 0
    continuation: int = 0


@dataclass(frozen=True, slots=True)
class Day:
    """One day as a reader is told of it.

    `requests` by category, "" where kinds were not kept or are merged; background is never among them. `bands` are
    the four quarters of the day, `hours` the 24 hours, `sites` names with counts. `episode_minutes` run from the first
    request of each episode to its last.
    """

    date: date
    cover: Cover
    requests: tuple[tuple[str, int], ...] = ()
    episodes: int = 0
    marks: Marks = Marks()
    background: int | None = None
    bands: tuple[int, ...] = ()
    hours: tuple[int, ...] = ()
    sites: tuple[tuple[str, int], ...] = ()
    screen: int | None = None
    late: int | None = None
    episode_minutes: int | None = None
    signs: Signs | None = None

    @property
    def total(self) -> int:
        """Requests of all categories."""
        return sum(count for _, count in self.requests)


@dataclass(frozen=True, slots=True)
class Span:
    """Some days together: `first` names them, `days` is how many have a summary; without any, nothing is known."""

    first: date
    days: int
    requests: int
    episodes: int
    monitored: int
    episode_minutes: int | None


@dataclass(frozen=True, slots=True)
class Missed:
    """Periods before this one that nobody was told of; `span` is what they hold."""

    periods: int
    last: date
    span: Span


@dataclass(frozen=True, slots=True)
class WeekFacts:
    """One period for one reader. `trend` is oldest first and ends with the seven days that end this period.

    `base` is the first whole week on record where that lies before this period, `free_days` counts days without a
    request since `since`, the first day on record or of sharing. `regained` (minutes) never shrinks by a hard week.
    """

    label: str
    first: date
    last: date
    days: tuple[Day, ...]
    absent: int
    trend: tuple[Span, ...]
    base: Span | None
    since: date
    free_days: int
    regained: int | None
    missed: Missed | None = None

    @property
    def cover(self) -> Cover:
        """All minutes of the period that have a summary."""
        return sum((day.cover for day in self.days), Cover())

    @property
    def marks(self) -> Marks:
        """All counts of the period."""
        return sum((day.marks for day in self.days), Marks())

    @property
    def requests(self) -> int:
        """All requests of the period."""
        return sum(day.total for day in self.days)

    @property
    def episodes(self) -> int:
        """All episodes of the period."""
        return sum(day.episodes for day in self.days)

    def categories(self) -> tuple[tuple[str, int], ...]:
        """Requests of the period by category, most frequent first."""
        found = Counter[str]()
        for day in self.days:
            found.update(dict(day.requests))
        return tuple(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def gather(
    period: Period, days: Mapping[date, Day], since: date | None = None, missed: tuple[Period, ...] = ()
) -> WeekFacts:
    """The facts of `period` from `days`, all there are; those before `since` (sharing began) are not looked at."""
    first, last = period.days[0].date, period.days[-1].date
    kept = {at: day for at, day in days.items() if (since is None or at >= since) and at <= last}
    begun = min(kept, default=first if since is None else max(first, since))
    inside = tuple(kept[day.date] for day in period.days if day.date in kept)
    weeks = _weeks(kept, begun, last)
    base = _span(kept, begun, begun + _WEEK - _DAY) if begun + _WEEK <= first else None
    return WeekFacts(
        label=period.label,
        first=first,
        last=last,
        days=inside,
        absent=len(period.days) - len(inside),
        trend=weeks[-TREND:],
        base=base,
        since=begun,
        free_days=sum(1 for day in kept.values() if not day.total and day.cover.monitored),
        regained=_regained(base, weeks),
        missed=_missed(kept, missed),
    )


def _weeks(days: Mapping[date, Day], begun: date, last: date) -> tuple[Span, ...]:
    """Whole weeks that end with `last`, oldest first, none that begins before the record."""
    found = []
    end = last
    while end - _WEEK + _DAY >= begun:
        found.append(_span(days, end - _WEEK + _DAY, end))
        end -= _WEEK
    while found and not found[-1].days:
        found.pop()
    return tuple(reversed(found))


def _span(days: Mapping[date, Day], first: date, last: date) -> Span:
    inside = [day for at, day in days.items() if first <= at <= last]
    known = [day.episode_minutes for day in inside if day.episode_minutes is not None]
    return Span(
        first=first,
        days=len(inside),
        requests=sum(day.total for day in inside),
        episodes=sum(day.episodes for day in inside),
        monitored=sum(day.cover.monitored for day in inside),
        episode_minutes=sum(known) if known else None,
    )


def _regained(base: Span | None, weeks: tuple[Span, ...]) -> int | None:
    """Minutes by which each later week stayed below the first; a week above it takes nothing away."""
    if base is None or base.episode_minutes is None:
        return None
    later = [week.episode_minutes for week in weeks if week.first > base.first and week.days == 7]
    return sum(max(0, base.episode_minutes - minutes) for minutes in later if minutes is not None)


def _missed(days: Mapping[date, Day], periods: tuple[Period, ...]) -> Missed | None:
    if not periods:
        return None
    first, last = periods[0].days[0].date, periods[-1].days[-1].date
    return Missed(len(periods), last, _span(days, first, last))
