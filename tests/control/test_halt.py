"""A filter that is gone for good: said once, half an hour later, in sight of the user, who may take it back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from blockerd.journal.outbox import Stand
from blockerd.report.partner import Says
from tests.fakes.mailserver import MailServer, Mood
from tests.fakes.sharing import HOUR, MINUTE, Home, partner


@pytest.fixture
def shared(tmp_path: Path, server: MailServer) -> Iterator[Home]:
    """Robin reads; it is a quiet Tuesday evening."""
    home = Home(tmp_path, server, "2026-11-09T12:00+01:00", partner("Robin", "spouse"))
    home.sign("start")
    home.agree()
    home.pair("Robin")
    home.until("2026-11-10T19:00+01:00", step=6 * HOUR)
    yield home
    home.close()


def told(home: Home) -> int:
    """How many mails said that the program was stopped."""
    return sum("The program has been stopped." in one.text for one in home.got("Robin"))


def test_a_filter_that_is_gone_is_told_once_half_an_hour_later(shared: Home):
    shared.filters = False
    shared.until("2026-11-10T19:29+01:00", step=MINUTE)
    assert told(shared) == 0
    assert "at 19:31 your readers are told" in shared.reports.note
    shared.until("2026-11-10T19:35+01:00", step=MINUTE)
    assert told(shared) == 1
    assert shared.reports.note == ""
    shared.until("2026-11-16T19:00+01:00", step=HOUR)
    assert told(shared) == 1, "once in seven days at the most"


def test_a_restart_or_an_update_is_not_told(shared: Home):
    for minute in (0, 20, 40):
        shared.filters = False
        shared.until(f"2026-11-10T19:{minute + 15}+01:00", step=MINUTE)
        shared.filters = True
        shared.until(f"2026-11-10T19:{minute + 18}+01:00", step=MINUTE)
        assert shared.reports.note == ""
    shared.until("2026-11-10T22:00+01:00", step=MINUTE * 10)
    assert told(shared) == 0


def test_the_half_hour_counts_anew_after_a_restart_of_control(shared: Home):
    shared.filters = False
    shared.until("2026-11-10T19:20+01:00", step=MINUTE)
    shared.close_journal()
    shared.sleep_until("2026-11-10T23:00+01:00")
    shared.open()
    shared.until("2026-11-10T23:25+01:00", step=MINUTE)
    assert told(shared) == 0, "as after a boot, while the filter is still on its way"
    shared.until("2026-11-10T23:40+01:00", step=MINUTE)
    assert told(shared) == 1


def test_the_user_may_take_it_back_and_it_stays_back(shared: Home):
    shared.filters = False
    shared.until("2026-11-10T19:20+01:00", step=MINUTE)
    shared.request("report-halt", how="cancel")
    assert shared.reports.note == ""
    shared.until("2026-11-11T08:00+01:00", step=10 * MINUTE)
    assert told(shared) == 0
    assert [row.trouble for row in shared.rows() if row.what == Says.HALTED] == ["taken back by the user"]


def test_nobody_reads_so_nobody_is_told(tmp_path: Path, server: MailServer):
    home = Home(tmp_path / "alone", server, "2026-11-09T12:00+01:00")
    home.filters = False
    home.until("2026-11-09T14:00+01:00", step=MINUTE)
    assert (home.reports.note, server.taken) == ("", [])
    home.close()


def test_taking_the_program_off_sends_its_word_at_once_or_says_that_it_could_not(shared: Home, server: MailServer):
    """`uninstall` has shown it and asked; half an hour later there is nobody to send it."""
    server.mood = Mood.DOWN
    assert "out of reach" in shared.request("report-halt", how="neutral", now=True)["error"]
    server.mood = Mood.FINE
    shared.request("report-send")
    assert "Sharing has ended; this says nothing about why." in shared.got("Robin")[-1].text
    assert not shared.partner("Robin").reads


def test_taking_it_off_with_a_server_at_hand(shared: Home):
    said = shared.request("report-halt", how="removed", now=True)["said"]
    assert said.startswith("now a notice goes to Robin (robin@mail.test)")
    (row,) = (one for one in shared.rows() if one.what == Says.REMOVED and one.copy_of is None)
    assert row.state == Stand.SENT
