"""The health of lists: sizes and growth, what they share and repeat, trouble, age, and what they blocked."""

import os
from pathlib import Path

import pytest

from blockerd.lists import stats
from blockerd.lists.stats import Health, health
from blockerd.model import Action, Attempt, Channel, Kind
from tests.lists.places import Place

NOW = 1_800_000_000.0


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def _health(place: Place, *attempts: Attempt) -> dict[str, Health]:
    return {row.id: row for row in health(place.settings, attempts, NOW)}


def _attempt(source: str, count: int = 1) -> Attempt:
    return Attempt(
        0, 0, "x.test", (), "adult", source, source, Action.NXDOMAIN, Channel.DNS, "", "", count, Kind.ATTEMPT
    )


def test_overlap_counts_names_that_another_list_of_the_category_holds(place: Place):
    place.add("one", "a.test\nb.test\nc.test\n")
    place.add("two", "0.0.0.0 b.test\n0.0.0.0 c.test\n0.0.0.0 d.test\n")
    place.add("three", "c.test\n")
    place.add("other", "a.test\n", "cam")
    place.build()
    rows = _health(place)
    assert {i: rows[i].overlap for i in ("one", "two", "three", "other")} == {
        "one": 2,
        "two": 2,
        "three": 1,
        "other": 0,
    }


def test_redundant_counts_names_whose_parent_the_same_list_has(place: Place):
    place.add("one", "x.test\nwww.x.test\na.b.x.test\nb.x.test\nfree.test\n")
    place.add("parent", "free.test\n")
    place.add("exact", "x.test\nwww.x.test\n", scope="exact")
    place.build()
    rows = _health(place)
    assert rows["one"].redundant == 3
    assert rows["parent"].redundant == 0
    assert rows["exact"].redundant == 0


def test_parts_of_the_hash_space_add_up_to_the_whole(monkeypatch: pytest.MonkeyPatch, place: Place):
    place.add("one", "".join(f"n{n}.test\n" for n in range(300)))
    place.add("two", "".join(f"n{n}.test\n" for n in range(100, 500)))
    place.build()
    monkeypatch.setattr(stats, "_AT_ONCE", 50)
    rows = _health(place)
    assert (rows["one"].overlap, rows["two"].overlap) == (200, 200)


def test_growth_is_counted_from_the_build_before(place: Place):
    path = place.add("one", "a.test\nb.test\n")
    place.build()
    assert _health(place)["one"].growth is None
    path.write_text("a.test\nb.test\nc.test\n")
    place.build()
    assert _health(place)["one"].growth == 1
    place.build()
    assert _health(place)["one"].growth == 1


def test_the_history_is_capped(place: Place):
    path = place.add("one", "a.test\n")
    for number in range(stats._KEPT + 3):
        path.write_text(f"n{number}.test\n")
        if number < 3:
            place.build()
            stats.note(place.var, NOW)
    history = stats._history(place.var)
    assert [len(entry["entries"]) for entry in history] == [2, 2, 2]
    assert history[-1]["generation"] == 3


def test_what_a_list_blocked_comes_from_the_record_and_none_is_said(place: Place):
    place.add("one", "a.test\n")
    place.add("two", "b.test\n")
    place.add("asleep", "c.test\n", "dating")
    place.build()
    rows = _health(place, _attempt("one", 3), _attempt("one"), _attempt("gone"))
    assert (rows["one"].attempts, rows["one"].questions, rows["one"].notes) == (2, 4, ())
    assert rows["two"].notes == ("this list blocked nothing in 30 days",)
    assert rows["asleep"].notes == ("does not block: dating is not among lists.categories",)


def test_a_list_that_broke_says_so_and_shows_the_age_of_its_copy(place: Place):
    path = place.add("one", "a.test\n")
    place.build()
    path.write_text("<!doctype html><html>")
    os.utime(place.var / "lists" / "one.copy", (NOW - 3 * 86400, NOW - 3 * 86400))
    place.build()
    row = _health(place)["one"]
    assert row.entries == 1
    assert row.age_days == pytest.approx(3.0)
    assert "HTML" in row.notes[0]
    assert "last good copy" in row.notes[0]


def test_a_list_that_was_never_fetched_says_what_to_do(place: Place):
    place.sources = '[[lists.source]]\nid = "far"\ncategory = "adult"\nurl = "https://lists.test/far"\n'
    place.build()
    assert _health(place)["far"].notes[0] == "not fetched yet; run: blockerd lists update far"


def test_what_lists_share_is_computed_again_only_after_a_change(place: Place):
    path = place.add("one", "a.test\nb.test\n")
    place.add("two", "b.test\n")
    place.build()
    assert _health(place)["one"].overlap == 1
    kept = place.var / "lists-shared.json"
    stamp = kept.stat().st_mtime_ns
    assert _health(place)["one"].overlap == 1
    assert kept.stat().st_mtime_ns == stamp
    path.write_text("a.test\n")
    place.build()
    assert _health(place)["one"].overlap == 0


def test_before_a_build_there_is_nothing_to_say(place: Place):
    place.var.mkdir()
    assert _health(place) == {}
