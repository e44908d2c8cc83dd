"""`allow`, `block`, `unblock` and `edit` as a person meets them: previews, refusals, and what is on record."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from blockerd import clock
from blockerd.cli.main import main
from blockerd.journal import spool
from blockerd.journal.spool import Meta, Writer
from blockerd.policy.name import from_text
from tests.lists.places import Place

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.add("mine", "listed.test\nother.test\n")
    made.add("meet", "date.test\n", "dating")
    made.build()
    return made


@pytest.fixture
def run(place: Place, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: str) -> tuple[int, str, str]:
        code = main([*words, "--config", str(place.file)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def _asked(place: Place, *names: str, source: str = "mine") -> None:
    """Attempts on record, a minute ago."""
    folder = place.var / "spool"
    folder.mkdir(exist_ok=True)
    writer = Writer(folder, "dns", lambda: clock.now_us() - 60_000_000, lambda: 0.0)
    writer.meta(Meta(1, "policy-1.snapshot", "NXDOMAIN", ((source, source, "adult", "attempt"),)))
    wires = [from_text(name) + b"\x00\x01\x00\x01" for name in names]
    writer.attempts([0, 0] * len(names), wires, 0, b"")
    writer.close()


def _changes(place: Place) -> list[tuple[str, str, str, str]]:
    records = [record for path in spool.segments(place.var / "spool") for record in spool.read(path)]
    events = [record.json() for record in records if record.kind == spool.RecordKind.EVENT]
    return [(e["what"], e["old"], e["new"], e["direction"]) for e in events if e["kind"] == "change"]


def _editor(place: Place, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    path = place.folder / "editor.sh"
    path.write_text(script)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"sh '{path}'")


def test_allow_tells_what_of_the_last_30_days_would_have_been_open(run: Run, place: Place):
    _asked(place, "listed.test", "listed.test", "other.test")
    code, out, _ = run("allow", "listed.test", "--dry-run", "--json")
    (told,) = json.loads(out)
    assert code == 0
    assert told["last_30_days"] == {"attempts": 2, "sites": 1, "perhaps": 0, "known": True}
    assert told["added"] == ["own allow list: listed.test"]
    assert told["direction"] == "weaker"


def test_an_attempt_of_which_only_the_site_is_on_record_may_have_been_meant(run: Run, place: Place):
    _asked(place, "listed.test")
    _, out, _ = run("allow", "www.listed.test", "--dry-run", "--json")
    assert json.loads(out)[0]["last_30_days"] == {"attempts": 0, "sites": 0, "perhaps": 1, "known": True}


def test_a_dry_run_changes_and_records_nothing(run: Run, place: Place):
    code, out, _ = run("allow", "listed.test", "--dry-run")
    assert code == 0
    assert "not applied (--dry-run)" in out
    assert place.blocked("listed.test")
    assert _changes(place) == []
    assert not (place.var / "own" / "allow.txt").exists()


def test_a_listed_name_is_masked_on_screen_and_whole_in_json(run: Run):
    _, out, _ = run("allow", "listed.test")
    assert "listed.test" not in out
    assert "l…d.test" in out
    assert "mine (adult)" in out
    _, out, _ = run("unblock", "listed.test", "--json")
    assert json.loads(out)[0]["name"] == "listed.test"
    assert json.loads(out)[0]["held"] == [{"source": "mine", "title": "mine", "category": "adult"}]


def test_reveal_shows_names(run: Run):
    assert "listed.test" in run("allow", "listed.test", "--reveal")[1]


def test_a_name_that_no_adult_cam_or_chat_list_holds_is_recorded_so(run: Run, place: Place):
    for name in ("bank.test", "date.test"):
        code, out, _ = run("allow", name)
        assert code == 0
        assert "No adult, cam or chat list holds it." in out
    run("allow", "listed.test")
    assert [what for what, *_ in _changes(place)] == [
        "own lists: bank.test (no adult, cam or chat list holds it)",
        "own lists: date.test (no adult, cam or chat list holds it)",
        "own lists: listed.test",
    ]


def test_a_protected_name_cannot_be_blocked(run: Run, place: Place):
    code, out, _ = run("block", "www.7cups.com")
    assert code == 1
    assert "protected" in out
    assert _changes(place) == []
    assert not place.blocked("www.7cups.com")
    assert run("allow", "7cups.com")[0] == 0


def test_below_only_is_possible(run: Run, place: Place):
    assert run("block", "*.wide.test")[0] == 0
    assert place.blocked("a.wide.test")
    assert not place.blocked("wide.test")
    assert run("unblock", "*.wide.test")[0] == 0
    assert not place.blocked("a.wide.test")


def test_unblock_of_a_listed_name_says_what_opens_it(run: Run):
    code, out, _ = run("unblock", "listed.test")
    assert code == 0
    assert "list mine blocks it: blockerd allow" in out


def test_edit_changes_a_category_list_builds_and_records(run: Run, place: Place, monkeypatch: pytest.MonkeyPatch):
    _editor(place, monkeypatch, 'printf "new.test\\n||more.test^\\n" >> "$1"\n')
    code, out, _ = run("edit", "cam")
    assert code == 0
    assert "2 added, 0 removed" in out
    assert "new.test" not in out
    assert place.decide("x.more.test").category == "cam"
    assert _changes(place) == [("own cam list", "as it was", "2 added, 0 removed", "stronger")]
    assert (place.var / "own" / "cam.txt").read_text().startswith("# Your own cam list")


def test_edit_tells_what_removed_names_would_have_let_through(run: Run, place: Place, monkeypatch: pytest.MonkeyPatch):
    (place.var / "own").mkdir()
    (place.var / "own" / "adult.txt").write_text("gone.test\nkept.test\n")
    place.build()
    _asked(place, "gone.test", "kept.test", source="own-adult")
    _editor(place, monkeypatch, 'echo kept.test > "$1"\n')
    code, out, _ = run("edit", "adult", "--json")
    told = json.loads(out)
    assert code == 0
    assert told["removed"] == ["gone.test"]
    assert told["last_30_days"]["attempts"] == 1
    assert told["direction"] == "weaker"
    assert not place.blocked("gone.test")


def test_a_line_that_is_none_is_refused_with_its_number_where_nobody_can_be_asked(
    run: Run, place: Place, monkeypatch: pytest.MonkeyPatch
):
    _editor(place, monkeypatch, 'printf "good.test\\nno name!\\n" > "$1"\n')
    code, _, err = run("edit", "block")
    assert code == 1
    assert "block.txt:2: " in err
    assert not (place.var / "own" / "block.txt").exists()
    assert _changes(place) == []


@pytest.mark.parametrize(("answer", "blocked"), [("a", True), ("q", False), ("", False)])
def test_on_a_terminal_the_person_decides_about_such_lines(
    run: Run, place: Place, monkeypatch: pytest.MonkeyPatch, answer: str, blocked: bool
):
    _editor(place, monkeypatch, 'printf "good.test\\nno name!\\n" > "$1"\n')
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    assert run("edit", "block")[0] == 0
    assert place.blocked("good.test") is blocked


def test_e_opens_the_same_text_again(run: Run, place: Place, monkeypatch: pytest.MonkeyPatch):
    _editor(
        place, monkeypatch, 'if grep -q "no name" "$1"; then echo good.test > "$1"; else echo "no name!" > "$1"; fi\n'
    )
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: "e")
    assert run("edit", "block")[0] == 0
    assert place.blocked("good.test")


def test_an_editor_that_changes_nothing_changes_nothing(run: Run, place: Place, monkeypatch: pytest.MonkeyPatch):
    _editor(place, monkeypatch, "true\n")
    code, out, _ = run("edit", "allow")
    assert code == 0
    assert "nothing has changed" in out
    assert not (place.var / "own" / "allow.txt").exists()


def test_an_editor_that_ends_badly_or_is_missing_changes_nothing(
    run: Run, place: Place, monkeypatch: pytest.MonkeyPatch
):
    _editor(place, monkeypatch, 'echo x.test > "$1"; exit 3\n')
    code, _, err = run("edit", "allow")
    assert code == 1
    assert "ended with 3" in err
    monkeypatch.setenv("EDITOR", "/nowhere/editor")
    assert run("edit", "allow")[0] == 2
    assert not (place.var / "own" / "allow.txt").exists()


def test_edit_takes_only_own_lists(run: Run):
    assert run("edit", "starter-adult")[0] == 2
