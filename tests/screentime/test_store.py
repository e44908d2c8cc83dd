"""Records on their way into the journal: judged at the door, each counted once whatever is sent again."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.screentime import store
from blockerd.screentime.heartbeat import SECOND
from blockerd.screentime.intake import MOST_RECORDS, Refused, accept, event_of, record_in
from blockerd.screentime.track import LONGEST, Record, Stream

START = 1_795_370_400 * SECOND


def record(n: int, value: str = "editor", stream: Stream = Stream.APP, title: str = "") -> Record:
    at = START + n * 60 * SECOND
    return Record(stream, at, at + 60 * SECOND, value, title, START - 5000, "b1")


def line(seq: int, /, **more: object) -> dict[str, Any]:
    return event_of(record(seq), {"seq": seq}) | more


def request(*seqs: int, base: int = 1, **more: object) -> dict[str, Any]:
    head = {"do": "heartbeats", "agent": "a1", "probe": "x11", "base": base}
    return {**head, "records": [line(seq) for seq in seqs], **more}


@pytest.fixture
def db() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    connection.execute(store.SCHEMA)
    yield connection
    connection.close()


def put(db: apsw.Connection, events: Iterable[dict[str, Any]]) -> int:
    return store.put(db.execute, [store.sent_in(event) for event in events])


def _seqs(db: apsw.Connection) -> list[int]:
    return [int(row[0]) for row in db.execute("SELECT seq FROM screen ORDER BY id")]


def test_what_an_agent_sends_comes_out_as_it_was(db: apsw.Connection):
    told = accept(request(1, 2), 1000, {}, titles=False)
    assert told.answer == {"stored": 0}
    assert put(db, json.loads(json.dumps(told.events))) == 2
    assert [known.record for known in store.records(db.execute, 0, 1 << 62)] == [record(1), record(2)]
    assert store.acknowledged(db.execute) == {"1000:a1": 2}
    assert store.agents(db.execute) == {1: (1000, "x11")}


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 6)), max_size=15))
def test_each_number_is_stored_once_and_in_order_whatever_is_sent_again(batches: list[tuple[int, int]]):
    db = apsw.Connection(":memory:")
    db.execute(store.SCHEMA)
    stored = 0
    for first, count in batches:
        told = accept(request(*range(first, first + count)), 7, store.acknowledged(db.execute), titles=False)
        put(db, told.events)
        if first <= stored + 1:
            stored = max(stored, first + count - 1)
        assert _seqs(db) == list(range(1, stored + 1))
    db.close()


def test_a_hole_is_not_jumped_so_that_it_is_sent_again(db: apsw.Connection):
    put(db, accept(request(1, 2, 4), 7, {}, titles=False).events)
    assert _seqs(db) == [1, 2]
    put(db, accept(request(3, 4), 7, store.acknowledged(db.execute), titles=False).events)
    assert _seqs(db) == [1, 2, 3, 4]


def test_a_new_journal_goes_on_where_the_agent_is(db: apsw.Connection):
    put(db, accept(request(51, 52, base=51), 7, {}, titles=False).events)
    assert _seqs(db) == [51, 52]


def test_users_do_not_share_numbers(db: apsw.Connection):
    for uid in (1000, 1001):
        put(db, accept(request(1), uid, store.acknowledged(db.execute), titles=False).events)
    assert store.acknowledged(db.execute) == {"1000:a1": 1, "1001:a1": 1}


def test_what_is_stored_makes_no_event():
    told = accept(request(1, 2, 3), 7, {"7:a1": 2}, titles=False)
    assert [event["seq"] for event in told.events] == [3]
    assert told.answer == {"stored": 2}


def test_titles_pass_only_where_they_are_switched_on():
    sent = request(records=[line(1, title="Notes")])
    assert ["title" in accept(sent, 7, {}, titles=on).events[0] for on in (False, True)] == [False, True]


@pytest.mark.parametrize(
    "bad",
    [
        {"agent": ""}, {"agent": 5}, {"probe": "x" * 65}, {"base": 0}, {"base": True}, {"records": None},
        {"records": [1]}, {"records": [line(1, kind="attempt")]}, {"records": [line(1, kind=["app"])]},
        {"records": [line(0)]}, {"records": [line(1, seq="1")]}, {"records": [line(1, end=START)]},
        {"records": [line(1, end=START + 60 * SECOND + LONGEST + 1)]}, {"records": [line(1, start=-1)]},
        {"records": [line(1, value="")]}, {"records": [line(1, value="a\nb")]}, {"records": [line(1, kind="afk")]},
        {"records": [line(1, boot=None)]}, {"records": [line(1, anchor=1.5)]}, {"records": [line(1)] * 201},
        {"records": [line(1, value="\ud800")]},
    ],
    ids=lambda bad: str(bad)[:60],
)  # fmt: skip
def test_a_request_that_makes_no_sense_is_refused_in_one_line(bad: dict[str, Any]):
    assert MOST_RECORDS == 200
    with pytest.raises(Refused) as refused:
        accept(request(1) | bad, 7, {}, titles=False)
    assert "\n" not in str(refused.value)


def test_a_record_of_presence_has_no_title():
    got = event_of(record(1, "afk", Stream.AFK), {}) | {"title": "x"}
    assert record_in(got, titles=True).title == ""


def test_records_that_touch_a_time_are_found(db: apsw.Connection):
    put(db, accept(request(*range(1, 11)), 7, {}, titles=False).events)
    since, until = START + 150 * SECOND, START + 240 * SECOND
    assert [known.record for known in store.records(db.execute, since, until)] == [record(2), record(3)]


@pytest.mark.parametrize("key", ["kind", "agent", "uid", "probe", "seq", "base", "start", "value", "boot"])
def test_an_event_that_makes_no_sense_is_a_value_error(key: str):
    event = accept(request(1), 7, {}, titles=False).events[0]
    wrong: list[object] = [None, [], "", "\n", -1]
    for bad in wrong:
        with pytest.raises(ValueError, match=key):
            store.sent_in(event | {key: bad})
