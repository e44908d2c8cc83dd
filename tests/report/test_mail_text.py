"""The plain text reads well alone: narrow, in order, without a sign that steers anything."""

import unicodedata
from dataclasses import replace

import pytest

from blockerd.report.blocks import Bar, Bars, Heading, Heat, Items, Note, Para, Shade, Share, Shares, Table, Tone
from blockerd.report.compose import note
from blockerd.report.mail_text import WIDTH, text
from blockerd.report.texts import load
from blockerd.settings import Role
from tests.report.hostile import MARK, TEXTS, facts, note_of
from tests.report.quarter import WEEKS, written


def alone(*blocks: object) -> str:
    return text(Note("en", "ltr", "Weekly note", blocks))  # type: ignore[arg-type]


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("number", range(len(WEEKS)))
def test_no_line_is_wider_than_72_columns(role: Role, number: int):
    lines = text(written(role, number)).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert all(line == line.rstrip() for line in lines)


def test_blocks_read_like_this():
    shown = alone(
        Heading("Week", top=True),
        Para("word " * 20),
        Para("Call.", Tone.HELP),
        Items(("one", "two " * 20)),
        Table("Kinds", ("Kind", "Mon", "all"), (("chat", "2", "12"), ("live video", "–", "3"))),
        Bars("Weeks", ("Week from", "Requests"), (Bar("2 Nov", 5, "5"), Bar("9 Nov", 12, "12", marked=True))),
        Shares("Minutes", ("State", "Time"), (Share("on", 60, "1 h", Shade.FULL),), "24 h", "together"),
        Heat("Days", "Day", ("0", "12"), (("Mon", (0, 3)),)),
    )
    assert shown == (
        "Week\n====\n\n"
        "word word word word word word word word word word word word word word\n"
        "word word word word word word\n\n"
        "  Call.\n\n"
        "- one\n- two two two two two two two two two two two two two two two two two\n  two two two\n\n"
        "Kinds\n\n  Kind        Mon  all\n  chat          2   12\n  live video    –    3\n\n"
        "Weeks\n\n  Week from  Requests\n  2 Nov             5\n  9 Nov            12\n\n"
        "Minutes\n\n  State     Time\n  on         1 h\n  together  24 h\n\n"
        "Days\n\n  Day  0  12\n  Mon  .   3\n"
    )


def test_a_table_too_wide_for_the_page_becomes_sentences():
    shown = alone(Table("Wide", ("Kind", *(f"a long name {n}" for n in range(6))), (("chat", *"123456"),)))
    assert "  chat: a long name 0 1, a long name 1 2," in shown
    assert max(map(len, shown.splitlines())) <= WIDTH


def test_wide_letters_take_two_columns():
    shown = alone(Table("", ("", "n"), (("山田", "1"), ("abcd", "2"))))
    assert "  山田  1\n  abcd  2" in shown


def test_a_telephone_number_is_not_broken():
    words = "x " * 33 + "0800\u00a0111\u00a00\u00a0111"
    assert "\n0800 111 0 111\n" in alone(Para(words))


@pytest.mark.parametrize("hostile", TEXTS)
@pytest.mark.parametrize("role", Role)
def test_hostile_text_steers_nothing_and_is_absent_where_it_may_not_be(role: Role, hostile: str):
    own = note_of(role, hostile)
    shown = text(note(facts(hostile), own, load()))
    assert {sign for sign in shown if unicodedata.category(sign) in {"Cc", "Cf", "Cs", "Zl", "Zp"}} <= {"\n"}
    silent = replace(
        own, version="1", stop_code="A", talk_word="b", note="", plan=(), resources=(), readers=(), seal=None
    )
    assert MARK not in text(note(facts(hostile), silent, load())), "names and categories from outside"
