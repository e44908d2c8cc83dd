"""From counted attempts and signs of life to the Summary of a period. Pure.

Says only what is known: time without a sign of life is neither "off" nor "fine", it is unknown. The test name is not
counted, tries to walk round the filter stand apart, and no site appears. Called by the command line; the records it
takes are filled by `journal.read`.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from blockerd.model import Kind
from blockerd.report.period import Day, Period

_MINUTE = 60_000_000


@dataclass(frozen=True, slots=True)
class Tally:
    """Attempts of one category and kind that began in bucket number `bucket` of those asked for.

    `questions` are the single questions merged into them.
    """

    bucket: int
    category: str
    kind: Kind
    attempts: int
    questions: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time (Unix microseconds) in which a process of blockerd is known to have run."""

    process: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What the journal knows about a time beside attempts.

    `first` and `last` are the ends of everything ever recorded (Unix microseconds, None: nothing), `lost` the questions
    known to be missing from the record.
    """

    stretches: tuple[Stretch, ...]
    first: int | None
    last: int | None
    lost: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a period is on record, in whole minutes; `unknown` is the rest, whatever the reason.

    `first` and `last` are the ends of everything ever recorded (Unix microseconds, None: nothing).
    """

    running: int
    unknown: int
    first: int | None
    last: int | None
    lost: int


@dataclass(frozen=True, slots=True)
class DaySummary:
    """One day: attempts by category, tries to walk round the filter, minutes known to have run."""

    date: date
    attempts: tuple[tuple[str, int], ...]
    bypass: int
    running: int

    @property
    def total(self) -> int:
        """All attempts of the day."""
        return sum(count for _, count in self.attempts)


@dataclass(frozen=True, slots=True)
class ListState:
    """How a fetched list stands: its category, days since it was known to be current (None: never).

    `held`: its new version looked wrong or could not be had.
    """

    category: str
    age_days: float | None
    held: bool


@dataclass(frozen=True, slots=True)
class PeriodSummary:
    """What one period holds; `until` (Unix microseconds) is where it stops when it is not over yet.

    `attempts` by category, most frequent first; days that have not begun are left out of `days`.
    """

    label: str
    start: int
    end: int
    until: int
    coverage: Coverage
    days: tuple[DaySummary, ...]
    attempts: tuple[tuple[str, int], ...]
    bypass: int

    @property
    def total(self) -> int:
        """All attempts of the period."""
        return sum(count for _, count in self.attempts)

    @property
    def over(self) -> bool:
        """True once the period has ended."""
        return self.until >= self.end


def summarise(period: Period, tallies: Iterable[Tally], facts: Facts, now_us: int) -> PeriodSummary:
    """The summary of `period` as known at `now_us`; the bucket of each tally is the number of a day of the period."""
    until = max(period.start, min(now_us, period.end))
    running = _union(stretch for stretch in facts.stretches if stretch.process == "dns")
    by_day = [Counter[str]() for _ in period.days]
    bypass = [0 for _ in period.days]
    for tally in tallies:
        if tally.kind == Kind.ATTEMPT:
            by_day[tally.bucket][tally.category] += tally.attempts
        elif tally.kind == Kind.BYPASS:
            bypass[tally.bucket] += tally.attempts
    days = tuple(
        DaySummary(day.date, _ordered(by_day[n]), bypass[n], _minutes(running, day.start, min(day.end, until)))
        for n, day in enumerate(period.days)
        if _has_begun(day, until)
    )
    return PeriodSummary(
        label=period.label,
        start=period.start,
        end=period.end,
        until=until,
        coverage=_coverage(running, period.start, until, facts),
        days=days,
        attempts=_ordered(sum(by_day, Counter[str]())),
        bypass=sum(bypass),
    )


def _has_begun(day: Day, until: int) -> bool:
    return day.start < until or (day.start == until and day.end > until)


def _coverage(running: list[tuple[int, int]], start: int, until: int, facts: Facts) -> Coverage:
    minutes = _minutes(running, start, until)
    return Coverage(minutes, (until - start) // _MINUTE - minutes, facts.first, facts.last, facts.lost)


def _union(stretches: Iterable[Stretch]) -> list[tuple[int, int]]:
    """Times covered by any of `stretches`, in order and without overlap."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted((stretch.first, stretch.last) for stretch in stretches):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _minutes(running: list[tuple[int, int]], start: int, end: int) -> int:
    """Whole minutes of `running` between `start` and `end`."""
    return sum(max(0, min(last, end) - max(first, start)) for first, last in running) // _MINUTE


def _ordered(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
