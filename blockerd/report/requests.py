"""Attempts read as likely requests of a person, or as what pages and programs ask for by themselves. Pure.

A blocked page never loads, so it brings no helpers along: a request of a person stands alone or is followed by the
next one minutes later, while several listed sites in one second come from some other page. What the record cannot
tell stays a request, and says "low". For the eyes of the person whose computer it is; background never counts.
Called by `report.daily` and by the reports.

| pattern on record                                        | read as    | confidence     |
|----------------------------------------------------------|------------|----------------|
| the test name; a way round the filter                    | apart      | high           |
| `blockerd check` and the like (channel cli)              | background | high           |
| equal gaps, 5 times or more; 15 min without a pause      | background | medium or high |
| the same minute of the day on 4 days                     | background | medium         |
| five or more listed sites within a second of each other  | prefetch   | medium         |
| two to four: the first one; those after it               | request; embed | low        |
| other sites before or after it within minutes, each alone | request   | medium         |
| anything else                                            | request    | low            |

Finer facts, where they are at hand, come before all of these but the first two.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from blockerd.model import Attempt, Channel, Kind

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US

BURST_US = SECOND_US
"""Questions this close together belong to one page."""

FOLLOW_US = 10 * MINUTE_US
"""A person who goes on does so within this time."""

LOOK_AHEAD = 5
"""This many listed sites in one burst are a page that looks ahead."""

EQUAL_GAPS, SURE_GAPS = 4, 8
STEADY_US, SURE_US = 15 * MINUTE_US, 45 * MINUTE_US
SAME_DAYS = 4
_DAY_US = 24 * 60 * MINUTE_US
_SAME_US = 90 * SECOND_US
_HTTPS = 65


class Sort(StrEnum):
    """What an attempt most likely was; only REQUEST counts as one."""

    REQUEST = "request"
    EMBED = "embed"
    PREFETCH = "prefetch"
    BACKGROUND = "background"
    APART = "apart"


class Confidence(StrEnum):
    """How sure the reading is."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Front(StrEnum):
    """Who was in front when it was asked, as the agent of the console user knows it."""

    UNKNOWN = "unknown"
    BROWSER = "browser"
    OTHER = "other"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Finer:
    """What may be known beside the stored attempt; None and UNKNOWN where it is not.

    `before` and `after` count other names, listed or not, that the same asker wanted in the second before and after;
    `navigation` says whether the proxy saw a page being opened.
    """

    qtypes: frozenset[int] | None = None
    before: int | None = None
    after: int | None = None
    front: Front = Front.UNKNOWN
    navigation: bool | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """An attempt, what it most likely was, how sure that is, and why in words that name nothing."""

    attempt: Attempt
    sort: Sort
    confidence: Confidence
    reasons: tuple[str, ...]


_Verdict = tuple[Sort, Confidence, str]


def read(attempts: Sequence[Attempt], finer: Mapping[int, Finer] | None = None) -> list[Reading]:
    """A reading of each attempt, in their order; `finer` is keyed by place in `attempts`.

    The more days are given at once, the more patterns show: two weeks are plenty.
    """
    known = finer or {}
    patterns = _patterns(attempts)
    bursts = _bursts(attempts)
    alone = [n for n, burst in enumerate(bursts) if burst.others == 0 and n not in patterns]
    followed = _followed([(n, attempts[n]) for n in alone if attempts[n].kind == Kind.ATTEMPT])
    return [
        _reading(attempt, known.get(n, Finer()), patterns.get(n), bursts[n], n in followed)
        for n, attempt in enumerate(attempts)
    ]


@dataclass(frozen=True, slots=True)
class _Burst:
    """Other listed sites that the same asker wanted in the same second, and whether this one was the first."""

    others: int
    first: bool


