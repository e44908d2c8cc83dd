"""Records read in bulk give what `spool.raw_attempts` gives, cut to the level; nonsense is counted and adds nothing."""

import ipaddress
import json
from array import array
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.journal.decode import whole_records
from blockerd.journal.intake import Confirm, Confirmed, Intake, Names
from blockerd.journal.lookup import Lookup
from blockerd.journal.merge import Marks, Merger, Origin
from blockerd.journal.spool import (
    From,
    Level,
    Meta,
    RawAttempt,
    Record,
    RecordKind,
    Writer,
    raw_attempts,
    read,
    segments,
)
from blockerd.policy.name import ROOT, from_text, site_of, to_text
from tests.journal.spooling import COMBOS, META, START


class Taken:
    """An Intake over no journal; `origins` in order of their numbers."""

    def __init__(self, level: Level = Level.NAME, confirm: Confirm | None = None):
        self.origins: list[Origin] = []
        nothing = Lookup(None)
        self.intake = Intake(
            Names(level),
            self._intern,
            Merger(nothing.rows, nothing.names),
            Marks(nothing.span),
            Confirmed(confirm) if confirm else None,
        )

    def _intern(self, origin: Origin) -> int:
        if origin not in self.origins:
            self.origins.append(origin)
        return self.origins.index(origin)

    def feed(self, *records: Record, meta: Meta | None = META, process: str = "dns"):
        for record in records:
            self.intake.feed(record, meta, process)
        self.intake.settle()
        return self

    @property
    def rows(self):
        return self.intake.merger.rows


def record(
    names: list[bytes],
    combos: list[int] | None = None,
    flags: int = 0,
    addresses: bytes = b"",
    slots: list[int] | None = None,
):
    numbers = array(
        "Q", [n for pair in zip(slots or [0] * len(names), combos or [0] * len(names), strict=True) for n in pair]
    )
    payload = numbers.tobytes() + b"".join(name + b"\x00\x01\x00\x01" for name in names) + addresses
    return Record(0, 0, START, len(names), RecordKind.ATTEMPTS, flags, payload)


def event(**fields: object):
    return Record(0, 0, START, 1, RecordKind.EVENT, 0, json.dumps(fields).encode())


def attempt_event(**changed: object):
    fields: dict[str, object] = {
        "kind": "attempt", "time": START, "name": "www.site.test", "site": "site.test", "qtype": 1, "category": "cam",
        "source": "starter", "list": "Cam sites", "action": "DROP", "channel": "proxy", "client": "127.0.0.1",
        "user": "ada", "attempt": "attempt",
    }  # fmt: skip
    return event(**{**fields, **changed})


labels = st.binary(min_size=1, max_size=12) | st.sampled_from([b"www", b"co", b"uk", b"com", b"kobe", b"jp", b"a.b"])
wires = st.lists(labels, min_size=1, max_size=5).map(lambda found: b"".join(bytes((len(x),)) + x for x in found) + ROOT)


@given(
    st.lists(st.tuples(wires, st.integers(0, len(COMBOS) - 1)), min_size=1, max_size=20), st.sampled_from(list(From))
)
def test_bulk_reading_equals_the_plain_one(asked: list[tuple[bytes, int]], flags: From):
    names, combos = [name for name, _ in asked], [combo for _, combo in asked]
    width = {From.ADDRESSES4: 4, From.ADDRESSES6: 16}.get(flags, 0)
    addresses = b"".join((n + 1).to_bytes(width, "big") for n in range(len(asked))) if width else b""
    one = record(names, combos, flags, addresses)
    taken = Taken().feed(one)
    seen = {(to_text(r.name), r.source, r.list, r.category, r.kind, r.client) for r in raw_attempts(one, META)}
    got = {
        (name, o.source, o.list, o.category, o.kind, o.client)
        for row in taken.rows
        for o in [taken.origins[row.origin]]
        for name in row.names
    }
    assert got == seen
    assert taken.intake.questions == len(asked)
    assert taken.intake.bad == 0


@given(wires)
def test_sites_equal_those_of_the_suffix_list(wire: bytes):
    try:
        site = site_of(wire)
    except LookupError:
        site = wire
    assert Names(Level.NAME).cut(wire) == (to_text(site), to_text(wire))


@pytest.mark.parametrize(
    ("level", "site", "names"),
    [
        (Level.NAME, "site.test", ["www.site.test"]),
        (Level.SITE, "site.test", []),
        (Level.CATEGORY, "", []),
        (Level.COUNTS, "", []),
    ],
)
def test_nothing_finer_than_the_level_comes_through(level: Level, site: str, names: list[str]):
    for one in (record([from_text("www.site.test")]), attempt_event()):
        (row,) = Taken(level).feed(one).rows
        assert (row.site, row.names) == (site, names)


def test_the_level_counts_keeps_no_category():
    taken = Taken(Level.COUNTS).feed(record([ROOT]))
    assert taken.origins == [Origin("", "", "", "NXDOMAIN", "dns", "127.0.0.1", "", "attempt")]


