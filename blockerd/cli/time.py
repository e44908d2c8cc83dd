"""`time`: hours at the machine by day, week, app and kind of site, with bars; JSON; export for ActivityWatch.

What was not measured is "unknown", never zero, and a row about sites says how it was estimated. For the person at the
machine; nothing of it goes to anybody by itself.
"""

import argparse
import os
import pwd
import socket
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from blockerd import clock
from blockerd.cli.log import view
from blockerd.cli.output import Stop, bold, columns, dump, say, settings_of
from blockerd.cli.time_text import bar, hours, span_text
from blockerd.journal.read import View
from blockerd.journal.schema import JournalError
from blockerd.model import Kind
from blockerd.policy.schedule import Window, parse_window
from blockerd.report.period import Day, Period, midnight, week, week_of
from blockerd.screentime import budgets, store
from blockerd.screentime.export import export
from blockerd.screentime.heartbeat import SECOND, Beat, union
from blockerd.screentime.sites import Estimate, estimates
from blockerd.screentime.sums import by_data, clip, hour_of, whole_seconds
from blockerd.screentime.titles import is_browser
from blockerd.screentime.usage import Known, Usage, usage

APPS_SHOWN = 15
_LATE, _LONG = "23:00-05:00", 120


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about [start, end), Unix µs, up to `until`."""

    label: str
    start: int
    end: int
    until: int
    use: Usage
    sites: list[Estimate]

    @property
    def active(self) -> int:
        """Microseconds of activity."""
        return sum(beat.length for beat in self.use.active)

    @property
    def away(self) -> int:
        """Microseconds away, locked or asleep."""
        return sum(beat.length for beat in union(self.use.away))

    @property
    def unknown(self) -> int:
        """Microseconds about which nothing is known."""
        return max(0, self.until - self.start - sum(beat.length for beat in self.use.known))

    @property
    def listed(self) -> int:
        """Microseconds at listed categories that are more than questions alone."""
        return sum(row.length for row in self.sites if row.certain)


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command of this file."""
    time = commands.add_parser("time", help="hours at the machine", allow_abbrev=False)
    time.add_argument("what", nargs="?", default="day", choices=["day", "week", "app", "category"])
    time.add_argument("--date", metavar="DAY", help="a day of the period, e.g. 2026-11-22; without it today")
    time.add_argument("--week", metavar="YYYY-Www", help="an ISO week, e.g. 2026-W47")
    time.add_argument("--user", metavar="NAME", help="one user's hours alone")
    time.add_argument("--late", metavar="HH:MM-HH:MM", default=_LATE, help=f"your late hours (default {_LATE})")
    time.add_argument("--long", metavar="MINUTES", type=int, default=_LONG, help="from when on a session is long")
    time.add_argument("--budget", metavar="NAME=MINUTES", action="append", default=[], help="an app, a category or all")
    time.add_argument("--baseline", metavar="YYYY-Www", help="set the week beside your own baseline week")
    time.add_argument("--marks", action="store_true", help="set the week beside the numbers of the literature")
    time.add_argument("--export", metavar="FILE", help="write the records for ActivityWatch (- for the screen)")
    time.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit 0 done, 1 the journal cannot be read, 2 no such day, week or user."""
    settings = settings_of(args)
    zone, now = ZoneInfo(settings.time.zone), clock.now_us()
    late, limits = _window(args.late), _budgets(args.budget)
    period = _period(args, zone, now)
    try:
        with view(settings) as record:
            if args.export:
                return _export(record, args, period.start, period.end)
            facts = facts_of(record, period, now, args.user)
            days = [facts_of(record, Period(str(day.date), (day,)), now, args.user) for day in period.days]
            beside = _baseline(record, args, zone, now)
    except JournalError as error:
        raise Stop(str(error), 1) from None
    if args.json:
        dump(as_dict(facts, days, zone))
    else:
        _screen(args, facts, days, zone)
        _own_measures(facts, days, late, args.long, limits, zone)
        _beside(facts, beside, marks=args.marks)
    return 0


def facts_of(record: View, period: Period, now: int, user: str | None = None) -> Facts:
    """What is known about `period`.

    Raises:
        JournalError: the journal became unreadable.
        Stop: no such user.
    """
    start, end = period.start, period.end
    use = usage(_records(record, start, end, user))
    cut = Usage(clip(use.active, start, end), clip(use.away, start, end))
    asked = [
        Beat(attempt.time, attempt.last, attempt.category)
        for attempt in record.attempts(start, end)
        if attempt.kind == Kind.ATTEMPT and attempt.category
    ]
    browsing = union(beat for beat in cut.active if is_browser(beat.data))
    rows = estimates(asked, (), browsing, cut.known)
    return Facts(period.label, start, end, max(start, min(now, end)), cut, rows)


def as_dict(facts: Facts, days: list[Facts], zone: tzinfo) -> dict[str, Any]:
    """`facts` with seconds that add up; days and hours of `zone`."""
    apps = whole_seconds(by_data(facts.use.active))
    return {
        "period": facts.label,
        "start": clock.rfc3339(facts.start / SECOND),
        "end": clock.rfc3339(facts.end / SECOND),
        "until": clock.rfc3339(facts.until / SECOND),
        "zone": str(zone),
        "active_seconds": facts.active // SECOND,
        "away_seconds": facts.away // SECOND,
        "unknown_seconds": facts.unknown // SECOND,
        "apps": [
            {"app": app or None, "seconds": seconds} for app, seconds in sorted(apps.items(), key=lambda i: -i[1])
        ],
        "categories": [
            {"category": row.category, "seconds": row.length // SECOND, "method": row.method, "certain": row.certain}
            for row in facts.sites
        ],
        "days": [
            {"date": day.label, "active_seconds": day.active // SECOND, "unknown_seconds": day.unknown // SECOND}
            for day in days
        ],
        "hours": [total // SECOND for total in budgets.busiest(facts.use.active, zone)],
    }


def _records(record: View, start: int, end: int, user: str | None) -> list[Known]:
    found = list(store.records(record.query, start, end))
    if user is None:
        return found
    try:
        uid = int(user) if user.isdecimal() else pwd.getpwnam(user).pw_uid
    except KeyError:
        raise Stop(f"--user {user}: no such user on this machine") from None
    theirs = {agent for agent, (of, _) in store.agents(record.query).items() if of == uid}
    return [known for known in found if known.agent in theirs]


def _period(args: argparse.Namespace, zone: tzinfo, now: int) -> Period:
    try:
        if args.week:
            return week(args.week, zone)
        at = midnight(date.fromisoformat(args.date), zone) if args.date else now
    except ValueError as error:
        option = "--week" if args.week else "--date"
        raise Stop(f"{option} {error}; write e.g. 2026-W47 or 2026-11-22") from None
    if args.what != "day":
        return week_of(at, zone)
    day = hour_of(at, zone).day
    return Period(day.isoformat(), (Day(day, midnight(day, zone), midnight(day + timedelta(days=1), zone)),))


def _screen(args: argparse.Namespace, facts: Facts, days: list[Facts], zone: tzinfo) -> None:
    say(bold(f"{facts.label}: {hours(facts.active)} at the machine, {hours(facts.away)} away,"
             f" {hours(facts.unknown)} unknown"))  # fmt: skip
    if args.what == "category":
        _sites(facts)
    elif args.what == "app":
        _apps(facts)
    elif len(days) > 1:
        most = max(day.active for day in days)
        rows = [(_weekday(day), hours(day.active), bar(day.active, most), _hole(day)) for day in days]
        _lines(rows)
    else:
        by_hour = budgets.busiest(facts.use.active, zone)
        begun = [hour for hour in range(24) if by_hour[hour]]
        most = max(by_hour)
        for hour in range(min(begun, default=0), max(begun, default=-1) + 1):
            say(f"{hour:02d}:00  {bar(by_hour[hour], most)}")
        _apps(facts)


def _apps(facts: Facts) -> None:
    totals = sorted(by_data(facts.use.active).items(), key=lambda item: (-item[1], item[0]))
    if not totals:
        return
    shown, rest = totals[:APPS_SHOWN], totals[APPS_SHOWN:]
    rows = [(app or "unknown app", hours(total), bar(total, shown[0][1])) for app, total in shown]
    if rest:
        rows.append((f"{len(rest)} more", hours(sum(total for _, total in rest)), ""))
    _lines(rows)


def _sites(facts: Facts) -> None:
    """Estimates in steps of five minutes: more would be invented."""
    if not facts.sites:
        say("No time at listed sites is known.")
        return
    _lines([
        (row.category, f"about {round(row.length / (5 * budgets.MINUTE)) * 5} min" if row.certain else "not certain",
         f"by {row.method}") for row in facts.sites
    ])  # fmt: skip
    say("These are estimates; questions to the name server alone say little about time.")


def _own_measures(
    facts: Facts, days: list[Facts], late: Window, at_least: int, limits: list[budgets.Budget], zone: tzinfo
) -> None:
    """Late hours, long sessions and budgets, by the measure of whoever asks."""
    after = budgets.late(facts.use.active, [late], zone)
    if after:
        say(f"Within {late}: {hours(after)}.")
    for session in budgets.sessions(facts.use.active, at_least * budgets.MINUTE):
        say(f"A long session: {span_text(session.start, session.end, zone)}, {hours(session.length)}.")
    today = days[-1] if len(days) == 1 else next((day for day in days if day.until < day.end), days[-1])
    for standing in budgets.standings(limits, _uses(today), _uses(facts)):
        left = hours(max(0, standing.left))
        say(f"{standing.budget.of}: {hours(standing.used)} of {standing.budget.minutes} min; {standing.state},"
            f" {left} left.")  # fmt: skip


def _beside(facts: Facts, baseline: Facts | None, *, marks: bool) -> None:
    if baseline:
        pair = budgets.against(_as_week(facts), _as_week(baseline))
        if pair.regained is None:
            say(f"{facts.label} and {baseline.label} cannot be compared: one of them is known much less.")
        else:
            word = "regained" if pair.regained >= 0 else "more than then"
            say(f"Beside your week {baseline.label}: {hours(abs(pair.regained))} {word}.")
    if marks:
        say(budgets.mark_text(facts.listed))


def _baseline(record: View, args: argparse.Namespace, zone: tzinfo, now: int) -> Facts | None:
    if not args.baseline:
        return None
    try:
        return facts_of(record, week(args.baseline, zone), now, args.user)
    except ValueError as error:
        raise Stop(f"--baseline {error}") from None


def _as_week(facts: Facts) -> budgets.Week:
    return budgets.Week(facts.label, facts.listed, sum(beat.length for beat in facts.use.known))


def _uses(facts: Facts) -> Counter[str]:
    found = by_data(facts.use.active)
    for row in facts.sites:
        found[row.category] += row.length if row.certain else 0
    found["all"] = facts.active
    return found


def _window(text: str) -> Window:
    try:
        return parse_window(text)
    except ValueError as error:
        raise Stop(f"--late {error}") from None


def _budgets(texts: list[str]) -> list[budgets.Budget]:
    found = []
    for text in texts:
        name, _, minutes = text.partition("=")
        number, _, per = minutes.partition("/")
        if not name or not number.isdecimal() or per not in ("", *budgets.Per):
            raise Stop(f"--budget {text}: write e.g. firefox=60, all=240 or adult=30/week")
        found.append(budgets.Budget(name, int(number), budgets.Per(per or "day")))
    return found


def _export(record: View, args: argparse.Namespace, start: int, end: int) -> int:
    import json

    users = {agent: _user(uid) for agent, (uid, _) in store.agents(record.query).items()}
    text = json.dumps(export(_records(record, start, end, args.user), socket.gethostname(), users), ensure_ascii=False)
    if args.export == "-":
        sys.stdout.write(text + "\n")
        return 0
    try:
        Path(args.export).write_text(text + "\n", "utf-8")
        os.chmod(args.export, 0o600)
    except OSError as error:
        raise Stop(f"{args.export}: {error.strerror}; name a file you may write", 1) from None
    return 0


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _lines(rows: Sequence[tuple[str, ...]]) -> None:
    for line in columns(rows, right=frozenset({1})):
        say(line)


def _weekday(day: Facts) -> str:
    return date.fromisoformat(day.label).strftime("%a %d")


def _hole(day: Facts) -> str:
    return f"{hours(day.unknown)} unknown" if day.unknown >= budgets.MINUTE else ""
