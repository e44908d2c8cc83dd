"""`check`: the decision and why, as a list for programs and masked for screens."""

import json
from pathlib import Path
from typing import Any

import pytest

from blockerd.cli.main import main
from tests.lists.places import Place

KEYS = ["name", "action", "blocked", "category", "source", "line", "rule", "reason"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    made = Place(tmp_path_factory.mktemp("check"))
    made.add(
        "mine",
        "# head\nlisted.test\n||typed.test^$dnstype=AAAA\n||rules.test^\n@@||ok.rules.test^\n",
    )
    made.add("night", "late.test\n", "chat")
    made.rest = '[[schedule]]\ncategory = "chat"\nwindows = ["21:00-07:00"]\n[time]\nzone = "UTC"\n'
    made.build()
    return made


def _json(place: Place, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[dict[str, Any]]]:
    code = main(["--config", str(place.file), "check", "--json", *words])
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return code, rows


def test_json_is_a_list_with_the_agreed_keys(place: Place, capsys: pytest.CaptureFixture[str]):
    code, rows = _json(place, capsys, "www.listed.test", "open.test")
    assert code == 1
    assert [list(row) for row in rows] == [KEYS, KEYS]
    blocked, open_ = rows
    assert blocked == {
        "name": "www.listed.test", "action": "NXDOMAIN", "blocked": True, "category": "adult", "source": "mine",
        "line": 2, "rule": "listed.test", "reason": "listed",
    }  # fmt: skip
    assert (open_["action"], open_["blocked"], open_["category"], open_["source"]) == ("PASSTHRU", False, None, None)
    assert (open_["line"], open_["rule"]) == (None, None)


def test_exit_0_where_nothing_is_blocked_and_1_where_one_is(place: Place, capsys: pytest.CaptureFixture[str]):
    assert _json(place, capsys, "open.test")[0] == 0
    assert _json(place, capsys, "open.test", "blocked.example")[0] == 1


@pytest.mark.parametrize(
    "text",
    [
        "LISTED.test", "listed.test.", "https://listed.test", "http://user:pw@www.listed.test:8080/a?b=c#d",
        "listed.test/path/page.html", "HTTPS://Listed.Test/", "  listed.test ",
    ],
)  # fmt: skip
def test_a_url_or_a_name_in_any_form_is_taken(place: Place, text: str, capsys: pytest.CaptureFixture[str]):
    assert _json(place, capsys, text)[0] == 1


@pytest.mark.parametrize("text", ["", "no name", "a..b", "http://", "http://[::1", "x" * 64 + ".test", "https:///path"])
def test_what_is_no_name_exits_2_in_one_line(place: Place, text: str, capsys: pytest.CaptureFixture[str]):
    assert main(["check", text, "--config", str(place.file)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert "no domain name" in told.err


def test_a_page_is_decided_by_the_page_rules_and_the_rest_of_its_site_is_open(
    place: Place, capsys: pytest.CaptureFixture[str]
):
    (place.var / "own").mkdir(exist_ok=True)
    rules = place.var / "own" / "url-rules.txt"
    rules.write_text("! one board\n||mixed.test/board^$category=cam\n")
    code, rows = _json(place, capsys, "https://mixed.test/board/1", "https://mixed.test/other", "mixed.test")
    assert (code, [row["blocked"] for row in rows]) == (1, [True, False, False])
    assert rows[0] == {
        "name": "mixed.test", "action": "NODATA", "blocked": True, "category": "cam", "source": "own-url", "line": 2,
        "rule": "||mixed.test/board^$category=cam", "reason": "own page rules, for the proxy, which is off",
    }  # fmt: skip
    assert main(["check", "https://mixed.test/board/1", "--reveal", "--config", str(place.file)]) == 1
    assert "list: own page rules, line 2" in capsys.readouterr().out
    rules.unlink()


def test_without_a_policy_it_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    place = Place(tmp_path)
    place.write()
    assert main(["check", "site.test", "--config", str(place.file)]) == 2
    assert "blockerd lists build" in capsys.readouterr().err


def test_at_decides_as_of_that_time(place: Place, capsys: pytest.CaptureFixture[str]):
    assert _json(place, capsys, "late.test", "--at", "2026-11-22T22:00:00Z")[0] == 1
    assert _json(place, capsys, "late.test", "--at", "2026-11-22T12:00:00Z")[0] == 0
    assert _json(place, capsys, "late.test", "--at", "2026-11-22T22:30:00+02:00")[0] == 0
    assert main(["check", "late.test", "--at", "2026-11-22T22:00:00", "--config", str(place.file)]) == 2
    assert "--at" in capsys.readouterr().err


def test_the_screen_masks_what_is_listed_unless_asked(place: Place, capsys: pytest.CaptureFixture[str]):
    assert main(["check", "www.listed.test", "open.test", "--config", str(place.file)]) == 1
    out = capsys.readouterr().out
    assert "listed.test" not in out
    assert "l…d.test" in out
    assert "open.test" in out
    assert main(["check", "--reveal", "www.listed.test", "--config", str(place.file)]) == 1
    assert "www.listed.test" in capsys.readouterr().out


def test_the_test_name_is_never_masked(place: Place, capsys: pytest.CaptureFixture[str]):
    assert main(["check", "blocked.example", "--config", str(place.file)]) == 1
    assert "blocked.example" in capsys.readouterr().out


def test_an_exception_of_the_list_itself_says_so(place: Place, capsys: pytest.CaptureFixture[str]):
    code, rows = _json(place, capsys, "ok.rules.test")
    assert (code, rows[0]["reason"], rows[0]["rule"]) == (0, "exception of the list itself", "@@ok.rules.test")


def test_a_pattern_blocks_what_it_matches_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    place = Place(tmp_path)
    place.add("mine", "/ads[0-9]+\\.test/\n", format="regex")
    place.build()
    assert _json(place, capsys, "www.ads12.test")[0] == 1
    assert _json(place, capsys, "open.test")[0] == 0
    assert main(["check", "ads12.test", "--config", str(place.file)]) == 1
    assert "ads" not in capsys.readouterr().out


def test_names_may_stand_on_both_sides_of_an_option(place: Place, capsys: pytest.CaptureFixture[str]):
    at = ["--at", "2026-11-22T12:00:00Z"]
    for words in (["a.test", *at, "b.test"], [*at, "a.test", "b.test"], ["a.test", *at, "--", "b.test"]):
        assert [row["name"] for row in _json(place, capsys, *words)[1]] == ["a.test", "b.test"]


def test_a_damaged_policy_pointer_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    place = Place(tmp_path)
    place.build()
    for text in ("", "{}", '{"generation": 1, "snapshot": "x", "inputs": "", "number": 1, "state_digest": ""}'):
        (place.var / "policy.current").write_text(text)
        assert main(["check", "site.test", "--config", str(place.file)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
