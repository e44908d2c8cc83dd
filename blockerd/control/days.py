"""The facts of whole days, from the record to one summary a role: what every note and its evidence are made of.

Each day is told once, when it is over, by leaves of the log that carry nothing finer than the role may read. Refuses to
tell a day again, also one whose summary was removed, but for one told before it was over. Called by `control.reports`
and by previews.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta, tzinfo
from typing import Any

import blockerd.journal.outbox as mailbox
from blockerd.binding.change import Direction
from blockerd.control import front
from blockerd.control.around import around, own_records
from blockerd.journal.entry import Change as ChangeEntry
from blockerd.journal.entry import Daily, Entry, Lost, Other, Pause, decode, kind_of
from blockerd.journal.grow import add_entries
from blockerd.journal.log import Gone, Log
from blockerd.journal.merge import LONGEST_US
from blockerd.journal.read import View
from blockerd.journal.schema import Connection
from blockerd.model import Change
from blockerd.policy.schedule import parse_window
from blockerd.report import tunnels
from blockerd.report.coverage import Boot, Stretch, minutes, signs_of, stretches, within
from blockerd.report.daily import DayFacts, payloads, told
from blockerd.report.episodes import Episode, episodes
from blockerd.report.period import Day, day_of, run_of
from blockerd.report.protected import Plan, ending_in, inside, kept
from blockerd.report.requests import Reading, read
from blockerd.report.week import Day as DayTold
from blockerd.report.week import Marks, Signs
from blockerd.screentime.facts import day_minutes
from blockerd.screentime.usage import Usage, usage
from blockerd.settings import Role, Settings

DAY_US, MINUTE_US = 86_400_000_000, 60_000_000
SETTLED_US = 5 * MINUTE_US
"""A day is told this long after its end (µs): what was asked at its end has arrived by then."""

LOOK_BACK = 14
"""Days before that are read too: patterns of background traffic show over days."""
SIGNS_BACK = 10
"""Days before whose signs of life are read: what was on as the first day began has left some."""
MOST = 400
"""Days that are told at once at the most."""

_SIGNS = ("start", "stop", "mark", "again", "beat", "unclean")
NO_PLAN = Plan()
Summaries = dict[Role, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Known:
    """Everything the days asked for are made from, read once."""

    parts: tuple[Stretch, ...]
    readings: Sequence[Reading]
    episodes: Sequence[Episode]
    entries: Sequence[Entry]
    late: Sequence[Entry]
    late_readings: Sequence[Reading]
    ways: Sequence[Entry]
    use: Usage


def plan_of(settings: Settings) -> Plan:
    """What the settings say of protected times, yardsticks and late hours."""
    schedules = [(one.category, one.days, one.windows) for one in settings.schedule]
    return Plan(schedules, settings.report.yardsticks, [parse_window(one) for one in settings.agent.late])


def owed(told_last: date | None, first: int | None, now: int, zone: tzinfo) -> list[date]:
    """Days that are over and not told yet. `told_last` is the last that is, `first` where the record begins (µs)."""
    if first is None:
        return []
    last = day_of(now - SETTLED_US, zone) - timedelta(days=1)
    begin = max(day_of(first, zone), last - timedelta(days=MOST - 1))
    begin = begin if told_last is None else max(begin, told_last + timedelta(days=1))
    return [begin + timedelta(days=at) for at in range((last - begin).days + 1)]


def joined(days: Sequence[Day], since: int | None) -> list[Day]:
    """`days`, each from where the one before it ended, the first from `since` (Unix µs, None: its own midnight).

    A move to another zone shifts midnight: so no hour is told twice or left out. A day that is over by then is empty.
    """
    found = list[Day]()
    for day in days:
        start = day.start if since is None else since
        since = max(day.end, start)
        found.append(Day(day.date, start, since))
    return found


def told_until(log: Log, day: date) -> int | None:
    """Where `day` (Unix µs), which is told, ended in the zone of that time; None where its summary was removed."""
    leaves = mailbox.summaries(log.db, Role.SELF, day.isoformat(), day.isoformat())
    try:
        return decode(log.opening(leaves[day.isoformat()]).event).at
    except (KeyError, Gone, ValueError):
        return None


def begun(view: View) -> int | None:
    """Where the record begins (Unix µs), None where it is empty.

    Raises:
        JournalError: the record became unreadable.
    """
    found = [at for (at,) in view.query("SELECT min(at_us) FROM events WHERE kind IN ('start', 'beat')")]
    return min((at for at in (*found, view.facts(0, 0).first) if at is not None), default=None)


def summarised(
    view: View,
    days: Sequence[date],
    boots: Sequence[Boot] | None,
    now: int,
    zone: tzinfo,
    earlier: Mapping[date, int],
    plan: Plan = NO_PLAN,
    behind: int | None = None,
    since: int | None = None,
) -> dict[date, Summaries]:
    """The payloads of `days` (in order, without a hole); `earlier` are the requests of days told before.

    What was recorded behind the leaf `behind`, with which those days were told, and bears a time of theirs is told with
    the first; attempts of their last hour, which may have been counted before they had a leaf, aside. `since`: where
    the day before the first ended as it was told, see `joined`.

    Raises:
        JournalError: the record became unreadable.
    """
    if not days:
        return {}
    whole = joined(run_of(days[0], len(days), zone).days, since)
    known = _known(view, whole, boots, now, zone, behind)
    counts, found = dict(earlier), dict[date, Summaries]()
    for day in whole:
        before = [counts[at] for at in sorted(counts) if day.date - timedelta(days=27) <= at < day.date]
        facts = _facts(day, known, before, plan, zone, first=day is whole[0])
        found[day.date] = dict(payloads(facts, zone))
        counts[day.date] = told(found[day.date][Role.SELF]).total
    return found


def keep(db: Connection, found: Mapping[date, Summaries], zone: tzinfo, since: int | None = None) -> int:
    """Appends a leaf for each day and role, as of the end of the day; how many. Inside a transaction."""
    days = joined(run_of(min(found), len(found), zone).days, since) if found else []
    entries = [
        Daily(day.end, day.date.isoformat(), str(role), facts)
        for day in days
        for role, facts in found[day.date].items()
    ]
    for entry, leaf in zip(entries, add_entries(db, entries), strict=True):
        mailbox.keep_summary(db, entry.day, Role(entry.role), leaf)
    return len(entries)


def days_told(log: Log, role: Role) -> dict[date, DayTold]:
    """What `role` may know of each day that has a summary which is still there."""
    return {day: told(facts) for day, facts in _facts_told(log, role)}


def counts_told(log: Log, since: date) -> dict[date, int]:
    """Requests of each day from `since` on that is told."""
    return {day: told(facts).total for day, facts in _facts_told(log, Role.SELF, since.isoformat())}


def _facts_told(log: Log, role: Role, first: str = "") -> Iterator[tuple[date, Mapping[str, Any]]]:
    for day, leaf in mailbox.summaries(log.db, role, first).items():
        try:
            entry = decode(log.opening(leaf).event)
        except (Gone, ValueError):
            continue
        if isinstance(entry, Daily):
            yield date.fromisoformat(day), entry.facts


def _known(
    view: View, days: Sequence[Day], boots: Sequence[Boot] | None, now: int, zone: tzinfo, behind: int | None
) -> Known:
    start, end = days[0].start, days[-1].end
    signs = view.entries(start - SIGNS_BACK * DAY_US, end + 2 * DAY_US, _SIGNS, recorded=True)
    since = start - LOOK_BACK * DAY_US
    attempts = list(view.attempts(since, end))
    beside = around(view, attempts, since, end)
    readings = read(attempts, beside.finer)
    return Known(
        parts=stretches(start, end, signs_of(_event(one) for one in signs), boots, now),
        readings=readings,
        episodes=episodes(readings, zone, sightings=beside.sightings),
        entries=view.entries(start, end),
        late=view.late(behind, start) if behind is not None else (),
        late_readings=read(view.late_attempts(behind, start - LONGEST_US)) if behind is not None else (),
        ways=view.entries(start - SIGNS_BACK * DAY_US, end, tunnels.KINDS),
        use=usage(own_records(view.query, start - DAY_US, end)),
    )


def _event(entry: Entry) -> dict[str, Any]:
    if isinstance(entry, Other):
        return {**entry.payload, "kind": entry.kind, "at": entry.at}
    return {**{one.name: getattr(entry, one.name) for one in fields(entry)}, "kind": kind_of(entry)}


def _facts(day: Day, known: Known, earlier: Sequence[int], plan: Plan, zone: tzinfo, *, first: bool) -> DayFacts:
    behind, asked_then = (known.late, known.late_readings) if first else ((), ())
    times = ending_in(day, plan.schedules, zone)
    entries = [*behind, *(entry for entry in known.entries if day.start <= entry.at < day.end)]
    screen, late = day_minutes(known.use, day.start, day.end, plan.late, zone) or (None, None)
    return DayFacts(
        date=day.date,
        coverage=minutes(within(known.parts, day.start, day.end)),
        readings=[*asked_then, *(one for one in known.readings if day.start <= one.attempt.time < day.end)],
        episodes=[one for one in known.episodes if day.start <= one.start < day.end],
        changes=[_change(entry) for entry in entries if isinstance(entry, ChangeEntry)],
        marks=replace(_marks(day, entries, known.ways), protected=len(times), kept=kept(times, known.readings)),
        screen=screen,
        late=late,
        signs=_signs(entries, inside(times, known.readings)) if plan.yardsticks else None,
        earlier=earlier,
    )


def _signs(entries: Sequence[Entry], continued: int) -> Signs:
    """Asked to open: pauses, and what was made weaker. Went on: requests in the user's own protected times."""
    weaker = sum(isinstance(one, ChangeEntry) and one.direction == Direction.WEAKER for one in entries)
    return Signs(control=weaker + sum(isinstance(one, Pause) for one in entries), continuation=continued)


