"""What each role is told, as a table, and the cut that leaves out everything else. Pure.

The daily summaries of a role hold no more than this already; the cut is made again before a text is, so that a slip
in one place discloses nothing. Categories that the program does not know become "other": their names came from
outside. Called by `compose`.
"""

from collections import Counter
from dataclasses import dataclass, replace

from blockerd.model import CATEGORIES
from blockerd.policy.name import masked
from blockerd.report.week import Day, WeekFacts
from blockerd.settings import Role

OTHER = "other"


@dataclass(frozen=True, slots=True)
class Sees:
    """What of a day a role is told; coverage, counts by day, changes and the trend are for all.

    `time` is active time, late hours and minutes in episodes; `yardsticks` only where the user asked for them.
    """

    categories: bool
    bands: bool
    background: bool
    time: bool
    yardsticks: bool
    hours: bool
    sites: bool


SEES: dict[Role, Sees] = {
    #                   categories bands  background time  yardsticks hours sites
    Role.SPOUSE: Sees(False, False, False, False, False, False, False),
    Role.MENTOR: Sees(True, True, True, False, False, False, False),
    Role.THERAPIST: Sees(True, True, True, True, True, False, False),
    Role.SELF: Sees(True, True, True, True, True, True, True),
}

REVEALED = (Role.THERAPIST, Role.SELF)
"""Who may be shown names whole, where the user asks for a page of that."""


def cut(facts: WeekFacts, role: Role, *, yardsticks: bool = False, reveal: bool = False) -> WeekFacts:
    """`facts` without what `role` is not told; `yardsticks`, `reveal`: the user asked for them, for names whole."""
    sees = SEES[role]
    yardsticks, reveal = sees.yardsticks and yardsticks, role in REVEALED and reveal
    shown = replace(facts, days=tuple(_day(day, sees, yardsticks, reveal) for day in facts.days))
    if sees.time:
        return shown
    base = facts.base and replace(facts.base, episode_minutes=None)
    trend = tuple(replace(week, episode_minutes=None) for week in facts.trend)
    missed = facts.missed and replace(facts.missed, span=replace(facts.missed.span, episode_minutes=None))
    return replace(shown, base=base, trend=trend, missed=missed, regained=None)


def _day(day: Day, sees: Sees, yardsticks: bool, reveal: bool) -> Day:
    return Day(
        date=day.date,
        cover=day.cover,
        requests=_known(day) if sees.categories else (("", day.total),) if day.total else (),
        episodes=day.episodes,
        marks=day.marks,
        background=day.background if sees.background else None,
        bands=day.bands if sees.bands else (),
        hours=day.hours if sees.hours else (),
        sites=day.sites if reveal else _hidden(day) if sees.sites else (),
        screen=day.screen if sees.time else None,
        late=day.late if sees.time else None,
        episode_minutes=day.episode_minutes if sees.time else None,
        signs=day.signs if yardsticks else None,
    )


def _known(day: Day) -> tuple[tuple[str, int], ...]:
    found = Counter[str]()
    for category, count in day.requests:
        found[category if category in CATEGORIES or not category else OTHER] += count
    return tuple(sorted(found.items()))


def _hidden(day: Day) -> tuple[tuple[str, int], ...]:
    """Names with their middle hidden; two that look alike then count as one."""
    found = Counter[str]()
    for site, count in day.sites:
        found[masked(site)] += count
    return tuple(sorted(found.items()))
