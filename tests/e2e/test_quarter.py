"""A quarter of notes: thirteen weeks, three readers, and everything that happens to an install in that time.

Real journal, real SMTP server with STARTTLS, the clock turned by the test. What each reader got is written out below by
hand; the checker of the mails has the last word.
"""

import random
import tempfile
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest

from blockerd.cli.report_preview import preview
from blockerd.journal.check import check
from blockerd.journal.log import open_log
from blockerd.journal.read import View
from blockerd.report import verify
from blockerd.report.partner import State
from blockerd.report.period import week
from blockerd.settings import Role
from tests.fakes.mailserver import MailServer, Mood, Taken, server_of
from tests.fakes.sharing import HOUR, Home, Mailbox, mail, partner, received

pytestmark = pytest.mark.once
BERLIN = ZoneInfo("Europe/Berlin")
FIRST, LAST = date(2026, 9, 7), date(2026, 12, 7)
OUTAGE = (date(2026, 9, 28), date(2026, 10, 5))
MOVED = date(2026, 10, 14)
ASLEEP = (date(2026, 11, 7), date(2026, 11, 17))
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "quarter"
SITES = ("a.test", "b.test", "c.test", "d.test")
ROBIN, KIM, KIM_NEW, DOC = "robin@mail.test", "kim@mail.test", "kim@new.test", "doc@mail.test"

REPORTS = ["09-13", "09-20", "09-27", "10-05", "10-11", "10-18", "10-25", "11-01", "11-17", "11-22", "11-29", "12-06"]
"""The days on which a note came: that of 4 October a day late, for two Sundays asleep one in November."""
OTHERS = {
    ROBIN: {"09-07": ["pairing", "notice"], "11-22": ["notice"]},  # accepted; asked again
    KIM: {"09-07": ["pairing", "notice"], "10-14": ["notice"]},  # the old address is told, and that is the last
    KIM_NEW: {"10-14": ["pairing", "notice"]},
    DOC: {"09-07": ["pairing", "notice"], "11-22": ["notice"], "12-06": ["notice"]},  # asked again; lapsed
}
SPANS = {ROBIN: ("09-07", "12-07"), KIM: ("09-07", "10-14"), KIM_NEW: ("10-14", "12-07"), DOC: ("09-07", "12-06")}
"""From when to when each address gets anything."""


@dataclass
class Story:
    """What the quarter left: mails by address, with the time at which they were taken (Unix µs)."""

    home: Home
    taken: list[tuple[int, Taken]] = field(default_factory=list)

    def to(self, address: str) -> list[tuple[date, Mailbox]]:
        return [
            (datetime.fromtimestamp(at / 1e6, BERLIN).date(), mail(one.body))
            for at, one in self.taken
            if one.recipient == address
        ]

    def saved(self, folder: Path, *addresses: str) -> Path:
        """The mailbox of a reader as files."""
        folder.mkdir()
        mails = [(at, one.body) for at, one in self.taken if one.recipient in addresses]
        for number, (at, raw) in enumerate(mails):
            (folder / f"{number:03}.eml").write_bytes(received(raw, at + 20_000_000))
        return folder


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with lived(tmp_path_factory.mktemp("quarter")) as story:
        yield story


@contextmanager
def lived(folder: Path) -> Iterator[Story]:
    """The quarter, lived through."""
    server = server_of()
    with server.running():
        people = (partner("Robin", "spouse"), partner("Kim", "mentor"), partner("Doc", "therapist"))
        home = Home(folder, server, f"{FIRST}T09:00+02:00", *people)
        story = Story(home)
        server.on_data = lambda one: story.taken.append((home.now, one))
        _live(home, server)
        yield story
        home.close()


def _live(home: Home, server: MailServer) -> None:
    chance = random.Random(13)
    home.beats = HOUR // 2
    home.sign("start")
    home.agree()
    for name in ("Robin", "Kim", "Doc"):
        home.pair(name)
    day = FIRST
    while day <= LAST:
        if day == ASLEEP[0] + timedelta(days=1):
            day = ASLEEP[1]
            home.sleep_until(f"{day}T08:00+01:00")
            home.beat()
            home.tick()
        if day == OUTAGE[1]:
            _hours(home, day, "12:00", chance)
            server.mood = Mood.FINE
            _hours(home, day, "14:00", chance)
        elif day == OUTAGE[0]:
            server.mood = Mood.DOWN
        if day == MOVED:
            _move(home)
        if day == date(2026, 11, 24):
            home.accept("Robin")
            home.accept("Kim") if home.partner("Kim").asks else None
        _hours(home, day, "18:00", chance)
        _hours(home, day, "23:30", chance)
        day += timedelta(days=1)


