"""The one road of changes: on record before it is made, taken back on record when it could not be made."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blockerd.binding.submit import NotRecorded, submit
from blockerd.journal.spool import Writer, read, segments
from blockerd.model import Change

WEAKER = Change(5, "lists.categories", '["adult", "cam"]', '["adult"]', "weaker", "cli")
STRONGER = Change(6, "lists.categories", '["adult"]', '["adult", "cam"]', "stronger", "cli")


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    made = Writer(tmp_path, "cli", lambda: 1, lambda: 0.0)
    yield made
    made.close()


def _events(folder: Path) -> list[dict[str, Any]]:
    return [record.json() for segment in segments(folder) for record in read(segment)]


def test_a_change_is_on_disk_before_it_is_made(writer: Writer, tmp_path: Path):
    seen: list[list[dict[str, Any]]] = []
    line = submit(WEAKER, writer, lambda: seen.append(_events(tmp_path)))
    event = {"kind": "change", "at": 5, "what": "lists.categories", "old": '["adult", "cam"]', "new": '["adult"]'}
    assert seen == [[{**event, "direction": "weaker", "by": "cli"}]]
    assert line == 'applied at once, recorded as weaker: lists.categories: ["adult", "cam"] → ["adult"]'


def test_a_change_that_could_not_be_made_is_taken_back_on_record(writer: Writer, tmp_path: Path):
    def broken() -> None:
        raise OSError("disk\nfull")

    with pytest.raises(OSError, match="full"):
        submit(WEAKER, writer, broken)
    first, second = _events(tmp_path)
    assert "outcome" not in first
    assert (second["at"], second["old"], second["new"]) == (first["at"], first["new"], first["old"])
    assert (second["direction"], second["outcome"]) == ("stronger", "not applied: disk full")


def test_a_weaker_change_without_a_record_is_not_made(tmp_path: Path):
    full = Writer(tmp_path, "cli", lambda: 1, lambda: 0.0, cap_bytes=0)
    made: list[str] = []
    with pytest.raises(NotRecorded, match="free space"):
        submit(WEAKER, full, lambda: made.append("weaker"))
    line = submit(STRONGER, full, lambda: made.append("stronger"))
    assert made == ["stronger"]
    assert line.startswith("applied at once, not recorded: ")


def test_without_a_writer_the_line_says_that_nothing_was_recorded():
    made: list[int] = []
    assert "not recorded" in submit(WEAKER, None, lambda: made.append(1))
    assert made == [1]


def test_additions_and_removals_read_as_such(writer: Writer):
    added = Change(1, "lists.source a", "", "{ … }", "stronger", "cli")
    assert submit(added, writer, lambda: None).endswith("lists.source a: added { … }")
    removed = Change(1, "lists.source a", "{ … }", "", "weaker", "cli")
    assert submit(removed, writer, lambda: None).endswith("lists.source a: removed { … }")