def _change(entry: ChangeEntry) -> Change:
    return Change(entry.at, entry.what, entry.old, entry.new, entry.direction, entry.by)


def _up(ways: Sequence[Entry], day: Day, what: str) -> int:
    """Minutes of the day in which a VPN was up, programs asked another resolver, or another account was in front."""
    return tunnels.time_up((one for one in ways if one.at < day.end), day.start, day.end, what=what) // MINUTE_US


def _marks(day: Day, entries: Sequence[Entry], ways: Sequence[Entry]) -> Marks:
    kinds = [kind_of(entry) for entry in entries]
    pauses = [entry for entry in entries if isinstance(entry, Pause)]
    return Marks(
        pauses=len(pauses),
        paused=sum(max(0, min(one.until, day.end) - one.at) for one in pauses) // MINUTE_US,
        bypass=kinds.count("bypass-sign"),
        vpn=_up(ways, day, "vpn"),
        elsewhere=_up(ways, day, "elsewhere"),
        another=_up(ways, day, front.WHAT),
        clock=kinds.count("clock-step"),
        unclean=sum(kind_of(one) == "unclean" and getattr(one, "process", "") == "control" for one in entries),
        rejected=kinds.count("list-rejected"),
        lost=sum(one.count for one in entries if isinstance(one, Lost)),
    )
