"""Requests gathered into episodes, the hours of the week in which they come, and a schedule proposed from them. Pure.

An episode is a run of requests with less than a gap between two. The gap is 30 minutes unless given: an urge is said
to rise and pass within 5 to 30 minutes, so what comes later is another one; and half an hour is also what counting of
web visits has long used, so figures can be compared. Refuses to name risk hours from too little: then it says so.
Proposals only add to what blocks. Called by `report.daily` and by the reports for the role self.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum

from blockerd.policy.schedule import DAYS
from blockerd.report.requests import Confidence, Reading, Sort

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US

GAP_US = 30 * MINUTE_US
BEFORE_US = 60 * MINUTE_US
"""How far back is looked for what came before an episode."""

LONG_US = 120 * MINUTE_US
"""Screen time from which on a session counts as long."""

LATE = range(5)
"""Hours of the clock on the wall that are late at night, unless the person has set others."""

LEAST_WEEKS, LEAST_EPISODES = 4, 8
WEEK_HOURS = 7 * 24
MOST_HOURS = 28
"""Hours a week that a proposal covers at most: it is to be kept, not only made."""

_TWICE = 2.0
_PRIOR_WEEKS = 2.0
_NEAR = ((-1, 0.25), (0, 0.5), (1, 0.25))
_OTHER_DAY = 0.15
"""What an episode at the same hour of another weekday adds, beside its own 1: habits keep hours more than days."""
_SUPPORT = 3.0


class Before(StrEnum):
    """What came before an episode, where it is known."""

    LATE_NIGHT = "late night"
    LONG_SESSION = "long session"
    BYPASS = "way round"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class Sighting:
    """Something that may come before an episode: screen time, a sign of a way round, a pause. Times are Unix µs.

    `what` is LONG_SESSION for any screen time; its length decides.
    """

    what: Before
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Episode:
    """Requests with less than a gap between two: Unix µs of the first and last question, requests by category.

    `weekday` (0 is Monday) and `hour` are those of its begin on the wall; `sure` of the requests are read with more
    than low confidence.
    """

    start: int
    end: int
    weekday: int
    hour: int
    categories: tuple[tuple[str, int], ...]
    sure: int
    before: tuple[Before, ...]

    @property
    def requests(self) -> int:
        """All requests in it."""
        return sum(count for _, count in self.categories)

    @property
    def minutes(self) -> int:
        """Its length in whole minutes, at least 1."""
        return max(1, round((self.end - self.start) / MINUTE_US))


@dataclass(frozen=True, slots=True)
class Risk:
    """Episodes a week for each hour of the week (Monday 0 h first), smoothed; `support` says how often they came back.

    `episodes` in `weeks` stand behind it.
    """

    rates: tuple[float, ...]
    support: tuple[float, ...]
    episodes: int
    weeks: int


@dataclass(frozen=True, slots=True)
class TooLittle:
    """Why there are no risk hours yet: what there is and what it takes."""

    episodes: int
    weeks: int

    def words(self) -> str:
        """One sentence for the person."""
        return (
            f"Not enough yet to see a pattern: {self.episodes} episodes in {self.weeks} whole weeks;"
            f" it takes {LEAST_EPISODES} in {LEAST_WEEKS}."
        )


@dataclass(frozen=True, slots=True)
class Proposal:
    """A schedule from one's own risk hours: (days, window) pairs as the settings take them, and the words with it."""

    windows: tuple[tuple[tuple[str, ...], str], ...]
    categories: tuple[str, ...]
    toml: str
    words: str


def episodes(
    readings: Iterable[Reading],
    zone: tzinfo,
    gap_us: int = GAP_US,
    sightings: Sequence[Sighting] = (),
    late: Collection[int] = LATE,
) -> list[Episode]:
    """The episodes of `readings`, oldest first. Only requests make one; background, embeds and prefetch do not."""
    requests = sorted((r for r in readings if r.sort == Sort.REQUEST), key=lambda r: r.attempt.time)
    groups: list[list[Reading]] = []
    last = 0
    for request in requests:
        if groups and request.attempt.time - last < gap_us:
            groups[-1].append(request)
        else:
            groups.append([request])
            last = 0
        last = max(last, request.attempt.last)
    return [_episode(group, zone, sightings, late) for group in groups]


def risk(found: Sequence[Episode], start_us: int, end_us: int, zone: tzinfo) -> Risk | TooLittle:
    """The rate of episodes for each hour of the week over the whole weeks that end with `end_us` (Unix µs).

    Counted by begin, spread a quarter to each neighbouring hour, lent in part to the same hour of other days, and
    drawn towards the mean as if two average weeks had been seen before.
    """
    weeks = max(0, end_us - start_us) // (WEEK_HOURS * HOUR_US)
    inside = [one for one in found if end_us - weeks * WEEK_HOURS * HOUR_US <= one.start < end_us]
    if weeks < LEAST_WEEKS or len(inside) < LEAST_EPISODES:
        return TooLittle(len(inside), weeks)
    counts = [0.0] * WEEK_HOURS
    for hour in map(_hour_of_week(zone), inside):
        for step, share in _NEAR:
            for day in range(7):
                counts[(hour + step + 24 * day) % WEEK_HOURS] += share * (_OTHER_DAY if day else 1.0)
    mean = sum(counts) / WEEK_HOURS
    rates = tuple((count + mean / weeks * _PRIOR_WEEKS) / (weeks + _PRIOR_WEEKS) for count in counts)
    return Risk(rates, _support(inside, zone), len(inside), weeks)


