"""Notes and a clock that is wrong for a while: what was told too early is taken back, and nothing goes twice."""

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from blockerd.control.doubt import BEHIND
from blockerd.journal import append
from blockerd.journal.outbox import Stand
from blockerd.report import consent
from blockerd.report.partner import CONSENT_US
from tests.fakes.mailserver import MailServer, Mood, server_of
from tests.fakes.sharing import (
    DAY,
    HOUR,
    MINUTE,
    NOON,
    Home,
    kinds,
    partner,
)

ROBIN = partner("Robin", "spouse")


def test_a_clock_that_was_ahead_for_an_hour_sends_nothing_twice(shared: Home):
    shared.until("2026-11-15T18:00+01:00", step=6 * HOUR)
    shared.now += 365 * DAY
    assert shared.partner("Robin").reads
    shared.now -= 365 * DAY
    before = len(shared.got("Robin"))
    for _ in range(5):
        shared.now += MINUTE
        shared.tick()
    assert len(shared.got("Robin")) == before


def weeks(folder: Path, *, ahead: int = 0, sure: bool = True):
    """What a reader is told from a Saturday night on, where the clock is `ahead` (µs) for one tick before midnight."""
    with server_of().running() as server:
        home = Home(folder, server, NOON, ROBIN)
        home.sign("start")
        home.agree()
        home.pair("Robin")
        home.until("2026-11-14T23:57+01:00", step=6 * HOUR)
        home.now, home.sure = home.now + ahead, sure
        home.tick()
        home.now, home.sure = home.now - ahead, True
        home.tick()
        before = len(home.got("Robin"))
        home.now += 2 * MINUTE
        home.ask("late.test")
        for day in range(15, 31):
            home.until(f"2026-11-{day}T18:30+01:00", step=6 * HOUR)
            home.ask(f"site-{day}.test")
        waiting = [one.what for one in home.rows() if one.state in (Stand.WAITING, Stand.SEALED)]
        home.close()
    assert waiting == []
    return [facts(one.evidence) for one in home.got("Robin")[before:]]


def facts(evidence: str):
    """What a mail says of itself and of its days; not its place in the log."""
    said = [line for line in evidence.split("\n") if line.startswith(("kind ", "made ", "next ", "period ", "figure "))]
    return said + [line.partition("{")[2] for line in evidence.split("\n") if line.startswith("day ")]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory):
    """The weeks with a clock that is right."""
    told = weeks(tmp_path_factory.mktemp("right"))
    assert [one[0] for one in told].count("kind report") == 3
    assert [one[0] for one in told].count("kind seal") == 13
    assert "figure requests.all 1" in told[0]
    return told


@pytest.mark.parametrize("ahead", [10 * MINUTE, 2 * HOUR, 3 * DAY])
def test_a_clock_that_was_ahead_for_one_tick_changes_no_later_mail(
    ahead: int, tmp_path: Path, undisturbed: list[list[str]]
):
    """Also where nobody noticed: days and notes of the future are taken back, and told when they are over."""
    assert weeks(tmp_path, ahead=ahead) == undisturbed


@pytest.mark.parametrize("ahead", [10 * MINUTE, 3 * DAY, 730 * DAY])
def test_a_clock_in_doubt_decides_nothing(ahead: int, tmp_path: Path, undisturbed: list[list[str]]):
    assert weeks(tmp_path, ahead=ahead, sure=False) == undisturbed


def test_sharing_less_takes_effect_while_the_clock_is_in_doubt(shared: Home):
    shared.sure = False
    consent.leave(shared.settings.state.dir, "Robin")
    shared.tick()
    assert not shared.partner("Robin").reads


def test_it_is_said_that_notes_wait_for_the_clock_where_somebody_reads(home: Home):
    home.sure = False
    home.tick()
    assert home.reports.note == ""
    home.agree()
    home.request("partner-invite", name="Robin")
    assert home.reports.note.endswith("notes wait until 13:00, or until NTP keeps it")
    home.sure = True
    home.tick()
    assert home.reports.note == ""


def a_quarter_hour(home: Home, times: int):
    for _ in range(times):
        home.now += 15 * MINUTE
        home.beat()
        home.tick()


def test_a_clock_that_is_behind_for_hours_takes_nothing_back(shared: Home):
    """An RTC that was lost, and no network: what was told stays told, and nobody hears of weeks that were missed."""
    shared.until("2026-11-30T12:00+01:00", step=6 * HOUR)
    before, right = len(shared.got("Robin")), shared.now
    shared.now -= 200 * DAY
    a_quarter_hour(shared, 12)
    assert shared.reports.note == BEHIND
    assert len(shared.got("Robin")) == before
    shared.now = right + 3 * HOUR
    shared.until("2026-12-06T19:00+01:00", step=6 * HOUR)
    assert shared.reports.note == ""
    (note,) = [one for one in shared.got("Robin")[before:] if one.line("kind") == "report"]
    assert "were not sent" not in note.text
    lines = {line for one in shared.got("Robin") for line in one.evidence.split("\n") if line.startswith("day ")}
    days = [line.split()[1] for line in lines]
    assert len(days) > 21
    assert len(days) == len(set(days)), "no day is told by two entries"


