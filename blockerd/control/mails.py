"""From a mail that waits to the bytes that go out: its note, its evidence, its number. One transaction each.

A mail gets its bytes when the road is open, so that it says what holds then and that it is late where it is. Refuses to
put anything into a mail that the reader's role may not know. Called by `control.reports` with the writing connection;
`letter_of` and `written` also by previews.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import blockerd.journal.outbox as mailbox
from blockerd import __version__, clock
from blockerd.control.days import days_told
from blockerd.journal import checkpoint, rotation
from blockerd.journal.heads import record_head
from blockerd.journal.log import Gone, Log
from blockerd.journal.outbox import Row, Sealed
from blockerd.journal.schema import Connection
from blockerd.lists.added import merged
from blockerd.lists.fetch import record as fetch_record
from blockerd.report import encrypt, evidence, mime, pairing, service
from blockerd.report.blocks import Note
from blockerd.report.catalogue import Catalogue
from blockerd.report.compose import note
from blockerd.report.deliver import LATE_US, wait
from blockerd.report.due import Owed, next_due
from blockerd.report.evidence import Before, Days, Evidence, Head, Kind, Opening, Without
from blockerd.report.letter import Letter, Reader, Seal
from blockerd.report.pairing import Pair
from blockerd.report.partner import LAST, MINE, OWN, Partner, Says, word_of
from blockerd.report.period import Period, day_of, run_of
from blockerd.report.texts import help_by_country, load
from blockerd.report.week import WeekFacts, gather
from blockerd.settings import Every, RoadName, Role, Settings

LENGTH = {Every.DAY: 1, Every.THREE_DAYS: 3, Every.WEEK: 7}
OPENED = 62
"""Days that a mail opens at the most; of more it says that they are told as a sum."""

PLAN, RESOURCES = "plan.txt", "resources.txt"
"""The user's own words beside the journal, one line each."""

