"""Sums by day and hour: the parts are the whole over midnight, week ends and both changes of the clock."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.report.period import midnight, week
from blockerd.screentime.heartbeat import SECOND, Beat
from blockerd.screentime.sums import Hour, by_data, by_day, by_hour, clip, whole_seconds

HOUR = 3600 * SECOND
ZONES = [
    ZoneInfo(key)
    for key in ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC", "America/Santiago")
]
CHANGES = [datetime(2026, month, day, tzinfo=UTC) for month, day in ((3, 28), (10, 24), (11, 1), (4, 4), (9, 5))]


@st.composite
def lines(draw: st.DrawFn) -> list[Beat[str]]:
    """Events of a few days round a change of the clock, in whole microseconds."""
    at = int(draw(st.sampled_from(CHANGES)).timestamp()) * SECOND
    found: list[Beat[str]] = []
    for hole, length in draw(st.lists(st.tuples(st.integers(0, 9 * HOUR), st.integers(1, 30 * HOUR)), max_size=6)):
        found.append(Beat(at + hole, at + hole + length, draw(st.sampled_from("ab"))))
        at = found[-1].end
    return found


@given(lines(), st.sampled_from(ZONES))
def test_hours_and_days_add_up_to_the_whole(beats: list[Beat[str]], zone: ZoneInfo):
    """T64: parts sum to the whole."""
    whole = sum(beat.length for beat in beats)
    hours, days = by_hour(beats, zone), by_day(beats, zone)
    assert sum(hours.values()) == sum(days.values()) == sum(by_data(beats).values()) == whole
    for day, total in days.items():
        assert sum(part for hour, part in hours.items() if hour.day == day) == total
    for day, total in days.items():
        start, end = midnight(day, zone), midnight(date.fromordinal(day.toordinal() + 1), zone)
        assert total == sum(beat.length for beat in clip(beats, start, end))


@given(lines(), st.sampled_from(ZONES))
def test_the_days_of_weeks_add_up(beats: list[Beat[str]], zone: ZoneInfo):
    days = by_day(beats, zone)
    in_weeks = {day.isocalendar()[:2] for day in days}
    periods = [week(f"{year:04d}-W{number:02d}", zone) for year, number in in_weeks]
    assert sum(beat.length for p in periods for beat in clip(beats, p.start, p.end)) == sum(days.values())


@pytest.mark.parametrize(
    ("day", "length", "double"), [(date(2026, 3, 29), 23, 0), (date(2026, 10, 25), 25, 2), (date(2026, 11, 22), 24, 1)]
)
def test_a_whole_day_has_its_hours(day: date, length: int, double: int):
    zone = ZoneInfo("Europe/Berlin")
    start, end = midnight(day, zone), midnight(date.fromordinal(day.toordinal() + 1), zone)
    hours = by_hour([Beat(start, end, "a")], zone)
    assert by_day([Beat(start, end, "a")], zone) == {day: length * HOUR}
    assert hours[Hour(day, 2)] == double * HOUR
    assert all(total == HOUR for hour, total in hours.items() if hour.hour != 2)


def test_half_an_hour_of_change_is_kept():
    zone = ZoneInfo("Australia/Lord_Howe")
    day = date(2026, 4, 5)
    beats = [Beat(midnight(day, zone), midnight(date(2026, 4, 6), zone), "a")]
    assert by_day(beats, zone)[day] == 24 * HOUR + HOUR // 2
    assert by_hour(beats, zone)[Hour(day, 1)] == HOUR + HOUR // 2


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 10**12), max_size=20))
def test_rounded_parts_add_up_to_the_rounded_whole(parts: dict[str, int]):
    rounded = whole_seconds(parts)
    assert sum(rounded.values()) == sum(parts.values()) // SECOND
    assert all(abs(rounded[key] * SECOND - value) < SECOND for key, value in parts.items())
