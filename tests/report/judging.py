"""What the tests of both verifiers share: an honest quarter, changes made to its mails, and short ways to an answer.

Nothing here asserts. Called by test_verify, test_verify_tampering and test_verify_page.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path
from random import Random

from blockerd.journal import merkle
from blockerd.report import evidence, verify
from blockerd.report.evidence import Head, Kind
from tests.report.chains import DAY, FIRST, Log, Sender, key_of, one_day, quarter

GOLDEN = Path(__file__).parents[1] / "golden" / "evidence"


@cache
def honest() -> Sender:
    return quarter()


@cache
def forged() -> tuple[bytes, ...]:
    log = Log()
    log.beats(1)
    return tuple(quarter(log=log, until=40).mails)


def told_quarter(name: str) -> Sequence[bytes]:
    """The quarter's mails as they are, with one edited, with one missing, after an old database was put back."""
    mails = list(honest().mails)
    if name == "edited":
        mails[40] = mails[40].replace(b"attempts.adult: 1", b"attempts.adult: ")
        assert mails[40] != honest().mails[40]
    elif name == "gap":
        del mails[57]
    elif name == "restored":
        sender = quarter(until=70)
        kept = quarter(until=50)
        sender.log, sender.opened = kept.log, kept.opened
        for day in range(70, 91):
            one_day(sender, FIRST + day * DAY)
        return sender.mails
    return mails


def rows(name: str) -> list[bytes]:
    """A reader's role changes after three days: the record as it is, changed or cut in between, or without a bond."""
    log = Log()
    first = quarter(log=log, until=3)
    assert first.before
    last = first.before.head
    if name == "another record":
        return [*first.mails, *begun_anew(last)]
    if name.startswith("clock"):
        return moved(first, timedelta(seconds=int(name.split()[1])))
    if name in ("changed", "changed, unbound", "other head"):
        log.events[4] = (log.events[4][0], b'{"at":4,"kind":"other"}')
    elif name.startswith("cut"):
        del log.events[-6:]
    second = Sender(log, to="mentor", place=2, follows=None if "unbound" in name else last)
    if name == "older head":
        second.follows = Head(last.origin, 1, merkle.leaf_hash(log.commitment(0)))
    elif name in ("other head", "cut"):
        second.follows = Log(events=log.events[: last.size]).head()
    log.beats(2 if name.startswith("cut") else 9)
    second.pairing(at(3, 9))
    second.send(Kind.SEAL, at(4, 9), None)
    return [*first.mails, *second.mails]


def begun_anew(follows: Head) -> list[bytes]:
    """Another record, in a row of its own, that names where the one before ended."""
    log = Log("blockerd/0badcafe")
    log.beats(5)
    fresh = Sender(log, to="mentor", place=2, key=key_of(7, log.origin), follows=follows)
    fresh.pairing(at(3, 9))
    log.beats(4)
    fresh.send(Kind.SEAL, at(4, 9), None)
    return fresh.mails


def moved(first: Sender, ahead: timedelta) -> list[bytes]:
    """What waited goes first in the new row, seconds later the last word in the old one; the user's clock is ahead."""
    assert first.before
    clock = at(3, 9) + timedelta(seconds=40) + ahead
    second = Sender(first.log, to="mentor", place=2, follows=first.before.head)
    first.log.beats(3)
    second.send(Kind.PAIRING, clock, clock.date() + DAY, key=second.key.public.text, delay=-ahead)
    first.log.beats(1)
    first.send(Kind.NOTICE, clock + timedelta(seconds=5), None, delay=-ahead)
    second.send(Kind.SEAL, at(4, 9), None)
    return [*first.mails, *second.mails]


def told_ahead() -> list[bytes]:
    """A mail of a clock three days ahead tells of the day to come; once it is over, another one does."""
    sender, day = quarter(until=6), FIRST + 6 * DAY
    for ahead, minutes in ((3, 0), (0, 300)):
        sender.log.beats(5)
        sender.opened[day] = sender.log.daily(day, minutes={"monitored": minutes})
        sender.seal(day, at(7 + ahead, 6), delay=timedelta(days=-ahead))
    return sender.mails


