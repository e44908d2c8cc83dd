"""The facts of one day as each role may read them: one payload of integers and fixed words for each. Pure.

A payload is a leaf of the log and its opening goes out by mail, so it holds no name, no free text and, but for the
person themselves, no hour finer than a quarter of the day. Whatever text comes in from outside is counted, never
carried; a kind of site that the program does not know becomes "other". Numbers are those that may be summed over
days, as the evidence does; all others are texts. Refuses to read a payload of another shape.
Called by `control` at the day's end, by the reports and by the evidence of the mails.

| key                                | spouse | mentor | therapist | self |
|------------------------------------|--------|--------|-----------|------|
| cover, episodes, marks, trend      | yes    | yes    | yes       | yes  |
| requests                           | one sum| by kind| by kind   | by kind |
| bands (quarters of the day), background | -  | yes    | yes       | yes  |
| aside, screen, late, episode_minutes, urges, signs | - | - | yes   | yes  |
| hours, confidence                  | -      | -      | -         | yes  |
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date, datetime, tzinfo
from typing import Any

from blockerd.model import CATEGORIES, Change, Kind
from blockerd.report.episodes import Episode
from blockerd.report.requests import Confidence, Reading, Sort
from blockerd.report.signs import State
from blockerd.report.week import Cover, Day, Marks, Signs
from blockerd.settings import Role

VERSION = "1"
OTHER, ALL = "other", "all"
BANDS = ("night", "morning", "afternoon", "evening")
HOURS = 24
SPANS = (7, 28)
"""Days over which the trend figures sum, the day itself included."""

Json = Any
"""An integer, a text, a list or an object of these."""

_EACH = ("v", "day", "role", "cover", "requests", "episodes", "marks", "trend")
_MENTOR = (*_EACH, "bands", "background")
_THERAPIST = (*_MENTOR, "aside", "screen", "late", "episode_minutes", "urges", "signs")
_SELF = (*_THERAPIST, "hours", "confidence")
KEYS: Mapping[Role, tuple[str, ...]] = {
    Role.SPOUSE: _EACH,
    Role.MENTOR: _MENTOR,
    Role.THERAPIST: _THERAPIST,
    Role.SELF: _SELF,
}
"""What each role's payload may hold at the most; what is not known is left out."""

_ASIDE = (Sort.EMBED, Sort.PREFETCH, Sort.BACKGROUND)


@dataclass(frozen=True, slots=True)
class DayFacts:
    """What is known of one calendar day. `readings` and `episodes` are those that began in it.

    `coverage` in minutes by state; `marks` are the counts beside changes and ways round, which are counted here from
    `changes` and `readings` and added; `screen` and `late` in minutes; `earlier` are the requests of the days before,
    newest last. None: not measured, or not asked for.
    """

    date: date
    coverage: Mapping[State, int]
    readings: Sequence[Reading] = ()
    episodes: Sequence[Episode] = ()
    changes: Sequence[Change] = ()
    marks: Marks = field(default_factory=Marks)
    screen: int | None = None
    late: int | None = None
    signs: Signs | None = None
    earlier: Sequence[int] = ()


def payload(facts: DayFacts, role: Role, zone: tzinfo) -> dict[str, Json]:
    """The payload of `facts` for `role`, ready for canonical JSON; hours are those of `zone`."""
    requests = [reading for reading in facts.readings if reading.sort == Sort.REQUEST]
    every: dict[str, Json | None] = {
        "v": VERSION,
        "day": facts.date.isoformat(),
        "role": str(role),
        "cover": {state.name.lower(): int(facts.coverage.get(state, 0)) for state in State},
        "requests": _by_category(requests) if role != Role.SPOUSE else _sum(len(requests)),
        "episodes": len(facts.episodes),
        "marks": asdict(_marks(facts)),
        "trend": _trend([*facts.earlier, len(requests)]),
        "bands": _bands(requests, zone),
        "background": sum(reading.sort in _ASIDE for reading in facts.readings),
        "aside": {str(sort): sum(reading.sort == sort for reading in facts.readings) for sort in _ASIDE},
        "screen": facts.screen,
        "late": facts.late,
        "episode_minutes": sum(one.minutes for one in facts.episodes),
        "urges": [_urge(one) for one in facts.episodes],
        "signs": asdict(facts.signs) if facts.signs else None,
        "hours": _hours(requests, zone),
        "confidence": {str(each): sum(reading.confidence == each for reading in requests) for each in Confidence},
    }
    return {key: every[key] for key in KEYS[role] if every[key] is not None}


