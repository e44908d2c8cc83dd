"""Presence from readings of an idle counter, against the inputs that were really made."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.screentime.afk import GAP, MEDIA_LONGEST, Presence, Reading, State, begin, observe
from blockerd.screentime.heartbeat import SECOND, Beat, merged

TIMEOUT = 20 * SECOND


def _run(readings: list[Reading], state: State | None = None) -> tuple[State, list[Beat[Presence]]]:
    state = state or begin(readings[0].at)
    told: list[Beat[Presence]] = []
    for reading in readings:
        state, periods = observe(state, reading, TIMEOUT)
        told += periods
    return state, merged(told, 0)


def _readings(inputs: list[int], end: int, start: int = 0) -> list[Reading]:
    """A look at every second; `inputs` are the seconds at which a key was pressed, the first at 0."""
    found, last = [], 0
    for at in range(start, end):
        last = max([last, *(press for press in inputs if press <= at)])
        found.append(Reading(at * SECOND, (at - last) * SECOND))
    return found


def _active(periods: list[Beat[Presence]]) -> list[tuple[int, int]]:
    return [(p.start // SECOND, p.end // SECOND) for p in periods if p.data == Presence.ACTIVE]


@given(st.lists(st.integers(1, 45), min_size=1, max_size=12))
def test_activity_is_from_input_to_input_with_no_pause_of_the_time_out(pauses: list[int]):
    inputs = [sum(pauses[:n]) for n in range(len(pauses) + 1)]
    expected: list[tuple[int, int]] = []
    for start, end in pairwise(inputs):
        if end - start < TIMEOUT // SECOND:
            if expected and expected[-1][1] == start:
                expected[-1] = (expected[-1][0], end)
            else:
                expected.append((start, end))
    _, told = _run(_readings(inputs, inputs[-1] + 100))
    assert _active(told) == expected


@st.composite
def wild(draw: st.DrawFn) -> list[Reading]:
    at, found = 0, []
    for _ in range(draw(st.integers(1, 25))):
        at += draw(st.sampled_from([0, 1, 1, 1, 3, 10, 40])) * SECOND
        idle = draw(st.none() | st.integers(-2, 60))
        found.append(
            Reading(
                at,
                None if idle is None else idle * SECOND,
                draw(st.booleans()),
                draw(st.booleans()),
                draw(st.sampled_from([0, 0, 0, 5])) * SECOND,
            )
        )
    return found


@given(wild())
def test_periods_tile_the_time_whatever_is_read(readings: list[Reading]):
    state, told = _run(readings)
    at = readings[0].at
    for period in told:
        assert period.start == at
        assert period.end > at
        at = period.end
    assert at == state.decided <= readings[-1].at
    open_part = readings[-1].at - state.decided
    assert open_part == 0 or state.status != Presence.AWAY


@given(wild())
def test_nothing_is_active_without_a_sign_of_somebody(readings: list[Reading]):
    """While the screen is locked, the machine asleep or the counter silent, nobody is told to be active."""
    _, told = _run([Reading(r.at, r.idle, held=True, media=r.media, slept=r.slept) for r in readings])
    assert _active(told) == []


def test_absence_begins_at_the_last_input():
    state, told = _run(_readings([0, 7], 40))
    assert told == [Beat(0, 7 * SECOND, Presence.ACTIVE), Beat(7 * SECOND, 39 * SECOND, Presence.AWAY)]
    assert state.status == Presence.AWAY


def test_who_was_idle_before_the_first_look_is_not_active():
    _, told = _run(_readings([0, 45], 60, start=30))
    assert _active(told) == []
    assert told[0] == Beat(30 * SECOND, 45 * SECOND, Presence.AWAY)


def test_a_lock_ends_activity_at_the_last_input_and_keys_at_the_lock_wake_nobody():
    readings = _readings([0, 3, 12], 20)
    held = [Reading(r.at, r.idle, held=5 <= r.at // SECOND < 15) for r in readings]
    state, told = _run(held)
    assert _active(told) == [(0, 3)]
    assert state.status == Presence.ACTIVE
    assert state.decided == 15 * SECOND  # unlocked


def test_sleep_ends_activity_though_the_idle_counter_stood_still():
    readings = [Reading(0, 0), Reading(2 * SECOND, 0), Reading(9 * SECOND, 3 * SECOND, slept=5 * SECOND)]
    _, told = _run([*readings, Reading(10 * SECOND, 4 * SECOND), Reading(40 * SECOND, 34 * SECOND)])
    assert _active(told) == [(0, 2)]


def test_a_playing_video_is_activity_but_not_for_ever():
    looks = [Reading(n * 10 * SECOND, n * 10 * SECOND, media=True) for n in range(5 * 360)]
    _, told = _run(looks)
    assert _active(told) == [(0, MEDIA_LONGEST // SECOND)]


def test_a_counter_that_cannot_be_read_is_unknown_and_not_absence():
    _, told = _run([Reading(n * SECOND, None if 5 <= n < 10 else 0) for n in range(15)])
    assert [period.data for period in told] == [Presence.ACTIVE, Presence.UNKNOWN, Presence.ACTIVE]
    assert told[1] == Beat(4 * SECOND, 10 * SECOND, Presence.UNKNOWN)


@pytest.mark.parametrize(("hole", "kind"), [(10, Presence.ACTIVE), (300, Presence.UNKNOWN)])
def test_a_hole_between_looks_is_judged_by_what_is_known_after_it(hole: int, kind: Presence):
    assert hole * SECOND > GAP
    state, _ = _run([Reading(0, 0), Reading(SECOND, 0)])
    _, periods = observe(state, Reading((1 + hole) * SECOND, 0), TIMEOUT)
    assert periods == (Beat(SECOND, (1 + hole) * SECOND, kind),)


def test_no_input_during_a_hole_is_absence():
    state, _ = _run([Reading(0, 0), Reading(SECOND, 0)])
    _, periods = observe(state, Reading(301 * SECOND, 300 * SECOND), TIMEOUT)
    assert periods == (Beat(SECOND, 301 * SECOND, Presence.AWAY),)


def test_a_reading_from_before_says_nothing():
    state, _ = _run([Reading(0, 0), Reading(9 * SECOND, 0)])
    assert observe(state, Reading(5 * SECOND, 0), TIMEOUT) == (state, ())
