"""The mails around the notes: invitation, yes, renewal, endings, changes, and the calendar entry. Texts only. Pure.

Each begins like every mail to a partner and says of an ending that it says nothing about why. Nothing in them is a
figure, a site or a time at which something happened. Codes, dates and fingerprints come in as parameters; who may
send which, and when, is not decided here. Called by whoever handles partners and consent.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo

from blockerd.report.blocks import Block, Heading, Items, Note, Para, Tone
from blockerd.report.catalogue import Catalogue
from blockerd.report.compose import opening
from blockerd.report.helplines import Country
from blockerd.report.period import day_of
from blockerd.report.safe import line
from blockerd.settings import Every, Role

_RULES = {Every.DAY: "FREQ=DAILY", Every.THREE_DAYS: "FREQ=DAILY;INTERVAL=3", Every.WEEK: "FREQ=WEEKLY"}


@dataclass(frozen=True, slots=True)
class Pair:
    """The two people and what the mails about them need.

    `sender` is what the user is called, `partner` the other; `next_due` (Unix microseconds) is the first or next note.
    """

    sender: str
    partner: str
    role: Role
    zone: tzinfo
    next_due: int
    country: Country | None = None
    stop_code: str = ""


def invite(pair: Pair, code: str, fingerprint: str, c: Catalogue) -> Note:
    """Asks once. The partner reads `fingerprint` aloud, compares, and tells `code`; nothing else is sent before."""
    sender = line(pair.sender)
    not_told = "pairing.not_therapist" if pair.role is Role.THERAPIST else "pairing.not"
    consent = tuple(_fill(text, sender) for text in c.lists["pairing.consent_text"])
    accept = c.text(
        "pairing.accept_text",
        sender=sender,
        fingerprint=line(fingerprint, 100),
        code=line(code, 40),
        first=c.moment(pair.next_due, pair.zone),
    )
    return _note(
        pair,
        c,
        "subject.pairing",
        "lead.invite",
        Para(c.text("pairing.invite_lead", sender=sender)),
        Para(c.text("pairing.invite_about", sender=sender)),
        Heading(c.text("pairing.will")),
        Items(c.lists[f"pairing.will_{pair.role}"]),
        Heading(c.text("pairing.will_not")),
        Items(c.lists[not_told]),
        Heading(c.text("pairing.consent")),
        Items(consent),
        Heading(c.text("pairing.accept")),
        Para(accept),
        Para(c.text("pairing.silence")),
        Para(c.text("pairing.decline")),
        Para(c.text("pairing.guide_hint"), Tone.QUIET),
    )


def accepted(pair: Pair, on: date, c: Catalogue) -> Note:
    """To both, the moment the code was entered; with the guide for whoever reads."""
    told = c.text(
        "pairing.accepted_text",
        partner=line(pair.partner),
        day=c.day(on),
        first=c.moment(pair.next_due, pair.zone),
    )
    guide = () if pair.role is Role.SELF else (Heading(c.text("guide.title")), Items(c.lists["guide.parts"]))
    lead = Para(c.text("pairing.accepted_lead"))
    return _note(pair, c, "subject.change", "lead.partner", lead, Para(told), *guide)


def renewal(pair: Pair, until: date, code: str, c: Catalogue, *, mine: bool) -> Note:
    """Asks again before ninety days are over; `mine`: to the user, who confirms and enters the partner's `code`."""
    told = (
        c.text("pairing.renew_self_text", partner=line(pair.partner), until=c.day(until))
        if mine
        else c.text("pairing.renew_text", until=c.day(until), sender=line(pair.sender), code=line(code, 40))
    )
    lead = Para(c.text("pairing.renew_lead"))
    return _note(pair, c, "subject.renew", "lead.partner", lead, Para(told), mine=mine)


def lapsed(pair: Pair, c: Catalogue, *, mine: bool) -> Note:
    """To both: not both said yes again. The filter stays, sharing ends."""
    return _ended(pair, c, "pairing.lapsed_lead", c.text("pairing.lapsed_text"), mine=mine)


def stopped_by_partner(pair: Pair, on: date, c: Catalogue, *, mine: bool) -> Note:
    """The stop code was used: a last word to the partner, or (`mine`) word of it to the user."""
    if mine:
        lead, text = "pairing.stop_told_lead", "pairing.stop_told_text"
        return _ended(pair, c, lead, c.text(text, partner=line(pair.partner)), mine=True)
    return _ended(pair, c, "pairing.left_partner_lead", c.text("pairing.left_partner_text", day=c.day(on)))


def stopped_by_user(pair: Pair, on: date, c: Catalogue) -> Note:
    """The user ended sharing; the partner is told that and nothing else."""
    return _ended(pair, c, "pairing.left_user_lead", c.text("pairing.left_user_text", day=c.day(on)))


