"""Text from outside is one harmless line."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.report.safe import line, paragraphs
from tests.report.hostile import TEXTS


@pytest.mark.parametrize("text", TEXTS)
def test_a_hostile_text_is_one_line_without_steering_signs(text: str):
    shown = line(text)
    assert len(shown) <= 200
    assert "\n" not in shown
    assert not {unicodedata.category(sign) for sign in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(st.text())
def test_any_text_can_be_sent_and_stays_as_it_is_the_second_time(text: str):
    shown = line(text)
    assert line(shown) == shown
    shown.encode("utf-8")


@pytest.mark.parametrize("text", ["Zoë & Søren", "محمد", "नमस्ते", "山田 太郎", "می\u200cخواهم", "0800\u00a0111", "👍🏽"])
def test_names_of_all_scripts_pass_unharmed(text: str):
    assert line(text) == text


def test_a_tower_of_accents_is_cut():
    assert len(line("a" + "\u0301" * 200)) <= 5


def test_a_note_keeps_its_paragraphs_and_has_an_end():
    assert paragraphs("one\n\n two \r\nthree\rfour") == ("one", "two", "three", "four")
    assert paragraphs("  \n \n") == ()
    assert sum(map(len, paragraphs("word " * 5000))) <= 2000
