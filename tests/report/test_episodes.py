"""Requests become episodes, episodes risk hours, and risk hours a schedule that never opens anything."""

import tomllib
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.policy.schedule import minutes
from blockerd.report.episodes import (
    GAP_US,
    MOST_HOURS,
    WEEK_HOURS,
    Before,
    Episode,
    Risk,
    Sighting,
    TooLittle,
    episodes,
    propose,
    risk,
    risk_hours,
)  # fmt: skip
from blockerd.report.requests import Confidence, Reading, Sort
from blockerd.settings import load
from tests.report.test_requests import attempt

ZONE = ZoneInfo("Europe/Berlin")
MINUTE = 60_000_000
HOUR = 60 * MINUTE
WEEK = WEEK_HOURS * HOUR
T = 1_795_000_000_000_000
MONDAY = int(datetime(2026, 6, 1, tzinfo=ZONE).timestamp()) * 1_000_000


def reading(
    at_minutes: float, sort: Sort = Sort.REQUEST, confidence: Confidence = Confidence.LOW, category: str = "adult"
):
    return Reading(attempt(60 * at_minutes, category=category), sort, confidence, ("why",))


def episode(week: int, weekday: int, hour: int) -> Episode:
    start = MONDAY + week * WEEK + weekday * 24 * HOUR + hour * HOUR + 600
    return Episode(start, start + 5 * MINUTE, weekday, hour, (("adult", 2),), 0, ())


EVENINGS = [episode(week, weekday, 22) for week in range(6) for weekday in (4, 5)]


def test_less_than_half_an_hour_apart_is_one_episode():
    found = episodes([reading(at) for at in (0, 20, 45, 76, 200)], UTC)
    assert [(one.requests, one.minutes) for one in found] == [(3, 45), (1, 1), (1, 1)]


def test_the_gap_is_a_parameter():
    assert len(episodes([reading(at) for at in (0, 20, 45)], UTC, 10 * MINUTE)) == 3


def test_background_embeds_and_prefetch_make_no_episode():
    others = [reading(n, sort) for n, sort in enumerate(Sort) if sort != Sort.REQUEST]
    assert episodes(others, UTC) == []
    assert [one.requests for one in episodes([*others, reading(9)], UTC)] == [1]


def test_an_episode_has_the_hour_on_the_wall_and_its_kinds():
    found = episodes([reading(0), reading(5, category="cam", confidence=Confidence.MEDIUM), reading(6)], ZONE)[0]
    local = datetime.fromtimestamp(T / 1e6, ZONE)
    assert (found.weekday, found.hour) == (local.weekday(), local.hour)
    assert (found.categories, found.sure) == ((("adult", 2), ("cam", 1)), 1)


def test_what_came_before_is_named_where_it_is_known():
    start = T
    sightings = [
        Sighting(Before.LONG_SESSION, start - 3 * HOUR, start + HOUR),
        Sighting(Before.BYPASS, start - 10 * MINUTE, start - 10 * MINUTE),
        Sighting(Before.PAUSE, start - 5 * HOUR, start - 2 * HOUR),
        Sighting(Before.PAUSE, start + MINUTE, start + HOUR),
    ]
    hour = datetime.fromtimestamp(start / 1e6, UTC).hour
    assert episodes([reading(0)], UTC, sightings=sightings)[0].before == (Before.LONG_SESSION, Before.BYPASS)
    assert Before.LATE_NIGHT in episodes([reading(0)], UTC, sightings=sightings, late={hour})[0].before
    assert episodes([reading(0)], UTC, late={hour})[0].before == ()


@given(st.lists(st.tuples(st.integers(0, 20_000), st.sampled_from(Sort)), max_size=40), st.integers(1, 3 * 60))
def test_each_request_is_in_one_episode_and_gaps_part_them(given_: list[tuple[int, Sort]], gap: int):
    found = episodes([reading(at, sort) for at, sort in given_], UTC, gap * MINUTE)
    assert sum(one.requests for one in found) == sum(sort == Sort.REQUEST for _, sort in given_)
    for one, other in pairwise(found):
        assert other.start - one.end >= gap * MINUTE
    assert GAP_US == 30 * MINUTE


