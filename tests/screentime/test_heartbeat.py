"""Merging, closing of small holes, cutting: time is never lost, invented or negative."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.screentime.heartbeat import FLOOD, SECOND, Beat, flood, intersect, merge, merged, union, without


def _line(draw: st.DrawFn, names: str = "ab") -> list[Beat[str]]:
    at, found = 0, list[Beat[str]]()
    for hole, length, name in draw(
        st.lists(st.tuples(st.integers(0, 9), st.integers(1, 30), st.sampled_from(names)), max_size=12)
    ):
        start = at + hole * SECOND
        at = start + length * SECOND
        found.append(Beat(start, at, name))
    return found


lines = st.composite(_line)()


def _total(beats: list[Beat[str]]) -> int:
    return sum(beat.length for beat in beats)


def _seconds(beats: list[Beat[str]]) -> dict[int, str]:
    """Each whole second that is covered, and by what; fails where two cover it."""
    found: dict[int, str] = {}
    for beat in beats:
        for second in range(beat.start // SECOND, beat.end // SECOND):
            assert second not in found
            found[second] = beat.data
    return found


@pytest.mark.parametrize(
    ("last", "beat", "expected"),
    [
        (Beat(0, 0, "a"), Beat(10, 10, "a"), Beat(0, 10, "a")),
        (Beat(0, 0, "a"), Beat(11, 11, "a"), None),
        (Beat(0, 5, "a"), Beat(15, 15, "a"), Beat(0, 15, "a")),
        (Beat(0, 5, "a"), Beat(3, 4, "a"), Beat(0, 5, "a")),
        (Beat(5, 9, "a"), Beat(4, 6, "a"), None),
        (Beat(0, 5, "a"), Beat(5, 6, "b"), None),
    ],
    ids=["at the pulse", "past the pulse", "from the end", "inside", "from before", "other data"],
)
def test_a_heartbeat_lengthens_the_last_event_or_begins_one(
    last: Beat[str], beat: Beat[str], expected: Beat[str] | None
):
    assert merge(last, beat, 10) == expected


@given(lines, st.integers(0, 10))
def test_merging_all_at_once_is_merging_one_by_one(beats: list[Beat[str]], pulse: int):
    found: list[Beat[str]] = []
    for beat in beats:
        longer = merge(found[-1], beat, pulse * SECOND) if found else None
        found[-1 if longer else len(found) :] = [longer or beat]
    assert merged(beats, pulse * SECOND) == found


@given(lines, st.integers(0, 10))
def test_merging_adds_no_more_than_the_holes_it_closes(beats: list[Beat[str]], pulse: int):
    before, after = _seconds(beats), _seconds(merged(beats, pulse * SECOND))
    assert before.items() <= after.items()
    assert merged(merged(beats, pulse * SECOND), pulse * SECOND) == merged(beats, pulse * SECOND)


@given(lines)
def test_flooding_closes_small_holes_and_no_other(beats: list[Beat[str]]):
    after = flood(beats)
    holes = [b.start - a.end for a, b in pairwise(beats)]
    assert _total(after) == _total(beats) + sum(hole for hole in holes if hole <= FLOOD)
    assert _seconds(beats).items() <= _seconds(after).items()
    assert all(b.start - a.end > FLOOD or b.start == a.end for a, b in pairwise(after))


def test_a_hole_goes_to_the_longer_neighbour():
    short, long = Beat(0, 2 * SECOND, "a"), Beat(5 * SECOND, 60 * SECOND, "b")
    assert flood([short, long]) == [short, Beat(2 * SECOND, 60 * SECOND, "b")]


@given(lines, lines)
def test_what_is_inside_and_what_is_outside_are_the_whole(beats: list[Beat[str]], periods: list[Beat[str]]):
    inside, outside = intersect(beats, periods), without(beats, periods)
    covered = _seconds(periods)
    assert _seconds(inside) == {at: name for at, name in _seconds(beats).items() if at in covered}
    assert _seconds(outside) == {at: name for at, name in _seconds(beats).items() if at not in covered}
    assert all(beat.length > 0 for beat in (*inside, *outside))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=10))
def test_a_union_counts_each_moment_once(pairs: list[tuple[int, int]]):
    beats = [Beat(start * SECOND, (start + length) * SECOND, "x") for start, length in pairs]
    covered = {at for start, length in pairs for at in range(start, start + length)}
    assert sum(beat.length for beat in union(beats)) == len(covered) * SECOND


def test_a_day_of_heartbeats_merges_within_a_second():
    beats = [Beat(n * SECOND, n * SECOND, "editor" if n // 600 % 2 else "browser") for n in range(86_400)]
    began = time.process_time()
    events = merged(beats, 2 * SECOND)
    assert time.process_time() - began <= 1.0
    assert len(events) == 144
    assert _total(events) == (86_400 - 144) * SECOND  # each switch is one second between two looks