def _reading(attempt: Attempt, finer: Finer, pattern: _Verdict | None, burst: _Burst, followed: bool) -> Reading:
    verdict = _given(attempt) or _seen(finer) or pattern or _nobody(finer) or _of_burst(finer, burst)
    if verdict is None:
        verdict = _alone(finer, followed)
    sort, confidence, reason = verdict
    reasons = [reason]
    if sort == Sort.REQUEST and finer.front == Front.BROWSER and confidence != Confidence.HIGH:
        confidence = Confidence.HIGH if confidence == Confidence.MEDIUM else Confidence.MEDIUM
        reasons.append("a browser was in front")
    if sort == Sort.REQUEST and finer.qtypes and _HTTPS in finer.qtypes:
        reasons.append("asked the way browsers ask")
    if not attempt.site and sort != Sort.APART:
        reasons.append("sites are not kept at this privacy level, so less can be told")
    return Reading(attempt, sort, confidence, tuple(reasons))


def _given(attempt: Attempt) -> _Verdict | None:
    if attempt.kind == Kind.TEST:
        return Sort.APART, Confidence.HIGH, "the test name"
    if attempt.kind == Kind.BYPASS:
        return Sort.APART, Confidence.HIGH, "a way round the filter, counted apart"
    if attempt.channel == Channel.CLI:
        return Sort.BACKGROUND, Confidence.HIGH, "asked on the command line to see what the filter says"
    return None


def _seen(finer: Finer) -> _Verdict | None:
    if finer.navigation is None:
        return None
    if finer.navigation:
        return Sort.REQUEST, Confidence.HIGH, "a browser opened it as a page"
    return Sort.EMBED, Confidence.HIGH, "a browser wanted it as part of another page"


def _nobody(finer: Finer) -> _Verdict | None:
    if finer.front == Front.NOBODY:
        return Sort.BACKGROUND, Confidence.MEDIUM, "nobody was at the computer"
    return None


def _of_burst(finer: Finer, burst: _Burst) -> _Verdict | None:
    """What the neighbours in the same second say."""
    if burst.others + 1 >= LOOK_AHEAD:
        reason = f"{burst.others} other listed sites were asked for in the same second, as by a page that looks ahead"
        return Sort.PREFETCH, Confidence.MEDIUM, reason
    if finer.before is not None and finer.before >= 3:
        confidence = Confidence.MEDIUM if finer.before >= 6 else Confidence.LOW
        return Sort.EMBED, confidence, f"{finer.before} other names were asked for just before, as by a page that loads"
    if burst.others and not burst.first:
        return Sort.EMBED, Confidence.LOW, "asked for right after another listed site"
    if burst.others:
        return Sort.REQUEST, Confidence.LOW, "the first of a few listed sites asked for in one second"
    return None


def _alone(finer: Finer, followed: bool) -> _Verdict:
    if finer.qtypes == frozenset({1}) and finer.front != Front.BROWSER and not followed:
        return Sort.BACKGROUND, Confidence.LOW, "asked for one address only, as browsers do not ask"
    if finer.before == 0 and finer.after == 0:
        return Sort.REQUEST, Confidence.MEDIUM, "it stood alone, as the first question of a page does"
    if followed:
        return Sort.REQUEST, Confidence.MEDIUM, "one of several sites asked for one after another within minutes"
    return Sort.REQUEST, Confidence.LOW, "nothing on record tells it from what pages and programs ask by themselves"


def _patterns(attempts: Sequence[Attempt]) -> dict[int, _Verdict]:
    """Attempts that repeat like a clock, by place."""
    groups: dict[tuple[str, str, str, str], list[int]] = defaultdict(list)
    for n, attempt in enumerate(attempts):
        groups[attempt.site, attempt.category, attempt.client, attempt.user].append(n)
    found: dict[int, _Verdict] = {}
    for group in groups.values():
        group.sort(key=lambda n: attempts[n].time)
        times = [attempts[n].time for n in group]
        for place, verdict in (*_same_minute(times), *_regular(times)):
            found[group[place]] = verdict
    for n, attempt in enumerate(attempts):
        if (steady := _steady(attempt)) is not None:
            found[n] = steady
    return found


