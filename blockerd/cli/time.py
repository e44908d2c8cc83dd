"""`time`: hours at the machine by day, week, app and kind of site, with bars; JSON; export for ActivityWatch.

What was not measured is "unknown", never zero, and a row about sites says how it was estimated. For the person at the
machine; nothing of it goes to anybody by itself.
"""

import argparse
import json
import os
import sys
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from blockerd import clock
from blockerd.cli import time_text
from blockerd.cli.output import Stop, bold, dump, say, settings_of
from blockerd.cli.owner import as_oneself
from blockerd.cli.reading import view
from blockerd.cli.time_record import activitywatch, records_of, requests_in
from blockerd.journal.read import View
from blockerd.journal.schema import JournalError
from blockerd.policy.schedule import Window, parse_window
from blockerd.report.period import Day, Period, day_named, midnight, week, week_of
from blockerd.screentime import budgets
from blockerd.screentime.facts import Facts, Request, facts
from blockerd.screentime.heartbeat import SECOND
from blockerd.screentime.sums import by_data, hour_of, whole_seconds
from blockerd.screentime.usage import Usage, usage
from blockerd.settings import Budget, Per, Settings


@dataclass(frozen=True, slots=True)
class Measures:
    """The person's own: late hours, length of a long session (minutes), budgets, baseline week ("" none)."""

    late: list[Window]
    long: int
    budgets: list[Budget]
    baseline: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A period as asked for, its days, and the week around it where budgets need it."""

    asked: Facts
    days: list[Facts]
    week: Facts
    zone: tzinfo


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command of this file."""
    time = commands.add_parser("time", help="hours at the machine", allow_abbrev=False)
    time.add_argument("what", nargs="?", default="day", choices=["day", "week", "app", "category"])
    time.add_argument("--date", metavar="DAY", help="a day of the period, e.g. 2026-11-22; without it today")
    time.add_argument("--week", metavar="YYYY-Www", help="an ISO week, e.g. 2026-W47")
    time.add_argument("--user", metavar="NAME", help="whose hours: a login name, or all; without it yours where known")
    time.add_argument("--late", metavar="HH:MM-HH:MM", help="other late hours than those of your settings")
    time.add_argument("--long", metavar="MINUTES", type=int, help="from when on a session is long")
    time.add_argument("--budget", metavar="NAME=MINUTES", action="append", default=[], help="an app, a category or all")
    time.add_argument("--baseline", metavar="YYYY-Www", help="set the week beside a week of yours")
    time.add_argument("--marks", action="store_true", help="set the week beside the numbers of the literature")
    time.add_argument("--export", metavar="FILE", help="write the records for ActivityWatch (- for the screen)")
    time.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit 0 done, 1 the journal cannot be read, 2 no such day, week or user."""
    settings = settings_of(args)
    zone, now = ZoneInfo(settings.time.zone), clock.now_us()
    own, period = _measures(args, settings), _period(args, zone, now)
    try:
        with view(settings) as record:
            if args.export:
                return _export(record, args, period.start, period.end)
            seen = _seen(record, period, zone, now, args.user)
            wanted = own.baseline if len(period.days) > 1 and own.baseline != period.label else ""
            beside = _of_week(record, wanted, zone, now, args.user) if wanted else None
    except JournalError as error:
        raise Stop(str(error), 1) from None
    against = budgets.against(_as_week(seen.asked), _as_week(beside)) if beside else None
    if args.json:
        dump(as_dict(seen, own, against, marks=args.marks))
    else:
        _screen(args.what, seen, own, against, marks=args.marks)
    return 0


def as_dict(seen: Seen, own: Measures, against: budgets.Against | None, *, marks: bool) -> dict[str, Any]:
    """What is known, with seconds that add up; days and hours of the zone."""
    asked, zone = seen.asked, seen.zone
    apps = sorted(whole_seconds(by_data(asked.use.active)).items(), key=lambda item: -item[1])
    return {
        "period": asked.label,
        "start": _stamp(asked.start),
        "end": _stamp(asked.end),
        "until": _stamp(asked.until),
        "zone": str(zone),
        "active_seconds": asked.active // SECOND,
        "away_seconds": asked.away // SECOND,
        "unknown_seconds": asked.unknown // SECOND,
        "apps": [{"app": app or None, "seconds": seconds} for app, seconds in apps],
        "categories": [
            {"category": row.category, "seconds": row.length // SECOND, "method": row.method, "certain": row.certain}
            for row in asked.sites
        ],
        "days": [
            {"date": day.label, "active_seconds": day.active // SECOND, "unknown_seconds": day.unknown // SECOND}
            for day in seen.days
        ],
        "hours": [total // SECOND for total in budgets.busiest(asked.use.active, zone)],
        "late_seconds": budgets.late(asked.use.active, own.late, zone) // SECOND,
        "long_sessions": [
            {"start": _stamp(one.start), "end": _stamp(one.end), "seconds": one.length // SECOND}
            for one in budgets.sessions(asked.use.active, own.long * budgets.MINUTE)
        ],
        "budgets": [_standing(one) for one in _standings(seen, own.budgets)],
        **({"baseline": _beside(against)} if against else {}),
        **({"marks": budgets.mark_text(asked.listed)} if marks else {}),
    }


def _standing(one: budgets.Standing) -> dict[str, Any]:
    budget = one.budget
    return {"of": budget.of, "per": budget.per, "minutes": budget.minutes, "used_seconds": one.used // SECOND,
            "state": one.state}  # fmt: skip


def _beside(against: budgets.Against) -> dict[str, Any]:
    regained = against.regained
    return {"week": against.baseline.label, "regained_seconds": None if regained is None else regained // SECOND}


def _seen(record: View, period: Period, zone: tzinfo, now: int, user: str | None) -> Seen:
    around = period if len(period.days) > 1 else week_of(period.start, zone)
    use, requests = _load(record, around.start, around.end, user)

    def of(label: str, start: int, end: int) -> Facts:
        return facts(label, start, end, now, use, requests)

    days = [of(str(day.date), day.start, day.end) for day in period.days]
    return Seen(of(period.label, period.start, period.end), days, of(around.label, around.start, around.end), zone)


def _of_week(record: View, label: str, zone: tzinfo, now: int, user: str | None) -> Facts:
    try:
        period = week(label, zone)
    except ValueError as error:
        raise Stop(f"baseline {error}") from None
    return facts(label, period.start, period.end, now, *_load(record, period.start, period.end, user))


def _load(record: View, start: int, end: int, user: str | None) -> tuple[Usage, list[Request]]:
    """What the record holds about [start, end)."""
    return usage(records_of(record, start, end, user)), requests_in(record, start, end)


def _period(args: argparse.Namespace, zone: tzinfo, now: int) -> Period:
    if args.what == "day" and (args.marks or args.baseline):
        raise Stop("--marks and --baseline are about weeks; write `blockerd time week`")
    try:
        if args.week:
            return week(args.week, zone)
        at = midnight(day_named(args.date), zone) if args.date else now
    except ValueError as error:
        option = "--week" if args.week else "--date"
        raise Stop(f"{option} {error}; write e.g. 2026-W47 or 2026-11-22") from None
    if args.what != "day":
        return week_of(at, zone)
    day = hour_of(at, zone).day
    return Period(day.isoformat(), (Day(day, midnight(day, zone), midnight(day + timedelta(days=1), zone)),))


def _measures(args: argparse.Namespace, settings: Settings) -> Measures:
    """Those of the settings, unless this call names others."""
    agent = settings.agent
    try:
        late = [parse_window(text) for text in ([args.late] if args.late else agent.late)]
    except ValueError as error:
        raise Stop(f"--late {error}") from None
    limits = [*settings.budget, *_budgets(args.budget)]
    return Measures(late, args.long or agent.long_minutes, limits, args.baseline or agent.baseline)


def _budgets(texts: list[str]) -> list[Budget]:
    found = []
    for text in texts:
        name, _, minutes = text.partition("=")
        number, _, per = minutes.partition("/")
        if not name or not number.isdecimal() or per not in ("", *Per):
            raise Stop(f"--budget {text}: write e.g. firefox=60, all=240 or adult=30/week")
        found.append(Budget(of=name, minutes=int(number), per=Per(per or "day")))
    return found


def _standings(seen: Seen, limits: list[Budget]) -> list[budgets.Standing]:
    """How budgets stand: those of a day in the view of a day, those of a week in each; none of what is unknown."""
    day = seen.days[-1] if len(seen.days) == 1 else None
    told = [one for one in limits if (seen.week.known if one.per == Per.WEEK else day and day.known)]
    return budgets.standings(told, seen.days[-1].by_name, seen.week.by_name)


def _screen(what: str, seen: Seen, own: Measures, against: budgets.Against | None, *, marks: bool) -> None:
    asked, zone = seen.asked, seen.zone
    say(bold(time_text.heading(asked)))
    if what == "category":
        lines = time_text.sites(asked)
    elif what == "app":
        lines = time_text.apps(asked)
    elif len(seen.days) > 1:
        lines = time_text.days(seen.days)
    else:
        lines = [*time_text.hours_of_day(asked, zone), *time_text.apps(asked)]
    more = time_text.own_hours(asked, own.late, own.long, zone)
    if len(seen.days) > 1:
        more += time_text.over_days(seen.days, own.budgets)
    more += [time_text.budget(one) for one in _standings(seen, own.budgets)]
    if against:
        more.append(time_text.beside(against))
    if marks:
        more.append(budgets.mark_text(asked.listed))
    for line in (*lines, *([""] if lines and more else []), *more):
        say(line)


def _as_week(of: Facts) -> budgets.Week:
    return budgets.Week(of.label, of.listed, of.known)


def _export(record: View, args: argparse.Namespace, start: int, end: int) -> int:
    text = json.dumps(activitywatch(record, start, end, args.user), ensure_ascii=False)
    if args.export == "-":
        sys.stdout.write(text + "\n")
        return 0
    try:
        with as_oneself():
            fd = os.open(args.export, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.fchmod(fd, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError as error:
        raise Stop(f"{args.export}: {error.strerror}; name a file you may write", 1) from None
    return 0


def _stamp(at: int) -> str:
    return clock.rfc3339(at / SECOND)
