"""The note as it would be sent now, from the record as it is: the same days, the same words, for any role.

Days that are over and told come from their summaries in the log, as in the mail itself; the others are counted now.
Sends nothing. Called by `report preview`.
"""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import blockerd.journal.outbox as mailbox
from blockerd.control import days as control_days
from blockerd.control.mails import LENGTH, letter_of, readers, since_day, written
from blockerd.journal.log import Log, open_log
from blockerd.journal.read import View
from blockerd.process import boot_id
from blockerd.report.daily import told
from blockerd.report.due import next_due
from blockerd.report.letter import Letter, Reader
from blockerd.report.mail_html import html
from blockerd.report.mail_text import text
from blockerd.report.partner import Partner, word_of
from blockerd.report.period import Period, day_of, run_of
from blockerd.report.requests import Sort, read
from blockerd.report.roles import REVEALED
from blockerd.report.week import Day, gather
from blockerd.settings import Role, Settings
from blockerd.system.boots import boots

UNKNOWN_CODE = "••••-••••"
"""Where nobody reads as this role yet."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A note and whom it would go to."""

    role: Role
    period: str
    subject: str
    text: str
    html: str
    readers: tuple[Reader, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        to = [{"name": one.name, "address": one.address} for one in self.readers]
        return {"role": self.role, "period": self.period, "subject": self.subject, "text": self.text, "readers": to}


def preview(
    settings: Settings, record: View, role: Role, period: Period | None, now: int, *, reveal: bool = False
) -> Shown:
    """The note for `role` about `period` (None: the one to come) as of `now` (Unix µs); `reveal`: with names whole.

    Raises:
        JournalError: the record cannot be read.
    """
    zone = ZoneInfo(settings.time.zone)
    period = period or coming(settings, zone, now)
    code = "" if role == Role.SELF else UNKNOWN_CODE
    letter = replace(letter_of(settings, role, period, now), stop_code=code, reveal=reveal)
    since = None
    with open_log(settings.state.dir / "journal.sqlite") as log:
        days = control_days.days_told(log, role) if log else {}
        if log:
            letter, since = _as_of(log, letter, role, period, zone, now)
    days |= _counted(record, role, period, days, settings, now)
    if role in REVEALED:
        days |= _named(record, period, days)
    note = written(gather(period, days, since), letter)
    to = letter.readers if role != Role.SELF else ()
    if role == Role.SELF:
        to = tuple(one for one in letter.readers if one.role == Role.SELF)
    return Shown(role, period.label, note.subject, text(note), html(note), to)


def coming(settings: Settings, zone: ZoneInfo, now: int) -> Period:
    """The days of the next note."""
    report = settings.report
    cut = day_of(next_due(report.every, report.send_at, zone, now), zone)
    length = LENGTH[report.every]
    return run_of(cut - timedelta(days=length), length, zone)


def _as_of(
    log: Log, letter: Letter, role: Role, period: Period, zone: ZoneInfo, now: int
) -> tuple[Letter, date | None]:
    """What the journal adds: readers, their code, the user's own words; and since when this reader reads."""
    everybody = mailbox.partners(log.db)
    mine: Partner | None = next((one for one in everybody.values() if one.reads and one.role == role), None)
    shown = readers(everybody.values())
    letter = replace(letter, readers=shown if role == Role.SELF else tuple(one for one in shown if one.role == role))
    if mine is None:
        return replace(letter, note=mailbox.remarks(log.db, "", now)), None
    letter = replace(
        letter,
        stop_code=mine.stop_code,
        talk_word=word_of(mine.stop_code, period.label),
        note=mailbox.remarks(log.db, mine.name, now),
        talks=mailbox.talks(log.db, mine.name),
        names_attached=bool(mine.key and role == Role.THERAPIST),
    )
    return letter, since_day(mine, zone)


def _named(record: View, period: Period, days: dict[date, Day]) -> dict[date, Day]:
    """Those of `days` in `period` with the names that were asked for: they are in no summary and in no mail.

    Each day is read as it was when it was told: later ones would make a pattern of what was none then.
    """
    back = control_days.LOOK_BACK * control_days.DAY_US
    every = list(record.attempts(period.start - back, period.end))
    found: dict[date, Day] = {}
    for day in period.days:
        readings = read([one for one in every if day.start - back <= one.time < day.end])
        asked = (one.attempt for one in readings if one.sort == Sort.REQUEST and one.attempt.time >= day.start)
        sites = Counter(one.site for one in asked if one.site)
        if day.date in days and sites:
            found[day.date] = replace(days[day.date], sites=tuple(sorted(sites.items())))
    return found


def _counted(
    record: View, role: Role, period: Period, known: dict[date, Day], settings: Settings, now: int
) -> dict[date, Day]:
    """Days of `period` that have begun and are not told yet."""
    zone = ZoneInfo(settings.time.zone)
    missing = [day.date for day in period.days if day.start <= now and day.date not in known]
    begun = control_days.begun(record)
    missing = [day for day in missing if begun is not None and day >= day_of(begun, zone)]
    if not missing:
        return {}
    span = [missing[0] + timedelta(days=at) for at in range((missing[-1] - missing[0]).days + 1)]
    plan = control_days.plan_of(settings)
    found = control_days.summarised(record, span, boots(now, boot_id()), now, zone, {}, plan)
    return {day: told(found[day][role]) for day in missing}
