"""Invented weeks for `blockerd demo` and for tests: evenings, weekends, a slow decline, reserved names only.

The same periods and seed give the same moments. Nothing here is, or looks like, the record of a person. Called by the
command line, which writes the moments through a real spool.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from blockerd.model import TEST_NAME
from blockerd.report import week as told
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


def days(weeks: Sequence[Period], seed: int) -> list[told.Day]:
    """The days of `moments(weeks, seed)` as the person themselves is told of them; what else happened is invented."""
    chance = Random(seed + 1)
    story = moments(weeks, seed)
    return [_told(day, story, chance) for week in weeks for day in week.days]


def _told(day: Day, story: Sequence[Visit | Sign], chance: Random) -> told.Day:
    inside = [moment for moment in story if day.start <= moment.at < day.end]
    signs = [moment.at for moment in inside if isinstance(moment, Sign)]
    visits = [moment for moment in inside if isinstance(moment, Visit) and moment.category not in ("bypass", "demo")]
    awake = (signs[-1] - signs[0]) // _MINUTE
    gap = chance.choice((0,) * 9 + (40,))
    late = max(0, (signs[-1] - day.start - 22 * _HOUR) // _MINUTE)
    bursts = list(_bursts(visits))
    hours = Counter((visit.at - day.start) // _HOUR for visit in visits)
    return told.Day(
        date=day.date,
        cover=told.Cover(awake - gap, 75, (day.end - day.start) // _MINUTE - awake - 75, gap),
        requests=tuple(sorted(Counter(visit.category for visit in visits).items())),
        episodes=len(bursts),
        marks=_marks(chance, len(inside) - len(signs) - len(visits)),
        background=chance.randrange(12),
        bands=tuple(sum(hours[6 * band + hour] for hour in range(6)) for band in range(4)),
        hours=tuple(hours[hour] for hour in range(24)),
        sites=tuple(sorted(Counter(visit.site for visit in visits).items())),
        screen=int(awake * chance.uniform(0.5, 0.8)),
        late=late,
        episode_minutes=sum((burst[-1].at - burst[0].at) // _MINUTE + 4 for burst in bursts),
        signs=told.Signs(chance.choice((0, 0, 0, 1)), len(bursts) // 2),
    )


def _bursts(visits: Sequence[Visit]) -> Iterator[list[Visit]]:
    """Visits with less than half an hour between each and the next."""
    burst: list[Visit] = []
    for visit in visits:
        if burst and visit.at - burst[-1].at >= 30 * _MINUTE:
            yield burst
            burst = []
        burst.append(visit)
    if burst:
        yield burst


def _marks(chance: Random, bypass: int) -> told.Marks:
    pauses = chance.choice((0,) * 8 + (1,))
    return told.Marks(
        pauses=pauses,
        paused=15 * pauses,
        unlocks=chance.choice((0,) * 10 + (1,)),
        weaker=chance.choice((0,) * 14 + (1,)),
        stronger=chance.choice((0,) * 9 + (1,)),
        bypass=bypass,
        protected=2,
        kept=chance.choice((1, 2, 2, 2)),
    )