@pytest.mark.parametrize(("count", "weeks"), [(12, 3), (7, 6), (0, 20)])
def test_from_too_little_no_pattern_is_made(count: int, weeks: int):
    found = risk(EVENINGS[:count], MONDAY, MONDAY + weeks * WEEK, ZONE)
    assert isinstance(found, TooLittle)
    assert "Not enough yet" in found.words()


def test_evenings_show_as_risk_hours():
    found = risk(EVENINGS, MONDAY, MONDAY + 6 * WEEK, ZONE)
    assert isinstance(found, Risk)
    assert {hour for hour in range(WEEK_HOURS) if found.rates[hour] == max(found.rates)} == {4 * 24 + 22, 5 * 24 + 22}
    assert risk_hours(found) == (117, 118, 119, 141, 142, 143)


def test_a_few_evenings_make_no_pattern():
    spread = [episode(week, week % 7, 3 * week + 1) for week in range(7)]
    hard = [episode(2, 3, hour) for hour in (20, 21, 22, 23)]
    found = risk([*spread, *hard], MONDAY, MONDAY + 8 * WEEK, ZONE)
    assert isinstance(found, Risk)
    assert risk_hours(found) == ()


def test_the_same_hour_on_changing_days_is_a_pattern():
    found = risk([episode(n // 3, (2 * n) % 7, 23) for n in range(18)], MONDAY, MONDAY + 6 * WEEK, ZONE)
    assert isinstance(found, Risk)
    assert {hour % 24 for hour in risk_hours(found)} <= {22, 23, 0}
    assert len({hour // 24 for hour in risk_hours(found) if hour % 24 == 23}) >= 5


def settings_of(tmp_path: Path, toml: str, categories: str = '"adult", "chat"'):
    path = tmp_path / "blockerd.toml"
    path.write_text(f"[lists]\ncategories = [{categories}]\n{toml}", encoding="utf-8")
    return load(path, {}, tmp_path)


def test_the_proposal_is_what_the_settings_take(tmp_path: Path):
    found = risk(EVENINGS, MONDAY, MONDAY + 6 * WEEK, ZONE)
    assert isinstance(found, Risk)
    made = propose(found, ("chat",), always=("adult",))
    assert made.windows == ((("fri", "sat"), "21:00-24:00"),)
    entry = settings_of(tmp_path, made.toml).schedule[0]
    assert (entry.category, entry.days, entry.windows) == ("chat", ("fri", "sat"), ("21:00-24:00",))
    assert "Fri, Sat 21:00-24:00" in made.words


def test_what_always_blocks_is_never_given_a_schedule():
    found = risk(EVENINGS, MONDAY, MONDAY + 6 * WEEK, ZONE)
    assert isinstance(found, Risk)
    made = propose(found, ("adult", "cam"), always=("adult", "cam"))
    assert (made.toml, made.categories) == ("", ())
    assert "blocked at all times" in made.words


def test_no_pattern_no_schedule():
    flat = Risk((1.0,) * WEEK_HOURS, (9.0,) * WEEK_HOURS, 40, 10)
    assert propose(flat, ("chat",), ()).toml == ""


@given(st.sets(st.integers(0, WEEK_HOURS - 1), min_size=1, max_size=40))
def test_windows_cover_the_risk_hours_and_no_others(hours: set[int]):
    rates = tuple(9.0 if hour in hours else 0.5 for hour in range(WEEK_HOURS))
    found = Risk(rates, (9.0,) * WEEK_HOURS, 20, 8)
    chosen = set(risk_hours(found))
    assert len(chosen) <= MOST_HOURS
    assert chosen <= hours
    made = propose(found, ("chat",), ())
    tables = tomllib.loads(made.toml)["schedule"]
    week = minutes([(one["category"], one["days"], one["windows"]) for one in tables], "chat")
    assert {minute // 60 for minute in range(len(week)) if week[minute]} == chosen
    assert sum(week) == 60 * len(chosen)
