"""Notes from the record to the reader's mailbox: what is sent, when, to whom, what is not, and what ends it at once."""

import re
from dataclasses import replace
from pathlib import Path

import pyrage
import pytest

import blockerd.journal.outbox as mailbox
from blockerd.journal.outbox import Stand
from blockerd.report import consent, verify
from blockerd.report.partner import Says, Send, State
from blockerd.settings import Schedule
from tests.fakes.mailserver import MailServer, Mood
from tests.fakes.sharing import (
    DAY,
    HOUR,
    ME,
    MINUTE,
    NOON,
    Home,
    Mailbox,
    code_in,
    kinds,
    partner,
    received,
    stop_code_in,
    us,
)

ROBIN = partner("Robin", "spouse")


def test_without_consent_nothing_is_shared_with_anyone(home: Home, server: MailServer):
    assert "blockerd consent" in home.request("partner-invite", name="Robin")["error"]
    home.ask("a.test")
    home.until("2026-12-09T12:00+01:00", step=DAY)
    assert (server.taken, server.connections) == ([], 0)


def test_an_invitation_is_one_mail_and_nothing_follows_before_the_code_is_entered(home: Home, server: MailServer):
    home.agree()
    home.request("partner-invite", name="Robin")
    home.ask("a.test")
    home.until("2027-03-09T12:00+01:00", step=DAY)
    (mail,) = home.got("Robin")
    assert mail.line("kind") == "pairing"
    assert len(server.taken) == 1
    assert "this is not the code" in home.request("partner-accept", name="Robin", code="BCDF-GHJK")["error"]
    assert len(server.taken) == 1
    home.accept("Robin")
    assert kinds(home.got("Robin")) == ["pairing", "notice"]


def test_a_note_comes_at_its_time_and_a_seal_on_the_other_days(shared: Home):
    shared.until("2026-11-22T17:59+01:00")
    before = len(shared.got("Robin"))
    shared.until("2026-11-22T18:00+01:00")
    mails = shared.got("Robin")
    assert kinds(mails) == ["pairing", "notice", *["seal"] * 6, "report", *["seal"] * 6, "report"]
    assert len(mails) == before + 1
    assert mails[-1].line("period") == "2026-11-15_P7D 2026-11-15 2026-11-21"
    assert mails[-1].line("next") == "2026-11-23"
    assert "The next note is due on Sunday 29 November 2026, 18:00." in mails[-1].text
    assert all("The note itself comes on Sunday" in one.text for one in mails if one.line("kind") == "seal")


def test_each_mail_tells_first_that_nobody_is_asked_to_police_and_where_help_is(shared: Home):
    shared.until("2026-11-22T18:00+01:00")
    for mail in shared.got("Robin"):
        assert mail.text.startswith("You are not asked to police this. You may stop these mails: ")
        assert mail.text.index("TelefonSeelsorge") < 500


def test_a_seal_is_small_and_opens_nothing(shared: Home):
    shared.until("2026-11-10T18:00+01:00")
    seal = shared.got("Robin")[-1]
    assert seal.line("kind") == "seal"
    assert seal.line("day") == ""
    assert len(seal.evidence) < 1500
    assert len(seal.raw) < 4000


def test_the_mails_are_taken_by_the_checker(shared: Home, tmp_path: Path):
    """Received lines are those of the moment; the clock of the machine and of the provider agree."""
    shared.ask("a.test", "b.test")
    times: list[int] = []
    shared.server.on_data = lambda one: times.append(shared.now)
    shared.until("2026-11-30T18:00+01:00", step=6 * HOUR)
    folder = tmp_path / "mails"
    folder.mkdir()
    mails = shared.got("Robin")
    made = [us(NOON)] * (len(mails) - len([one for one in shared.server.taken[-len(times) :] if one.recipient != ME]))
    made += [at for at, one in zip(times, shared.server.taken[-len(times) :], strict=True) if one.recipient != ME]
    for number, (mail, at) in enumerate(zip(mails, made, strict=True)):
        (folder / f"{number:03}.eml").write_bytes(received(mail.raw, at + 20_000_000))
    assert verify.main([str(folder), "--today", "2026-11-30"]) == 0
    assert verify.main([str(folder), "--today", "2026-12-04"]) == 3


