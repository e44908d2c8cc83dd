"""A PeriodSummary as plain text for the person themselves. Pure.

Where help is to be found stands before any figure; no site is named, nothing is judged. Refuses nothing: every summary
has a text. Called by the command line.
"""

from collections.abc import Sequence
from datetime import date, datetime, tzinfo

from blockerd.report.period import day_of
from blockerd.report.summarise import Coverage, ListState, PeriodSummary

HELP = (
    "If you are in danger or think of harming yourself, please talk to somebody now: your emergency number (112 in\n"
    "most of Europe, 999 in the UK, 911 in North America), a crisis line (116 123 in the UK and Ireland, 988 in the\n"
    "USA and Canada), or one near you from findahelpline.com."
)

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def text(summary: PeriodSummary, zone: tzinfo, lists: Sequence[ListState] = ()) -> str:
    """The note for the role self, about 20 lines of at most 110 characters, ending in a line feed.

    `lists` are the fetched lists; they are told of by category, never by title.
    """
    hours = "\n".join([_hours(summary, zone), *_lists(lists)])
    parts = [_coverage_line(summary), HELP, _heading(summary), hours, _requests(summary), _closing()]
    return "\n\n".join(parts) + "\n"


def _lists(lists: Sequence[ListState]) -> list[str]:
    """How old the fetched lists are, and which kinds are held back."""
    if not lists:
        return []
    ages = [one.age_days for one in lists if one.age_days is not None]
    oldest = f"; the oldest copy is {_many(int(max(ages)), 'day')} old" if ages else ""
    lines = [f"Fetched lists: {len(lists)}{oldest}."]
    missing = sorted({one.category for one in lists if one.age_days is None})
    if missing:
        lines.append(f"Not fetched yet, so not in force: {', '.join(missing)}.")
    held = sorted({one.category for one in lists if one.held})
    if held:
        lines.append(f"Held back or out of reach: {', '.join(held)}. There the last good copy blocks.")
    return lines


def _coverage_line(summary: PeriodSummary) -> str:
    cover = summary.coverage
    time = "this week" if summary.over else "this week so far"
    if not cover.running:
        return f"Coverage: nothing is known about {time}; blockerd left no sign of running."
    if not cover.unknown:
        return f"Coverage: blockerd was running in all of {time}."
    return f"Coverage: blockerd was running in part of {time}; about the rest nothing is known."


def _heading(summary: PeriodSummary) -> str:
    first = date.fromisocalendar(int(summary.label[:4]), int(summary.label[-2:]), 1)
    last = date.fromisocalendar(int(summary.label[:4]), int(summary.label[-2:]), 7)
    so_far = "" if summary.over else ", so far"
    return f"Week {summary.label}, {_day(first)} to {_day(last)} {last.year}{so_far}"


def _hours(summary: PeriodSummary, zone: tzinfo) -> str:
    cover = summary.coverage
    known, whole = _in_hours(cover.running), _in_hours(cover.running + cover.unknown)
    rest = f" The other {_in_hours(cover.unknown)} are unknown: off, asleep or not filtered." if cover.unknown else ""
    lines = [f"blockerd was running for {known} of {whole} hours.{rest}", _ends(cover, zone)]
    if cover.lost:
        lines.append(f"{_many(cover.lost, 'request')} could not be recorded.")
    return "\n".join(lines)


def _ends(cover: Coverage, zone: tzinfo) -> str:
    if cover.first is None or cover.last is None:
        return "There is no record yet."
    return f"The record reaches from {_moment(cover.first, zone)} to {_moment(cover.last, zone)}."


def _requests(summary: PeriodSummary) -> str:
    title = "Requests made on this computer for listed sites (repeats within a minute count once):"
    lines = [title, "", *_table(summary)] if summary.total else ["No requests for listed sites were recorded."]
    if summary.bypass:
        lines += ["", f"Beside these, {_many(summary.bypass, 'request')} for ways round the filter."]
    return "\n".join(lines)


def _table(summary: PeriodSummary) -> list[str]:
    rows = [("", *(_DAYS[day.date.weekday()] for day in summary.days), "week")]
    for category, total in summary.attempts:
        per_day = [dict(day.attempts).get(category, 0) for day in summary.days]
        rows.append((category or "all kinds", *map(_figure, per_day), str(total)))
    if len(summary.attempts) > 1:
        rows.append(("together", *(_figure(day.total) for day in summary.days), str(summary.total)))
    rows.append(
        ("hours running", *(_in_hours(day.running) for day in summary.days), _in_hours(summary.coverage.running))
    )
    return _aligned(rows)


def _closing() -> str:
    return "These are requests, not visits: pages also load by themselves. A number to talk about, not a verdict."


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _figure(count: int) -> str:
    return str(count) if count else "–"


def _in_hours(minutes: int) -> str:
    return f"{minutes / 60:.1f}"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _day(day: date) -> str:
    return f"{_DAYS[day.weekday()]} {day.day} {_MONTHS[day.month - 1]}"


def _moment(at_us: int, zone: tzinfo) -> str:
    at = datetime.fromtimestamp(at_us / 1e6, zone)
    return f"{_day(day_of(at_us, zone))} {at.year} {at:%H:%M}"