def less(pair: Pair, on: date, c: Catalogue) -> Note:
    """The notes tell less from now on; it holds already, and the partner learns only that the level changed."""
    told = c.text("pairing.level_less", day=c.day(on), level=c.text(f"about.role_{pair.role}"))
    return _change(pair, c, "pairing.level_lead", told)


def more(pair: Pair, on: date, code: str, c: Catalogue) -> Note:
    """Asks the partner whether the notes may tell more; without their code they do not."""
    level = c.text(f"about.role_{pair.role}")
    told = c.text("pairing.level_more", day=c.day(on), level=level, sender=line(pair.sender), code=line(code, 40))
    return _note(pair, c, "subject.renew", "lead.partner", Para(c.text("pairing.more_lead")), Para(told))


def new_address(pair: Pair, on: date, c: Catalogue) -> Note:
    """To the old address, before anything goes to the new one, which is not named."""
    told = c.text("pairing.address_text", day=c.day(on), sender=line(pair.sender))
    return _change(pair, c, "pairing.address_lead", told)


def removed(pair: Pair, on: date, c: Catalogue, *, neutral: bool) -> Note:
    """The program was taken off. `neutral`: says that sharing has ended, not even that."""
    if neutral:
        return _ended(pair, c, "pairing.lapsed_lead", c.text("pairing.removed_neutral"))
    return _ended(pair, c, "pairing.removed_lead", c.text("pairing.removed_text", day=c.day(on)))


def halted(pair: Pair, on: date, c: Catalogue) -> Note:
    """The program was stopped for good; sent after a time that the user sees, never about requests."""
    return _change(pair, c, "pairing.stopped_lead", c.text("pairing.stopped_text", day=c.day(on)))


def guide(country: Country | None, c: Catalogue) -> Note:
    """What may help somebody who reads the notes, to be handed out or printed."""
    heading = Heading(c.text("guide.title"), top=True)
    blocks = (*opening(Role.SPOUSE, country, "", c, "lead.guide"), heading, Items(c.lists["guide.parts"]))
    return Note(c.language, c.direction, c.text("guide.title"), blocks)


def calendar(first_due: int, every: Every, zone: tzinfo, uid: str, made: int, c: Catalogue) -> str:
    """An RFC 5545 calendar with one repeating day, so that a note that does not come is noticed by a person.

    A whole day has no hour that a change of clocks could move. `uid` is an id of our own making, `made` Unix
    microseconds; the subject is as neutral as that of the mail.
    """
    stamp = datetime.fromtimestamp(made // 1_000_000, UTC)
    lines = (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//blockerd//note//EN",
        "METHOD:PUBLISH",
        "BEGIN:VEVENT",
        f"UID:{_escaped(line(uid, 100))}",
        f"DTSTAMP:{stamp:%Y%m%dT%H%M%SZ}",
        f"DTSTART;VALUE=DATE:{day_of(first_due, zone):%Y%m%d}",
        f"RRULE:{_RULES[every]}",
        f"SUMMARY:{_escaped(c.text('pairing.calendar'))}",
        f"DESCRIPTION:{_escaped(c.text('pairing.calendar_text'))}",
        "CLASS:PRIVATE",
        "TRANSP:TRANSPARENT",
        "END:VEVENT",
        "END:VCALENDAR",
    )
    return "".join(f"{_folded(one)}\r\n" for one in lines)


def _ended(pair: Pair, c: Catalogue, lead: str, told: str, *, mine: bool = False) -> Note:
    first = Para(c.text(lead, partner=line(pair.partner)))
    return _note(pair, c, "subject.ended", "lead.last", first, Para(told), mine=mine)


def _change(pair: Pair, c: Catalogue, lead: str, told: str) -> Note:
    return _note(pair, c, "subject.change", "lead.partner", Para(c.text(lead)), Para(told))


def _note(pair: Pair, c: Catalogue, subject: str, lead: str, *blocks: Block, mine: bool = False) -> Note:
    role = Role.SELF if mine else pair.role
    first = opening(role, pair.country, pair.stop_code, c, lead)
    return Note(c.language, c.direction, c.text(subject), (*first, *blocks))


def _fill(text: str, sender: str) -> str:
    return text.replace("{sender}", sender)


def _escaped(text: str) -> str:
    """A TEXT value (RFC 5545 section 3.3.11)."""
    return text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")


def _folded(text: str) -> str:
    """Lines of at most 75 octets, never cut inside a letter (RFC 5545 section 3.1)."""
    rows, room = [""], 75
    for sign in text:
        size = len(sign.encode())
        if size > room:
            rows.append(" ")
            room = 74
        rows[-1] += sign
        room -= size
    return "\r\n".join(rows)
