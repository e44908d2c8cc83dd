"""What is edited by hand is noticed once it has settled, and told with its direction unless a command made it."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.lists import added, edit, own, verdict, watch
from blockerd.lists.watch import ListWatch, Touched, Watcher, accept, hand_edits
from tests.lists.places import Place

A, B = Path("/a"), Path("/b")
OLD: watch.Stamp = ((1, 1, 10, 7),)
NEW: watch.Stamp = ((2, 2, 10, 7),)
NEWER: watch.Stamp = ((3, 3, 11, 7),)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.add("mine", "listed.test\n")
    made.build()
    return made


def _write(place: Place, name: str, text: str) -> Path:
    path = place.var / "own" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_a_change_counts_once_it_has_not_moved_for_the_settle_time():
    watcher = Watcher({A: OLD, B: OLD}, 0.3)
    assert watcher.look({A: OLD, B: OLD}, 0.0) == set()
    assert watcher.look({A: NEW, B: OLD}, 1.0) == set()
    assert watcher.look({A: NEWER, B: OLD}, 1.2) == set()
    assert watcher.look({A: NEWER, B: OLD}, 1.4) == set()
    assert watcher.look({A: NEWER, B: OLD}, 1.5) == {A}
    assert watcher.look({A: NEWER, B: OLD}, 9.0) == set()


def test_a_file_that_goes_and_comes_back_as_it_was_did_not_change():
    watcher = Watcher({A: OLD}, 0.3)
    assert watcher.look({A: ()}, 1.0) == set()
    assert watcher.look({A: OLD}, 1.4) == set()
    assert watcher.look({A: OLD}, 2.0) == set()


def test_a_file_that_is_deleted_is_a_change_and_so_is_a_new_one():
    watcher = Watcher({A: OLD, B: ()}, 0.3)
    assert watcher.look({A: (), B: NEW}, 1.0) == set()
    assert watcher.look({A: (), B: NEW}, 1.3) == {A, B}


@given(st.lists(st.tuples(st.sampled_from([(), OLD, NEW, NEWER]), st.floats(0.01, 1.0))))
def test_whatever_happens_the_last_state_is_told_once_it_settles(steps: list[tuple[watch.Stamp, float]]):
    """At the end of any history the told state is the true one."""
    watcher, now, told = Watcher({A: OLD}, 0.3), 0.0, OLD
    for stamp, wait in [*steps, *([(steps[-1][0], 0.4)] * 2 if steps else [])]:
        now += wait
        if watcher.look({A: stamp}, now):
            told = stamp
    assert told == (steps[-1][0] if steps else OLD)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("allow.txt", Touched.STATE), ("block.txt", Touched.STATE), ("cam.txt", Touched.BUILD)],
)
def test_own_files_ask_for_what_makes_them_live(place: Place, name: str, kind: Touched):
    watching = ListWatch(place.settings)
    assert watching.poll(0.0) is Touched.NOTHING
    _write(place, name, "new.test\n")
    assert watching.poll(1.0) is Touched.NOTHING
    assert watching.poll(1.3) == kind
    assert watching.poll(1.8) is Touched.NOTHING


def test_the_settings_and_the_lists_they_name_are_watched(place: Place):
    settings = place.settings
    watching = ListWatch(settings)
    (place.folder / "mine.txt").write_text("other.test\n")
    place.file.write_text(place.file.read_text() + "# more\n")
    assert watching.poll(1.0) is Touched.NOTHING
    assert watching.poll(1.5) == Touched.BUILD | Touched.CONFIG


def test_a_file_in_a_list_folder_is_watched(tmp_path: Path):
    place = Place(tmp_path)
    folder = tmp_path / "ut1"
    folder.mkdir()
    (folder / "domains").write_text("a.test\n")
    place.sources = '[[lists.source]]\nid = "ut1"\ncategory = "adult"\npath = "ut1"\n'
    watching = ListWatch(place.settings)
    (folder / "domains").write_text("a.test\nb.test\n")
    watching.poll(1.0)
    assert watching.poll(1.5) == Touched.BUILD


def test_a_list_added_by_hand_is_watched_from_then_on(place: Place):
    settings = place.settings
    watching = ListWatch(settings)
    more = place.folder / "more.txt"
    more.write_text("more.test\n")
    _write(place, "sources.toml", f'[[source]]\nid = "more"\ncategory = "adult"\npath = "{more}"\n')
    watching.poll(1.0)
    assert watching.poll(1.5) == Touched.BUILD
    watching.poll(2.0)
    more.write_text("more.test\nmost.test\n")
    watching.poll(2.5)
    assert watching.poll(3.0) == Touched.BUILD


def test_an_edit_in_place_of_the_same_size_is_seen(place: Place):
    path = _write(place, "block.txt", "aaa.test\n")
    watching = ListWatch(place.settings)
    path.write_text("bbb.test\n")
    os.utime(path, ns=(1, 1))
    watching.poll(1.0)
    assert watching.poll(1.5) == Touched.STATE


def test_a_hand_edit_is_told_once_with_its_direction(place: Place):
    settings = place.settings
    assert hand_edits(settings, at=1) == []
    _write(place, "allow.txt", "# mine\nopen.test\n")
    _write(place, "adult.txt", "x.test\ny.test\n")
    found = hand_edits(settings, at=2)
    assert [(c.what, c.new, c.direction) for c in found] == [
        ("own allow list, edited by hand", "1 added, 0 removed", "weaker"),
        ("own adult list, edited by hand", "2 added, 0 removed", "stronger"),
    ]
    accept(settings, at=2)
    assert hand_edits(settings, at=3) == []


def test_what_a_command_changed_is_no_hand_edit(place: Place):
    settings = place.settings
    own.apply(settings, own.plan(settings, "block", "x.test", "mixed"), 1)
    assert hand_edits(settings, at=2) == []
    _write(place, "block.txt", (place.var / "own" / "block.txt").read_text() + "y.test\n")
    assert [c.direction for c in hand_edits(settings, at=3)] == ["stronger"]


def test_an_edit_made_while_nothing_ran_is_told_at_the_next_start(place: Place):
    settings = place.settings
    own.apply(settings, own.plan(settings, "block", "x.test", "mixed"), 1)
    (place.var / "own" / "block.txt").unlink()
    (change,) = hand_edits(settings, at=2)
    assert (change.new, change.direction) == ("0 added, 1 removed", "weaker")


def test_a_hand_edit_can_be_undone(place: Place):
    settings = place.settings
    own.apply(settings, own.plan(settings, "block", "x.test", "mixed"), 1)
    before = (place.var / "own" / "block.txt").read_bytes()
    _write(place, "block.txt", "")
    accept(settings, at=2)
    entry = edit.last(settings)
    assert entry
    edit.undo(settings, entry, at=3)
    assert (place.var / "own" / "block.txt").read_bytes() == before
    assert hand_edits(settings, at=4) == []


def test_a_comment_is_no_change_of_the_filter(place: Place):
    settings = place.settings
    hand_edits(settings, at=1)
    _write(place, "block.txt", "# only a thought\n")
    assert hand_edits(settings, at=2) == []


def test_a_broken_sources_file_is_no_edit_and_is_noted_with_its_line(place: Place):
    settings = place.settings
    hand_edits(settings, at=1)
    _write(place, "sources.toml", '[[source]]\nid = "a"\ncategory = "nosuch"\nurl = "https://x.test/"\n')
    assert hand_edits(settings, at=2) == []
    accept(settings, at=2)
    (note,) = watch.notes(settings)
    assert "sources.toml:3" in note
    assert "last good one" in note


def test_a_file_that_may_be_read_again_is_taken_up(place: Place):
    path = _write(place, "block.txt", "a.test\n")
    path.chmod(0)
    watching = ListWatch(place.settings)
    path.chmod(0o600)
    watching.poll(1.0)
    assert watching.poll(1.5) == Touched.STATE


def test_own_files_that_cannot_be_read_are_noted(service: Callable[[Path], None]):
    names = ("block.txt", "cam.txt", added.FILE)
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        place.var.mkdir()
        paths = [_write(place, name, "") for name in names]
        place.write()
        service(place.folder)
        for path in paths:
            path.chmod(0)
        notes = watch.notes(place.settings)
    assert [[note for note in notes if name in note and "Permission denied" in note] != [] for name in names] == [
        True
    ] * 3
    assert len(notes) == 3
    assert not any("\n" in note for note in notes)


def test_a_line_that_is_none_is_noted_and_the_rest_counts(place: Place):
    _write(place, "block.txt", "x.test\nno name!\ny.test\n")
    settings = place.settings
    edit.go_live(settings)
    assert place.blocked("x.test")
    assert place.blocked("y.test")
    (note,) = watch.notes(settings)
    assert "block.txt:2:" in note


def test_a_list_that_is_mostly_no_list_is_told_apart_from_one_with_a_few_slips():
    good = b"".join(b"n%d.test\n" % n for n in range(40))
    assert verdict.mostly_unread(good + b"no line!\n" * 39, "auto") == ""
    assert "41 of 81 lines" in verdict.mostly_unread(good + b"no line!\n" * 41, "auto")
    assert verdict.mostly_unread(b"no line!\n" * 4, "auto") == ""
    assert verdict.mostly_unread(b"||x.test^\n" + b"x.test##.banner\n" * 50, "auto") == ""


def test_a_list_has_turned_where_its_copy_could_be_read():
    bad = b"no line!\n" * 9
    assert "9 of 9 lines" in verdict.turned(bad, b"x.test\n", "auto")
    assert verdict.turned(bad, b"", "auto") == ""
    assert verdict.turned(bad, bad + b"x.test\n", "auto") == ""


def test_only_the_beginning_of_a_large_list_is_looked_at():
    assert verdict.mostly_unread(b"x.test\n" * 100_000 + b"no line!\n" * 900_000, "auto") == ""
