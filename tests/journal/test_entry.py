"""Entries are written in one form only, read back as they were, and nothing inexact gets in."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.journal.entry import (
    TYPES,
    Attempt,
    Beat,
    Change,
    Daily,
    Other,
    Prune,
    Start,
    canonical,
    decode,
    encode,
    kind_of,
    of_event,
)
from blockerd.journal.grow import Pieces
from blockerd.journal.merge import Origin, Row
from tests.journal.spooling import START

exact = st.recursive(
    st.integers(-(1 << 62), 1 << 62) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), exact, max_size=4))
def test_canonical_bytes_are_ascii_sorted_and_say_the_same(value: dict[str, object]):
    data = canonical(value)
    assert data.isascii()
    assert json.loads(data) == value
    assert canonical(dict(reversed(list(value.items())))) == data


@pytest.mark.parametrize("value", [1.5, None, True, {"a": None}, [False], {1: "a"}, b"x", {"a": {"b": [0.0]}}])
def test_what_cannot_be_said_exactly_is_refused(value: object):
    with pytest.raises(ValueError, match="integers, texts, lists and objects only"):
        canonical(value)


@pytest.mark.parametrize(
    "entry",
    [
        Start(START, "dns", "b1"),
        Beat(START, "b1", 3, 5, 4, {"queries": 9}, "aa", {"at": START}),
        Change(START, "lists.starter", "true", "false", "weaker", "user"),
        Prune(START, "age", 5, 3, {"attempt": 3}),
        Daily(START, "2026-11-22", "spouse", {"attempts": {"cam": 2}, "minutes": [1, 2]}),
        Other("later", START, {"x": [1, "ü"]}),
    ],
)
def test_an_entry_is_read_back_as_it_was_written(entry: Start):
    data = encode(entry)
    assert decode(data) == entry
    assert json.loads(data)["kind"] == kind_of(entry)


def test_every_kind_of_the_contract_is_known():
    wanted = (
        "start stop unclean beat attempt screen change pause list-updated list-rejected clock-step zone-step"
        " resolver-path bypass-sign report-sent key-rotation prune repair lost daily"
    )
    assert set(TYPES) == set(wanted.split())


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b"{}",
        b"no json",
        b'{"kind":"start","at":"now","process":"dns"}',
        b'{"kind":"start","at":1}',
        b'{"kind":"lost","at":1,"process":"dns","count":"5"}',
        b'{"kind":"lost","at":1,"process":"dns","count":true}',
        b'{"kind":"beat","at":1,"boot":"","run":1,"boottime":1,"monotonic":1,"counters":{"a":"b"}}',
        b'{"kind":"daily","at":1,"day":"","role":"","facts":[]}',
    ],
)
def test_what_is_no_entry_is_refused(data: bytes):
    with pytest.raises(ValueError):  # noqa: PT011 - the message is for nobody
        decode(data)


def test_an_event_keeps_keys_that_are_not_known_and_loses_nothing_but_nothings():
    event = {"kind": "change", "what": "x", "later": [1.5, True, None], "gone": None}
    at, kind, text = of_event(START, event)
    assert (at, kind) == (START, "change")
    assert json.loads(text) == {"at": START, "kind": "change", "what": "x", "later": ["1.5", 1]}
    assert decode(text) == Change(START, "x")


def test_an_event_with_a_time_of_its_own_is_filed_under_it():
    assert of_event(START + 5, {"kind": "notice", "at": START})[0] == START


@pytest.mark.parametrize(
    "event",
    [{"kind": ""}, {"kind": 5}, {"at": 1}, {"kind": "x", "at": "now"}, {"kind": "x", "at": -1}, {"kind": "lost"}],
)
def test_an_event_that_makes_no_sense_is_refused(event: dict[str, object]):
    with pytest.raises(ValueError):  # noqa: PT011 - the message is for nobody
        of_event(START, event)


texts = st.text(max_size=12)
plain = st.text(st.characters(exclude_characters=" ", exclude_categories=("Z", "C")), min_size=1, max_size=9)


@given(
    st.builds(Origin, texts, texts, texts, texts, texts, texts, texts, texts),
    texts,
    st.lists(plain, max_size=3),
    st.integers(0, 1 << 62),
    st.integers(1, 1 << 40),
)
def test_the_fast_bytes_of_an_attempt_are_the_canonical_ones(
    origin: Origin, site: str, names: list[str], at: int, count: int
):
    row = Row(1, at, at + 5, site, 1, count, names, 7)
    entry = Attempt(
        at, at + 5, site, names, 7, origin.category, origin.source, origin.list, origin.action, origin.channel,
        origin.client, origin.user, count, origin.kind,
    )  # fmt: skip
    assert Pieces(origin).said(row) == encode(entry)
    assert decode(encode(entry)) == entry
