"""The mails around the notes: what they promise, what they leave out, and the calendar entry."""

import re
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from blockerd.report import pairing
from blockerd.report.blocks import Note
from blockerd.report.mail_text import text
from blockerd.report.texts import load
from blockerd.settings import Every, Role
from tests.report.hostile import TEXTS, pair_of

C = load()
ON = date(2026, 11, 22)
DUE = int(datetime(2026, 11, 29, 18, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()) * 1_000_000
SPOUSE = replace(pair_of(Role.SPOUSE, "Alex"), partner="Robin", stop_code="KWXR-MTHD", next_due=DUE)


def flat(note: Note) -> str:
    return " ".join(text(note).split())


def test_the_invitation_says_what_will_and_will_not_be_seen_and_how_to_say_yes():
    shown = flat(pairing.invite(SPOUSE, "QRSTVW", "ABCD EFGH JKLM", C))
    for words in ("What you will get", "What you will not get", "What you agree to", "compare this fingerprint aloud"):
        assert words in shown
    assert "ABCD EFGH JKLM" in shown
    assert "QRSTVW" in shown
    assert "the first note comes on Sunday 29 November 2026, 18:00" in shown
    assert "Nothing more is sent" in shown


@pytest.mark.parametrize("role", [Role.SPOUSE, Role.MENTOR, Role.THERAPIST])
def test_the_invitation_promises_what_the_role_is_told(role: Role):
    shown = flat(pairing.invite(replace(SPOUSE, role=role), "QRST", "ABCD", C))
    assert ("all kinds together" in shown) is (role is Role.SPOUSE)
    assert ("quarter of the day" in shown) is (role is not Role.SPOUSE)
    assert ("late hours" in shown) is (role is Role.THERAPIST)
    assert ("the hour at which something happened" in shown) is (role is not Role.THERAPIST)


def test_an_ending_says_nothing_about_why():
    for note in (
        pairing.lapsed(SPOUSE, C, mine=False),
        pairing.stopped_by_user(SPOUSE, ON, C),
        pairing.removed(SPOUSE, ON, C, neutral=True),
        pairing.removed(SPOUSE, ON, C, neutral=False),
        pairing.halted(SPOUSE, ON, C),
        pairing.less(SPOUSE, ON, C),
    ):
        assert "says nothing about why" in flat(note)


def test_a_neutral_ending_does_not_even_say_that_the_program_is_gone():
    shown = flat(pairing.removed(SPOUSE, ON, C, neutral=True))
    assert "Sharing has ended; this says nothing about why." in shown
    assert "program" not in shown
    assert "22 Nov" not in shown


def test_both_are_told_that_consent_ran_out_and_that_the_filter_stays():
    for mine in (True, False):
        assert "the filter on the computer stays" in flat(pairing.lapsed(SPOUSE, C, mine=mine))


def test_the_code_of_a_renewal_is_sent_to_the_partner_alone():
    assert "QRST" in flat(pairing.renewal(SPOUSE, ON, "QRST", C, mine=False))
    assert "QRST" not in flat(pairing.renewal(SPOUSE, ON, "QRST", C, mine=True))


def test_less_is_told_as_done_and_more_is_asked():
    assert "From Sun 22 Nov on the notes to you tell less than before" in flat(pairing.less(SPOUSE, ON, C))
    more = flat(pairing.more(replace(SPOUSE, role=Role.MENTOR), ON, "QRST", C))
    assert "If you want that, tell Alex this code: QRST." in more


def test_the_old_address_is_not_told_the_new_one():
    assert "@" not in flat(pairing.new_address(SPOUSE, ON, C))


def test_the_guide_comes_with_the_first_yes():
    shown = flat(pairing.accepted(SPOUSE, ON, C))
    assert "Robin said yes on Sun 22 Nov." in shown
    assert all(part in shown for part in C.lists["guide.parts"])


def unfolded(calendar: str) -> list[str]:
    return calendar.replace("\r\n ", "").removesuffix("\r\n").split("\r\n")


@pytest.mark.parametrize(
    ("every", "rule"),
    [(Every.WEEK, "FREQ=WEEKLY"), (Every.DAY, "FREQ=DAILY"), (Every.THREE_DAYS, "FREQ=DAILY;INTERVAL=3")],
)
def test_the_calendar_entry_repeats_with_the_notes(every: Every, rule: str):
    lines = unfolded(pairing.calendar(DUE, every, SPOUSE.zone, "id-1@note", DUE, C))
    assert lines[0] == "BEGIN:VCALENDAR"
    assert lines[-1] == "END:VCALENDAR"
    assert {"DTSTART;VALUE=DATE:20261129", "DTSTAMP:20261129T170000Z", f"RRULE:{rule}", "SUMMARY:Weekly note"} <= set(
        lines
    )


@pytest.mark.parametrize("hostile", TEXTS)
def test_a_calendar_holds_no_line_but_its_own_and_none_over_75_octets(hostile: str):
    plain = hostile.replace("{", "(").encode("utf-8", "replace").decode()[:300]
    c = replace(C, texts={**C.texts, "pairing.calendar": " ".join(plain.splitlines())})
    calendar = pairing.calendar(DUE, Every.WEEK, SPOUSE.zone, hostile, DUE, c)
    rows = calendar.encode("utf-8").split(b"\r\n")
    assert max(map(len, rows)) <= 75
    assert len(unfolded(calendar)) == 15
    assert not re.search(rb"(?<!\r)\n", calendar.encode())


def test_the_partner_guide_in_the_docs_says_what_the_mail_says():
    page = " ".join((Path(__file__).resolve().parents[2] / "docs" / "partner-guide.md").read_text("utf-8").split())
    assert [part for part in C.lists["guide.parts"] if part not in page] == []
