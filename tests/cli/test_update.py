"""`lists update` as a command: exit codes, lines and JSON. No list here has an address that is ever asked."""

import json
from pathlib import Path

import pytest

from blockerd.cli import update as command
from blockerd.cli.main import main
from blockerd.lists.fetch.fetch import Result, Row

ROWS = {
    "fresh": Row("x", Result.FRESH, "", "https://lists.test/x", 1200, 5, 3, 9000, 0.0),
    "unchanged": Row("x", Result.UNCHANGED, "", "https://lists.test/x", 1200, 0, 0, 9000, 0.0),
    "held": Row("x", Result.HELD, "HTML, not a list", "https://lists.test/x", 1200, 0, 0, 9000, 31.5),
    "absent": Row("x", Result.ABSENT, "the server answered 404", "", 0, 0, 0, 0, None),
}


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ("fresh", "1,200 names (+5 −3)"),
        ("unchanged", "1,200 names, nothing new"),
        ("held", "held: HTML, not a list; the copy of 31 days ago stays in use"),
        ("absent", "could not be had: the server answered 404; there is no earlier copy, so it blocks nothing"),
    ],
)
def test_what_became_of_a_list_is_one_line(row: str, line: str):
    assert (command._well if ROWS[row].well else command._trouble)(ROWS[row]) == line


def _config(folder: Path, more: str = "") -> str:
    path = folder / "blockerd.toml"
    path.write_text(f'[state]\ndir = "{folder / "var"}"\n[lists]\nstarter = false\n{more}')
    return str(path)


def test_without_an_address_it_builds_and_says_how_to_add_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["lists", "update", "--config", _config(tmp_path)]) == 0
    assert "blockerd lists add" in capsys.readouterr().out
    assert main(["--json", "lists", "update", "--config", _config(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_an_unknown_list_is_a_usage_error_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["lists", "update", "nope", "--config", _config(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_list_that_cannot_be_had_is_one_line_and_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The bootstrap server is a closed port of this machine, so that nothing leaves it."""
    more = '[[lists.source]]\nid = "x"\ncategory = "adult"\nurl = "https://lists.test/x"\n'
    config = _config(tmp_path, more + '[dns]\nbootstrap = ["127.0.0.1:1"]\n')
    assert main(["lists", "update", "--json", "--config", config]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["id"], row["result"], row["age_days"]) == ("x", "absent", None)
    assert "gives no answer" in row["reason"]
    assert main(["lists", "update", "--config", config]) == 1
    assert capsys.readouterr().err.startswith("list x: could not be had")
