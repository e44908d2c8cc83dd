"""The export against ActivityWatch's schemas, written anew from the fields that its documentation names.

https://docs.activitywatch.net/en/latest/buckets-and-events.html has buckets and events; its server imports and exports
`{"buckets": {id: bucket}}`.
"""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.cli.main import main
from blockerd.journal.append import Journal
from blockerd.screentime import store
from blockerd.screentime.export import export
from blockerd.screentime.heartbeat import SECOND
from blockerd.screentime.intake import event_of
from blockerd.screentime.track import LONGEST, Record, Stream
from blockerd.screentime.usage import Known

NOON = 1_795_345_200 * SECOND
WHEN = {"type": "string", "format": "date-time"}

TEXT = {"type": "string"}
WINDOW = {"type": "object", "required": ["app", "title"], "properties": {"app": TEXT, "title": TEXT}}
AFK = {"type": "object", "required": ["status"], "properties": {"status": {"enum": ["afk", "not-afk"]}}}


def _event(data: dict[str, Any]) -> dict[str, Any]:
    fields = {"timestamp": WHEN, "duration": {"type": "number", "minimum": 0}, "data": data}
    return {"type": "object", "required": ["timestamp", "duration", "data"], "properties": fields}


def _bucket(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    texts = {name: {"type": "string", "minLength": 1} for name in ("id", "name", "client", "hostname")}
    return {
        "type": "object",
        "required": ["id", "type", "client", "hostname", "created", "events"],
        "properties": {
            **texts, "type": {"const": kind}, "created": WHEN, "data": {"type": "object"},
            "events": {"type": "array", "items": _event(data)},
        },
    }  # fmt: skip


SCHEMA = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "required": ["buckets"],
    "properties": {
        "buckets": {
            "type": "object",
            "additionalProperties": {
                "anyOf": [
                    _bucket("currentwindow", WINDOW),
                    _bucket("afkstatus", AFK),
                    _bucket("blockerd.attempt", {"type": "object"}),
                ]
            },
        }
    },
}

FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("date-time", raises=ValueError)  # type: ignore[untyped-decorator]
def _is_rfc3339(text: object) -> bool:
    """RFC 3339, section 5.6: an offset is required."""
    if not isinstance(text, str) or not re.fullmatch(r"[^ ]{10}T[^ ]+(Z|[+-]\d{2}:\d{2})", text):
        return False
    return datetime.fromisoformat(text).tzinfo is not None


def accepted(got: object) -> None:
    """Raises where ActivityWatch would not take `got`."""
    jsonschema.Draft7Validator(SCHEMA, format_checker=FORMATS).validate(got)


@st.composite
def records(draw: st.DrawFn) -> list[Known]:
    found, at = [], NOON
    for length, stream, text in draw(
        st.lists(
            st.tuples(st.integers(1, LONGEST), st.sampled_from(Stream), st.text("a.é\u200d ", min_size=1, max_size=9))
        )
    ):
        value = draw(st.sampled_from(["afk", "not-afk", "unknown"])) if stream == Stream.AFK else text
        title = text if stream == Stream.APP else ""
        found.append(Known(draw(st.integers(1, 3)), Record(stream, at, at + length, value, title, 0, "b")))
        at += length
    return found


@given(records())
def test_whatever_was_recorded_is_accepted_and_adds_up(known: list[Known]):
    got = json.loads(json.dumps(export(known, "host", {1: "robin"})))
    accepted(got)
    told = [event for bucket in got["buckets"].values() for event in bucket["events"]]
    whole = sum(one.record.end - one.record.start for one in known if one.record.value != "unknown")
    assert round(sum(event["duration"] * SECOND for event in told)) == whole
    for key, bucket in got["buckets"].items():
        assert bucket["id"] == key
        assert min(event["timestamp"] for event in bucket["events"]) >= bucket["created"][:26]


@pytest.mark.parametrize(
    ("place", "value"),
    [("timestamp", "2026-11-22T11:00:00"), ("timestamp", "yesterday"), ("duration", "60"), ("duration", -1),
     ("data", []), ("data", {"app": "editor"})],
)  # fmt: skip
def test_the_schema_refuses_what_is_no_event(place: str, value: object):
    got = export([Known(1, Record(Stream.APP, NOON, NOON + SECOND, "editor", "", 0, "b"))], "host", {})
    accepted(got)
    (bucket,) = got["buckets"].values()
    bucket["events"][0][place] = value
    with pytest.raises(jsonschema.ValidationError):
        accepted(got)


def test_the_export_of_everything_holds_attempts_and_screen_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "blockerd.toml"
    file.write_text("")
    journal = Journal(tmp_path / "var" / "journal.sqlite", lambda: NOON)
    head = {"agent": "1000:a", "uid": 1000, "probe": "x11", "base": 1}
    sent = [
        event_of(Record(stream, at, at + 60 * SECOND, value, "", 0, "b"), {**head, "seq": seq})
        for seq, (at, stream, value) in enumerate(
            [(NOON, Stream.APP, "editor"), (NOON, Stream.AFK, "not-afk"), (NOON + 60 * SECOND, Stream.AFK, "afk")], 1
        )
    ]
    journal.within(lambda db: store.put(db.execute, map(store.sent_in, sent)))
    journal.close()
    assert main(["export", "--format", "activitywatch", "--config", str(file)]) == 0
    got = json.loads(capsys.readouterr().out)
    accepted(got)
    assert sorted(bucket["type"] for bucket in got["buckets"].values()) == [
        "afkstatus", "blockerd.attempt", "currentwindow"
    ]  # fmt: skip
    assert main(["export", "--config", str(file)]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted((one["entry"], one["value"]) for one in told if one["entry"] in ("app", "afk")) == [
        ("afk", "afk"),
        ("afk", "not-afk"),
        ("app", "editor"),
    ]
