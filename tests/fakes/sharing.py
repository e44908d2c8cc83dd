"""An install that shares notes, without its processes: a real journal, real reports, a clock that the test turns.

What happens in it is told through a real spool; mails go to a real SMTP server. Called by the tests of delivery.
"""

import asyncio
import email
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.message import Message
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import blockerd.journal.outbox as mailbox
from blockerd.control.journal import Keeper
from blockerd.control.reports import Reports
from blockerd.control.roads import roads_of
from blockerd.journal.outbox import Row
from blockerd.journal.spool import Writer
from blockerd.report import consent
from blockerd.report.consent import Consent
from blockerd.report.partner import Partner
from blockerd.report.roads.smtp import SmtpRoad
from blockerd.settings import Partner as Wanted
from blockerd.settings import Report, RoadName, Role, Security, Settings, Smtp, State, Time
from blockerd.settings.value import SendAt
from tests.fakes.mailserver import NAME, MailServer
from tests.journal.spooling import META

NOON = "2026-11-09T12:00+01:00"
"""A Monday."""

MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000
ME = "me@home.test"
CODE = re.compile(r"this code: ([A-Z]{4}-[A-Z]{4})")
BOOT = "b0000000-0000-0000-0000-000000000001"


def us(text: str) -> int:
    """Unix µs of RFC 3339 `text`."""
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


@dataclass
class Mailbox:
    """A mail as it lies with its reader."""

    raw: bytes
    message: Message

    @property
    def text(self) -> str:
        """The part that reads well alone, as one line."""
        part = next(one for one in self.message.walk() if one.get_content_type() == "text/plain")
        return " ".join(bytes(part.get_payload(decode=True) or b"").decode().split())

    @property
    def evidence(self) -> str:
        """The attachment, "" where there is none."""
        for one in self.message.walk():
            if one.get_filename() == "evidence.txt":
                return bytes(one.get_payload(decode=True) or b"").decode().replace("\r\n", "\n")
        return ""

    def line(self, word: str) -> str:
        """What follows `word` in the evidence."""
        return next((one.partition(" ")[2] for one in self.evidence.split("\n") if one.startswith(f"{word} ")), "")