def _move(home: Home) -> None:
    """Another address in the settings: the old one is told; the new one is asked."""
    _hours(home, MOVED, "10:00", random.Random(1))
    home.change(partner("Robin", "spouse"), partner("Kim", "mentor", KIM_NEW), partner("Doc", "therapist"))
    home.tick()
    assert home.partner("Kim").state == State.MOVED
    assert not home.got(KIM_NEW), "nothing goes there before somebody was asked"
    home.pair("Kim")


def _hours(home: Home, day: date, clock: str, chance: random.Random) -> None:
    """On up to `clock`, with now and then a request."""
    hour, minute = map(int, clock.split(":"))
    end = datetime(day.year, day.month, day.day, hour, minute, tzinfo=BERLIN)
    while home.now < int(end.timestamp()) * 1_000_000 - 4 * HOUR and chance.random() < 0.4:
        home.ask(chance.choice(SITES))
        home.until(datetime.fromtimestamp(home.now / 1e6 + 1800, BERLIN).isoformat())
    home.until(end.isoformat(), step=6 * HOUR)


def expected(address: str) -> list[tuple[str, str]]:
    """(month-day, kind) of every mail to an address, as written down above."""
    first, last = SPANS[address]
    found: list[tuple[str, str]] = []
    day = FIRST
    while day <= LAST:
        name = f"{day:%m-%d}"
        out = OUTAGE[0] <= day < OUTAGE[1] or ASLEEP[0] < day < ASLEEP[1]
        if first <= name <= last and not out:
            found += _day(address, name, ends=name == last and address in (KIM, DOC))
        day += timedelta(days=1)
    return found


def _day(address: str, name: str, *, ends: bool) -> list[tuple[str, str]]:
    """What one day brings, in order: letters, the note or the seal."""
    told = [(name, kind) for kind in OTHERS[address].get(name, [])]
    if ends:
        return told
    woke = f"{ASLEEP[1]:%m-%d}"
    daily = [(name, "report" if name in REPORTS else "seal")]
    if name == f"{OUTAGE[1]:%m-%d}":
        daily = [(name, "seal"), (name, "report"), (name, "seal")]  # what waited since Monday, the note, today's
    if name == woke:
        daily = [(name, "report"), (name, "seal")]
    return [*told, *daily]


@pytest.mark.parametrize("address", [ROBIN, KIM, KIM_NEW, DOC])
def test_each_reader_gets_exactly_the_right_mails_each_once(story: Story, address: str):
    got = [(f"{at:%m-%d}", one.line("kind")) for at, one in story.to(address)]
    assert got == expected(address)
    ids = [one.message["Message-ID"] for _, one in story.to(address)]
    assert len(set(ids)) == len(ids)


def test_each_note_tells_the_right_days(story: Story):
    """Whole weeks from Sunday to Saturday, the first from the first whole day; the two weeks asleep in one note."""
    got = [one.line("period").split()[1:] for _, one in story.to(ROBIN) if one.line("kind") == "report"]
    starts = [date(2026, 9, 8), *(date(2026, 9, 13) + timedelta(days=7 * week) for week in range(12))]
    weeks = [[str(first), str(min(first + timedelta(days=6), _saturday(first)))] for first in starts]
    (first, _), (_, last) = weeks.pop(8), weeks[8]
    weeks[8] = [first, last]
    assert got == weeks


def previewed(story: Story, role: Role) -> str:
    """What `blockerd report preview --role` shows on the last evening, names hidden; of whichever version."""
    folder = (settings := story.home.settings).state.dir
    with (
        patch("blockerd.control.mails.__version__", "1.0.0"),
        View(folder / "journal.sqlite", folder / "spool") as record,
    ):
        return preview(settings, record, role, week("2026-W49", BERLIN), story.home.now).text


def _saturday(day: date) -> date:
    return day + timedelta(days=(5 - day.weekday()) % 7)


