"""The page: escaped, self-contained, calm, small, and readable by a machine that reads aloud."""

import colorsys
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import pytest

from blockerd.report import pairing
from blockerd.report.blocks import Bar, Bars, Note
from blockerd.report.charts import DARK, LIGHT
from blockerd.report.compose import note
from blockerd.report.mail_html import html
from blockerd.report.texts import load
from blockerd.settings import Role
from tests.report.hostile import MARK, TEXTS, facts, note_of, pair_of
from tests.report.quarter import WEEKS, written

C = load()
VOID = {"meta", "br", "hr", "img", "input", "link"}
Element = tuple[str, tuple[str, ...]]


class Tree(HTMLParser):
    """Every element with the names of its attributes, in order; the text; what is open at the end."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.comments: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> ends nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def mails(text: str) -> Iterator[Note]:
    """A mail of each role and each kind, with `text` wherever a text from outside can stand."""
    for role in Role:
        yield note(facts(text), note_of(role, text), C)
        pair = pair_of(role, text)
        yield pairing.invite(pair, text, text, C)
        yield pairing.accepted(pair, WEEKS[-1].days[0].date, C)
        yield pairing.renewal(pair, WEEKS[-1].days[0].date, text, C, mine=role is Role.SELF)
        yield pairing.more(pair, WEEKS[-1].days[0].date, text, C)
        yield pairing.stopped_by_partner(pair, WEEKS[-1].days[0].date, C, mine=role is Role.SELF)


@cache
def pages(text: str) -> list[tuple[str, Tree]]:
    """Subject and page of each of them."""
    return [(mail.subject, Tree(html(mail))) for mail in mails(text)]


@pytest.mark.parametrize("hostile", TEXTS)
def test_hostile_text_adds_no_element_attribute_or_comment(hostile: str):
    for (_, tree), (_, plain) in zip(pages(hostile), pages("plain"), strict=True):
        assert tree.elements == plain.elements
        assert tree.comments == plain.comments
        assert tree.open == []


@pytest.mark.parametrize("hostile", TEXTS)
def test_hostile_text_stands_in_no_attribute_and_no_header(hostile: str):
    for subject, tree in pages(hostile):
        assert MARK not in subject
        values = [value for _, attributes in tree.attributes for value in attributes.values()]
        assert not any(MARK in (value or "") for value in values)


@pytest.mark.parametrize("hostile", TEXTS)
@pytest.mark.parametrize("role", Role)
def test_names_and_categories_from_outside_are_absent(role: Role, hostile: str):
    own = replace(
        note_of(role, ""), version="1", stop_code="A", talk_word="b", plan=(), resources=(), readers=(), seal=None
    )
    assert MARK not in html(note(facts(hostile), own, C))


@pytest.mark.parametrize("role", Role)
def test_nothing_is_fetched_and_nothing_runs(role: Role):
    page = html(written(role))
    assert (
        re.findall(
            r"(?i)<(?:script|link|img|iframe|object|form|svg|a|base)\b|\b(?:src|href|on\w+)=|url\(|@import|http", page
        )
        == []
    )


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("number", [0, 6, 12])
def test_a_note_is_small(role: Role, number: int):
    assert len(html(written(role, number)).encode()) <= 100_000


def test_the_fullest_note_is_small():
    fullest = note(facts("x" * 300), note_of(Role.SELF, "word " * 2000), C)
    assert len(html(fullest).encode()) <= 100_000


@pytest.mark.parametrize("role", Role)
def test_each_table_is_either_read_aloud_with_caption_and_headers_or_not_at_all(role: Role):
    page = html(written(role))
    opened = re.findall(r"<table[^>]*>", page)
    drawn = [table for table in opened if 'role="presentation"' in table]
    assert len(opened) - len(drawn) == page.count("<caption") > 2
    for part in re.split(r"(?=<table)", page)[1:]:
        if "<caption" in part:
            assert re.search(r"<caption[^>]*>[^<]+</caption>", part)
            assert 'scope="col"' in part
    assert page.count('scope="row"') > 10
    for bar in re.findall(r"<t[dr] aria-hidden=\"true\".*?</t[dr]>", page):
        assert not re.search(r">[^<&]*\w[^<]*<", bar), "what is hidden from screen readers holds no word"


@pytest.mark.parametrize("role", Role)
def test_headings_are_in_order(role: Role):
    levels = [tag for tag, _ in Tree(html(written(role))).elements if tag in ("h1", "h2", "h3")]
    assert levels[0] == "h1"
    assert levels.count("h1") == 1


@pytest.mark.parametrize("role", Role)
def test_language_direction_title_and_both_colour_schemes_are_named(role: Role):
    page = html(written(role))
    assert '<html lang="en" dir="ltr">' in page
    assert "<title>Weekly note</title>" in page
    assert '<meta name="color-scheme" content="light dark">' in page
    assert "@media screen and (prefers-color-scheme: dark)" in page
    assert "@media print" in page
    classes = {name for found in re.findall(r'class="([^"]*)"', page) for name in found.split() if name[1] == "-"}
    assert classes <= {f"{kind}-{ink}" for kind in "gi" for ink in DARK}


def channels(ink: str) -> tuple[float, float, float]:
    return int(ink[1:3], 16) / 255, int(ink[3:5], 16) / 255, int(ink[5:7], 16) / 255


def luminance(ink: str) -> float:
    parts = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels(ink))
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


def contrast(one: str, two: str) -> float:
    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("inks", [LIGHT, DARK], ids=["light", "dark"])
def test_no_ink_is_red(inks: dict[str, str]):
    for name, ink in inks.items():
        hue, saturation, _ = colorsys.rgb_to_hsv(*channels(ink))
        assert saturation < 0.25 or 0.08 < hue < 0.9, name
    assert set(inks) == set(LIGHT)


@pytest.mark.parametrize("inks", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("ink", "card"), ("soft", "card"), ("head", "card"), ("ink", "help"), ("ink", "empty"), ("ink", "bar"),
        ("on-mark", "mark"),
    ],
)  # fmt: skip
def test_text_stands_out_from_its_ground(inks: dict[str, str], text: str, ground: str):
    """WCAG 2.2, 1.4.3: at least 4.5 to 1."""
    assert contrast(inks[text], inks[ground]) >= 4.5


def test_a_bar_is_as_long_as_its_value_and_nothing_has_none():
    page = html(
        Note("en", "ltr", "x", (Bars("c", ("a", "b"), (Bar("p", 0, "0"), Bar("q", 1, "1"), Bar("r", 100, "100"))),))
    )
    assert re.findall(r'<table role="presentation" width="(\d+)%"', page) == ["3", "100"]