class Home:
    """One install; `now` is Unix µs and moves only by `until` and `sleep_until`; `filters`: the filter runs,
    `sure`: the clock is believed, `kept`: NTP keeps it."""

    def __init__(self, folder: Path, server: MailServer, start: str, *partners: Wanted, **report: object) -> None:
        self.now = us(start)
        self.server = server
        self.folder = folder
        (folder / "var" / "spool").mkdir(parents=True, exist_ok=True, mode=0o700)
        smtp = Smtp(NAME, server.port, "", ME, Security.STARTTLS, folder / "smtp-password")
        made = replace(Report(send_at=SendAt(6, 18 * 60), smtp=smtp, partner=partners), **report)  # type: ignore[arg-type]
        self.settings = Settings(state=State(folder / "var"), time=Time("Europe/Berlin"), report=made)
        self.writer = Writer(folder / "var" / "spool", "dns", lambda: self.now, lambda: 0.0)
        self.writer.meta(META)
        self.chance = random.Random(6)
        self.filters = True
        self.sure, self.kept = True, False
        self.asleep = 0
        self.beats = 6 * HOUR
        """From one beat to the next; time is known as monitored where it is at most half an hour."""
        self.loop = asyncio.Runner()
        self.begun = self.now
        self.open()

    def open(self) -> None:
        """Starts `control` (again)."""
        self.keeper = Keeper(self.settings, self.settings.state.dir / "spool")
        self.road = SmtpRoad(self.settings.report.smtp, self.server.context, 5.0)
        roads = {**roads_of(self.settings), "smtp": self.road}
        filters, chance = lambda: self.filters, self.chance.randbytes
        self.reports = Reports(
            self.settings, self.keeper, now=lambda: self.now, chance=chance, filters=filters,
            doubt=lambda: 0 if self.sure else HOUR, kept=lambda: self.kept, roads=roads,
        )  # fmt: skip

    def change(self, *partners: Wanted) -> None:
        """Another list of partners in the settings."""
        report = replace(self.settings.report, partner=partners)
        self.settings = self.reports.settings = replace(self.settings, report=report)

    def agree(self) -> None:
        """The user's own consent."""
        consent.give(self.settings.state.dir, Consent(self.now, consent.WORDS))

    def sign(self, what: str) -> None:
        """A sign of life of the resolver, as its process would record it."""
        boottime = self.now - self.begun + HOUR
        event = {"boot": BOOT, "run": 1, "boottime": boottime, "monotonic": boottime - self.asleep}
        self.writer.event({"kind": what, "process": "dns", "at": self.now, **event})

    def beat(self) -> None:
        """A beat of control with the mark of dns."""
        boottime = self.now - self.begun + HOUR
        mark = {"at": self.now, "boot": BOOT, "run": 1, "boottime": boottime, "monotonic": boottime - self.asleep}
        self.writer.event({"kind": "beat", "counters": {}, "policy": "p", "mark": mark, **mark})

    def ask(self, *sites: str) -> None:
        """Requests for listed sites."""
        from blockerd.policy.name import from_text

        for site in sites:
            self.writer.attempts([0, 0], [from_text(site) + b"\x00\x01\x00\x01"])

    def until(self, text: str, *, step: int = HOUR) -> None:
        """The computer is on up to then: beats, and a tick at each step and at the end."""
        end = us(text)
        while self.now < end:
            ahead = min(end, self.now + step)
            while self.now < ahead:
                self.now = min(ahead, self.now + self.beats)
                self.beat()
            self.tick()

    def sleep_until(self, text: str) -> None:
        """The computer sleeps up to then; nothing ticks."""
        end = us(text)
        self.asleep += end - self.now
        self.now = end

    def tick(self, *, force: bool = False) -> None:
        """What `control` does each minute."""
        self.keeper.drain()
        self.loop.run(self.reports.tick(force=force))

    def request(self, do: str, **more: object) -> dict[str, Any]:
        """What the command line asks over the socket, and a tick as comes within the minute."""
        self.keeper.drain()
        got = self.loop.run(self.reports.answer({"do": do, **more}))
        assert got is not None
        self.tick()
        return got

    def pair(self, name: str) -> None:
        """The whole pairing of a partner."""
        assert "error" not in (said := self.request("partner-invite", name=name)), said
        self.accept(name)

    def accept(self, name: str) -> None:
        """The code of the newest mail with one is entered."""
        asking = [one for one in self.got(name) if CODE.search(one.text)]
        said = self.request("partner-accept", name=name, code=code_in(asking[-1]))
        assert "error" not in said, said

    def address(self, name: str) -> str:
        """Where the mails of a partner go."""
        return next(one.address for one in self.settings.report.partner if one.name == name)

    def got(self, name: str) -> list[Mailbox]:
        """What a partner has got, by name or address."""
        return [mail(raw) for raw in self.server.to(name if "@" in name else self.address(name))]

    def rows(self) -> list[Row]:
        """The outbox."""
        return self.keeper.within(lambda db: mailbox.rows(db))

    def partner(self, name: str) -> Partner:
        """The record of a partner."""
        return self.keeper.within(lambda db: mailbox.partners(db))[name]

    def close_journal(self) -> None:
        """Ends `control`; `open` starts it again."""
        self.keeper.close()

    def close(self) -> None:
        """Ends it."""
        self.keeper.close()
        self.writer.close()
        self.loop.close()


def partner(name: str, role: str, address: str = "", road: RoadName = RoadName.SMTP) -> Wanted:
    """An entry of the settings."""
    return Wanted(name=name, address=address or f"{name.lower()}@mail.test", role=Role(role), road=road)


def mail(raw: bytes) -> Mailbox:
    """A mail, parsed."""
    return Mailbox(raw, email.message_from_bytes(raw))


def code_in(got: Mailbox) -> str:
    """The code that the reader is to tell."""
    found = CODE.search(got.text)
    assert found, got.text
    return found[1]


def stop_code_in(got: Mailbox) -> str:
    """The code that stops the mails."""
    found = re.search(r"read out the code ([A-Z]{4}-[A-Z]{4})", got.text)
    assert found, got.text
    return found[1]


def received(raw: bytes, at_us: int) -> bytes:
    """The mail as it lies in the reader's mailbox, taken by their provider at `at_us`."""
    stamp = format_datetime(datetime.fromtimestamp(at_us // 1_000_000, UTC))
    return f"Received: from relay.test by mx.mail.test with ESMTPS id 7; {stamp}\r\n".encode() + raw


def kinds(mails: Iterable[Mailbox]) -> list[str]:
    """Kind of each mail as its evidence says."""
    return [one.line("kind") for one in mails]