ROWS = {
    "sound": "continues",
    "changed": "does not continue (mail 1: the record that another row of mails told was changed)",
    "changed, unbound": "cannot tell (nothing binds it to mail 4 to spouse)",
    "other head": "does not continue (mail 1: the record that mail 4 to spouse told was changed)",
    "cut": "does not continue (mail 1: the record that mail 4 to spouse told was changed)",
    "cut, unbound": "does not continue (mail 1: the record that mail 4 to spouse told was changed)",
    "older head": "cannot tell (nothing binds it to mail 4 to spouse)",
    "unbound": "cannot tell (nothing binds it to mail 4 to spouse)",
    "another record": "does not continue (mail 1: new origin, size 0: another record begins with this mail)",
    "clock 0 s ahead": "continues",
    "clock 30 s ahead": "continues",
    "clock 120 s ahead": "continues",
}
"""What both verifiers say of `rows`."""


def resent(name: str) -> list[bytes]:
    """Three days of seals, of which one or more came again or late: mail 4 is made at 7 on the day after mail 3.

    The number in `name` is the minutes from a mail's first copy to the next, or from `made` to the only one.
    """
    what, minutes = name.rsplit(", ", 1)
    count = int(minutes.split()[0])
    sender = quarter(until=3)
    if what in ("again", "newest again"):
        return [*sender.mails, delayed(sender.mails[2 if what == "again" else 3], count)]
    if what == "made anew":
        before, more = sender.before, timedelta(minutes=count)
        sender.send(Kind.SEAL, at(4, 7), None)
        sender.before = before
        sender.send(Kind.SEAL, at(4, 7) + more, None)
        return sender.mails
    if what.startswith("late"):
        sender.send(Kind.SEAL, at(4, 7), None, late="the mail server was out of reach", delay=timedelta(hours=3))
        return [*sender.mails, delayed(sender.mails[-1], count)]
    sender.send(Kind.SEAL, at(4, 7), None, delay=timedelta(minutes=count))
    if what != "newest":
        sender.send(Kind.SEAL, at(5, 7), None, again=what != "unsaid")
    if what == "said of another":
        signed = evidence_of(sender.mails[-1]).decode().rpartition("\n\n")[0] + "\n"
        other = sender.key.sign(signed.replace("again 5", "again 4")).encode()
        sender.mails[-1] = with_evidence(sender.mails[-1], other)
    if what == "said and again":
        sender.mails.append(delayed(sender.mails[4], count))
    return sender.mails


_UNTOLD = f"cannot tell ({verify.UNTOLD})"
_LATE = "does not continue (mail {}: it was received {} minutes after it was made" + verify.RETRIED + ")"
RESENT = {
    "again, 6 minutes": "continues",
    "again, 22 minutes": "continues",
    "again, 1454 minutes": "continues",
    "again, 1455 minutes": _LATE.format(3, 1456),
    "newest again, 2894 minutes": "continues",
    "newest again, 2895 minutes": _UNTOLD.format(4, 2896),
    "late, again, 22 minutes": "continues",
    "late, again, 2715 minutes": "continues",
    "late, again, 2716 minutes": _UNTOLD.format(5, 2896),
    "made anew, 6 minutes": "does not continue (mail 5: two different mails bear number 5)",
    "newest, 22 minutes": _UNTOLD.format(5, 22),
    "unsaid, 22 minutes": _UNTOLD.format(5, 22),
    "said, 22 minutes": "continues",
    "said, 1455 minutes": "continues",
    "said, 1456 minutes": _UNTOLD.format(5, 1456),
    "said of another, 22 minutes": _UNTOLD.format(5, 22),
    "said and again, 22 minutes": "continues",
}
"""What both verifiers say of `resent`."""


def summed(number: str) -> list[bytes]:
    """Mails of a record whose one summary has `number` in it, as the one with the key may write it."""
    sender = quarter(until=0)
    sender.opened[FIRST] = sender.log.daily(FIRST, x=0, y=7)
    salt, event = sender.log.events[-1]
    sender.log.events[-1] = salt, event.replace(b'"x":0', b'"x":' + number.encode())
    sender.seal(FIRST, at(1, 7))
    return sender.mails


_SUMMED = "does not continue (mail 2: its evidence is damaged: a value is none)"
SUMMED = {
    "12": "continues",
    "-0": "continues",
    '"1.0e5 NaN"': "continues",
    '[{"\\"": 1}]': "continues",
    "NaN": _SUMMED,
    "1.0": _SUMMED,
    "-0.0": _SUMMED,
    "1e3": _SUMMED,
    "[" + "[]," * 500 + "[]]": _SUMMED,
}
"""What both verifiers say of `summed`."""


def delayed(raw: bytes, minutes: int) -> bytes:
    """The same mail as it came that much later."""
    stamp = re.search(rb"; ([^;]*?)\r\n(?=Received)", raw)
    assert stamp
    came = datetime.strptime(stamp[1].decode(), "%a, %d %b %Y %H:%M:%S %z") + timedelta(minutes=minutes)
    return raw.replace(stamp[1], f"{came:%a, %d %b %Y %H:%M:%S %z}".encode(), 1)


