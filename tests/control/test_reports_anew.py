"""Notes and a journal that is lost or set aside: who reads goes on, and is told that the record is a new one."""

from blockerd.control.reports import ANEW
from blockerd.journal.backup import backup, restore
from blockerd.journal.outbox import Stand
from blockerd.report.partner import Asks, Says, State
from tests.fakes.mailserver import MailServer, Mood
from tests.fakes.sharing import (
    DAY,
    HOUR,
    Home,
    stop_code_in,
)


def lose(home: Home) -> None:
    """The journal is deleted by hand, and `control` starts."""
    home.close_journal()
    for path in (home.folder / "var").glob("journal.sqlite*"):
        path.unlink()
    home.open()


def test_who_wanted_no_more_mails_gets_none_from_a_new_journal_either(shared: Home):
    shared.request("partner-stop", code=stop_code_in(shared.got("Robin")[-1]))
    lose(shared)
    count = len(shared.got("Robin"))
    shared.until("2026-11-17T19:00+01:00", step=6 * HOUR)
    assert (shared.partner("Robin").state, len(shared.got("Robin"))) == (State.STOPPED, count)


def test_who_wanted_no_more_mails_gets_none_from_an_older_copy_of_the_journal_either(shared: Home, server: MailServer):
    path, copy = shared.folder / "var" / "journal.sqlite", shared.folder / "copy.sqlite"
    server.mood = Mood.DOWN
    shared.until("2026-11-10T19:00+01:00", step=6 * HOUR)
    assert [one.what for one in shared.rows() if one.state == Stand.WAITING] == [Says.SEAL]
    backup(path, copy)
    server.mood = Mood.FINE
    shared.until("2026-11-16T19:00+01:00", step=6 * HOUR)
    shared.request("partner-stop", code=stop_code_in(shared.got("Robin")[-2]))
    shared.close_journal()
    restore(path, copy, shared.now)
    shared.open()
    count = len(shared.got("Robin"))
    shared.until("2026-11-24T19:00+01:00", step=6 * HOUR)
    assert (shared.partner("Robin").state, len(shared.got("Robin"))) == (State.STOPPED, count)


def test_who_wanted_no_more_mails_gets_none_either_where_the_older_copy_was_put_in_place_by_hand(shared: Home):
    path = shared.folder / "var" / "journal.sqlite"
    shared.close_journal()
    older = path.read_bytes()
    shared.open()
    shared.until("2026-11-10T19:00+01:00", step=6 * HOUR)
    shared.request("partner-stop", code=stop_code_in(shared.got("Robin")[-1]))
    shared.close_journal()
    path.write_bytes(older)
    shared.open()
    count = len(shared.got("Robin"))
    shared.until("2026-11-17T19:00+01:00", step=6 * HOUR)
    assert (shared.partner("Robin").state, len(shared.got("Robin"))) == (State.STOPPED, count)


def test_no_week_is_told_anew_from_an_older_copy_of_the_journal(shared: Home):
    path, copy = shared.folder / "var" / "journal.sqlite", shared.folder / "copy.sqlite"
    shared.until("2026-11-10T19:00+01:00", step=6 * HOUR)
    backup(path, copy)
    shared.until("2026-11-16T19:00+01:00", step=6 * HOUR)
    shared.close_journal()
    restore(path, copy, shared.now)
    shared.open()
    shared.until("2026-11-23T19:00+01:00", step=6 * HOUR)
    periods = [one.line("period") for one in shared.got("Robin") if one.line("kind") == "report"]
    assert periods == ["2026-11-10_P5D 2026-11-10 2026-11-14", "2026-11-15_P7D 2026-11-15 2026-11-21"]


def test_where_the_file_beside_the_journal_is_lost_too_the_user_is_told_to_ask_again(shared: Home):
    shared.until("2026-11-10T19:00+01:00", step=6 * HOUR)
    assert shared.reports.note == ""
    (shared.folder / "var" / "journal-readers.json").unlink()
    lose(shared)
    shared.until("2026-11-11T01:00+01:00", step=6 * HOUR)
    assert shared.reports.note == ANEW
    shared.pair("Robin")
    assert shared.reports.note == ""


def test_after_a_damaged_journal_the_mails_go_on_where_they_were(shared: Home):
    shared.until("2026-11-16T19:00+01:00", step=6 * HOUR)
    shared.close_journal()
    path = shared.folder / "var" / "journal.sqlite"
    path.write_bytes(b"damaged " * 512)
    shared.open()
    shared.until("2026-11-23T19:00+01:00", step=6 * HOUR)
    mails = [one for one in shared.got("Robin") if one.line("follows") or one.line("period")]
    told, new, later = [(one.line("kind"), one.line("period")) for one in mails]
    assert (told, new) == (("report", "2026-11-10_P5D 2026-11-10 2026-11-14"), ("pairing", ""))
    assert later == ("report", "2026-11-15_P7D 2026-11-15 2026-11-21"), "nothing is told twice, nothing is left out"


def test_a_new_journal_begins_a_new_record_and_the_note_says_so(shared: Home):
    shared.until("2026-11-12T19:00+01:00", step=6 * HOUR)
    lose(shared)
    shared.until("2026-11-13T19:00+01:00", step=6 * HOUR)
    old, new = shared.got("Robin")[-2:]
    assert new.evidence.partition("\n")[0] != old.evidence.partition("\n")[0]
    assert (new.line("mail"), new.line("kind")) == ("1", "pairing")
    assert new.line("follows").startswith(old.evidence.partition("\n")[0])


def test_whose_question_was_lost_with_the_journal_is_asked_anew(home: Home, server: MailServer):
    home.agree()
    server.mood = Mood.DOWN
    assert "error" not in home.request("partner-invite", name="Robin")
    lose(home)
    server.mood = Mood.FINE
    home.tick()
    assert home.got("Robin") == []
    home.pair("Robin")
    assert home.partner("Robin").reads


def test_a_renewal_that_was_lost_with_the_journal_is_asked_for_again(shared: Home, server: MailServer):
    shared.now = shared.partner("Robin").until - 6 * DAY
    server.mood = Mood.DOWN
    shared.tick()
    assert shared.partner("Robin").asks == Asks.RENEW
    lose(shared)
    server.mood = Mood.FINE
    shared.tick()
    shared.accept("Robin")
    assert shared.partner("Robin").asks == Asks.NOTHING
