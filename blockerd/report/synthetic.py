"""Invented weeks for `blockerd demo` and for tests: evenings, weekends, a slow decline, reserved names only.

The same periods and seed give the same moments. Nothing here is, or looks like, the record of a person. Called by the
command line, which writes the moments through a real spool.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from blockerd.model import TEST_NAME
from blockerd.report.period import Day, Period

SITES = 40
"""Sites are site-0.test to site-39.test; the category of each is fixed by its number."""

_CATEGORIES = ("adult", "adult", "adult", "cam", "adult", "chat", "adult", "cam")
_MINUTE = 60_000_000
_HOUR = 60 * _MINUTE


@dataclass(frozen=True, slots=True)
class Visit:
    """One attempt at `at` (Unix microseconds), asked `questions` times within seconds."""

    at: int
    site: str
    category: str
    questions: int


@dataclass(frozen=True, slots=True)
class Sign:
    """One sign of life of the daemon at `at` (Unix microseconds): "start", "alive" or "stop"."""

    at: int
    state: str


def moments(weeks: Sequence[Period], seed: int) -> list[Visit | Sign]:
    """What happened in `weeks`, in order of time; the later the week, the less."""
    chance = Random(seed)
    found: list[Visit | Sign] = [Visit(weeks[0].days[0].start + 18 * _HOUR, TEST_NAME, "demo", 1)]
    for number, week in enumerate(weeks):
        for day in week.days:
            for begin, end in _sessions(day, chance):
                found += _signs(begin, end)
                found += _visits(begin, end, chance, 1.0 - 0.6 * number / len(weeks))
    return sorted(found, key=lambda moment: moment.at)


def _sessions(day: Day, chance: Random) -> list[tuple[int, int]]:
    """When the computer is on: evenings, and from late morning at weekends."""
    first = 10.0 if day.date.weekday() >= 5 else 17.0
    begin = day.start + int((first + chance.uniform(0, 1.5)) * _HOUR)
    end = day.start + int(chance.uniform(21.5, 22.9) * _HOUR)
    return [(begin, end)]


def _signs(begin: int, end: int) -> Iterator[Sign]:
    yield Sign(begin, "start")
    yield from (Sign(at, "alive") for at in range(begin + _MINUTE, end, _MINUTE))
    yield Sign(end, "stop")


def _visits(begin: int, end: int, chance: Random, amount: float) -> Iterator[Visit]:
    """Some bursts of a few visits, the later in the session the likelier."""
    for _ in range(int(chance.choice((0, 1, 1, 2, 3)) * amount + chance.random())):
        at = begin + int((end - begin - 30 * _MINUTE) * chance.random() ** 0.5)
        for _ in range(chance.randint(1, 5)):
            number = chance.randrange(SITES)
            yield Visit(at, f"site-{number}.test", _CATEGORIES[number % len(_CATEGORIES)], chance.randint(2, 6))
            at += chance.randint(2, 6) * _MINUTE
    if chance.random() < 0.08 * amount:
        yield Visit(begin + (end - begin) // 2, "bypass-0.test", "bypass", 2)
