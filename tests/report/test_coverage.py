"""Coverage says what is known of each minute, and hides no gap, whatever machine and clock do."""

import json
from dataclasses import replace
from datetime import date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.journal.entry import Beat, Entry, Lost, Other, Start, Stop, Unclean, encode
from blockerd.report.coverage import (
    Boot,
    End,
    Sign,
    State,
    Stretch,
    What,
    clock_step,
    gaps,
    is_hole,
    minutes,
    signs_of,
    stretches,
)
from blockerd.report.period import midnight, week
from blockerd.report.signs import BEAT_US

WEEK = week("2026-W47", ZoneInfo("Europe/Berlin"))
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
YEAR = 365 * 24 * HOUR
AT = WEEK.start


class Log:
    """Signs written by hand: `at` is minutes after the week began, `up` the minute at which the boot began."""

    def __init__(self) -> None:
        self.signs: list[Sign] = []

    def add(
        self, what: What, at: float, *, boot: str = "a", run: int = 1, up: float = 0, slept: float = 0, off: int = 0
    ):
        boottime = int((at - up) * MINUTE)
        wall = AT + int(at * MINUTE) + off
        self.signs.append(Sign(wall, boot, run, boottime, boottime - int(slept * MINUTE), what))

    def beats(
        self, first: float, last: float, *, boot: str = "a", run: int = 1, up: float = 0, slept: float = 0, off: int = 0
    ):
        """A start at `first` and a beat each quarter of an hour up to `last`."""
        self.add(What.START, first, boot=boot, run=run, up=up, slept=slept, off=off)
        at = first + 15
        while at < last:
            self.add(What.BEAT, at, boot=boot, run=run, up=up, slept=slept, off=off)
            at += 15


def shown(
    log: Log, boots: list[Boot] | None = None, start: float = 0, end: float = 7 * 24 * 60, now: float | None = None
) -> list[tuple[float, float, State]]:
    """Stretches as minutes after the week began."""
    now_us = AT + int((end if now is None else now) * MINUTE)
    parts = stretches(AT + int(start * MINUTE), AT + int(end * MINUTE), log.signs, boots, now_us)
    return [((part.start_us - AT) / MINUTE, (part.end_us - AT) / MINUTE, part.state) for part in parts]


def boot(name: str, first: float, last: float) -> Boot:
    return Boot(name, AT + int(first * MINUTE), AT + int(last * MINUTE))


def test_forty_minutes_stopped_in_a_week_are_forty_minutes():
    log = Log()
    log.beats(0, 3000)
    log.add(What.STOP, 3000)
    log.beats(3040, 10_080, run=2)
    log.add(What.MARK, 10_080, run=2)
    parts = stretches(WEEK.start, WEEK.end, log.signs, None, WEEK.end)
    counted = minutes(parts)
    assert (counted[State.UNMONITORED], counted[State.MONITORED], sum(counted.values())) == (40, 10_040, 10_080)
    assert gaps(parts) == (Stretch(AT + 3000 * MINUTE, AT + 3040 * MINUTE, State.UNMONITORED),)


def test_after_a_kill_the_gap_begins_at_the_last_mark():
    log = Log()
    log.beats(0, 100)
    log.add(What.UNCLEAN, 100.5)
    log.beats(140, 200, run=2)
    log.add(What.STOP, 200, run=2)
    assert shown(log, end=200) == [
        (0, 100.5, State.MONITORED), (100.5, 140, State.UNMONITORED), (140, 200, State.MONITORED),
    ]  # fmt: skip


def test_nine_hours_of_sleep_are_asleep_and_no_gap():
    """T61: its part for coverage."""
    log = Log()
    log.beats(0, 600)
    log.add(What.MARK, 600)
    log.add(What.AGAIN, 1140.5, slept=540)
    log.add(What.BEAT, 1155, slept=540)
    log.add(What.STOP, 1170, slept=540)
    parts = shown(log, end=1170)
    assert [state for *_, state in parts] == [State.MONITORED, State.ASLEEP, State.MONITORED]
    assert parts[1] == (600.25, 1140.25, State.ASLEEP)


def test_sleep_that_nobody_marked_is_found_all_the_same():
    log = Log()
    log.add(What.START, 0)
    log.add(What.BEAT, 15)
    log.add(What.BEAT, 90, slept=60)
    log.add(What.STOP, 100, slept=60)
    assert sum(end - start for start, end, state in shown(log, end=100) if state == State.ASLEEP) == 60