def test_a_mail_whose_answer_was_lost_goes_again_and_the_next_one_says_so(shared: Home, server: MailServer):
    """Only the later copy arrives: the checker takes it once the next mail is there, and not before."""
    shared.until("2026-11-09T18:00+01:00")
    before = len(shared.got("Robin"))
    shared.until("2026-11-10T17:59+01:00")
    server.mood = Mood.SILENT
    shared.until("2026-11-10T18:00+01:00")
    made = shared.now
    for minutes in (1, 5):
        shared.now += minutes * MINUTE
        shared.tick()
    server.mood = Mood.FINE
    shared.now += 15 * MINUTE
    shared.tick()
    again = shared.got("Robin")[before:]
    assert len({one.raw for one in again}) == 1
    assert len(again) == 4
    for day in ("10T19:00", "11T18:00", "12T18:00"):
        shared.until(f"2026-11-{day}+01:00")
    all_mails = shared.got("Robin")
    mails = [*all_mails[: before + 1], *all_mails[before + 4 :]]
    number = again[0].line("mail")
    assert [one.line("again") for one in mails] == ["", "", "", "", number, ""]
    times = [us(NOON), us(NOON), us("2026-11-09T18:00+01:00"), made + 21 * MINUTE, made + DAY, made + 2 * DAY]
    kept = [received(one.raw, at) for at, one in zip(times, mails, strict=True)]
    told = [verify.judge([one for raw in some for one in verify.mails_in("", raw)], [])[0] for some in (kept[:4], kept)]
    assert [one.word for one in told] == [verify.UNKNOWN, verify.CONTINUES]


def test_consent_that_cannot_be_read_for_a_while_sends_nobody_anything_and_ends_nothing(shared: Home):
    shared.until("2026-11-14T18:00+01:00", step=6 * HOUR)
    folder, before = shared.settings.state.dir, len(shared.server.taken)
    (folder / "consent.json").rename(folder / "aside")
    (folder / "consent.json").mkdir()  # what root's own file is to the service: there, and no answer
    shared.until("2026-11-15T18:00+01:00", step=6 * HOUR)
    assert "consent.json" in shared.reports.note
    assert "consent.json" in shared.request("partner-invite", name="Robin")["error"]
    assert len(shared.server.taken) == before
    assert shared.partner("Robin").reads
    (folder / "consent.json").rmdir()
    (folder / "aside").rename(folder / "consent.json")
    shared.until("2026-11-15T19:00+01:00")
    assert kinds(shared.got("Robin"))[-1] == "report"
    assert shared.reports.note == ""


def test_a_machine_asleep_at_the_due_time_sends_once_and_says_that_it_is_late(shared: Home):
    shared.until("2026-11-14T22:00+01:00")
    shared.sleep_until("2026-11-16T07:00+01:00")
    before = len(shared.got("Robin"))
    shared.beat()
    for _ in range(5):
        shared.now += MINUTE
        shared.tick()
    (mail,) = shared.got("Robin")[before:]
    assert mail.line("kind") == "report"
    assert mail.line("late") == "the computer was off or asleep"
    assert "This note is late. It was due on Sunday 15 November 2026, 18:00." in mail.text


def test_thirty_weeks_off_make_one_note_that_says_so(shared: Home):
    shared.until("2026-11-15T18:00+01:00", step=6 * HOUR)
    shared.sleep_until("2027-01-27T09:00+01:00")  # consent lasts until February
    shared.tick()
    mail = shared.got("Robin")[-1]
    assert mail.line("kind") == "report"
    assert "Before these days 9 notes were not sent" in mail.text
    assert mail.line("period").split()[1:] == ["2026-11-15", "2027-01-23"]


