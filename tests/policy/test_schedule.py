"""Weekly windows against a naive oracle, minute by minute, over both changes of summer time."""

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blockerd.policy.schedule import DAYS, Schedules, Weekly, compile_schedules, minutes, parse_window, zone_of

BERLIN = ZoneInfo("Europe/Berlin")
SPRING = datetime(2026, 3, 28, tzinfo=UTC).timestamp()
AUTUMN = datetime(2026, 10, 24, tzinfo=UTC).timestamp()
ORDINARY = datetime(2026, 6, 10, tzinfo=UTC).timestamp()


def _at(text: str, *, fold: int = 0) -> float:
    """Unix time of a Berlin wall clock reading."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp()


def _one(windows: list[str], days: list[str] | None = None, zone: str = "Europe/Berlin") -> Schedules:
    return compile_schedules([("chat", days or list(DAYS), windows)], zone)


def _naive(entries: list[Weekly], category: str, at: float, zone: ZoneInfo) -> bool:
    """The definition in words: does the wall clock lie in a window that began on a listed day, today or yesterday?"""
    wall = datetime.fromtimestamp(at, zone).replace(tzinfo=None)
    mine = [(days, windows) for name, days, windows in entries if name == category]
    for days, windows in mine:
        for back in (0, 1):
            day = datetime(wall.year, wall.month, wall.day) - timedelta(days=back)  # noqa: DTZ001  (a wall clock)
            for text in windows if DAYS[day.weekday()] in days else ():
                start, end = (timedelta(hours=int(part[:2]), minutes=int(part[3:])) for part in text.split("-"))
                if day + start <= wall < day + (end if end > start else end + timedelta(days=1)):
                    return True
    return not mine


_minute = st.integers(0, 24 * 60 - 1).map(lambda m: f"{m // 60:02d}:{m % 60:02d}")
_window = st.tuples(_minute, st.one_of(_minute, st.just("24:00"))).filter(lambda w: w[0] != w[1]).map("-".join)
_entry = st.tuples(
    st.sampled_from(["chat", "cam"]),
    st.lists(st.sampled_from(DAYS), min_size=1, unique=True),
    st.lists(_window, min_size=1, max_size=3),
)


@settings(max_examples=25)
@given(
    entries=st.lists(_entry, min_size=1, max_size=3),
    begin=st.sampled_from([SPRING, AUTUMN, ORDINARY]),
    zone=st.sampled_from(["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "UTC"]),
)
def test_each_minute_of_three_days_equals_the_naive_reading(entries: list[Weekly], begin: float, zone: str):
    compiled = compile_schedules(entries, zone)
    for minute in range(0, 3 * 1440, 7):
        at = begin + 60 * minute + minute % 60
        for category in ("chat", "cam"):
            assert compiled.active(category, at) == _naive(entries, category, at, ZoneInfo(zone)), (at, category)


@settings(max_examples=25)
@given(
    entries=st.lists(_entry, min_size=1, max_size=3),
    begin=st.sampled_from([SPRING, AUTUMN, ORDINARY]),
    offset=st.integers(0, 2 * 86400),
    zone=st.sampled_from(["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"]),
)
def test_until_is_the_first_second_that_differs(entries: list[Weekly], begin: float, offset: int, zone: str):
    compiled, at, place = compile_schedules(entries, zone), begin + offset, ZoneInfo(zone)
    now = _naive(entries, "chat", at, place)
    until = compiled.until("chat", at)
    end = min(until or at + 2 * 86400, at + 2 * 86400)
    minute = at // 60 * 60 + 60
    while minute < end:
        assert _naive(entries, "chat", minute, place) == now
        minute += 60
    if until is not None:
        assert until > at
        assert _naive(entries, "chat", until, place) != now
        assert _naive(entries, "chat", until - 1, place) == now


@settings(max_examples=50)
@given(entries=st.lists(_entry, min_size=1, max_size=3), offset=st.integers(0, 7 * 86400))
def test_next_change_is_the_earliest_of_all_categories(entries: list[Weekly], offset: int):
    compiled = compile_schedules(entries, "Europe/Berlin")
    each = [compiled.until(category, SPRING + offset) for category in ("chat", "cam")]
    assert compiled.next_change(SPRING + offset) == min((time for time in each if time is not None), default=None)


def test_without_a_schedule_a_category_blocks_always():
    compiled = _one(["21:00-07:00"])
    assert compiled.active("adult", ORDINARY)
    assert compiled.until("adult", ORDINARY) is None
    assert compile_schedules([], "Europe/Berlin").next_change(ORDINARY) is None


def test_a_window_across_midnight_belongs_to_the_day_it_begins_on():
    compiled = _one(["21:00-07:00"], ["sun"])
    assert compiled.active("chat", _at("2026-06-14 21:00"))
    assert compiled.active("chat", _at("2026-06-15 06:59:59"))
    assert not compiled.active("chat", _at("2026-06-15 07:00"))
    assert not compiled.active("chat", _at("2026-06-15 21:00"))
    assert not compiled.active("chat", _at("2026-06-14 06:59"))
    assert compiled.until("chat", _at("2026-06-14 23:00")) == _at("2026-06-15 07:00")


def test_several_windows_of_a_day_and_several_schedules_add_up():
    compiled = compile_schedules(
        [("chat", ["mon"], ["08:00-09:00", "12:00-13:00"]), ("chat", ["mon"], ["09:00-10:00"])], "UTC"
    )
    monday = datetime(2026, 6, 15, tzinfo=UTC).timestamp()
    assert compiled.next_change(monday) == monday + 8 * 3600
    assert compiled.until("chat", monday + 8 * 3600) == monday + 10 * 3600
    assert compiled.until("chat", monday + 10 * 3600) == monday + 12 * 3600
    assert compiled.until("chat", monday + 13 * 3600) == monday + 7 * 86400 + 8 * 3600


def test_the_whole_day_of_every_day_never_changes():
    compiled = _one(["00:00-24:00"])
    assert compiled.active("chat", _at("2026-06-15 00:00"))
    assert compiled.until("chat", ORDINARY) is None


def test_a_skipped_hour_blocks_nothing_and_ends_what_began_before_it():
    """On 2026-03-29 Berlin goes from 02:00 to 03:00."""
    inside, across = _one(["02:15-02:45"], ["sun"]), _one(["01:30-02:30"], ["sun"])
    assert inside.until("chat", _at("2026-03-29 01:00")) == _at("2026-04-05 02:15")
    assert across.until("chat", _at("2026-03-29 01:30")) == _at("2026-03-29 03:00")
    late = _one(["02:30-03:30"], ["sun"])
    assert late.until("chat", _at("2026-03-29 01:00")) == _at("2026-03-29 03:00")


def test_an_hour_that_comes_twice_blocks_both_times():
    """On 2026-10-25 Berlin goes from 03:00 back to 02:00."""
    compiled = _one(["21:00-02:30"])
    first, second = _at("2026-10-25 02:30"), _at("2026-10-25 02:00", fold=1)
    assert second - first == 1800
    assert compiled.until("chat", _at("2026-10-25 01:00")) == first
    assert not compiled.active("chat", second - 1)
    assert compiled.until("chat", first) == second
    assert compiled.until("chat", second) == _at("2026-10-25 02:30", fold=1)


@pytest.mark.parametrize("at", [-1e12, 0.0, 1e18, float("inf"), float("nan")])
def test_no_clock_reading_raises(at: float):
    compiled = _one(["21:00-07:00"])
    assert compiled.active("chat", at) in (True, False)
    compiled.next_change(at)


@pytest.mark.parametrize(
    "text", ["", "7-8", "24:00-01:00", "08:60-09:00", "08:00-24:01", "08:00-08:00", "08:00–09:00", "٠٨:00-09:00"]
)
def test_a_bad_window_is_refused(text: str):
    with pytest.raises(ValueError, match=r"window|begins"):
        parse_window(text)


def test_a_window_reads_leniently_and_writes_strictly():
    assert str(parse_window(" 9:00 - 24:00 ")) == "09:00-24:00"
    assert parse_window("21:00-00:00").length == 180


def test_bad_days_and_zones_are_refused():
    with pytest.raises(ValueError, match="no day"):
        compile_schedules([("chat", ["monday"], ["08:00-09:00"])], "UTC")
    for zone in ("Nowhere/Land", "/etc/passwd", "", "../x"):
        with pytest.raises(ValueError, match="no time zone"):
            zone_of(zone)


def test_minutes_count_each_minute_once():
    assert sum(minutes([("chat", list(DAYS), ["21:00-07:00", "22:00-23:00"])], "chat")) == 7 * 600
    assert sum(minutes([], "chat")) == 7 * 1440


def test_a_decision_costs_microseconds():
    compiled = _one(["21:00-07:00"])
    began = time.perf_counter()
    for second in range(2000):
        compiled.active("chat", ORDINARY + second)
    assert (time.perf_counter() - began) / 2000 < 0.0005
