"""What is exported is all there, in the forms that other programs read, and no cell is a formula."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.journal.entry import Lost
from blockerd.journal.export import FIELDS, activitywatch, cell, csv_lines, json_lines
from blockerd.model import Action, Attempt, Channel, Kind
from blockerd.screentime.track import Record, Stream
from blockerd.screentime.usage import Known
from tests.journal.spooling import SECOND, START


def attempt(at: int = START, site: str = "a.test", user: str = "", names: tuple[str, ...] = ("www.a.test", "b.a.test")):
    return Attempt(
        at, at + 5 * SECOND, site, names, "cam", "starter", "Cam sites", Action.NXDOMAIN, Channel.DNS, "127.0.0.1",
        user, 3, Kind.ATTEMPT,
    )  # fmt: skip


def screen(at: int, seconds: int, value: str, stream: Stream = Stream.APP):
    return Known(1, Record(stream, at, at + seconds * SECOND, value, "", START, "b1"))


def test_json_lines_hold_attempts_entries_and_screen_time_by_time():
    attempts = [attempt(), attempt(START + 20 * SECOND)]
    records = [screen(START + 5 * SECOND, 60, "editor")]
    told = json_lines(attempts, [Lost(START + 10 * SECOND, "dns", 4)], records, {1: "kim"})
    lines = [json.loads(line) for line in told]
    assert [(line["entry"], line["time"]) for line in lines] == [
        ("attempt", "2026-11-22T18:00:00.000Z"),
        ("app", "2026-11-22T18:00:05.000Z"),
        ("lost", "2026-11-22T18:00:10.000Z"),
        ("attempt", "2026-11-22T18:00:20.000Z"),
    ]
    assert lines[0]["names"] == ["www.a.test", "b.a.test"]
    assert (lines[1]["until"], lines[1]["value"], lines[1]["user"]) == ("2026-11-22T18:01:05.000Z", "editor", "kim")
    assert lines[2] == {"entry": "lost", "time": "2026-11-22T18:00:10.000Z", "process": "dns", "count": 4, "why": ""}


def test_csv_has_a_heading_and_all_fields():
    heading, row = csv.reader(io.StringIO("".join(csv_lines([attempt()])), newline=""))
    assert tuple(heading) == FIELDS
    assert dict(zip(heading, row, strict=True))["names"] == "www.a.test b.a.test"


nasty = st.text(st.sampled_from("=+-@\t\r\n,\"' a1|\0＝"), max_size=6) | st.text(max_size=6)


@given(nasty, nasty, nasty)
def test_no_cell_of_a_csv_begins_a_formula_whatever_was_recorded(site: str, user: str, name: str):
    text = "".join(csv_lines([attempt(site=site, user=user, names=(name,))]))
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert [len(row) for row in rows] == [len(FIELDS)] * 2
    assert not any(value.startswith(tuple("=+-@\t\r\n＝＋－＠")) for row in rows for value in row)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum", "\tx", "\rx"])
def test_a_formula_is_made_text(text: str):
    assert cell(text) == "'" + text
    assert cell("plain-" + text) == "plain-" + text


def test_activitywatch_buckets_are_as_that_program_imports_them():
    records = [screen(START, 60, "editor"), screen(START, 90, "not-afk", Stream.AFK)]
    buckets = activitywatch([attempt()], records, {1: "kim"}, "here", START)["buckets"]
    assert set(buckets) == {"blockerd-attempts_here", "blockerd-window_here_kim", "blockerd-afk_here_kim"}
    for name, bucket in buckets.items():
        assert set(bucket) == {"id", "created", "type", "client", "hostname", "events"}
        assert (bucket["id"], bucket["hostname"]) == (name, "here")
        assert all(set(event) == {"timestamp", "duration", "data"} for event in bucket["events"])
    (event,) = buckets["blockerd-attempts_here"]["events"]
    assert (event["timestamp"], event["duration"], event["data"]["site"]) == ("2026-11-22T18:00:00.000Z", 5.0, "a.test")
    assert buckets["blockerd-window_here_kim"]["type"] == "currentwindow"
    assert buckets["blockerd-afk_here_kim"]["events"][0]["duration"] == 90.0
    assert list(activitywatch([], [], {}, "here", START)["buckets"]) == ["blockerd-attempts_here"]