def test_the_user_gets_the_same_bytes_and_a_file_but_no_code_that_is_the_readers(shared: Home, server: MailServer):
    shared.until("2026-11-15T19:00+01:00", step=6 * HOUR)
    mails = server.to(ROBIN.address)
    invitation, accepted, report = mails[0], mails[1], mails[-1]
    assert server.to(ME) == [accepted, report]
    files = {path.read_bytes() for path in (shared.folder / "var" / "sent").iterdir()}
    assert files == set(mails) - {invitation}
    code = code_in(shared.got("Robin")[0])
    kept = (shared.folder / "var" / "journal.sqlite").read_bytes()
    shared.close_journal()
    assert code.encode() not in kept + (shared.folder / "var" / "journal.sqlite").read_bytes()


def test_a_yes_counts_where_the_file_beside_the_journal_cannot_be_written(home: Home):
    home.agree()
    home.request("partner-invite", name="Robin")
    beside = home.folder / "var" / "journal-readers.json"
    beside.unlink()
    beside.mkdir()
    said = home.request("partner-accept", name="Robin", code=code_in(home.got("Robin")[-1]))
    assert said["said"].startswith("Robin reads the notes")
    assert "journal-readers.json" in said["trouble"]
    assert home.partner("Robin").reads


def test_the_readers_code_ends_the_mails(shared: Home):
    shared.until("2026-11-12T18:00+01:00", step=6 * HOUR)
    code = stop_code_in(shared.got("Robin")[-1])
    assert "error" in shared.request("partner-stop", code="BCDF-GHJK")
    assert "Robin gets no more mails" in shared.request("partner-stop", code=code.lower())["said"]
    shared.until("2026-12-12T18:00+01:00", step=DAY)
    mails = shared.got("Robin")
    assert "You asked for no more mails" in mails[-1].text
    assert mails[-1].line("next") == "none"
    assert kinds(mails[-2:]) == ["seal", "notice"]
    assert (
        "Robin does not want more notes." in shared.got(ME)[-2].text or "Robin does not want" in shared.got(ME)[-1].text
    )
    assert "wants no more mails" in shared.request("partner-invite", name="Robin")["error"]


@pytest.mark.parametrize("how", ["remove", "withdraw", "settings"])
def test_the_user_ends_sharing_at_once_and_what_waited_never_goes(shared: Home, server: MailServer, how: str):
    shared.until("2026-11-14T18:00+01:00", step=6 * HOUR)
    server.mood = Mood.DOWN
    shared.until("2026-11-15T20:00+01:00", step=HOUR)
    assert [row.what for row in shared.rows() if row.state == Stand.WAITING] == [Says.REPORT]
    folder = shared.settings.state.dir
    if how == "remove":
        consent.leave(folder, "Robin")
    elif how == "withdraw":
        consent.withdraw(folder)
    else:
        shared.change()
    server.mood = Mood.FINE
    before = len(server.to(ROBIN.address))
    shared.until("2026-12-16T20:00+01:00", step=DAY)
    (last,) = shared.got(ROBIN.address)[before:]
    assert "Sharing has ended" in last.text
    assert "this says nothing about why" in last.text
    assert shared.partner("Robin").state == State.LEFT