ASLEEP, SERVER = "the computer was off or asleep", "the mail server was out of reach"
Names = Callable[[Period], str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the log stands as a mail is made: head, key, the mail before in its row, and the number of this one."""

    head: Head
    key: checkpoint.SigningKey
    number: int
    before: Before | None
    follows: Head | None
    new_log: bool
    again: bool = False


class Maker:
    """Makes mails for one install; `names` gives the text of a closed attachment about a period."""

    def __init__(self, settings: Settings, names: Names | None = None) -> None:
        self.settings = settings
        self.names = names

    def sealed(self, db: Connection, row: Row, now: int) -> Sealed:
        """The bytes of `row` as of `now` (Unix µs); a head is kept with them. Inside a transaction.

        Raises:
            mime.HeaderError, ValueError: it cannot be made into a mail.
            checkpoint.CheckpointError, OSError: the key cannot be used.
        """
        envelope = mime.Envelope(self.settings.report.smtp.from_, row.address, now)
        if row.what in MINE:
            told = self._letter(db, row, now, None)
            return Sealed(now, mime.message(told.subject, told.language, mime.parts_of(told), envelope))
        log = Log(db)
        place = _place(log, row, self.settings.state.dir)
        told = self._letter(db, row, now, place)
        last = evidence.seal(place.before.head if place.before else None)
        if row.what != Says.SEAL:
            told = replace(told, blocks=(*told.blocks, service.seals(evidence.seal(place.head), last, _texts())))
        parts = mime.parts_of(told, self._files(row, db, place, now))
        if row.what == Says.SEAL:
            parts = parts[:1]  # a page for one sentence would be ten times the mail
        said = self._evidence(log, row, place, now, parts)
        attached = evidence.attachment(said, place.key.sign)
        body = mime.message(told.subject, told.language, parts, envelope, attached)
        return self._kept(db, log, place, now, body, evidence.digest(attached))

    def pair(self, row: Row, partner: Partner | None, now: int) -> Pair:
        """The two people, for the mails around the notes."""
        zone = self.zone
        report = self.settings.report
        country = help_by_country().of(report.country, self.settings.time.zone)
        due = next_due(report.every, report.send_at, zone, now)
        code = partner.stop_code if partner else ""
        return Pair(
            report.smtp.from_, row.lane or (partner.name if partner else ""), row.role, zone, due, country, code
        )

    @property
    def zone(self) -> ZoneInfo:
        """The zone of the settings."""
        return ZoneInfo(self.settings.time.zone)

    def _letter(self, db: Connection, row: Row, now: int, place: Place | None) -> Note:
        c = _texts()
        name = row.lane or str(row.detail.get("partner", ""))
        partner = mailbox.partners(db).get(name)
        pair = replace(self.pair(row, partner, now), partner=name)
        on, code = day_of(now, self.zone), str(row.detail.get("code", ""))
        if row.what == Says.REPORT and partner and place:
            return self._report(db, row, partner, now, place)
        if row.what == Says.SEAL and place:
            last = evidence.seal(place.before.head if place.before else None)
            return service.seal(pair, evidence.seal(place.head), last, c)
        if row.what == Says.INVITE and place:
            return pairing.invite(pair, code, place.key.public.fingerprint, c)
        if row.what in (Says.RENEW, Says.RENEW_MINE):
            until = day_of(partner.until if partner else now, self.zone)
            return pairing.renewal(pair, until, code, c, mine=row.what == Says.RENEW_MINE)
        return _plain(row, pair, on, code, c)

    def _report(self, db: Connection, row: Row, partner: Partner, now: int, place: Place) -> Note:
        period, missed = periods_of(row, self.zone)
        role = mailbox.role_of(db, row.place)
        log = Log(db)
        facts = gather(period, days_told(log, role), since_day(partner, self.zone), missed)
        letter = letter_of(self.settings, role, period, now)
        letter = replace(
            letter,
            stop_code=partner.stop_code,
            talk_word=word_of(partner.stop_code, period.label),
            late_since=row.due if now - row.due >= LATE_US else None,
            note=mailbox.remarks(db, row.lane, now, partner.since),
            talks=mailbox.talks(db, row.lane),
            readers=readers(mailbox.partners(db).values()),
            seal=Seal(place.number, place.head.size, place.head.root.hex(), _continues(place)),
            names_attached=bool(partner.key and role == Role.THERAPIST),
        )
        return note(facts, letter, _texts())

    def _files(self, row: Row, db: Connection, place: Place, now: int) -> tuple[mime.Part, ...]:
        """What hangs on the mail beside the evidence."""
        report = self.settings.report
        if row.what == Says.INVITE:
            due = next_due(report.every, report.send_at, self.zone, now)
            uid = f"{place.head.root.hex()[:24]}@{report.smtp.from_.partition('@')[2]}"
            text = pairing.calendar(due, report.every, self.zone, uid, now, _texts())
            return (mime.Part(mime.CALENDAR, text.encode(), "note.ics"),)
        partner = mailbox.partners(db).get(row.lane)
        if row.what == Says.REPORT and partner and partner.key and row.role == Role.THERAPIST and self.names:
            return (encrypt.sealed(partner.key, "names.txt", self.names(periods_of(row, self.zone)[0])),)
        return ()

    def _evidence(self, log: Log, row: Row, place: Place, now: int, parts: Sequence[mime.Part]) -> Evidence:
        partner = mailbox.partners(log.db).get(row.lane)
        ends = row.what in LAST or partner is None or not partner.reads or partner.place != row.place
        pairing_mail = place.number == 1
        days, openings, without = self._days(log, row, place.head.size)
        follows = None if place.new_log else place.before.head if place.before else place.follows
        old = follows.size if follows else 0
        return Evidence(
            head=place.head,
            to=str(mailbox.role_of(log.db, row.place)),
            place=row.place,
            number=place.number,
            kind=Kind.PAIRING if pairing_mail else _KINDS.get(row.what, Kind.NOTICE),
            made=now,
            due=None if ends else day_of(now, self.zone) + timedelta(days=1),
            parts=tuple(part.digest for part in parts),
            before=place.before,
            consistency=tuple(log.consistency(old, place.head.size)) if 0 < old <= place.head.size else (),
            days=days,
            openings=openings,
            without=without,
            late=_late(row, now),
            key=place.key.public.text if pairing_mail else "",
            new_log=place.new_log,
            follows=place.follows,
            again=place.again,
            rotations=rotation.rotations(log),
        )

    def _days(self, log: Log, row: Row, size: int) -> tuple[Days | None, tuple[Opening, ...], tuple[Without, ...]]:
        if row.what != Says.REPORT:
            return None, (), ()
        period, missed = periods_of(row, self.zone)
        first, last = (missed or (period,))[0].days[0].date, period.days[-1].date
        all_days = [first + timedelta(days=at) for at in range((last - first).days + 1)]
        leaves = mailbox.summaries(log.db, mailbox.role_of(log.db, row.place), first.isoformat(), last.isoformat())
        found, without = list[Opening](), list[Without]()
        if len(all_days) > OPENED:
            without.append(Without(first, all_days[-OPENED - 1], "told as a sum after a long time without notes"))
            all_days = all_days[-OPENED:]
        for day in all_days:
            try:
                said = log.opening(leaves[day.isoformat()])
            except (KeyError, Gone):
                without.append(Without(day, day, "there is no summary of this day"))
            else:
                found.append(Opening(said.n, said.salt, said.event, tuple(log.inclusion(said.n, size))))
        return Days(period.label.replace("/", "_"), first, last), tuple(found), tuple(without)

    def _kept(self, db: Connection, log: Log, place: Place, now: int, body: bytes, digest: bytes) -> Sealed:
        state = log.state()
        head = checkpoint.Checkpoint(place.head.origin, state.size, state.root, (f"rows {state.rows}",))
        kept = record_head(db, now, place.key.sign(head.text()))
        return Sealed(now, body, place.number, place.head.origin, state.size, state.root, digest, kept.id)


_KINDS = {Says.REPORT: Kind.REPORT, Says.SEAL: Kind.SEAL, Says.INVITE: Kind.PAIRING}


def own_road(settings: Settings) -> str:
    """The way to the user: mail, where any reader gets mail; else the folder of their own copies."""
    partners = settings.report.partner
    return RoadName.SMTP if not partners or any(one.road == RoadName.SMTP for one in partners) else OWN


def letter_of(settings: Settings, role: Role, period: Period, now: int) -> Letter:
    """What any letter of this install to `role` has."""
    zone, report = ZoneInfo(settings.time.zone), settings.report
    return Letter(
        role=role,
        zone=zone,
        next_due=next_due(report.every, report.send_at, zone, now),
        version=__version__,
        country=help_by_country().of(report.country, settings.time.zone),
        lists_age=lists_age(settings),
        partial=len(period.days) < LENGTH[report.every],
        plan=lines_of(settings.state.dir / PLAN),
        resources=lines_of(settings.state.dir / RESOURCES),
        yardsticks=report.yardsticks,
    )


def written(facts: WeekFacts, letter: Letter) -> Note:
    """The note as it would be sent."""
    return note(facts, letter, _texts())


def detail_of(owed: Owed) -> dict[str, Any]:
    """What a report that waits keeps of what is owed."""
    periods = [[one.days[0].date.isoformat(), len(one.days)] for one in (*owed.missed, owed.period)]
    return {"periods": periods}


def periods_of(row: Row, zone: ZoneInfo) -> tuple[Period, tuple[Period, ...]]:
    """The period that a waiting report is about, and those before it that nobody was told."""
    *missed, last = (run_of(date.fromisoformat(first), count, zone) for first, count in row.detail["periods"])
    return last, tuple(missed)


def since_day(partner: Partner, zone: ZoneInfo) -> date:
    """The first whole day of sharing."""
    return day_of(partner.since - 1, zone) + timedelta(days=1)


def readers(partners: "Sequence[Partner] | Any") -> tuple[Reader, ...]:  # noqa: ANN401  (any iterable of them)
    """Who gets notes now, as the user is shown them."""
    return tuple(Reader(one.name, one.address, one.role) for one in partners if one.reads)


def lists_age(settings: Settings) -> int | None:
    """Days since the oldest fetched list was current; None where none is fetched."""
    ages = [
        fetch_record.load(settings, source.id).age_days(clock.now())
        for source in merged(settings).lists.source
        if source.url and source.enabled
    ]
    known = [age for age in ages if age is not None]
    return int(max(known)) if known else None


def key_of(folder: Path, log: Log) -> checkpoint.SigningKey:
    """The key that signs heads of `log`; made where there is none yet.

    Raises:
        checkpoint.CheckpointError, OSError: it cannot be used or made.
    """
    try:
        return rotation.current(log.db, folder)
    except FileNotFoundError:
        name = log.state().log
        return checkpoint.create(rotation.key_file(folder, name), checkpoint.origin_of(name), os.urandom(32))


def _place(log: Log, row: Row, folder: Path) -> Place:
    state = log.state()
    head = Head(checkpoint.origin_of(state.log), state.size, state.root)
    key = key_of(folder, log)
    last = mailbox.last_of(log.db, row.place)
    if last is None:
        other = mailbox.other_row(log.db, row.place)
        anew = other is not None and other.origin != head.origin
        known = other is not None and (not anew or other.lane == row.lane)
        return Place(head, key, 1, None, _head_of(other) if other and known else None, new_log=anew and known)
    old = _head_of(last)
    if old.origin != head.origin:
        return Place(head, key, 1, None, old, new_log=True)
    number = last.number or 0
    return Place(
        head, key, number + 1, Before(number, old, last.digest or b""), None, new_log=False, again=_again(last)
    )


def _again(row: Row) -> bool:
    """True if its bytes may have gone more than once: they were taken a wait between tries after the seal, or later."""
    return row.made is not None and row.done is not None and row.done - row.made >= wait(1)


def _head_of(row: Row) -> Head:
    """The head that a numbered mail told."""
    return Head(row.origin or "", row.size or 0, row.root or b"")


def _continues(place: Place) -> bool | None:
    return False if place.new_log else None if place.before is None else True


def _late(row: Row, now: int) -> str:
    if now - row.due < LATE_US:
        return ""
    return ASLEEP if row.queued - row.due >= LATE_US else SERVER


def _plain(row: Row, pair: Pair, on: date, code: str, c: Catalogue) -> Note:
    """A mail that needs no more than the two people and the day."""
    match row.what:
        case Says.ACCEPTED:
            return pairing.accepted(pair, on, c)
        case Says.LAPSED | Says.LAPSED_MINE:
            return pairing.lapsed(pair, c, mine=row.what == Says.LAPSED_MINE)
        case Says.STOPPED | Says.STOPPED_MINE:
            return pairing.stopped_by_partner(pair, on, c, mine=row.what == Says.STOPPED_MINE)
        case Says.LEFT:
            return pairing.stopped_by_user(pair, on, c)
        case Says.LESS:
            return pairing.less(pair, on, c)
        case Says.MORE:
            return pairing.more(pair, on, code, c)
        case Says.ADDRESS:
            return pairing.new_address(pair, on, c)
        case Says.REMOVED | Says.NEUTRAL:
            return pairing.removed(pair, on, c, neutral=row.what == Says.NEUTRAL)
        case Says.HALTED:
            return pairing.halted(pair, on, c)
        case Says.REFUSED_MINE:
            return service.refused(pair, str(row.detail.get("address", "")), c)
        case _:
            raise ValueError(f"{row.what}: no mail of this kind can be made here")


def _texts() -> Catalogue:
    return load()


def lines_of(path: Path) -> tuple[str, ...]:
    """Lines of a small file of the user's own; none where there is no such file."""
    try:
        return tuple(line for line in path.read_text("utf-8")[:4000].splitlines() if line.strip())
    except (OSError, ValueError):
        return ()