def risk_hours(found: Risk) -> tuple[int, ...]:
    """Hours of the week (Monday 0 h is 0) at least twice as risky as the mean, at most MOST_HOURS, in order.

    One evening makes no pattern: it takes about three weeks in which something began within an hour of it.
    """
    mean = sum(found.rates) / WEEK_HOURS
    risky = [h for h, rate in enumerate(found.rates) if rate >= _TWICE * mean and found.support[h] >= _SUPPORT]
    return tuple(sorted(sorted(risky, key=lambda hour: (-found.rates[hour], hour))[:MOST_HOURS]))


def propose(found: Risk, categories: Sequence[str], always: Collection[str]) -> Proposal:
    """A schedule for those of `categories` that do not block already; `always` are those that block at all times.

    A schedule says when a category blocks, so one for a category that always does would open it: none is proposed.
    """
    hours = risk_hours(found)
    wanted = tuple(category for category in categories if category not in always)
    windows = _windows(hours)
    words = [f"In the last {found.weeks} weeks there were {found.episodes} episodes."]
    if not windows:
        words.append("They come at no hours of their own, so there is no schedule to propose.")
        return Proposal((), wanted, "", " ".join(words))
    words.append(f"Most often they began in these hours: {_named(windows)}.")
    if not wanted:
        words.append("What you chose to block is blocked at all times, so a schedule would add nothing.")
        words.append("These may be good hours to be among people, or to plan something for.")
        return Proposal(windows, (), "", " ".join(words))
    words.append("If you like, block more in them; nothing changes before you say so.")
    toml = "\n".join(_table(category, days, window) for category in wanted for days, window in windows)
    return Proposal(windows, wanted, toml, " ".join(words))


def _episode(group: Sequence[Reading], zone: tzinfo, sightings: Sequence[Sighting], late: Collection[int]) -> Episode:
    start, end = group[0].attempt.time, max(reading.attempt.last for reading in group)
    local = datetime.fromtimestamp(start / 1e6, zone)
    counts = Counter(reading.attempt.category for reading in group)
    return Episode(
        start=start,
        end=end,
        weekday=local.weekday(),
        hour=local.hour,
        categories=tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
        sure=sum(reading.confidence != Confidence.LOW for reading in group),
        before=tuple(sorted(_before(start, local.hour, sightings, late))),
    )


def _before(start: int, hour: int, sightings: Sequence[Sighting], late: Collection[int]) -> set[Before]:
    found: set[Before] = set()
    for one in sightings:
        near = one.start < start and one.end > start - BEFORE_US
        if not near:
            continue
        if one.what != Before.LONG_SESSION:
            found.add(one.what)
            continue
        if min(one.end, start) - one.start >= LONG_US:
            found.add(Before.LONG_SESSION)
        if hour in late:
            found.add(Before.LATE_NIGHT)
    return found


def _hour_of_week(zone: tzinfo) -> Callable[[Episode], int]:
    def hour(one: Episode) -> int:
        local = datetime.fromtimestamp(one.start / 1e6, zone)
        return local.weekday() * 24 + local.hour

    return hour


def _support(found: Sequence[Episode], zone: tzinfo) -> tuple[float, ...]:
    """For each hour of the week the number of weeks with an episode within an hour of it, and a part for other days.

    0 where none ever began near it on this day of the week.
    """
    weeks: list[set[int]] = [set() for _ in range(WEEK_HOURS)]
    for one, hour in zip(found, map(_hour_of_week(zone), found), strict=True):
        for step in (-1, 0, 1):
            weeks[(hour + step) % WEEK_HOURS].add(one.start // (WEEK_HOURS * HOUR_US))
    own = [len(each) for each in weeks]
    return tuple(
        count + _OTHER_DAY * sum(own[(hour + 24 * day) % WEEK_HOURS] for day in range(1, 7)) if count else 0.0
        for hour, count in enumerate(own)
    )


def _windows(hours: Sequence[int]) -> tuple[tuple[tuple[str, ...], str], ...]:
    """`hours` of the week as windows, those of equal times joined over their days, in the order of their times.

    A window belongs to the day on which it begins and may run past midnight.
    """
    days: dict[str, list[str]] = {}
    for begin, length in _runs(hours):
        end = (begin + length) % 24
        days.setdefault(f"{begin % 24:02d}:00-{end or 24:02d}:00", []).append(DAYS[begin // 24])
    return tuple(sorted(((tuple(names), window) for window, names in days.items()), key=lambda item: item[1]))


def _runs(hours: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(first hour of the week, length) of neighbouring hours, none longer than half a day; Sunday night runs on."""
    chosen = set(hours)
    starts = [hour for hour in sorted(chosen) if (hour - 1) % WEEK_HOURS not in chosen]
    for begin in starts or sorted(chosen)[:1]:
        length = 1
        while length < WEEK_HOURS and (begin + length) % WEEK_HOURS in chosen:
            length += 1
        for at in range(0, length, 12):
            yield (begin + at) % WEEK_HOURS, min(12, length - at)


def _table(category: str, days: Sequence[str], window: str) -> str:
    listed = ", ".join(f'"{day}"' for day in days)
    head = f"# Takes effect where lists.categories holds {category}.\n"
    return f'{head}[[schedule]]\ncategory = "{category}"\ndays = [{listed}]\nwindows = ["{window}"]\n'


def _named(windows: Sequence[tuple[Sequence[str], str]]) -> str:
    return "; ".join(f"{', '.join(day.capitalize() for day in days)} {window}" for days, window in windows)
