"""Weeks and days of a zone, also where clocks change."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.report.period import before, day_of, midnight, week, week_of

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3_600_000_000


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


def test_a_week_begins_on_monday_at_midnight_of_the_zone():
    period = week("2026-W47", BERLIN)
    assert (period.start, period.end) == (us("2026-11-16T00:00:00+01:00"), us("2026-11-23T00:00:00+01:00"))
    assert [day.date for day in period.days] == [date(2026, 11, n) for n in range(16, 23)]


@pytest.mark.parametrize(("label", "hours"), [("2026-W13", 167), ("2026-W43", 169), ("2026-W30", 168)])
def test_a_week_with_a_change_of_clocks_is_an_hour_shorter_or_longer(label: str, hours: int):
    period = week(label, BERLIN)
    assert period.end - period.start == hours * HOUR
    assert sum(day.end - day.start for day in period.days) == hours * HOUR


@pytest.mark.parametrize(
    "label",
    [
        "2026-W54",
        "2026-W00",
        "2026-47",
        "W47",
        "2025-W53",
        "",
        "2026-W4",
        "0000-W01",
        "0001-W01",
        "9999-W01",
        "9999-W52",
    ],
)
def test_a_week_that_is_none_is_refused(label: str):
    with pytest.raises(ValueError, match="no week"):
        week(label, BERLIN)


def test_the_53rd_week_of_a_long_year_exists():
    assert week("2026-W53", BERLIN).days[-1].date == date(2027, 1, 3)


def test_where_midnight_is_skipped_the_day_begins_at_the_change():
    cairo = ZoneInfo("Africa/Cairo")
    start = midnight(date(2024, 4, 26), cairo)
    assert start == us("2024-04-26T01:00:00+03:00")
    assert day_of(start - 1, cairo) == date(2024, 4, 25)


def test_a_day_that_a_zone_left_out_is_empty():
    apia = ZoneInfo("Pacific/Apia")
    lengths = [(day.date.day, (day.end - day.start) // HOUR) for day in week("2011-W52", apia).days]
    assert lengths == [(26, 24), (27, 24), (28, 24), (29, 24), (30, 0), (31, 24), (1, 24)]


zones = st.sampled_from(["Europe/Berlin", "America/Havana", "Asia/Kathmandu", "Pacific/Apia", "UTC"]).map(ZoneInfo)
moments = st.integers(us("2000-01-01T00:00:00Z"), us("2040-01-01T00:00:00Z"))


@given(moments, zones)
def test_each_moment_lies_in_one_day_of_the_week_that_is_named_for_it(at: int, zone: ZoneInfo):
    period = week_of(at, zone)
    assert period == week(period.label, zone)
    assert [day.date for day in period.days if day.start <= at < day.end] == [day_of(at, zone)]
    assert all(one.end == two.start for one, two in zip(period.days, period.days[1:], strict=False))


@given(moments, zones)
def test_weeks_follow_each_other_without_a_hole(at: int, zone: ZoneInfo):
    period = week_of(at, zone)
    assert before(period, zone).end == period.start
