"""Which period is owed to a reader of the notes, told from a ledger of those already sent. Pure.

A period is whole days and ends with the day before the one it is sent on: fresh, sealed by its daily summaries, and
no evening falls between two notes. Sent on a Monday, a week is the ISO week. Timers only wake whoever calls this;
nothing is counted from them, so sleep, a changed clock or a changed zone neither loses a period nor tells it twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

from blockerd.report.period import Period, day_of, last_of, run_of
from blockerd.settings import Every, SendAt

_LENGTH = {Every.DAY: 1, Every.THREE_DAYS: 3, Every.WEEK: 7}
_MONDAY = 0
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Sent:
    """A period told: its `label`, where it ended, and when it was handed over (Unix microseconds)."""

    label: str
    end: int
    at: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """What one reader was told, oldest first; `since` (Unix microseconds) is when sharing with them began."""

    since: int
    sent: tuple[Sent, ...] = ()


@dataclass(frozen=True, slots=True)
class Owed:
    """The period to tell now, when that was due (Unix microseconds), and earlier ones that nobody was told."""

    period: Period
    due: int
    missed: tuple[Period, ...]


def due(ledger: Ledger, every: Every, send_at: SendAt, zone: tzinfo, now_us: int) -> Owed | None:
    """What is owed at `now_us`, None for nothing. Days before sharing began and days already told are left out."""
    until = max((last_of(one.label) for one in ledger.sent if one.end <= now_us), default=None)
    told = {one.label for one in ledger.sent}
    found: list[tuple[Period, int]] = []
    for cut in _cuts_before(every, send_at, zone, now_us):
        if _moment(cut, send_at, zone) < ledger.since:
            break
        period = _untold(cut, _LENGTH[every], zone, ledger.since, until)
        if period is None:
            break
        if period.label not in told:
            found.append((period, _moment(cut, send_at, zone)))
    if not found:
        return None
    (latest, moment), *earlier = found
    return Owed(latest, moment, tuple(period for period, _ in reversed(earlier)))


def next_due(every: Every, send_at: SendAt, zone: tzinfo, now_us: int) -> int:
    """Unix microseconds of the first due moment after `now_us`."""
    cut = day_of(now_us, zone)
    while not _is_cut(cut, every, send_at) or _moment(cut, send_at, zone) <= now_us:
        cut += _DAY
    return _moment(cut, send_at, zone)


def latest(every: Every, send_at: SendAt, zone: tzinfo, now_us: int) -> Period:
    """The newest period whose due moment has come, whoever was told of it."""
    return run_of(next(_cuts_before(every, send_at, zone, now_us)) - _DAY * _LENGTH[every], _LENGTH[every], zone)


def _cuts_before(every: Every, send_at: SendAt, zone: tzinfo, now_us: int) -> Iterator[date]:
    """The days on which a note was due, newest first, without an end."""
    cut = day_of(now_us, zone) + _DAY  # one day more: a zone may have skipped the day of the due moment
    while True:
        if _is_cut(cut, every, send_at) and _moment(cut, send_at, zone) <= now_us:
            yield cut
        cut -= _DAY


def _is_cut(day: date, every: Every, send_at: SendAt) -> bool:
    if every is Every.WEEK:
        return day.weekday() == (_MONDAY if send_at.day is None else send_at.day)
    return day.toordinal() % _LENGTH[every] == 0


def _moment(day: date, send_at: SendAt, zone: tzinfo) -> int:
    """A skipped time is read by the offset before it, one that comes twice is the first (PEP 495)."""
    hour, minute = divmod(send_at.minute, 60)
    return int(datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).timestamp()) * 1_000_000


def _untold(cut: date, length: int, zone: tzinfo, since: int, until: date | None) -> Period | None:
    """The days before `cut` that are news; `until` is the last that was told.

    A day is known by its date, as its summary is: a move to another zone, which shifts midnight by up to 25 hours,
    loses none. Of the time before sharing began not an hour is told.
    """
    whole = run_of(cut - _DAY * length, length, zone)
    news = [day for day in whole.days if day.start >= since and (until is None or day.date > until)]
    return run_of(news[0].date, len(news), zone) if news else None