def end() -> date:
    return made_of(honest().mails)


def at(day: int, hour: int) -> datetime:
    one = FIRST + day * DAY
    return datetime(one.year, one.month, one.day, hour, tzinfo=UTC)


@lru_cache(400)
def cached(raw: bytes) -> tuple[verify.Mail, ...]:
    return tuple(verify.mails_in(hashlib.sha256(raw).hexdigest()[:8], raw))


def fresh(raw: bytes, name: str) -> list[verify.Mail]:
    return verify.mails_in(name, raw) or [
        verify.Mail(name, answer=verify.Answer(verify.UNKNOWN, "its evidence is missing"))
    ]


def parsed(mails: Sequence[bytes]) -> list[verify.Mail]:
    return [replace(mail, answer=mail.answer) for raw in mails for mail in cached(raw)]


def judged(mails: Sequence[bytes], today: date, *keys: str) -> tuple[verify.Answer, list[str], list[verify.Mail]]:
    found = sorted(parsed(mails), key=lambda mail: mail.note.minute if mail.note else 0)
    overall, remarks = verify.judge(found, keys, today)
    return overall, remarks, found


def made_of(mails: Sequence[bytes]) -> date:
    notes = [mail.note for mail in parsed(mails) if mail.note]
    return datetime.fromtimestamp(max(note.minute for note in notes) * 60, UTC).date()


def saved(folder: Path, mails: Sequence[bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for number, raw in enumerate(mails, 1):
        (folder / f"{number:03}.eml").write_bytes(raw)
    return folder


def duplicate(mails: list[bytes], place: int) -> None:
    """Delivered once more, a day later or more."""
    old = mails[place % len(mails)]
    later = made_of([old]) + (3 + place % 5) * DAY
    mails.append(
        re.sub(rb";[^;]*?\r\n(?=Received)", f"; {later:%a, %d %b %Y} 08:00:00 +0000\r\n".encode(), old, count=1)
    )


def changed_mail(raw: bytes, chance: Random) -> bytes:
    """Bytes flipped, cut out, put in or doubled: in the headers that count, the text, or the attachment."""
    areas = [(0, raw.index(b"\r\nReceived")), (raw.index(b"\r\n\r\nMail"), raw.index(b"This seal") + 45)]
    areas += [(raw.index(b"\r\n\r\n", raw.index(b"evidence.txt")) + 4, len(raw) - 60)] * 3
    begin, end = chance.choice(areas)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        spot, length = chance.randrange(begin, end), chance.choice((1, 1, 4, 30))
        piece = chance.choice((b"", chance.randbytes(length), raw[spot : spot + length] * 2, b"A", b"\r\n", b"\x00"))
        raw = raw[:spot] + piece + raw[spot + chance.choice((0, 1, length)) :]
    return raw


def alike(mails: Sequence[verify.Mail], others: Sequence[verify.Mail]) -> bool:
    """True if they say the same: text, evidence, and a time of receipt that fits as well."""
    told, wanted = ([(each.parts, [sign.rstrip() for sign in each.signs]) for each in both] for both in (mails, others))
    return told == wanted and abs((mails[0].received or 0) - (others[0].received or 0)) < 15


def evidence_of(raw: bytes) -> bytes:
    return cached(raw)[0].signs[0]


def with_evidence(raw: bytes, text: bytes) -> bytes:
    """The mail with another attachment, in hexadecimal so that any bytes arrive as they are."""
    encoded = b"".join(b"=%02X" % byte + (b"=\r\n" if at % 20 == 19 else b"") for at, byte in enumerate(text))
    begin = raw.index(b"Content-Transfer-Encoding: base64")
    body, close = raw.index(b"\r\n\r\n", begin) + 4, raw.rindex(b"\r\n--")
    header = raw[begin:body].replace(b"base64", b"quoted-printable")
    return raw[:begin] + header + encoded + raw[close:]


def mail_with_head(size: int, root: bytes) -> verify.Mail:
    note = verify.Note("", "", [], "", size, evidence._b64(root), number=size)
    return verify.Mail("", note=note)


def hashed(leaves: Sequence[str]) -> Iterator[bytes]:
    return (merkle.leaf_hash(bytes.fromhex(leaf)) for leaf in leaves)


def numbered(leaves: Sequence[str]) -> list[str]:
    return [f"{number} {leaf}" for number, leaf in enumerate(leaves)]