def test_late_ones_say_so_and_why(story: Story):
    late = {f"{at:%m-%d}": one.line("late") for at, one in story.to(ROBIN) if one.line("late")}
    assert late == {"10-05": "the mail server was out of reach", "11-17": "the computer was off or asleep"}
    notes = {f"{at:%m-%d}": one.text for at, one in story.to(ROBIN) if one.line("kind") == "report"}
    assert "This note is late. It was due on Sunday 4 October 2026, 18:00." in notes["10-05"]
    assert "Before these days 1 note was not sent (Sun 1 Nov to Sat 7 Nov 2026)" in notes["11-17"]
    assert sum("This note is late" in text for text in notes.values()) == 2


def test_time_asleep_is_told_as_such_and_the_hour_of_the_change_of_clocks_is_there(story: Story):
    slept = next(one for at, one in story.to(ROBIN) if f"{at:%m-%d}" == "11-17" and one.line("kind") == "report")
    figures = dict(line.split()[1:] for line in slept.evidence.split("\n") if line.startswith("figure cover."))
    assert int(figures["cover.asleep"]) > 6 * 1440
    assert sum(map(int, figures.values())) == 14 * 1440
    changed = next(one for at, one in story.to(ROBIN) if f"{at:%m-%d}" == "11-01" and one.line("kind") == "report")
    figures = dict(line.split()[1:] for line in changed.evidence.split("\n") if line.startswith("figure cover."))
    assert sum(map(int, figures.values())) == 7 * 1440 + 60


def test_the_checker_accepts_each_mailbox_and_names_an_edited_mail(
    story: Story, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for name, addresses in {"robin": [ROBIN], "kim": [KIM, KIM_NEW], "doc": [DOC]}.items():
        folder = story.saved(tmp_path / name, *addresses)
        assert verify.main([str(folder), "--today", str(LAST)]) == 0, capsys.readouterr().out
        assert capsys.readouterr().out.endswith("\ncontinues\n")
    mails = sorted((tmp_path / "robin").iterdir())
    edited = mails[40]
    edited.write_bytes(edited.read_bytes().replace(b"You are not asked", b"You were never asked"))
    assert verify.main([str(tmp_path / "robin"), "--today", str(LAST)]) == 1
    out = capsys.readouterr().out
    assert "does not continue (mail 41: its text/plain part was changed" in out.splitlines()[-1]
    mails[60].unlink()
    edited.unlink()
    assert verify.main([str(tmp_path / "robin"), "--today", str(LAST)]) == 3


def test_each_reader_is_told_no_more_than_their_role(story: Story):
    bands, hours = ['"bands"', "6–12 h"], ['"hours"', "hour of the day, two"]
    secrets = {ROBIN: ["adult sites", '"adult"', *bands, *hours], KIM: [*hours, '"screen"'], DOC: hours}
    for address, words in secrets.items():
        for _, one in story.to(address):
            told = one.text + one.evidence + one.raw.decode("ascii")
            assert [word for word in (*words, *SITES) if word in told] == []


def test_the_user_got_the_same_bytes_of_everything_but_seals_and_codes(story: Story):
    mine = [one.body for _, one in story.taken if one.recipient == "me@home.test"]
    theirs = [one.body for _, one in story.taken if one.recipient != "me@home.test"]
    copied = [raw for raw in mine if raw in set(theirs)]
    expect = [raw for raw in theirs if mail(raw).line("kind") != "seal" and "this code: " not in mail(raw).text]
    assert sorted(copied) == sorted(expect)
    own = {mail(raw).message["Subject"] for raw in mine if raw not in set(theirs)}
    assert own == {"Weekly note: a question", "Weekly note: the last one"}
    assert len(mine) - len(copied) == 3, "two were asked again, one lapsed"


@pytest.mark.parametrize("role", Role)
def test_what_report_preview_shows_of_it_is_the_golden_file(story: Story, role: Role):
    """`python -m tests.e2e.test_quarter` writes them anew; read the difference before committing it."""
    assert (GOLDEN / f"{role}.txt").read_text("utf-8") == previewed(story, role)


def test_every_mail_of_a_day_is_one_moment_of_one_log(story: Story):
    heads = [(int(one.evidence.split("\n")[1]), one.evidence.split("\n")[2]) for _, one in story.to(ROBIN)]
    assert heads == sorted(heads)
    with open_log(story.home.settings.state.dir / "journal.sqlite") as log:
        assert log
        assert all(log.root(size) == b64decode(root) for size, root in heads)
        assert check(log.db).broken == ()


if __name__ == "__main__":
    GOLDEN.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, lived(Path(scratch)) as told:
        for each in Role:
            (GOLDEN / f"{each}.txt").write_text(previewed(told, each), "utf-8")