def test_at_level_name_a_site_asked_for_by_itself_is_its_name():
    (row,) = Taken(Level.NAME).feed(record([from_text("site.test")])).rows
    assert (row.site, row.names) == ("site.test", ["site.test"])


def test_an_attempt_spelled_out_is_taken_with_all_its_fields():
    taken = Taken().feed(attempt_event())
    assert taken.origins == [Origin("cam", "starter", "Cam sites", "DROP", "proxy", "127.0.0.1", "ada", "attempt")]
    assert [(row.first, row.site, row.names) for row in taken.rows] == [(START, "site.test", ["www.site.test"])]


@pytest.mark.parametrize(
    "one",
    [
        record([from_text("site.test")], combos=[len(COMBOS)]),
        record([from_text("site.test")], flags=9),
        record([from_text("site.test")], addresses=b"\x7f"),
        Record(0, 0, START, 3, RecordKind.ATTEMPTS, 0, b"\x00" * 20),
        Record(0, 0, START, 1, RecordKind.EVENT, 0, b"{not json"),
        Record(0, 0, START, 1, RecordKind.EVENT, 0, b"[]"),
        Record(0, 0, 1 << 63, 1, RecordKind.EVENT, 0, b'{"kind":"change"}'),
        event(kind=5),
        event(kind="coverage", process="dns", state="asleep"),
        attempt_event(time="now"),
        attempt_event(action="FORGET"),
        attempt_event(attempt="unconfirmed"),
        attempt_event(site="\ud800"),
        attempt_event(user=None),
    ],
)
def test_a_record_that_makes_no_sense_is_counted_and_adds_nothing(one: Record):
    taken = Taken().feed(one)
    assert taken.intake.bad == max(1, one.count)
    assert (taken.rows, taken.intake.marks.spans, taken.intake.events, taken.intake.questions) == ([], [], [], 0)


def test_attempts_without_a_meta_before_them_are_counted_as_unreadable():
    assert Taken().feed(record([ROOT, ROOT]), meta=None).intake.bad == 2


@given(st.binary(max_size=200), st.integers(0, 9), st.sampled_from(list(RecordKind)), st.integers(0, 5))
def test_no_payload_whatever_raises(payload: bytes, count: int, kind: RecordKind, flags: int):
    taken = Taken().feed(Record(0, 0, START, count, kind, flags, payload))
    assert taken.intake.questions + taken.intake.bad + len(taken.intake.events) <= max(1, count)


def test_alive_marks_become_spans_and_only_start_and_stop_events():
    taken = Taken().feed(
        *(event(kind="coverage", process="dns", state=s, boot="b") for s in ("start", "alive", "stop"))
    )
    assert len(taken.intake.marks.spans) == 1
    assert [kind for _, kind, _ in taken.intake.events] == ["start", "stop"]


def test_each_name_and_slot_is_confirmed_once_and_a_denied_one_is_set_apart():
    asked: list[tuple[bytes, int]] = []

    def confirm(raw: Sequence[RawAttempt]) -> list[bool]:
        asked.extend((question.name, question.slot) for question in raw)
        return [question.name == from_text("site.test") for question in raw]

    taken = Taken(Level.SITE, confirm)
    one = record([from_text("site.test"), from_text("other.test"), ROOT], slots=[3, 4, 5])
    taken.feed(one, one)
    assert sorted(asked) == sorted([(from_text("site.test"), 3), (from_text("other.test"), 4)])
    kinds = {row.site: taken.origins[row.origin].kind for row in taken.rows}
    assert kinds == {"site.test": "attempt", "other.test": "unconfirmed", "": "attempt"}


def test_clients_are_told_by_address():
    addresses = ipaddress.ip_address("192.168.1.30").packed + ipaddress.ip_address("192.168.1.31").packed
    taken = Taken().feed(record([from_text("site.test")] * 2, flags=From.ADDRESSES4, addresses=addresses))
    assert [origin.client for origin in taken.origins] == ["192.168.1.30", "192.168.1.31"]


def test_whole_records_are_those_of_the_plain_reader_from_any_of_their_ends(tmp_path: Path):
    writer = Writer(tmp_path, "dns", lambda: START, lambda: 0.0)
    writer.meta(META)
    for n in range(5):
        writer.attempts([0, 0], [from_text(f"site-{n}.test") + b"\x00\x01\x00\x01"])
    writer.close()
    (path,) = segments(tmp_path)
    data = path.read_bytes()
    plain = list(read(path))
    for begin in [0, *(one.end for one in plain)]:
        assert list(whole_records(data[begin:], begin, 99).records) == [one for one in plain if one.offset >= begin]
    assert whole_records(data[:-1], 0, 99).rest == len(data) - 1 - plain[-1].offset
    assert len(whole_records(data, 0, 2).records) == 2