def test_sleep_while_stopped_is_no_gap():
    log = Log()
    log.beats(0, 60)
    log.add(What.STOP, 60)
    log.beats(640, 700, run=2, slept=540)
    log.add(What.STOP, 700, run=2, slept=540)
    lengths = [(end - start, state) for start, end, state in shown(log, end=700)]
    assert lengths[1:4] == [(20, State.UNMONITORED), (540, State.ASLEEP), (20, State.UNMONITORED)]


def test_a_process_that_stood_still_was_not_monitoring():
    log = Log()
    log.beats(0, 60)
    log.add(What.MARK, 60)
    log.add(What.AGAIN, 100)
    log.add(What.STOP, 120)
    assert shown(log, end=120)[1] == (60, 100, State.UNMONITORED)


def test_without_boot_records_off_and_unmonitored_are_one():
    log = Log()
    log.beats(0, 60)
    log.add(What.STOP, 60)
    log.beats(200.5, 300, boot="b", up=200, run=2)
    log.add(What.STOP, 300, boot="b", up=200, run=2)
    assert shown(log, end=300)[1:] == [
        (60, 200, State.NOT_RUNNING), (200, 200.5, State.OFF), (200.5, 300, State.MONITORED),
    ]  # fmt: skip


def test_boot_records_tell_off_from_unmonitored():
    log = Log()
    log.beats(0, 60)
    log.add(What.STOP, 60)
    log.beats(200.5, 300, boot="b-2", up=200, run=2)
    log.add(What.STOP, 300, boot="b-2", up=200, run=2)
    boots = [boot("a", 0, 100), boot("unseen", 120, 150), boot("B2", 200.1, 300)]
    assert shown(log, boots, end=300)[1:] == [
        (60, 100, State.UNMONITORED), (100, 120, State.OFF), (120, 150, State.UNMONITORED),
        (150, 200.5, State.OFF), (200.5, 300, State.MONITORED),
    ]  # fmt: skip


def test_records_without_ids_are_matched_by_time():
    log = Log()
    log.beats(0, 60)
    log.add(What.STOP, 60)
    log.beats(200.5, 300, boot="b", up=200, run=2)
    log.add(What.STOP, 300, boot="b", up=200, run=2)
    parts = shown(log, [boot("", 0.2, 70), boot("", 200.3, 300)], end=300)
    assert parts[1:3] == [(60, 70, State.UNMONITORED), (70, 200.5, State.OFF)]


def test_a_boot_whose_end_nobody_wrote_down_may_have_run_on():
    log = Log()
    log.beats(0, 60)
    log.add(What.STOP, 60)
    log.beats(200.5, 300, boot="b", up=200, run=2)
    log.add(What.STOP, 300, boot="b", up=200, run=2)
    boots = [replace(boot("", 0.2, 70), ended=End.UNTOLD), boot("", 200.3, 300)]
    assert (70, 200, State.NOT_RUNNING) in shown(log, boots, end=300)


def test_records_that_begin_later_say_nothing_of_the_time_before():
    log = Log()
    log.beats(0, 60)
    log.add(What.STOP, 60)
    log.beats(200.5, 300, boot="b", up=200, run=2)
    log.add(What.STOP, 300, boot="b", up=200, run=2)
    assert shown(log, [boot("b", 200, 300)], end=300)[1] == (60, 200, State.NOT_RUNNING)


def test_what_followed_a_boot_that_the_records_lack_is_not_known_to_be_off():
    log = Log()
    for number, (name, up, end) in enumerate((("a", 0, 60), ("b", 100, 150), ("c", 200, 300)), 1):
        log.beats(up + 0.5, end, boot=name, up=up, run=number)
        log.add(What.STOP, end, boot=name, up=up, run=number)
    parts = shown(log, [boot("a", 0, 60), boot("c", 200, 300)], end=300)
    assert (60, 100.5, State.OFF) in parts
    assert (150, 200, State.NOT_RUNNING) in parts


def test_a_boot_that_ends_without_a_last_mark_leaves_a_beat_unknown():
    log = Log()
    log.beats(0, 60)
    log.beats(200.5, 300, boot="b", up=200, run=2)
    assert shown(log, end=250)[:3] == [
        (0, 45, State.MONITORED), (45, 60, State.UNKNOWN), (60, 200, State.NOT_RUNNING),
    ]  # fmt: skip