def _regular(times: Sequence[int]) -> Iterator[tuple[int, _Verdict]]:
    """Places in runs of equal gaps."""
    start = 0
    while start + EQUAL_GAPS < len(times):
        gap = times[start + 1] - times[start]
        end = start + 1
        while end + 1 < len(times) and abs(times[end + 1] - times[end] - gap) <= max(5 * SECOND_US, gap // 20):
            end += 1
        gaps = end - start
        if gap >= MINUTE_US and gaps >= EQUAL_GAPS:
            confidence = Confidence.HIGH if gaps >= SURE_GAPS else Confidence.MEDIUM
            reason = f"asked for every {_length(gap)}, {gaps + 1} times in a row"
            for place in range(start, end + 1):
                yield place, (Sort.BACKGROUND, confidence, reason)
            start = end
        else:
            start += 1


def _same_minute(times: Sequence[int]) -> Iterator[tuple[int, _Verdict]]:
    """Places at which the same minute of the day comes back on several days."""
    ring = sorted((at % _DAY_US, place) for place, at in enumerate(times))
    phases = [phase for phase, _ in ring]
    for phase, place in ring:
        low, high = bisect_left(phases, phase - _SAME_US), bisect_right(phases, phase + _SAME_US)
        days = {times[other] // _DAY_US for _, other in ring[low:high]}
        if len(days) >= SAME_DAYS and high - low <= 2 * len(days):
            yield place, (Sort.BACKGROUND, Confidence.MEDIUM, f"at the same minute on {len(days)} days")


def _steady(attempt: Attempt) -> _Verdict | None:
    """An attempt that went on without a pause of a minute for longer than a person does."""
    length = attempt.last - attempt.time
    if length < STEADY_US:
        return None
    confidence = Confidence.HIGH if length >= SURE_US else Confidence.MEDIUM
    return Sort.BACKGROUND, confidence, f"asked for again and again for {_length(length)} without a minute's pause"


def _bursts(attempts: Sequence[Attempt]) -> list[_Burst]:
    """For each attempt what its asker wanted within BURST_US of it; at levels without sites, kinds stand for them."""
    askers: dict[tuple[str, str], list[int]] = defaultdict(list)
    for n, attempt in enumerate(attempts):
        if attempt.channel != Channel.CLI:
            askers[attempt.client, attempt.user].append(n)
    found = [_Burst(0, first=True)] * len(attempts)
    for asker in askers.values():
        asker.sort(key=lambda n: (attempts[n].time, n))
        times = [attempts[n].time for n in asker]
        for place, n in enumerate(asker):
            low, high = bisect_left(times, times[place] - BURST_US), bisect_right(times, times[place] + BURST_US)
            mine = _what(attempts[n])
            sites = {_what(attempts[asker[at]]) for at in range(low, high)} - {mine}
            first = all(_what(attempts[asker[at]]) == mine for at in range(low, place))
            found[n] = _Burst(len(sites), first)
    return found


def _what(attempt: Attempt) -> str:
    return attempt.site or attempt.category


def _followed(alone: Sequence[tuple[int, Attempt]]) -> set[int]:
    """Places of attempts that stand alone and have another site, alone too, before or behind them within minutes."""
    found: set[int] = set()
    last: dict[tuple[str, str], tuple[int, Attempt]] = {}
    for n, attempt in sorted(alone, key=lambda item: item[1].time):
        who = attempt.client, attempt.user
        before = last.get(who)
        if before and attempt.site != before[1].site and attempt.time - before[1].time <= FOLLOW_US:
            found.update((before[0], n))
        last[who] = n, attempt
    return found


def _length(us: int) -> str:
    seconds = round(us / SECOND_US)
    return f"{seconds} s" if seconds < 120 else f"{round(seconds / 60)} min"
