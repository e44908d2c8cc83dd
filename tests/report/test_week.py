"""The facts of a note: whole weeks, nothing from before sharing began, and no hard week that undoes the others."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.report import daily
from blockerd.report.compose import note
from blockerd.report.mail_text import text
from blockerd.report.period import run_of, week
from blockerd.report.signs import State
from blockerd.report.texts import load
from blockerd.report.week import TREND, Cover, Day, Marks, gather
from blockerd.settings import Role
from tests.report.quarter import letter

ZONE = ZoneInfo("Europe/Berlin")
START = date(2026, 8, 3)  # a Monday


def day(number: int, requests: int = 0, minutes: int | None = None, monitored: int = 300) -> Day:
    at = START + timedelta(days=number)
    kinds = (("adult", requests),) if requests else ()
    return Day(at, Cover(monitored=monitored, off=1440 - monitored), kinds, min(requests, 1), episode_minutes=minutes)


def by_date(*days: Day) -> dict[date, Day]:
    return {one.date: one for one in days}


def test_minutes_of_states_sum_and_say_how_long_the_computer_was_on():
    cover = Cover(60, 10, 20, 5, 3, 2) + Cover(monitored=1)
    assert (cover.total, cover.powered_on, cover.monitored) == (101, 66, 61)
    assert Marks(pauses=1, kept=2) + Marks(pauses=2) == Marks(pauses=3, kept=2)


def test_a_week_is_summed_by_category_most_frequent_first():
    first = Day(START, Cover(), (("cam", 2), ("adult", 1)))
    second = Day(START + timedelta(days=1), Cover(), (("adult", 5),), episodes=2)
    facts = gather(run_of(START, 7, ZONE), by_date(first, second))
    assert facts.categories() == (("adult", 6), ("cam", 2))
    assert (facts.requests, facts.episodes, facts.absent) == (8, 2, 5)


def test_the_trend_is_whole_weeks_that_end_with_the_period():
    days = by_date(*(day(n, 1) for n in range(7 * 10 + 3)))
    facts = gather(run_of(START + timedelta(days=66), 7, ZONE), days)
    assert len(facts.trend) == TREND
    assert {(span.days, span.requests) for span in facts.trend} == {(7, 7)}
    assert facts.trend[-1].first == facts.first
    assert gather(run_of(START, 7, ZONE), days).trend[0].first == START


def test_nothing_from_before_sharing_began_is_looked_at():
    days = by_date(*(day(n, 9) for n in range(40)))
    since = START + timedelta(days=28)
    facts = gather(run_of(START + timedelta(days=33), 7, ZONE), days, since)
    assert facts.since == since
    assert [span.first for span in facts.trend] == [START + timedelta(days=33)]
    assert facts.base is None
    early = gather(run_of(START + timedelta(days=24), 7, ZONE), days, since)
    assert [one.date for one in early.days] == [since + timedelta(days=n) for n in range(3)]


def test_the_first_week_is_the_measure_once_it_is_over():
    days = by_date(*(day(n, 10 if n < 7 else 2) for n in range(21)))
    assert gather(run_of(START, 7, ZONE), days).base is None
    base = gather(run_of(START + timedelta(days=7), 7, ZONE), days).base
    assert base is not None
    assert (base.first, base.requests) == (START, 70)


def test_a_hard_week_takes_nothing_from_the_hours_regained():
    weeks = [70, 20, 200, 30]
    days = by_date(
        *(day(n, 1, weeks[n // 7] // 7 if n % 7 else weeks[n // 7] - 6 * (weeks[n // 7] // 7)) for n in range(28))
    )
    found = [gather(run_of(START + timedelta(days=7 * n), 7, ZONE), days).regained for n in range(4)]
    assert found == [None, 50, 50, 90]


def test_days_without_a_request_are_counted_and_never_start_again():
    days = by_date(day(0), day(1, 3), day(2), day(3, monitored=0), day(4))
    assert gather(run_of(START, 7, ZONE), days).free_days == 3
    worse = days | by_date(day(5, 50))
    assert gather(run_of(START, 7, ZONE), worse).free_days == 3


def test_missed_periods_are_told_together():
    days = by_date(*(day(n, 1) for n in range(28)))
    missed = tuple(week(f"2026-W{n}", ZONE) for n in (32, 33))
    found = gather(week("2026-W34", ZONE), days, None, missed).missed
    assert found is not None
    assert (found.periods, found.span.first, found.last, found.span.requests) == (2, START, date(2026, 8, 16), 14)


def test_without_any_day_there_is_still_a_note():
    facts = gather(run_of(START, 7, ZONE), {})
    assert (facts.days, facts.absent, facts.trend, facts.base, facts.requests) == ((), 7, (), None, 0)


@given(st.dictionaries(st.integers(0, 100), st.integers(0, 20), max_size=60), st.integers(0, 90), st.integers(0, 100))
def test_what_is_told_lies_in_the_period_and_after_sharing_began(counts: dict[int, int], first: int, began: int):
    days = by_date(*(day(n, count, 3 * count) for n, count in counts.items()))
    since = START + timedelta(days=began)
    period = run_of(START + timedelta(days=first), 7, ZONE)
    facts = gather(period, days, since)
    assert all(since <= one.date <= facts.last for one in facts.days)
    assert facts.requests == sum(n for at, n in counts.items() if max(first, began) <= at < first + 7)
    assert all(since <= span.first for span in facts.trend)
    assert facts.regained is None or facts.regained >= 0


@pytest.mark.parametrize("role", Role)
def test_a_note_is_made_of_the_daily_payloads_of_its_role_and_nothing_else(role: Role):
    coverage = {State.MONITORED: 300, State.UNMONITORED: 20, State.OFF: 1120}
    days = [daily.DayFacts(START + timedelta(days=n), coverage, marks=Marks(pauses=1, paused=5)) for n in range(21)]
    told = by_date(*(daily.told(daily.payload(one, role, ZONE)) for one in days))
    facts = gather(run_of(START + timedelta(days=14), 7, ZONE), told)
    shown = text(note(facts, letter(role), load()))
    assert "Monitored 35.0 of 37.3 powered-on hours; gaps: Mon 20 min," in " ".join(shown.split())
    assert "7 pauses, 35 min in all." in shown
    assert "No requests for listed sites were seen" in shown
