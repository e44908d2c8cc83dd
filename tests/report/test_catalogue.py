"""Texts: complete, plural, and translated by a file alone."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from blockerd.report import texts
from blockerd.report.catalogue import Catalogue, CatalogueError, parse
from blockerd.report.compose import note
from blockerd.report.mail_html import html
from blockerd.report.mail_text import text
from blockerd.report.week import WeekFacts
from blockerd.settings import Role
from tests.report.quarter import facts, letter, written

EN = (Path(texts.__file__).parent / "en.toml").read_text("utf-8")
ACCENTS = str.maketrans(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "åßçđéƒğħíĵķłɱñøþɋřšŧůṽŵẋýžÅƁÇĐÉƑĞĦÍĴĶŁṀÑØÞɊŘŠŦŮṼŴẊÝŽ"
)


def foreign(value: str) -> str:
    """Each letter changed, each {field} kept."""
    parts = re.split(r"(\{[a-z_]+\})", value)
    return "".join(part if part.startswith("{") else part.translate(ACCENTS) for part in parts)


def dumped(tree: Mapping[str, object], path: str = "") -> str:
    """`tree` as a TOML file of a language that does not exist: from right to left, with Slavic plurals."""
    lines = [f"\n[{path}]"] if path else []
    for key, value in tree.items():
        if isinstance(value, str):
            lines.append(f"{key} = {quoted(key, value)}")
        elif isinstance(value, list):
            lines.append(f"{key} = [{', '.join(quoted(key, item) for item in value)}]")
    below = [
        dumped(plurals(value) if "other" in value and "one" in value else value, f"{path}.{key}" if path else key)
        for key, value in tree.items()
        if isinstance(value, dict)
    ]
    return "\n".join(lines + below)


def plurals(forms: Mapping[str, object]) -> dict[str, object]:
    return {"one": forms["one"], "few": forms["other"], "many": forms["other"]}


def quoted(key: str, value: str) -> str:
    fixed = {"direction": "rtl", "plural": "slavic", "thousands": " ", "decimal": ","}
    return json.dumps(fixed.get(key, foreign(value)))


PSEUDO = parse("xx", dumped(tomllib.loads(EN)), parse("en", EN))


def bare(role: Role) -> tuple[WeekFacts, Catalogue]:
    """Facts and texts without anything that is no translator's to change."""
    seen = facts()
    return replace(seen, days=tuple(replace(day, sites=()) for day in seen.days)), PSEUDO


@pytest.mark.parametrize("role", Role)
def test_a_translation_is_a_file_no_letter_of_a_note_comes_from_the_code(role: Role):
    seen, c = bare(role)
    own = replace(
        letter(role), country=None, version="7", stop_code="ÆØ", talk_word="Æ", note="", readers=(), seal=None
    )
    assert re.findall(r"[A-Za-z]+", text(note(seen, own, c))) == []


@pytest.mark.parametrize("role", Role)
def test_right_to_left_turns_the_page_and_each_table(role: Role):
    page = html(written(role, texts=PSEUDO))
    assert '<html lang="xx" dir="rtl">' in page
    assert 'align="left" style="text-align:left' in page, "figures stand on the far side"
    assert not re.search(r'<th scope="row" align="left"', page)


def test_plurals_follow_the_language():
    assert [PSEUDO.many("count.day", n)[:1] for n in (1, 2, 5, 11, 21, 112)] == ["1", "2", "5", "1", "2", "1"]
    english = texts.load()
    assert (english.many("count.day", 1), english.many("count.day", 0)) == ("1 day", "0 days")


@pytest.mark.parametrize(
    ("minutes", "hours", "duration"),
    [
        (0, "0.0", "0 min"), (3, "0.1", "3 min"), (59, "1.0", "59 min"), (60, "1.0", "1 h 0 min"),
        (3672, "61.2", "61 h 12 min"), (75000, "1,250.0", "1,250 h 0 min"), (-90, "-1.5", None),
    ],
)  # fmt: skip
def test_minutes_are_told_as_hours(minutes: int, hours: str, duration: str | None):
    c = texts.load()
    assert c.hours(minutes) == hours
    assert duration is None or c.duration(minutes) == duration


def test_dates_read_as_dates():
    c = texts.load()
    assert c.span(date(2026, 11, 16), date(2026, 11, 22)) == "Mon 16 Nov to Sun 22 Nov 2026"
    assert c.span(date(2026, 11, 16), date(2026, 11, 16)) == "Mon 16 Nov 2026"


def test_what_is_put_in_is_not_read_as_a_pattern():
    assert texts.load().text("progress.kept", kept="{all}", all="{kept}") == "Protected times kept: {all} of {kept}."


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[language]", "[lang"), "texts of xx"),
        (('plural = "one-other"', 'plural = "many"'), "language.plural is one of"),
        (('no_gaps = "no gaps"', ""), "1 are missing, the first is coverage.no_gaps"),
        (('no_gaps = "no gaps"', 'no_gaps = "no {evil}"'), "coverage.no_gaps has no field {evil}"),
        (('weekdays = ["Mon", ', "weekdays = ["), "date.weekdays has 7 entries"),
    ],
)
def test_a_file_that_lacks_something_is_refused_in_one_line(change: tuple[str, str], message: str):
    assert change[0] in EN
    with pytest.raises(CatalogueError, match=re.escape(message)):
        parse("xx", EN.replace(*change), parse("en", EN))


def test_every_shipped_language_is_complete_and_an_unknown_one_is_english():
    assert [texts.load(language).language for language in texts.languages()] == list(texts.languages())
    assert texts.load("no-such-language") == texts.load("en")