def test_a_late_start_of_blockerd_in_a_boot_is_unmonitored():
    log = Log()
    log.beats(0, 60)
    log.add(What.STOP, 60)
    log.beats(230, 300, boot="b", up=200, run=2)
    log.add(What.STOP, 300, boot="b", up=200, run=2)
    assert (200, 230, State.UNMONITORED) in shown(log, end=300)


def test_a_power_cut_ends_the_time_known():
    log = Log()
    log.beats(0, 60)
    log.add(What.UNCLEAN, 69.5)
    log.beats(200.2, 300, boot="b", up=200, run=2)
    log.add(What.STOP, 300, boot="b", up=200, run=2)
    parts = shown(log, [boot("a", 0, 69.9), boot("b", 200, 300)], end=300)
    assert parts[:2] == [(0, 69.5, State.MONITORED), (69.5, 200.2, State.OFF)]


def test_a_run_without_a_last_mark_leaves_a_beat_unknown():
    log = Log()
    log.beats(0, 61)
    log.beats(100, 130, run=2)
    log.add(What.STOP, 130, run=2)
    assert shown(log, end=130)[1:3] == [(60, 75, State.UNKNOWN), (75, 100, State.UNMONITORED)]


def test_long_silence_of_a_running_process_is_unknown():
    log = Log()
    log.add(What.START, 0)
    log.add(What.BEAT, 15)
    log.add(What.BEAT, 45)
    log.add(What.BEAT, 105)
    log.add(What.STOP, 110)
    assert shown(log, end=110) == [
        (0, 45, State.MONITORED), (45, 105, State.UNKNOWN), (105, 110, State.MONITORED),
    ]  # fmt: skip


def test_nothing_is_known_before_the_first_sign_and_without_any():
    log = Log()
    assert shown(log, [boot("a", 0, 60)], end=60) == [(0, 60, State.UNKNOWN)]
    log.beats(30, 60, up=-600)
    log.add(What.STOP, 60, up=-600)
    assert shown(log, end=60) == [(0, 30, State.UNKNOWN), (30, 60, State.MONITORED)]


def test_a_period_without_a_sign_after_a_stop_is_not_running():
    log = Log()
    log.beats(-100, -50, up=-100)
    log.add(What.STOP, -50, up=-100)
    assert shown(log) == [(0, 10_080, State.NOT_RUNNING)]
    now_on = [boot("a", -100, 10_080)]
    assert shown(log, now_on) == [(0, 10_080, State.UNMONITORED)]


def test_time_to_come_is_left_out():
    log = Log()
    log.beats(0, 60)
    log.add(What.MARK, 60)
    assert shown(log, now=60) == [(0, 60, State.MONITORED)]
    assert shown(log, now=-5) == []


@pytest.mark.parametrize("off", [YEAR, -YEAR, 2 * 24 * HOUR, -3 * HOUR])
def test_a_clock_that_was_set_and_set_back_changes_nothing(off: int):
    """T60: its part for coverage."""
    log = Log()
    log.beats(0, 600)
    log.add(What.MARK, 600)
    log.add(What.AGAIN, 600.5, off=off)
    log.beats(615, 660, off=off)
    log.signs = [sign for sign in log.signs if sign.what != What.START or sign.boottime_us == 0]
    log.add(What.MARK, 660, off=off)
    log.add(What.AGAIN, 660.5)
    log.add(What.BEAT, 675)
    log.add(What.STOP, 700)
    assert shown(log, end=700) == [(0, 700, State.MONITORED)]


def test_a_clock_set_forward_for_good_leaves_a_hole_that_is_unknown():
    log = Log()
    log.beats(0, 300)
    log.add(What.MARK, 300)
    log.add(What.AGAIN, 300.5, off=2 * HOUR)
    log.add(What.BEAT, 315, off=2 * HOUR)
    log.add(What.STOP, 330, off=2 * HOUR)
    parts = shown(log, end=450)
    assert [state for *_, state in parts] == [State.MONITORED, State.UNKNOWN, State.MONITORED]
    assert sum(end - start for start, end, state in parts if state == State.MONITORED) == 330


def test_time_that_came_twice_counts_once():
    log = Log()
    log.beats(0, 301)
    log.add(What.MARK, 300.5)
    log.add(What.AGAIN, 301, off=-30 * MINUTE)
    log.add(What.BEAT, 315, off=-30 * MINUTE)
    log.add(What.STOP, 330, off=-30 * MINUTE)
    assert shown(log, end=300) == [(0, 300, State.MONITORED)]