@pytest.mark.parametrize(("kept", "waits"), [(False, 8), (True, 0)])
def test_of_a_clock_ahead_and_a_clock_behind_that_counts_which_ran_longer_or_which_ntp_keeps(
    shared: Home, waits: int, *, kept: bool
):
    shared.now += 30 * DAY
    a_quarter_hour(shared, 9)
    shared.now -= 30 * DAY
    shared.kept = kept
    shared.beat()
    shared.tick()
    for _ in range(waits):
        assert shared.reports.note == BEHIND
        a_quarter_hour(shared, 1)
    assert shared.reports.note == ""


@pytest.mark.parametrize("silent", [False, True])
def test_what_a_clock_that_was_ahead_has_queued_goes_once_it_is_right(
    shared: Home, server: MailServer, *, silent: bool
):
    """Word of a change of address, queued while the clock was in doubt; also where the old address may have it."""
    shared.until("2026-11-10T19:00+01:00", step=6 * HOUR)
    server.mood = Mood.SILENT
    shared.now, shared.sure = shared.now + 365 * DAY, False
    shared.change(partner("Robin", "spouse", "new@mail.test"))
    shared.tick(force=silent)
    shared.now, shared.sure, server.mood = shared.now - 365 * DAY + HOUR, True, Mood.FINE
    shared.tick()
    assert "The notes go to another address." in shared.got(ROBIN.address)[-1].text
    assert [one.what for one in shared.rows() if one.lane and one.state in (Stand.WAITING, Stand.SEALED)] == []


def test_a_yes_that_a_clock_two_years_ahead_has_dated_holds_from_now_on_once_ntp_keeps_it(home: Home):
    home.agree()
    home.now += 730 * DAY
    home.pair("Robin")
    dated = home.partner("Robin")
    home.now -= 730 * DAY
    home.tick()
    assert home.partner("Robin") == dated, "a clock that is behind looks the same"
    home.kept = True
    home.tick()
    held = home.partner("Robin")
    assert (held.since, held.until, held.asked) == (home.now, home.now + CONSENT_US, home.now)
    home.until("2026-11-15T18:30+01:00", step=6 * HOUR)
    assert kinds(home.got("Robin"))[-1] == "report"
    home.until("2027-02-07T12:30+01:00", step=DAY)
    assert not home.partner("Robin").reads


@pytest.mark.parametrize("told", [False, True])
def test_a_remark_of_a_clock_that_was_ahead_stands_in_the_next_note(shared: Home, *, told: bool):
    """Also where a note of that time had it, or was sent before."""
    shared.now, shared.sure = shared.now + 30 * DAY, told
    shared.request("report-note", text="My sister was here.")
    shared.request("report-note", text="So was my aunt.")
    shared.now, shared.sure = shared.now - 30 * DAY, True
    shared.until("2026-11-15T18:30+01:00", step=6 * HOUR)
    assert "My sister was here. So was my aunt." in shared.got("Robin")[-1].text
    shared.until("2026-11-22T18:30+01:00", step=6 * HOUR)
    assert "sister" not in shared.got("Robin")[-1].text


def test_what_is_done_while_the_clock_is_set_back_to_a_day_already_told_is_told_with_the_next(shared: Home):
    shared.until("2026-11-13T12:00+01:00", step=6 * HOUR)
    shared.now -= 2 * DAY
    shared.ask("late.test")
    shared.writer.event({"kind": "change", "at": shared.now, "what": "lists.starter", "direction": "weaker"})
    shared.writer.event({"kind": "pause", "at": shared.now, "until": shared.now + HOUR})
    shared.keeper.drain()
    shared.now += 2 * DAY
    shared.until("2026-11-22T18:30+01:00", step=6 * HOUR)
    notes = [one for one in shared.got("Robin") if one.line("kind") == "report"]
    wanted = ("figure marks.paused", "figure marks.weaker", "figure requests.all")
    told = [[line for line in one.evidence.split("\n") if line.startswith(wanted)] for one in notes]
    assert told == [
        ["figure marks.paused 60", "figure marks.weaker 1", "figure requests.all 1"],
        ["figure marks.paused 0", "figure marks.weaker 0"],
    ]


def test_what_waits_behind_a_reader_of_the_journal_is_told_once_and_no_note_goes_without_it(
    shared: Home, monkeypatch: pytest.MonkeyPatch
):
    """While it cannot be stored the day waits; told from the spool, it would be told again from the record."""
    shared.until("2026-11-14T12:00+01:00", step=6 * HOUR)
    shared.ask("early.test")
    with closing(apsw.Connection(str(shared.folder / "var" / "journal.sqlite"))) as reader:
        reader.execute("BEGIN; SELECT count(*) FROM attempts")
        monkeypatch.setattr(append, "LONGEST_WAL", -1)
        shared.keeper.within(lambda db: db.execute("UPDATE roads SET tries = tries"))
        shared.until("2026-11-15T19:00+01:00", step=6 * HOUR)
        assert "report" not in kinds(shared.got("Robin"))
        assert "close that program" in shared.reports.note
    shared.close_journal()
    shared.open()
    shared.until("2026-11-22T18:30+01:00", step=6 * HOUR)
    notes = [one.evidence for one in shared.got("Robin") if one.line("kind") == "report"]
    assert [note.count("figure requests.all 1") for note in notes] == [1, 0]
    assert [note.count("without ") for note in notes] == [0, 0]
