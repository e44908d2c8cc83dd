"""`lists add|remove|enable|disable|undo|import`: what they refuse, change, record and take back."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from blockerd.cli.main import main
from blockerd.journal import spool
from blockerd.lists import added
from blockerd.settings import Source
from tests.lists.places import Place

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.add("mine", "mine.test\n")
    made.build()
    return made


@pytest.fixture
def run(place: Place, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: str) -> tuple[int, str, str]:
        code = main(["lists", *words, "--config", str(place.file)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


@pytest.fixture
def more(place: Place) -> Path:
    path = place.folder / "More List.txt"
    path.write_text("0.0.0.0 more.test\n0.0.0.0 most.test\nno line of any kind!!\n")
    return path


def _changes(place: Place) -> list[tuple[str, str]]:
    records = [record for path in spool.segments(place.var / "spool") for record in spool.read(path)]
    events = [record.json() for record in records if record.kind == spool.RecordKind.EVENT]
    return [(e["what"], e["direction"]) for e in events if e["kind"] == "change"]


def _sources(place: Place) -> tuple[Source, ...]:
    return added.load(place.var / "own").source


def test_a_file_is_read_added_built_and_recorded(run: Run, place: Place, more: Path):
    code, out, _ = run("add", str(more), "--category", "adult")
    assert code == 0
    assert "hosts: 2 rules, 1 lines not read" in out
    assert "line 3: more than one word" in out
    assert "any kind" not in out
    assert place.blocked("most.test")
    assert [source.id for source in _sources(place)] == ["more-list"]
    assert _changes(place) == [("list more-list", "stronger")]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"<!doctype html><html>", "HTML"),
        (b"", "empty"),
        (b"# only words\n", "not one name"),
        (b"\x89PNG\r\n", "binary"),
    ],
)
def test_a_file_that_is_no_list_is_refused(run: Run, place: Place, more: Path, data: bytes, said: str):
    more.write_bytes(data)
    code, _, err = run("add", str(more), "--category", "adult")
    assert code == 1
    assert said in err
    assert _sources(place) == ()
    assert _changes(place) == []


def test_a_file_needs_its_category(run: Run, more: Path):
    code, _, err = run("add", str(more))
    assert code == 2
    assert "--category" in err


def test_an_address_is_only_noted(run: Run, place: Place):
    code, out, _ = run("add", "https://lists.test/a.txt", "--category", "cam", "--id", "far", "--format", "hosts")
    assert code == 0
    assert "blockerd lists update far" in out
    (source,) = _sources(place)
    assert (source.url, source.category, source.format) == ("https://lists.test/a.txt", "cam", "hosts")


def test_an_address_without_https_is_refused(run: Run, place: Place):
    code, _, err = run("add", "http://lists.test/a.txt", "--category", "cam")
    assert code == 2
    assert "https" in err
    assert _sources(place) == ()


def test_a_catalogue_id_brings_category_and_format(run: Run, place: Place):
    assert run("enable", "shadowwhisperer-adult")[0] == 0
    (source,) = _sources(place)
    assert (source.category, source.format) == ("adult", "domains")
    assert source.url
    assert source.url.startswith("https://")
    assert run("add", "shadowwhisperer-adult")[0] == 2


def test_an_id_or_file_that_is_there_is_refused(run: Run, place: Place, more: Path):
    run("add", str(more), "--category", "adult")
    assert "here already" in run("add", str(more), "--category", "adult", "--id", "else")[2]
    assert "--id" in run("add", "https://lists.test/x", "--category", "adult", "--id", "mine")[2]
    assert run("add", "https://lists.test/x", "--category", "adult", "--id", "Not an id")[0] == 2
    assert len(_changes(place)) == 1


def test_what_is_neither_file_nor_list_names_the_nearest(run: Run):
    assert "did you mean hagezi-nsfw?" in run("add", "hagezi-nswf")[2]
    assert "did you mean mine?" in run("disable", "mien")[2]


def test_remove_takes_an_added_list_away_and_no_other(run: Run, place: Place, more: Path):
    run("add", str(more), "--category", "adult")
    assert run("remove", "more-list")[0] == 0
    assert not place.blocked("more.test")
    code, _, err = run("remove", "mine")
    assert code == 2
    assert "lists disable mine" in err
    assert _changes(place)[-1] == ("list more-list", "weaker")


def test_a_configured_list_is_switched_off_and_on(run: Run, place: Place):
    assert run("disable", "mine")[0] == 0
    assert not place.blocked("mine.test")
    assert "Switched off: mine" in run("ls")[1]
    assert run("enable", "mine")[0] == 0
    assert place.blocked("mine.test")
    assert _changes(place) == [("list mine", "weaker"), ("list mine", "stronger")]


def test_a_list_that_is_so_already_is_no_change(run: Run, place: Place):
    code, out, _ = run("enable", "mine")
    assert code == 0
    assert "already" in out
    assert _changes(place) == []


def test_the_test_name_cannot_be_switched_off(run: Run):
    assert run("disable", "test-name")[0] == 2


def test_undo_takes_the_last_change_back_and_is_recorded(run: Run, place: Place, more: Path):
    run("add", str(more), "--category", "adult")
    run("disable", "mine")
    code, out, _ = run("undo")
    assert code == 0
    assert "undo: list mine" in out
    assert place.blocked("mine.test")
    assert run("undo")[0] == 0
    assert not place.blocked("more.test")
    assert run("undo")[1] == "There is no change to take back.\n"
    assert _changes(place)[2:] == [("undo: list mine", "stronger"), ("undo: list more-list", "weaker")]


def test_undo_masks_names_and_shows_them_in_json(run: Run, place: Place, capsys: pytest.CaptureFixture[str]):
    main(["block", "someone.test", "--config", str(place.file)])
    capsys.readouterr()
    _, out, _ = run("undo", "--dry-run")
    assert "s…e.test" in out
    assert "someone" not in out
    told = json.loads(run("undo", "--json")[1])
    assert told["files"] == [{"file": "block.txt", "added": [], "removed": ["someone.test"]}]
    assert told["direction"] == "weaker"
    assert not place.blocked("someone.test")


def test_a_dry_run_of_any_of_them_changes_nothing(run: Run, place: Place, more: Path):
    for words in (("add", str(more), "--category", "adult"), ("disable", "mine"), ("enable", "hagezi-nsfw")):
        code, out, _ = run(*words, "--dry-run")
        assert code == 0
        assert "not applied (--dry-run)" in out
    assert _changes(place) == []
    assert _sources(place) == ()
    assert place.blocked("mine.test")


def test_a_broken_sources_file_is_named_and_left_alone(run: Run, place: Place, more: Path):
    path = place.var / "own" / "sources.toml"
    path.parent.mkdir()
    path.write_text("[[source]]\nid = 7\n")
    code, _, err = run("add", str(more), "--category", "adult")
    assert code == 1
    assert "sources.toml:2" in err
    assert path.read_text() == "[[source]]\nid = 7\n"
    assert "sources.toml:2" in run("ls")[1]


def test_import_previews_applies_as_one_change_and_can_be_undone(run: Run, place: Place):
    path = place.folder / "AdGuardHome.yaml"
    path.write_text(
        "filters:\n  - enabled: true\n    url: https://lists.test/porn.txt\n    name: p\n    id: 1\n"
        "user_rules:\n  - '||x.test^'\n  - '@@||bank.test^'\n  - '/^cam[0-9]/'\n  - '||y.test^$client=a'\n"
    )
    code, out, _ = run("import", str(path), "--category", "adult", "--dry-run")
    assert code == 0
    assert "list p (adult)" in out
    assert "not taken over" in out
    assert "x.test" not in out.replace("x…", "")
    assert _changes(place) == []
    assert run("import", str(path), "--category", "adult")[0] == 0
    assert place.blocked("x.test")
    assert not place.blocked("bank.test")
    assert place.blocked("cam7.test")
    assert [source.id for source in _sources(place)] == ["p"]
    assert _changes(place) == [("import from AdGuard Home", "weaker")]
    assert run("import", str(path), "--category", "adult")[1].endswith("nothing to take over\n")
    run("undo")
    assert not place.blocked("x.test")
    assert _sources(place) == ()


def test_import_of_another_file_is_refused_in_one_line(run: Run, place: Place):
    code, _, err = run("import", str(place.file))
    assert code == 1
    assert err.count("\n") == 1


def _no_room(place: Place) -> Path:
    """Takes the place of the next snapshot, so that no build can be written."""
    wall = place.var / "policy-2.partial"
    (wall / "x").mkdir(parents=True)
    return wall


def test_a_change_whose_policy_cannot_be_written_is_not_made(run: Run, place: Place):
    wall = _no_room(place)
    code, _, err = run("disable", "mine")
    assert code == 1
    assert "not changed" in err
    assert place.blocked("mine.test")
    assert added.load(place.var / "own").disabled.ids == ()
    assert [way for _, way in _changes(place)] == ["weaker", "stronger"], "the second record takes the first back"
    assert run("undo")[1] == "There is no change to take back.\n"
    (wall / "x").rmdir()


def test_an_undo_whose_policy_cannot_be_written_can_be_tried_again(run: Run, place: Place):
    run("add", "https://lists.test/one", "--category", "cam", "--id", "one")
    run("add", "https://lists.test/two", "--category", "cam", "--id", "two")
    wall = _no_room(place)
    assert run("undo")[0] == 1
    assert [source.id for source in _sources(place)] == ["one", "two"]
    (wall / "x").rmdir()
    wall.rmdir()
    assert run("undo")[0] == 0
    assert [source.id for source in _sources(place)] == ["one"]
