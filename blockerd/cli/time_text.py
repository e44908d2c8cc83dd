"""How `time` writes lengths, bars, spans and its screens, as lines. Called by `cli.time`."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, tzinfo

from blockerd.cli.output import columns
from blockerd.policy.schedule import Window
from blockerd.screentime import budgets
from blockerd.screentime.facts import Facts
from blockerd.screentime.heartbeat import SECOND
from blockerd.screentime.sums import by_data
from blockerd.settings import Budget, Per

WIDTH = 32
_EIGHTHS = " ▏▎▍▌▋▊▉"

APPS_SHOWN = 15
_STEP = 5 * budgets.MINUTE
"""Microseconds: estimates are told in such steps; more would be invented."""


def hours(length: int) -> str:
    """Microseconds as "3 h 05 min", under an hour "5 min", under a minute "12 s"."""
    seconds = length // SECOND
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h {seconds // 60 % 60:02d} min"


def bar(length: int, most: int) -> str:
    """A bar of at most WIDTH characters, `most` being the whole; something that is there is at least a sliver."""
    eighths = round(length * WIDTH * 8 / most) if most > 0 else 0
    if length > 0:
        eighths = max(1, eighths)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def span_text(start: int, end: int, zone: tzinfo) -> str:
    """ "Sun 22 21:10–23:40" in `zone`."""
    first, last = (datetime.fromtimestamp(at // SECOND, UTC).astimezone(zone) for at in (start, end))
    return f"{first:%a %d %H:%M}–{last:%H:%M}"


def heading(of: Facts) -> str:
    """The three sums of a period; what is wholly unknown has no others."""
    if not of.known:
        return f"{of.label}: {hours(of.unknown)} unknown"
    return f"{of.label}: {hours(of.active)} at the machine, {hours(of.away)} away, {hours(of.unknown)} unknown"


def days(of: Sequence[Facts]) -> list[str]:
    """A bar for each day, and what is unknown of it."""
    most = max(day.active for day in of)
    begun = [day for day in of if day.until > day.start]
    rows = [
        (_weekday(day), hours(day.active) if day.known else "unknown", bar(day.active, most), _hole(day))
        for day in begun
    ]
    return columns(rows, right=frozenset({1}))


def hours_of_day(of: Facts, zone: tzinfo) -> list[str]:
    """A bar for each hour from the first to the last with activity; one without is told to be away or unknown."""
    active, known = budgets.busiest(of.use.active, zone), budgets.busiest(of.use.known, zone)
    begun = [hour for hour in range(24) if active[hour]]
    rows = [
        (f"{hour:02d}:00", hours(active[hour]) if active[hour] else "away" if known[hour] else "unknown",
         bar(active[hour], max(active)))
        for hour in range(min(begun, default=0), max(begun, default=-1) + 1)
    ]  # fmt: skip
    return [*columns(rows, right=frozenset({1})), *([""] if rows else [])]


def apps(of: Facts) -> list[str]:
    """A bar for each app, longest first."""
    totals = sorted(by_data(of.use.active).items(), key=lambda item: (-item[1], item[0]))
    shown, rest = totals[:APPS_SHOWN], totals[APPS_SHOWN:]
    rows = [(app or "unknown app", hours(total), bar(total, shown[0][1])) for app, total in shown]
    if rest:
        rows.append((f"{len(rest)} more", hours(sum(total for _, total in rest)), ""))
    return columns(rows, right=frozenset({1}))


def sites(of: Facts) -> list[str]:
    """A row for each category and method; what rests on questions alone has neither minutes nor a bar."""
    if not of.sites:
        return ["No time at listed sites is known."]
    most = max(_step(row.length) for row in of.sites)
    rows = [
        (row.category, *((_about(row.length), bar(_step(row.length), most)) if row.certain else ("not certain", "")),
         f"by {row.method}")
        for row in of.sites
    ]  # fmt: skip
    return [
        *columns(rows, right=frozenset({1})),
        "Estimates, in steps of five minutes. Questions alone (DNS) say little about time.",
    ]


def own_hours(of: Facts, late: Sequence[Window], at_least: int, zone: tzinfo) -> list[str]:
    """Late hours, and sessions of `at_least` minutes, by the person's own measure."""
    after = budgets.late(of.use.active, late, zone)
    long = budgets.sessions(of.use.active, at_least * budgets.MINUTE)
    return [
        *([f"Within {', '.join(map(str, late))}: {hours(after)}."] if after else []),
        *(f"A long session: {span_text(one.start, one.end, zone)}, {hours(one.length)}." for one in long),
    ]


def budget(of: budgets.Standing) -> str:
    """How a budget stands."""
    limit = of.budget
    rest = f"{hours(of.left)} left" if of.left >= 0 else f"{hours(-of.left)} more"
    used, most = hours(of.used), hours(limit.minutes * budgets.MINUTE)
    return f"{limit.of}: {used} of {most} a {limit.per}; {of.state}, {rest}."


def over_days(of: Sequence[Facts], limits: Sequence[Budget]) -> list[str]:
    """On how many of the days about which something is known each daily budget was used up."""
    found = []
    for limit in limits:
        if limit.per == Per.DAY and any(day.known for day in of):
            over = sum(day.by_name[limit.of] > limit.minutes * budgets.MINUTE for day in of)
            told = f"{over} day{'' if over == 1 else 's'}" if over else "no day"
            found.append(f"{limit.of}: more than {hours(limit.minutes * budgets.MINUTE)} on {told}.")
    return found


def beside(pair: budgets.Against) -> str:
    """A week beside the person's own baseline week."""
    if pair.regained is None:
        return f"{pair.week.label} and {pair.baseline.label} cannot be compared: one of them is known much less."
    word = "regained" if pair.regained >= 0 else "more than then"
    return f"Beside your week {pair.baseline.label}: {hours(abs(pair.regained))} {word}."


def _about(length: int) -> str:
    return f"about {hours(_step(length))}" if length >= _STEP / 2 else f"under {hours(_STEP)}"


def _step(length: int) -> int:
    """`length` in whole steps, at least one."""
    return max(1, round(length / _STEP)) * _STEP


def _weekday(day: Facts) -> str:
    return date.fromisoformat(day.label).strftime("%a %d")


def _hole(day: Facts) -> str:
    return f"{hours(day.unknown)} unknown" if day.unknown >= budgets.MINUTE else ""
