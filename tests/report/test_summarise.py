"""The summary counts what is known and says what is not."""

from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from blockerd.model import Kind
from blockerd.report.period import week
from blockerd.report.summarise import Facts, Stretch, Tally, summarise

WEEK = week("2026-W47", ZoneInfo("Europe/Berlin"))
MINUTE = 60_000_000
NOTHING = Facts((), None, None, 0)


def running(*minutes: tuple[int, int], process: str = "dns") -> Facts:
    stretches = [Stretch(process, WEEK.start + a * MINUTE, WEEK.start + b * MINUTE) for a, b in minutes]
    return Facts(tuple(stretches), WEEK.start, WEEK.end, 3)


def test_attempts_are_summed_by_category_and_day():
    tallies = [
        Tally(0, "adult", Kind.ATTEMPT, 2, 9),
        Tally(0, "cam", Kind.ATTEMPT, 3, 3),
        Tally(6, "adult", Kind.ATTEMPT, 4, 4),
    ]
    summary = summarise(WEEK, tallies, NOTHING, WEEK.end)
    assert summary.attempts == (("adult", 6), ("cam", 3))
    assert [day.total for day in summary.days] == [5, 0, 0, 0, 0, 0, 4]
    assert (summary.total, summary.bypass, summary.over) == (9, 0, True)


def test_the_test_name_does_not_count_and_ways_round_stand_apart():
    tallies = [Tally(1, "demo", Kind.TEST, 5, 5), Tally(1, "bypass", Kind.BYPASS, 2, 2)]
    summary = summarise(WEEK, tallies, NOTHING, WEEK.end)
    assert (summary.total, summary.bypass, summary.days[1].bypass) == (0, 2, 2)


def test_nothing_known_is_unknown_and_not_invented():
    cover = summarise(WEEK, [], NOTHING, WEEK.end).coverage
    assert (cover.running, cover.unknown, cover.first, cover.last) == (0, 7 * 24 * 60, None, None)


def test_time_that_has_not_come_is_neither_known_nor_unknown():
    summary = summarise(WEEK, [], running((0, 60)), WEEK.start + 90 * MINUTE)
    assert (summary.coverage.running, summary.coverage.unknown) == (60, 30)
    assert [day.running for day in summary.days] == [60]
    assert not summary.over


def test_stretches_that_overlap_count_once_and_only_inside_the_period():
    cover = summarise(WEEK, [], running((-100, 10), (5, 20), (20, 30), (40, 50)), WEEK.end).coverage
    assert (cover.running, cover.lost) == (40, 3)


def test_only_the_resolver_covers():
    assert summarise(WEEK, [], running((0, 60), process="control"), WEEK.end).coverage.running == 0


def test_forty_minutes_stopped_are_forty_minutes_unknown():
    end = WEEK.start + 600 * MINUTE
    assert summarise(WEEK, [], running((0, 200), (240, 600)), end).coverage.unknown == 40


@given(st.lists(st.tuples(st.integers(-500, 11000), st.integers(0, 3000)), max_size=8), st.integers(-10, 11000))
def test_known_and_unknown_minutes_are_all_there_are(stretches: list[tuple[int, int]], until: int):
    facts = running(*((a, a + length) for a, length in stretches))
    now = WEEK.start + until * MINUTE
    cover = summarise(WEEK, [], facts, now).coverage
    assert cover.running + cover.unknown == max(0, min(until, 7 * 24 * 60))
    assert min(cover.running, cover.unknown) >= 0
