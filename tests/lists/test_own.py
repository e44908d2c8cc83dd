"""`allow`, `block`, `unblock`: the own lists stay files for people, and every change is recorded with its direction."""

import json
import threading
from pathlib import Path

import pytest

from blockerd.cli.main import main
from blockerd.journal import spool
from blockerd.lists import own
from tests.lists.places import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.add("mine", "listed.test\n")
    made.build()
    return made


def _own(place: Place, *words: str) -> int:
    return main([*words, "--config", str(place.file)])


def _changes(place: Place) -> list[tuple[str, str, str, str]]:
    records = [record for path in spool.segments(place.var / "spool") for record in spool.read(path)]
    events = [record.json() for record in records if record.kind == spool.RecordKind.EVENT]
    return [(e["what"], e["old"], e["new"], e["direction"]) for e in events if e["kind"] == "change"]


def test_block_then_allow_then_unblock_is_live_and_recorded(place: Place, capsys: pytest.CaptureFixture[str]):
    assert _own(place, "block", "Site.TEST.") == 0
    assert place.blocked("www.site.test")
    assert "stronger" in capsys.readouterr().out
    assert _own(place, "allow", "site.test") == 0
    assert not place.blocked("site.test")
    assert "weaker" in capsys.readouterr().out
    assert _own(place, "unblock", "site.test") == 0
    assert not place.blocked("site.test")
    assert [(old, new, way) for _, old, new, way in _changes(place)] == [
        ("not on your own lists", "blocked", "stronger"),
        ("blocked", "allowed", "weaker"),
        ("allowed", "not on your own lists", "stronger"),
    ]


def test_a_change_that_changes_nothing_is_not_recorded_and_exits_0(place: Place, capsys: pytest.CaptureFixture[str]):
    _own(place, "block", "site.test")
    assert _own(place, "block", "site.test") == 0
    assert "already" in capsys.readouterr().out
    assert len(_changes(place)) == 1


def test_a_url_gives_its_name_and_json_says_what_changed(place: Place, capsys: pytest.CaptureFixture[str]):
    assert _own(place, "block", "--json", "https://Site.test:8443/page?x=1", "other.test") == 0
    told = json.loads(capsys.readouterr().out)
    assert [(entry["name"], entry["changed"]) for entry in told] == [("site.test", True), ("other.test", True)]


def test_a_blocked_name_counts_as_the_category_it_was_given(place: Place):
    assert _own(place, "block", "site.test", "--category", "chat") == 0
    assert place.decide("site.test").category == "chat"
    assert _own(place, "block", "site.test", "--category", "nosuch") == 2


def test_comments_and_other_lines_of_the_person_stay(place: Place):
    folder = place.var / "own"
    folder.mkdir()
    (folder / "block.txt").write_bytes("# mine\nsite.test # since may\nk\xe4se.test\n".encode("latin-1"))
    _own(place, "block", "more.test")
    assert (folder / "block.txt").read_bytes() == b"# mine\nsite.test # since may\nk\xe4se.test\nmore.test\n"
    _own(place, "unblock", "site.test")
    assert b"site.test" not in (folder / "block.txt").read_bytes()


@pytest.mark.parametrize(
    "line", ["B\u00fccher.test", "BÜCHER.test.", "xn--bcher-kva.test", "bücher.test\tchat", "bücher.test#x"]
)
def test_a_name_written_otherwise_by_hand_is_found(place: Place, line: str):
    (place.var / "own").mkdir()
    (place.var / "own" / "block.txt").write_text(line + "\n")
    place.build()
    assert place.blocked("bücher.test")
    assert _own(place, "unblock", "bücher.test") == 0
    assert not place.blocked("bücher.test")


def test_a_name_that_is_none_exits_2_in_one_line_and_changes_nothing(place: Place, capsys: pytest.CaptureFixture[str]):
    assert _own(place, "block", "no name!") == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (place.var / "own").exists()


def test_changes_at_the_same_time_are_all_made(place: Place):
    """The plan was made before the lock was had; the files are read again under it."""
    settings = place.settings
    plans = [own.plan(settings, "block", f"n{n}.test", "mixed") for n in range(12)]
    threads = [threading.Thread(target=own.apply, args=(settings, planned)) for planned in plans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [n for n in range(12) if not place.blocked(f"n{n}.test")] == []


def test_a_new_file_says_what_it_is_for(place: Place):
    _own(place, "allow", "site.test")
    text = (place.var / "own" / "allow.txt").read_text()
    assert text.startswith("# Names that stay open")
    assert text.endswith("\nsite.test\n")


def test_own_lists_work_before_there_is_a_policy(tmp_path: Path):
    place = Place(tmp_path)
    place.write()
    assert _own(place, "block", "site.test") == 0
    place.build()
    assert place.blocked("site.test")
