"""Changes of own files: what they do, all or nothing, and the way back."""

import threading
from pathlib import Path

import pytest

from blockerd.lists import edit
from blockerd.lists.added import with_source
from blockerd.settings import Source
from tests.lists.places import Place

OWN = Path("/own")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.add("mine", "listed.test\n")
    made.build()
    return made


def _make(place: Place, name: str, data: bytes, at: int = 1) -> None:
    edit.make(place.settings, (name,), lambda now: {name: data}, what=f"change {name}", at=at)


@pytest.mark.parametrize(
    ("name", "before", "after", "way", "added", "removed"),
    [
        ("allow.txt", None, b"x.test\n", "weaker", ("x.test",), ()),
        ("allow.txt", b"x.test\n", b"", "stronger", (), ("x.test",)),
        ("block.txt", b"x.test\n", b"x.test\n*.x.y.test\n", "stronger", ("*.x.y.test",), ()),
        ("block.txt", b"x.test\n", None, "weaker", (), ("x.test",)),
        ("block.txt", b"x.test\n", b"# why\nX.test chat\n", "neutral", (), ()),
        ("block.txt", b"x.test\n", b"y.test\n", "weaker", ("y.test",), ("x.test",)),
        ("adult.txt", b"x.test\n", b"x.test\n||y.test^\n", "stronger", ("y.test",), ()),
        ("adult.txt", b"x.test\n", b"x.test\n@@||y.x.test^\n", "weaker", ("@@y.x.test",), ()),
        ("adult.txt", b"@@||y.test^\nx.test\n", b"x.test\n", "stronger", (), ("@@y.test",)),
        ("cam.txt", b"x.test\n", b"0.0.0.0 x.test\n", "neutral", (), ()),
    ],
)
def test_a_delta_names_rules_and_direction(
    name: str, before: bytes | None, after: bytes | None, way: str, added: tuple[str, ...], removed: tuple[str, ...]
):
    found = edit.delta(name, before, after, OWN)
    assert (found.direction, found.added, found.removed) == (way, added, removed)


def test_a_delta_of_sources_is_about_lists():
    data = with_source(None, Source(id="a", category="cam", url="https://lists.test/a"))
    found = edit.delta("sources.toml", None, data, OWN)
    assert (found.direction, found.added) == ("stronger", ("list a",))
    assert edit.delta("sources.toml", data, None, OWN).direction == "weaker"


@pytest.mark.parametrize("name", ["allow.txt", "adult.txt"])
def test_lines_that_are_none_are_told_with_their_number(name: str):
    found = edit.delta(name, None, b"x.test\nno name at all!\n", OWN)
    assert found.added == ("x.test",)
    assert [(line, text) for line, text, _ in found.unread] == [(2, "no name at all!")]


def test_undo_goes_back_one_change_at_a_time(place: Place):
    for at, text in enumerate((b"a.test\n", b"a.test\nb.test\n"), 1):
        _make(place, "block.txt", text, at)
    assert place.blocked("b.test")
    entry = edit.last(place.settings)
    assert entry
    assert entry.at == 2
    edit.undo(place.settings, entry, at=3)
    assert not place.blocked("b.test")
    assert place.blocked("a.test")
    entry = edit.last(place.settings)
    assert entry
    edit.undo(place.settings, entry, at=4)
    assert not (place.var / "own" / "block.txt").exists()
    assert edit.last(place.settings) is None


def test_undo_keeps_bytes_that_are_no_utf8(place: Place):
    _make(place, "block.txt", b"# k\xe4se\na.test\n")
    _make(place, "block.txt", b"b.test\n")
    entry = edit.last(place.settings)
    assert entry
    edit.undo(place.settings, entry, at=2)
    assert (place.var / "own" / "block.txt").read_bytes() == b"# k\xe4se\na.test\n"


def test_undo_never_loses_what_was_edited_by_hand_since(place: Place):
    _make(place, "block.txt", b"a.test\n")
    (place.var / "own" / "block.txt").write_bytes(b"a.test\nby-hand.test\n")
    entry = edit.last(place.settings)
    assert entry
    with pytest.raises(edit.EditError, match=r"block\.txt.*by hand"):
        edit.undo(place.settings, entry, at=2)
    assert b"by-hand" in (place.var / "own" / "block.txt").read_bytes()
    assert edit.last(place.settings) is not None


def test_a_plan_for_a_file_that_changed_meanwhile_is_refused(place: Place):
    settings = place.settings
    before = edit.read(settings, ("block.txt",))
    _make(place, "block.txt", b"a.test\n")
    with pytest.raises(edit.EditError, match="meanwhile"):
        edit.make(settings, ("block.txt",), edit.exactly(before, {"block.txt": b"b.test\n"}), what="x", at=2)
    assert (place.var / "own" / "block.txt").read_bytes() == b"a.test\n"


def test_where_the_state_cannot_be_written_the_files_are_put_back(place: Place):
    _make(place, "allow.txt", b"a.test\n")
    (place.var / "policy.state.before").unlink(missing_ok=True)
    (place.var / "policy.state.before").mkdir()
    with pytest.raises(OSError, match="directory"):
        _make(place, "allow.txt", b"b.test\n")
    assert (place.var / "own" / "allow.txt").read_bytes() == b"a.test\n"
    entry = edit.last(place.settings)
    assert entry
    assert entry.before == {"allow.txt": None}


def test_a_change_that_changes_nothing_leaves_no_entry(place: Place):
    edit.make(place.settings, ("allow.txt",), lambda now: now, what="nothing", at=1)
    assert edit.last(place.settings) is None


def test_fifty_changes_can_be_taken_back(place: Place):
    for number in range(edit.KEPT + 5):
        _make(place, "block.txt", f"n{number}.test\n".encode(), number)
    kept = sorted(int(path.stem) for path in (place.var / "own" / "history").iterdir())
    assert kept == list(range(6, edit.KEPT + 6))


def test_two_writers_lose_nothing(place: Place):
    settings = place.settings

    def add(number: int) -> None:
        def plan(now: edit.Files) -> edit.Files:
            return {"block.txt": (now["block.txt"] or b"") + f"n{number}.test\n".encode()}

        edit.make(settings, ("block.txt",), plan, what="add", at=number)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [number for number in range(8) if not place.blocked(f"n{number}.test")] == []