def test_less_counts_at_once_also_for_a_note_that_waits(tmp_path: Path, server: MailServer):
    home = Home(tmp_path, server, NOON, partner("Kim", "mentor"))
    home.sign("start")
    home.agree()
    home.pair("Kim")
    home.until("2026-11-12T20:00+01:00", step=6 * HOUR)
    home.ask("a.test")
    home.until("2026-11-14T20:00+01:00", step=6 * HOUR)
    server.mood = Mood.DOWN
    home.until("2026-11-15T19:00+01:00")
    home.change(partner("Kim", "spouse"))
    home.tick()
    server.mood = Mood.FINE
    home.until("2026-11-16T19:00+01:00")
    mails = home.got("Kim")[-4:]
    assert [(one.line("to"), one.line("kind")) for one in mails if one.line("kind") != "seal"] == [
        ("spouse 2", "pairing"), ("mentor 1", "notice"),
    ]  # fmt: skip
    assert "tell less than before" in next(one for one in mails if one.line("kind") == "notice").text
    assert str(checked(home.got("Kim"))) == "continues"
    report = next(one for one in mails if one.line("kind") == "pairing")
    assert "adult" not in report.text + report.evidence
    assert '"role":"spouse"' in report.evidence
    home.close()


def test_more_waits_for_the_reader(shared: Home):
    shared.change(partner("Robin", "mentor"))
    shared.until("2026-11-15T18:00+01:00", step=6 * HOUR)
    assert shared.got("Robin")[-1].line("to") == "spouse 1"
    shared.accept("Robin")
    shared.until("2026-11-22T18:00+01:00", step=6 * HOUR)
    mails = shared.got("Robin")
    assert mails[-1].line("to") == "mentor 2"
    ends = [one.line("next") for one in mails if one.line("to") == "spouse 1"]
    assert ends[-1] == "none", "the row of the poorer notes has an end"
    first = next(one for one in mails if one.line("to") == "mentor 2")
    assert first.line("follows").startswith(first.evidence.partition("\n")[0]), "in the same record"
    assert str(checked(mails)) == "continues"
    assert str(checked([one for one in mails if one.line("to") == "mentor 2"])) == "continues"


def checked(mails: list[Mailbox]) -> verify.Answer:
    """What the checker says of them, each received as it was made."""
    found = [verify.mails_in("", received(one.raw, us(one.line("made")) + 20_000_000)) for one in mails]
    return verify.judge([one for several in found for one in several], ())[0]


def test_another_address_is_told_to_the_old_one_before_anything_goes_to_the_new(shared: Home, server: MailServer):
    server.mood = Mood.DOWN
    shared.change(partner("Robin", "spouse", "robin@new.test"))
    shared.tick()
    assert shared.request("partner-invite", name="Robin")["said"]
    shared.until("2026-11-09T20:00+01:00")
    assert server.to("robin@new.test") == []
    server.mood = Mood.FINE
    shared.until("2026-11-10T06:00+01:00")
    order = [one.recipient for one in server.taken if one.recipient != ME][2:]
    assert order == ["robin@mail.test", "robin@new.test"]
    assert "The notes go to another address." in shared.got("robin@mail.test")[-1].text
    assert "robin@new.test" not in shared.got("robin@mail.test")[-1].text


def test_an_address_that_takes_no_mail_is_told_to_the_user_and_the_next_note_says_so(shared: Home, server: MailServer):
    shared.until("2026-11-14T20:00+01:00", step=6 * HOUR)
    server.refuse = {ROBIN.address}
    shared.until("2026-11-20T20:00+01:00", step=6 * HOUR)
    told = [one for one in shared.got(ME) if "could not be delivered" in one.text]
    assert len(told) == 1, "not every day anew"
    assert ROBIN.address in told[0].text
    server.refuse = set()
    shared.until("2026-11-22T18:00+01:00", step=6 * HOUR)
    note = shared.got("Robin")[-1]
    assert note.line("kind") == "report"
    assert "Before these days 1 note was not sent" in note.text
    numbers = [int(one.line("mail")) for one in shared.got("Robin")]
    assert numbers == list(range(1, len(numbers) + 1)), "what nobody has takes no number"


def test_the_users_own_words_stand_in_the_next_note_and_take_no_fact_away(shared: Home):
    shared.ask("a.test")
    shared.request("report-note", text="Thank you\nfor the walk.")
    shared.until("2026-11-22T18:00+01:00", step=6 * HOUR)
    first, second = (one for one in shared.got("Robin") if one.line("kind") == "report")
    assert "A note from the sender -------- Thank you for the walk." in re.sub("-+", "--------", first.text)
    assert "Thank you" not in second.text
    assert first.evidence.count("\nday ") == 5


