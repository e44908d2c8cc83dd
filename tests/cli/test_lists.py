"""`lists ls`, `build` and `test`: the contract other programs rely on."""

import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from blockerd.cli.main import main
from tests.lists.places import Place

TEXT = "# head\nlisted.test\n*.below.test\n||rules.test^\n@@||ok.rules.test^\nno name here!\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "list.txt"
    made.write_text(TEXT)
    return made


def _feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    stdin = SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: False)
    monkeypatch.setattr("sys.stdin", stdin)


def _test(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    main(["lists", "test", "--json", *words])
    got: dict[str, Any] = json.loads(capsys.readouterr().out)
    return got


def _blocked(got: dict[str, Any]) -> dict[str, bool]:
    return {row["name"]: row["blocked"] for row in got["decisions"]}


def test_json_has_exactly_the_agreed_keys(file: Path, capsys: pytest.CaptureFixture[str]):
    got = _test(capsys, str(file), "www.listed.test", "open.test")
    assert list(got) == ["format", "entries", "decisions", "issues", "refused"]
    assert [list(row) for row in got["decisions"]] == [
        ["name", "action", "blocked", "category", "source", "line", "rule", "reason"]
    ] * 2
    assert got["entries"] == 4
    assert got["refused"] is None
    assert [list(issue) for issue in got["issues"]] == [["line", "text", "reason"]]
    assert got["issues"][0]["line"] == 6
    assert _blocked(got) == {"www.listed.test": True, "open.test": False}
    assert got["decisions"][0]["line"] == 2


def test_names_come_as_arguments_after_two_dashes_or_on_standard_input(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    names = ("listed.test", "ok.rules.test", "x.rules.test", "below.test", "x.below.test")
    expected = dict(zip(names, (True, False, True, True, True), strict=True))
    assert _blocked(_test(capsys, str(file), *names)) == expected
    assert _blocked(_test(capsys, "--", str(file), *names)) == expected
    assert _blocked(_test(capsys, str(file), "--", *names)) == expected
    assert _blocked(_test(capsys, str(file), names[0], "--qtype", "A", *names[1:])) == expected
    assert _blocked(_test(capsys, "--format", "auto", str(file), "--", *names)) == expected
    _feed(monkeypatch, ("\r\n".join(names) + "\n\n").encode())
    assert _blocked(_test(capsys, str(file))) == expected


def test_a_name_that_is_none_is_a_row_and_never_a_traceback(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    _feed(monkeypatch, b"\xff\xfe.test\nlisted.test\n\0\n")
    rows = _test(capsys, str(file))["decisions"]
    assert [row["blocked"] for row in rows] == [False, True, False]
    assert "no domain name" in rows[0]["reason"]
    assert _test(capsys, str(file), "\udcff.test")["decisions"][0]["blocked"] is False


def test_a_gzip_file_standard_input_and_a_folder_are_read_alike(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    packed = tmp_path / "list.txt.gz"
    packed.write_bytes(gzip.compress(TEXT.encode()))
    plain = _test(capsys, str(file), "listed.test")
    assert _test(capsys, str(packed), "listed.test") == plain
    _feed(monkeypatch, TEXT.encode())
    assert _test(capsys, "-", "listed.test") == plain
    _feed(monkeypatch, gzip.compress(TEXT.encode()))
    assert _test(capsys, "-", "listed.test") == plain
    folder = tmp_path / "adult"
    folder.mkdir()
    (folder / "domains").write_text("listed.test\n")
    (folder / "urls").write_text("other.test/page\n")
    got = _test(capsys, str(folder), "www.listed.test")
    assert (got["format"], _blocked(got)) == ("squidguard", {"www.listed.test": True})


def test_format_is_taken_as_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "list"
    path.write_text("local=/site.test/\n")
    assert _test(capsys, str(path), "x.site.test")["format"] == "dnsmasq"
    assert _blocked(_test(capsys, str(path), "x.site.test", "--format", "dnsmasq")) == {"x.site.test": True}
    assert _test(capsys, str(path), "--format", "domains", "--", "x.site.test")["entries"] == 0
    assert main(["lists", "test", str(path), "--format", "nosuch"]) == 2


@pytest.mark.parametrize(
    ("qtype", "blocked"),
    [("AAAA", True), ("aaaa", True), ("28", True), ("TYPE28", True), ("A", False), ("HTTPS", False)],
)
def test_qtype_is_the_type_that_is_asked(tmp_path: Path, qtype: str, blocked: bool, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "list"
    path.write_text("||site.test^$dnstype=AAAA\n")
    assert _blocked(_test(capsys, str(path), "site.test", "--qtype", qtype)) == {"site.test": blocked}


def test_an_unknown_qtype_exits_2(file: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["lists", "test", str(file), "--qtype", "NOSUCH", "x.test"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("data", [b"<!DOCTYPE html>\n<html></html>\n", b"PK\x03\x04" + bytes(200), b""])
def test_what_is_no_list_is_refused_and_exits_1(tmp_path: Path, data: bytes, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "list"
    path.write_bytes(data)
    assert main(["lists", "test", str(path), "x.test", "--json"]) == 1
    got = json.loads(capsys.readouterr().out)
    assert got["refused"]
    assert got["entries"] == 0
    assert main(["lists", "test", str(path), "x.test"]) == 1
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)


def test_a_file_that_cannot_be_read_exits_1_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    damaged = tmp_path / "cut.gz"
    damaged.write_bytes(gzip.compress(TEXT.encode())[:-12])
    for path in (tmp_path / "absent", damaged, tmp_path):
        assert main(["lists", "test", str(path), "x.test"]) == 1
        told = capsys.readouterr()
        assert (told.out, told.err.count("\n")) == ("", 1)


def test_exit_0_says_that_the_file_was_read_whatever_is_blocked(file: Path):
    assert main(["lists", "test", str(file), "listed.test"]) == 0
    assert main(["lists", "test", str(file), "open.test"]) == 0


def test_no_protected_name_and_no_category_switch_stands_in_between(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "list"
    path.write_text("samaritans.org\nwww.samaritans.org\nlisted.test\n")
    got = _test(capsys, str(path), "samaritans.org", "www.samaritans.org")
    assert _blocked(got) == {"samaritans.org": True, "www.samaritans.org": True}
    guarded = [issue for issue in got["issues"] if "protected" in issue["reason"]]
    assert [(issue["line"], issue["text"]) for issue in guarded] == [(1, "samaritans.org"), (2, "www.samaritans.org")]


def test_the_screen_masks_listed_names_unless_asked(file: Path, capsys: pytest.CaptureFixture[str]):
    main(["lists", "test", str(file), "www.listed.test"])
    out = capsys.readouterr().out
    assert "listed.test" not in out
    assert "line 6" in out
    assert "no name here" not in out
    main(["lists", "test", str(file), "--reveal", "www.listed.test"])
    out = capsys.readouterr().out
    assert "www.listed.test" in out
    assert "no name here!" in out


def _lists(place: Place, capsys: pytest.CaptureFixture[str], words: Sequence[str]) -> tuple[int, Any]:
    code = main(["lists", *words, "--json", "--config", str(place.file)])
    return code, json.loads(capsys.readouterr().out)


def test_build_exits_0_when_a_policy_was_written_with_refused_lines_and_lists(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    place = Place(tmp_path)
    place.add("mine", "listed.test\nno name!\n")
    place.add("gone", "x.test\n").unlink()
    place.write()
    code, report = _lists(place, capsys, ["build"])
    assert (code, report["generation"], report["written"]) == (0, 1, True)
    gone = next(source for source in report["sources"] if source["id"] == "gone")
    assert gone["problem"]
    assert main(["lists", "build", "--force", "--config", str(place.file)]) == 0
    told = capsys.readouterr()
    assert "list gone: " in told.err
    assert "policy 2: " in told.out
    assert _lists(place, capsys, ["build"])[1]["written"] is False


def test_build_exits_1_in_one_line_where_nothing_can_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    place = Place(tmp_path)
    place.write()
    place.var.write_text("a file where the folder should be")
    assert main(["lists", "build", "--config", str(place.file)]) == 1
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)


def test_ls_tells_each_list_and_its_health(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    place = Place(tmp_path)
    place.add("mine", "listed.test\nno name!\n")
    place.add("off", "x.test\n", "dating")
    place.write()
    assert _lists(place, capsys, ["ls"])[1][1]["problem"] == "not built yet"
    _lists(place, capsys, ["build"])
    rows = {row["id"]: row for row in _lists(place, capsys, ["ls"])[1]}
    assert (rows["mine"]["entries"], rows["mine"]["issues"], rows["mine"]["active"]) == (1, 1, True)
    assert rows["off"]["active"] is False
    assert rows["test-name"]["active"] is True
    assert main(["lists", "ls", "--config", str(place.file)]) == 0
    assert "mine" in capsys.readouterr().out