def test_setting_the_clock_back_hides_no_gap():
    """Half an hour stopped, in which the clock was set back by an hour."""
    log = Log()
    log.beats(0, 300)
    log.add(What.STOP, 300)
    log.add(What.START, 330, run=2, off=-HOUR)
    for at in range(345, 420, 15):
        log.add(What.BEAT, at, run=2, off=-HOUR)
    log.add(What.STOP, 420, run=2, off=-HOUR)
    assert (300, 330, State.UNMONITORED) in shown(log, end=360)


def test_where_two_clocks_claim_the_same_time_the_gap_wins():
    log = Log()
    log.beats(0, 300)
    log.add(What.STOP, 300)
    log.add(What.START, 306, run=2, off=-4 * MINUTE)
    log.add(What.BEAT, 321, run=2, off=-4 * MINUTE)
    log.add(What.STOP, 330, run=2, off=-4 * MINUTE)
    assert shown(log, end=326) == [
        (0, 299, State.MONITORED), (299, 303, State.UNMONITORED), (303, 326, State.MONITORED),
    ]  # fmt: skip


def test_a_clock_wrong_at_boot_is_put_right_by_what_follows():
    log = Log()
    log.beats(0, 60)
    log.add(What.STOP, 60)
    log.add(What.START, 100.5, boot="b", up=100, run=2, off=-30 * YEAR)
    log.add(What.MARK, 105, boot="b", up=100, run=2, off=-30 * YEAR)
    log.add(What.AGAIN, 105.5, boot="b", up=100, run=2)
    log.add(What.BEAT, 120, boot="b", up=100, run=2)
    log.add(What.STOP, 200, boot="b", up=100, run=2)
    log.signs[-1:] = []
    log.add(What.STOP, 135, boot="b", up=100, run=2)
    boots = [boot("a", 0, 60), Boot("b", AT - 30 * YEAR, AT + 135 * MINUTE)]
    assert shown(log, boots, end=135)[1:] == [(60, 100.5, State.OFF), (100.5, 135, State.MONITORED)]


def test_a_boot_whose_clock_fits_nowhere_makes_the_time_between_unknown():
    log = Log()
    log.beats(0, 60)
    log.add(What.STOP, 60)
    log.beats(100, 120, boot="b", up=100, run=2, off=-YEAR)
    log.beats(200.5, 300, boot="c", up=200, run=3)
    log.add(What.STOP, 300, boot="c", up=200, run=3)
    assert shown(log, [boot("a", 0, 60), boot("c", 200, 300)], end=300)[1] == (60, 200, State.UNKNOWN)


@pytest.mark.parametrize("off", [-HOUR, 2 * HOUR])
def test_a_boot_on_another_zones_time_is_put_between_its_neighbours(off: int):
    log = Log()
    log.beats(0, 160)
    log.add(What.STOP, 160)
    log.beats(170, 290, boot="b", up=169.5, run=2, off=off)
    log.add(What.STOP, 290, boot="b", up=169.5, run=2, off=off)
    log.beats(300.5, 600, boot="c", up=300, run=3)
    log.add(What.STOP, 600, boot="c", up=300, run=3)
    parts = shown(log, end=600)
    assert sum(end - start for start, end, state in parts if state == State.MONITORED) == 160 + 120 + 299.5
    assert all(state != State.UNMONITORED for *_, state in parts)


def test_a_boot_whose_clock_lags_by_seconds_is_kept_whole():
    log = Log()
    log.beats(0, 160)
    log.add(What.STOP, 160)
    log.beats(159.9, 290, boot="b", up=159.5, run=2)
    log.add(What.STOP, 290, boot="b", up=159.5, run=2)
    assert shown(log, end=290) == [(0, 290, State.MONITORED)]


def test_a_system_that_names_no_boot_still_has_its_runs():
    log = Log()
    log.beats(0, 60, boot="")
    log.add(What.STOP, 60, boot="")
    log.beats(200.5, 300, boot="", up=200, run=2)
    log.add(What.STOP, 300, boot="", up=200, run=2)
    assert shown(log, end=300)[:2] == [(0, 60, State.MONITORED), (60, 200, State.NOT_RUNNING)]


