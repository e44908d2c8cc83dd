"""A log in memory and the mails that its evidence travels in: what the tests of evidence and of both verifiers read.

Everything is made from its arguments: the same calls give the same bytes. Signs with a real key. Nothing is sent.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from functools import cache
from typing import Any, TypeAlias

from blockerd.journal import checkpoint, merkle
from blockerd.report import evidence
from blockerd.report.evidence import Before, Days, Evidence, Head, Kind, Without

Given: TypeAlias = Any
"""A field of Evidence, or `delay` or `changed` of `Sender.send`."""

ORIGIN = checkpoint.origin_of("3f9c2a77d01be845")
DAY = timedelta(days=1)
FIRST = date(2026, 8, 24)
"""A Monday; the first day that the record of the simulated quarter tells."""


@cache
def key_of(seed: int, origin: str = ORIGIN) -> checkpoint.SigningKey:
    return checkpoint._key(origin, bytes([seed] * 32))


@dataclass
class Log:
    """Entries with their salts. Changing `events` in place is what tampering with the database looks like."""

    origin: str = ORIGIN
    events: list[tuple[bytes, bytes]] = field(default_factory=list)

    def add(self, **facts: object) -> int:
        event = json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()
        self.events.append((hashlib.sha256(b"%d" % len(self.events) + event).digest()[:16], event))
        return len(self.events) - 1

    def beats(self, count: int) -> None:
        for _ in range(count):
            self.add(kind="beat", at=len(self.events))

    def daily(self, day: date, role: str = "spouse", **facts: object) -> int:
        at = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) + 86_400 - 2 * 3600
        return self.add(kind="daily", at=at * 1_000_000, day=str(day), role=role, facts=facts)

    def commitment(self, index: int) -> bytes:
        return merkle.commitment(*self.events[index])

    def node(self) -> merkle.Node:
        """Hashes as the events are now; whoever changes one asks again."""
        leaves = [merkle.leaf_hash(self.commitment(index)) for index in range(len(self.events))]

        @cache
        def node(level: int, index: int) -> bytes:
            if level == 0:
                return leaves[index]
            return merkle.node_hash(node(level - 1, 2 * index), node(level - 1, 2 * index + 1))

        return node

    def head(self, node: merkle.Node | None = None) -> Head:
        size, node = len(self.events), node or self.node()
        peaks = tuple(node(level, index) for level, index in merkle.subtrees(0, size))
        return Head(self.origin, size, merkle.Tree(size, peaks).root())

    def exported(self, *, opened: bool = False) -> list[str]:
        """The lines that `--leaves` reads."""
        rows = [(self.commitment(at), *row) for at, row in enumerate(self.events)]
        tails = [f" {salt.hex()} {event.decode()}" if opened else "" for _, salt, event in rows]
        return [f"{at} {row[0].hex()}{tail}" for at, (row, tail) in enumerate(zip(rows, tails, strict=True))]


@dataclass
class Sender:
    """Makes the mails of one recipient from a log; `mails` keeps them as they arrive."""

    log: Log
    to: str = "spouse"
    place: int = 1
    key: checkpoint.SigningKey = field(default_factory=lambda: key_of(1))
    before: Before | None = None
    follows: Head | None = None
    rotations: tuple[tuple[str, bytes], ...] = ()
    opened: dict[date, int] = field(default_factory=dict)
    mails: list[bytes] = field(default_factory=list)

    def pairing(self, made: datetime) -> bytes:
        return self.send(Kind.PAIRING, made, made.date() + DAY, key=self.key.public.text)

    def seal(self, day: date, made: datetime, **more: Given) -> bytes:
        return self.send(Kind.SEAL, made, made.date() + DAY, Days(str(day), day, day), **more)

    def report(self, first: date, made: datetime, **more: Given) -> bytes:
        label = "{}-W{:02}".format(*first.isocalendar()[:2])
        return self.send(Kind.REPORT, made, made.date() + DAY, Days(label, first, first + 6 * DAY), **more)

    def send(self, kind: Kind, made: datetime, due: date | None, days: Days | None = None, **more: Given) -> bytes:
        delay: timedelta = more.pop("delay", timedelta(minutes=1))
        changed: Callable[[Evidence], Evidence] = more.pop("changed", lambda one: one)
        said = self.evidence(kind, made, due, days)
        text = _text(said)
        page = f"<!doctype html><html><body><p>{text.splitlines()[0]}</p></body></html>\n"
        parts = (("text/plain", text), ("text/html", page))
        digests = tuple((name, evidence.part_digest(name, content.encode())) for name, content in parts)
        said = changed(replace(said, parts=digests, **more))
        attached = evidence.attachment(said, self.key.sign)
        self.before = Before(said.number, said.head, evidence.digest(attached))
        self.mails.append(mail_of(text, page, attached, made, made + delay))
        return self.mails[-1]

    def evidence(self, kind: Kind, made: datetime, due: date | None, days: Days | None) -> Evidence:
        """What the log says now, before the digests of the text are known."""
        node = self.log.node()
        head = self.log.head(node)
        last = self.before.head if self.before else self.follows
        old = last.size if last else 0
        told = sorted(day for day in self.opened if days and days.first <= day <= days.last)
        openings = tuple(
            evidence.opening(self.opened[day], *self.log.events[self.opened[day]], head.size, node) for day in told
        )
        gaps = tuple(day for day in _days(days) if day not in self.opened)
        return Evidence(
            head,
            self.to,
            self.place,
            self.before.number + 1 if self.before else 1,
            kind,
            int(made.timestamp()) * 1_000_000,
            due,
            (),
            self.before,
            tuple(merkle.consistency_path(old, head.size, node)) if old <= head.size else (),
            days,
            openings,
            tuple(Without(day, day, "the computer was off") for day in gaps),
            rotations=self.rotations,
            follows=None if self.before else self.follows,
        )

    def rotate(self, seed: int) -> None:
        new = key_of(seed, self.log.origin)
        signature = self.key.signature(checkpoint.rotation_text(new.public))
        self.rotations += ((new.public.text, signature),)
        self.key = new


def mail_of(text: str, page: str, attached: bytes, made: datetime, received: datetime) -> bytes:
    """The message as it lies in the reader's mailbox: the provider's Received line on top."""
    message = EmailMessage(policy=SMTP)
    message["Received"] = f"from relay.test by mx.partner.test with ESMTPS id 7; {received:%a, %d %b %Y %H:%M:%S %z}"
    message["Received"] = f"from home.test by relay.test; {made:%a, %d %b %Y %H:%M:%S %z}"
    message["From"], message["To"], message["Subject"] = "a@home.test", "b@partner.test", "Weekly note"
    message["Date"] = made
    message["Message-ID"] = f"<{hashlib.sha256(attached).hexdigest()[:16]}@home.test>"
    message.set_content(text)
    message.add_alternative(page, subtype="html")
    message.add_attachment(
        attached, maintype="text", subtype="plain", filename=evidence.FILE_NAME, params={"charset": "utf-8"}
    )
    for at, part in enumerate(message.walk()):
        if part.get_content_maintype() == "multipart":
            part.set_boundary(f"part-{at}-{hashlib.sha256(attached).hexdigest()[:20]}")
    return message.as_bytes()


def quarter(weeks: int = 13, *, log: Log | None = None, until: int | None = None) -> Sender:
    """Weeks of mails to a spouse: a seal each morning, a report each Monday, one change of key, one late week.

    Stops after `until` days, in the middle of everything.
    """
    sender = Sender(log or Log())
    sender.log.beats(7)
    sender.pairing(_at(FIRST, 9))
    for number in range(weeks * 7 if until is None else until):
        one_day(sender, FIRST + number * DAY)
    return sender


def one_day(sender: Sender, day: date) -> None:
    """The record of `day`, and the mails of the next morning."""
    number = (day - FIRST).days
    sender.log.beats(5 + number % 4)
    if number % 17 != 16:  # a day off: no summary was written
        counts = {"monitored": 300 + number % 90, "unmonitored": 40 if number == 30 else 0}
        index = sender.log.daily(day, minutes=counts, attempts={"adult": number * 3 % 5, "chat": number % 2})
        sender.opened[day] = index
    if number == 44:
        sender.log.add(kind="key-rotation", at=number)
        sender.rotate(2)
    morning = _at(day + DAY, 7)
    held = number in (60, 61)  # the mail server was out of reach
    late: dict[str, Any] = {"late": "the mail server was out of reach", "delay": timedelta(days=2)} if held else {}
    sender.seal(day, morning, **late)
    if day.weekday() == 6:
        sender.report(day - 6 * DAY, morning + timedelta(minutes=30))


def _at(day: date, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def _days(days: Days | None) -> Sequence[date]:
    return [days.first + at * DAY for at in range((days.last - days.first).days + 1)] if days else []


def _text(said: Evidence) -> str:
    figures = evidence.figures([one.event for one in said.openings])
    lines = [f"Mail {said.number}.", "", *(f"{name}: {value}" for name, value in figures.items()), ""]
    last = evidence.seal(said.before.head if said.before else None)
    return "\n".join([*lines, f"This seal {evidence.seal(said.head)}, last seal {last}.", ""])