def test_a_note_of_the_user_can_be_taken_back_before_anybody_has_it(shared: Home):
    shared.request("report-note", text="a thing said in haste")
    shared.request("report-note", text="")
    shared.until("2026-11-15T18:00+01:00", step=6 * HOUR)
    assert "haste" not in shared.got("Robin")[-1].text


def test_who_reads_later_or_again_gets_no_words_that_were_for_others(tmp_path: Path, server: MailServer):
    home = Home(tmp_path, server, NOON, ROBIN, partner("Sam", "mentor"))
    home.sign("start")
    home.agree()
    home.pair("Robin")
    home.request("report-note", text="Thank you for Sunday, love.")
    home.until("2026-11-15T18:00+01:00", step=6 * HOUR)
    assert "Thank you" in home.got("Robin")[-1].text
    home.pair("Sam")
    home.until("2026-11-22T18:00+01:00", step=6 * HOUR)
    note = home.got("Sam")[-1]
    assert note.line("kind") == "report"
    assert "Thank you" not in note.text
    home.close()


def test_a_talk_is_counted_once_by_the_word_of_the_readers_mail(shared: Home):
    shared.until("2026-11-15T18:00+01:00", step=6 * HOUR)
    found = re.search(r"may enter this word: ([a-z]+)", shared.got("Robin")[-1].text)
    assert found
    assert "error" in shared.request("report-talked", word="nosuchword")
    assert "error" not in shared.request("report-talked", word=found[1].upper())
    assert "error" in shared.request("report-talked", word=found[1])
    shared.until("2026-11-22T18:00+01:00", step=6 * HOUR)
    assert "You have talked about these notes 1 time." in shared.got("Robin")[-1].text


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("halted", "The program has been stopped."),
        ("removed", "was taken off"),
        ("neutral", "Sharing has ended; this says"),
    ],
)
def test_word_of_an_end_waits_half_an_hour_in_sight_of_the_user(shared: Home, how: str, words: str):
    shared.until("2026-11-10T19:00+01:00", step=6 * HOUR)
    before = len(shared.got("Robin"))
    assert "Robin (robin@mail.test)" in shared.request("report-halt", how=how)["said"]
    shared.until("2026-11-10T19:29+01:00", step=MINUTE * 10)
    assert len(shared.got("Robin")) == before
    shared.until("2026-11-10T19:31+01:00")
    (mail,) = shared.got("Robin")[before:]
    assert words in mail.text
    assert "request" not in mail.text.partition("anywhere")[0].replace("requests for help", "")
    assert "less than 7 days ago" in shared.request("report-halt", how=how)["error"]
    assert shared.partner("Robin").reads is (how == "halted")


def test_word_of_an_end_can_be_taken_back_and_nothing_may_be_sent_at_all(shared: Home):
    shared.until("2026-11-10T19:00+01:00", step=6 * HOUR)
    before = len(shared.got("Robin"))
    shared.request("report-halt", how="removed")
    assert shared.request("report-halt", how="cancel")["said"] == "no notice is sent"
    shared.until("2026-11-10T20:00+01:00")
    assert len(shared.got("Robin")) == before
    assert shared.partner("Robin").reads
    shared.request("report-halt", how="nothing")
    shared.until("2026-11-30T20:00+01:00", step=DAY)
    assert len(shared.got("Robin")) == before


