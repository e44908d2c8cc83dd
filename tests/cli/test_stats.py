"""`lists stats`: its JSON, its screen, and that no name is on it."""

import json
from pathlib import Path

import pytest

from blockerd.cli.main import main
from tests.lists.places import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.add("one", "a.test\nwww.a.test\nb.test\n")
    made.add("two", "b.test\n")
    made.add("asleep", "c.test\n", "dating")
    return made


def _run(place: Place, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["lists", "stats", *words, "--config", str(place.file)]) == 0
    return capsys.readouterr().out


def test_json_has_a_row_for_each_list(place: Place, capsys: pytest.CaptureFixture[str]):
    place.build()
    rows = {row["id"]: row for row in json.loads(_run(place, capsys, "--json"))["lists"]}
    assert set(rows) == {"test-name", "one", "two", "asleep"}
    assert set(rows["one"]) == {
        *("id", "title", "category", "active", "entries", "growth", "issues", "not_applicable", "overlap"),
        *("redundant", "good_at", "age_days", "attempts", "questions", "days", "notes"),
    }
    assert (rows["one"]["entries"], rows["one"]["overlap"], rows["one"]["redundant"]) == (3, 1, 1)
    assert rows["asleep"]["active"] is False


def test_the_screen_has_figures_and_no_names(place: Place, capsys: pytest.CaptureFixture[str]):
    place.build()
    out = _run(place, capsys)
    row = next(line for line in out.splitlines() if line.startswith("one "))
    assert row.split() == ["one", "adult", "3", "-", "0", "33", "%", "33", "%", "0", "d", "0"]
    assert "Blocked nothing in 30 days: one, two" in out
    assert "Do not block, for lists.categories does not hold theirs: asleep" in out
    assert ".test" not in out


def test_without_a_policy_it_says_what_to_do(place: Place, capsys: pytest.CaptureFixture[str]):
    place.write()
    place.var.mkdir()
    assert "blockerd lists build" in _run(place, capsys)


def test_a_line_of_an_own_file_that_is_none_is_told(place: Place, capsys: pytest.CaptureFixture[str]):
    (place.var / "own").mkdir(parents=True)
    (place.var / "own" / "allow.txt").write_text("x.test\n!!\n")
    place.build()
    assert "allow.txt:2:" in _run(place, capsys)