def payloads(facts: DayFacts, zone: tzinfo) -> dict[Role, dict[str, Json]]:
    """The payload of each role."""
    return {role: payload(facts, role, zone) for role in Role}


def told(got: Mapping[str, Json]) -> Day:
    """What a payload says, as the notes take it. Keys that this role's payload may not hold are refused.

    Raises:
        ValueError: another version or shape.
    """
    try:
        role = Role(got["role"])
        if got["v"] != VERSION or not set(got) <= set(KEYS[role]):
            raise ValueError("version or keys")
        return Day(
            date=date.fromisoformat(got["day"]),
            cover=Cover(**_counts(got["cover"], [one.name for one in fields(Cover)])),
            requests=_requests(_counts(got["requests"], (ALL, OTHER, *CATEGORIES))),
            episodes=_count(got["episodes"]),
            marks=Marks(**_counts(got["marks"], [one.name for one in fields(Marks)])),
            background=_maybe(got, "background"),
            bands=_row(got, "bands", len(BANDS)),
            hours=_row(got, "hours", HOURS),
            screen=_maybe(got, "screen"),
            late=_maybe(got, "late"),
            episode_minutes=_maybe(got, "episode_minutes"),
            signs=Signs(**_counts(got["signs"], [one.name for one in fields(Signs)])) if "signs" in got else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no daily summary that this program knows: {error}") from None


def _by_category(requests: Iterable[Reading]) -> dict[str, int]:
    return dict(Counter(_known(reading.attempt.category) for reading in requests))


def _known(category: str) -> str:
    """A category of ours, "all" where none is kept, "other" for any other text."""
    return category if category in CATEGORIES else OTHER if category else ALL


def _sum(count: int) -> dict[str, int]:
    return {ALL: count} if count else {}


def _marks(facts: DayFacts) -> Marks:
    bypass = sum(reading.attempt.kind == Kind.BYPASS for reading in facts.readings)
    return replace(
        facts.marks,
        weaker=facts.marks.weaker + sum(change.direction == "weaker" for change in facts.changes),
        stronger=facts.marks.stronger + sum(change.direction == "stronger" for change in facts.changes),
        bypass=facts.marks.bypass + bypass,
    )


def _trend(requests: Sequence[int]) -> dict[str, str]:
    """Requests of the last days together, and of how many days they are known."""
    found: dict[str, str] = {}
    for span in SPANS:
        last = requests[-span:]
        found |= {f"days_{span}": str(len(last)), f"requests_{span}": str(sum(last))}
    return found


def _hours(requests: Iterable[Reading], zone: tzinfo) -> list[int]:
    found = [0] * HOURS
    for reading in requests:
        found[datetime.fromtimestamp(reading.attempt.time / 1e6, zone).hour] += 1
    return found


def _bands(requests: Iterable[Reading], zone: tzinfo) -> list[int]:
    hours = _hours(requests, zone)
    width = HOURS // len(BANDS)
    return [sum(hours[first : first + width]) for first in range(0, HOURS, width)]


def _urge(one: Episode) -> dict[str, Json]:
    """An episode for those who help: how long, how many, when to a quarter of the day, what came before."""
    return {
        "band": BANDS[one.hour * len(BANDS) // HOURS],
        "minutes": str(one.minutes),
        "requests": str(one.requests),
        "before": [str(each) for each in one.before],
    }


def _requests(counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """By category, "" where none is kept, as the notes know it."""
    return tuple(sorted((name if name != ALL else "", count) for name, count in counts.items()))


def _count(got: Json) -> int:
    if type(got) is not int or got < 0:
        raise ValueError(f"no count: {got!r}")
    return got


def _counts(got: Json, names: Iterable[str]) -> dict[str, int]:
    if not isinstance(got, dict) or not set(got) <= set(names):
        raise ValueError("other counts than known")
    return {name: _count(count) for name, count in got.items()}


def _maybe(got: Mapping[str, Json], key: str) -> int | None:
    return _count(got[key]) if key in got else None


def _row(got: Mapping[str, Json], key: str, length: int) -> tuple[int, ...]:
    if key not in got:
        return ()
    if not isinstance(got[key], list) or len(got[key]) != length:
        raise ValueError(key)
    return tuple(_count(one) for one in got[key])