@pytest.mark.parametrize("wanted", [False, True])
def test_the_signs_are_in_mail_and_evidence_only_where_they_were_asked_for(
    tmp_path: Path, server: MailServer, wanted: bool
):
    people = (partner("Doc", "therapist"), partner("Robin", "spouse"))
    home = Home(tmp_path, server, NOON, *people, yardsticks=wanted)
    home.settings = replace(home.settings, schedule=(Schedule(category="adult", windows=("21:00-07:00",)),))
    home.reports.settings = home.settings
    home.sign("start")
    home.agree()
    home.pair("Doc")
    home.pair("Robin")
    home.until("2026-11-11T22:00+01:00")
    home.ask("a.test")
    home.until("2026-11-15T18:00+01:00", step=6 * HOUR)
    doc, robin = home.got("Doc")[-1], home.got("Robin")[-1]
    assert (doc.line("kind"), robin.line("kind")) == ("report", "report")
    assert "Protected times kept: 4 of 5." in robin.text
    assert ("A number to talk about, not a diagnosis." in doc.text) is wanted
    assert ("Requests after an own limit or in protected time: 1." in doc.text) is wanted
    assert ('"signs"' in doc.evidence) is wanted
    assert "signs" not in robin.evidence
    assert "diagnosis" not in robin.text
    home.close()


def test_names_go_to_a_therapist_alone_closed_and_only_with_their_key(tmp_path: Path, server: MailServer):
    home = Home(tmp_path, server, NOON, partner("Doc", "therapist"))
    home.sign("start")
    home.agree()
    home.request("partner-invite", name="Doc")
    code = code_in(home.got("Doc")[-1])
    mine = pyrage.x25519.Identity.generate()
    assert "no age key" in home.request("partner-accept", name="Doc", code=code, key="age1nonsense")["error"]
    home.request("partner-accept", name="Doc", code=code, key=str(mine.to_public()))
    home.until("2026-11-12T20:00+01:00", step=6 * HOUR)
    home.ask("named.test")
    home.until("2026-11-15T18:00+01:00", step=6 * HOUR)
    note = home.got("Doc")[-1]
    closed = next(part for part in note.message.walk() if part.get_filename() == "names.txt.age")
    assert pyrage.decrypt(closed.get_payload(decode=True), [mine]) == b"1 named.test\n"
    assert b"named.test" not in note.raw
    assert "named.test" not in note.text
    home.close()


def test_a_mail_that_cannot_be_made_keeps_nobody_else_waiting(tmp_path: Path, server: MailServer):
    home = Home(tmp_path, server, NOON, ROBIN, partner("Kim", "mentor"))
    home.sign("start")
    home.agree()
    home.pair("Robin")
    home.pair("Kim")
    broken = home.partner("Kim")
    home.keeper.within(lambda db: db.execute("UPDATE outbox SET address = 'kim'; UPDATE chains SET role = role"))
    home.keeper.within(
        lambda db: mailbox.queue(db, "Kim", Send(Says.SEAL, broken.place, "kim", broken.role), home.now, home.now)
    )
    home.until("2026-11-09T19:00+01:00")
    assert home.got("Robin")[-1].line("kind") == "seal"
    assert "no mail address" in home.reports.trouble
    home.close()


def test_erasing_the_log_forgets_what_mails_said_but_not_their_numbers(shared: Home):
    shared.until("2026-11-16T19:00+01:00", step=6 * HOUR)
    shared.request("report-note", text="Thank you for the walk.")
    shared.keeper.erase()
    kept = [path.read_bytes() for path in (shared.folder / "var").rglob("*") if path.is_file()]
    assert not any(b"police this" in one or b"the walk" in one for one in kept)
    assert all(row.body is None for row in shared.rows() if row.state == Stand.SENT)
    assert not list((shared.folder / "var" / "sent").iterdir())
    shared.until("2026-11-22T19:00+01:00", step=6 * HOUR)
    mails = shared.got("Robin")
    assert [int(one.line("mail")) for one in mails] == list(range(1, len(mails) + 1))
    assert "without 2026-11-15 2026-11-15 there is no summary of this day" in mails[-1].evidence
    assert len(set(re.findall(r"\nday (\S+) (\d+)", "".join(one.evidence for one in mails)))) > 5