@pytest.mark.parametrize(("day", "length"), [(date(2026, 3, 29), 23 * 60), (date(2026, 10, 25), 25 * 60)])
def test_a_day_on_which_clocks_are_changed_has_its_own_length(day: date, length: int):
    """T64: days of 23 and 25 hours."""
    zone = ZoneInfo("Europe/Berlin")
    start, end = midnight(day, zone), midnight(date.fromordinal(day.toordinal() + 1), zone)
    signs = [
        Sign(start + n * BEAT_US, "a", 1, n * BEAT_US, n * BEAT_US, What.BEAT if n else What.START) for n in range(105)
    ]
    assert minutes(stretches(start, end, signs, None, end + HOUR))[State.MONITORED] == length


@given(st.lists(st.tuples(st.sampled_from(State), st.integers(1, 200 * SECOND)), max_size=30))
def test_rounding_sums_to_the_whole_and_hides_no_minute(lengths: list[tuple[State, int]]):
    parts, at, exact = [], 0, dict.fromkeys(State, 0)
    for state, length in lengths:
        parts.append(Stretch(at, at + length, state))
        at += length
        exact[state] += length
    counted = minutes(parts)
    assert sum(counted.values()) == at // MINUTE
    for state in State:
        assert abs(counted[state] * MINUTE - exact[state]) < MINUTE
        assert counted[state] or exact[state] < MINUTE


def test_equal_remainders_are_given_to_the_gravest_gap():
    half = 30 * SECOND
    parts = [Stretch(0, half, State.MONITORED), Stretch(half, 2 * half, State.UNMONITORED)]
    assert minutes(parts)[State.UNMONITORED] == 1


def sign(wall: int, boottime: int, monotonic: int) -> Sign:
    return Sign(wall, "a", 1, boottime, monotonic, What.MARK)


def test_marks_beside_a_hole_are_told_from_others():
    base, half = sign(AT, 0, 0), 30 * SECOND
    assert not is_hole(base, sign(AT + half, half, half))
    assert not is_hole(base, sign(AT + half + SECOND, half, half))
    assert is_hole(base, sign(AT + HOUR, HOUR, half))
    assert is_hole(base, sign(AT + HOUR, HOUR, HOUR))
    assert is_hole(base, sign(AT + half - 3 * SECOND, half, half))
    assert clock_step(base, sign(AT + half - 3 * SECOND, half, half)) == -3 * SECOND
    assert clock_step(base, sign(AT + HOUR + 5 * SECOND, HOUR, HOUR)) == 0


def test_entries_of_the_log_become_signs():
    up, awake = 60 * SECOND, 50 * SECOND
    clocks = {"boot": "a", "run": 4, "boottime": up, "monotonic": awake}
    entries: list[Entry] = [
        Unclean(AT + 9, "dns", AT + 1, "a", 4, up, awake),
        Start(AT + 9, "dns", "a", 4, up, awake),
        Start(AT + 9, "control", "a", 4, up, awake),
        Start(AT + 9, "dns", "a"),
        Beat(AT + 10, "a", 7, 70 * SECOND, 60 * SECOND, mark={"at": AT + 5, **clocks}),
        Beat(AT + 11, "a", 7, 70 * SECOND, 60 * SECOND),
        Other("again", AT + 12, {"process": "dns", **clocks}),
        Stop(AT + 13, "dns", "a", 4, up, awake),
        Lost(AT + 14, "dns", 3),
    ]
    signs = signs_of(json.loads(encode(entry)) for entry in entries)
    assert [(sign.wall_us - AT, sign.what) for sign in signs] == [
        (1, What.UNCLEAN), (9, What.START), (5, What.BEAT), (12, What.AGAIN), (13, What.STOP),
    ]  # fmt: skip
    assert {(sign.boot, sign.run, sign.boottime_us, sign.monotonic_us) for sign in signs} == {
        ("a", 4, 60 * SECOND, 50 * SECOND)
    }


def test_a_year_of_signs_takes_little_time():
    signs = [
        Sign(
            AT + n * BEAT_US,
            f"b{n // 50}",
            n // 50,
            n % 50 * BEAT_US,
            n % 50 * BEAT_US,
            What.BEAT if n % 50 else What.START,
        )
        for n in range(35_000)
    ]
    parts = stretches(AT, AT + YEAR, signs, None, AT + YEAR)
    assert sum(minutes(parts).values()) == 365 * 24 * 60
