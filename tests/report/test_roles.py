"""Each role is told what the table says and nothing else."""

from dataclasses import fields, replace
from datetime import date

import pytest

from blockerd.report.roles import SEES, cut
from blockerd.report.week import Day
from blockerd.settings import Role
from tests.report.hostile import MARK, facts
from tests.report.quarter import facts as ordinary

FULL = ordinary()
OPTIONAL = ("background", "bands", "hours", "sites", "screen", "late", "episode_minutes", "signs")


def told(role: Role, *, yardsticks: bool = True) -> set[str]:
    """The optional parts of a day that are left for `role`."""
    days = cut(FULL, role, yardsticks=yardsticks).days
    return {name for name in OPTIONAL if any(getattr(day, name) not in ((), None) for day in days)}


def test_every_part_of_a_day_is_either_for_all_or_in_the_table():
    for_all = {"date", "cover", "requests", "episodes", "marks"}
    assert {field.name for field in fields(Day)} == for_all | set(OPTIONAL), "decide who is told of it"
    assert set(SEES) == set(Role)


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        (Role.SPOUSE, set()),
        (Role.MENTOR, {"background", "bands"}),
        (Role.THERAPIST, set(OPTIONAL) - {"hours", "sites"}),
        (Role.SELF, set(OPTIONAL)),
    ],
)
def test_a_role_is_told_this(role: Role, expected: set[str]):
    assert told(role) == expected


@pytest.mark.parametrize("role", Role)
def test_yardsticks_are_for_those_who_asked_and_only_self_and_therapist(role: Role):
    assert "signs" not in told(role, yardsticks=False)
    assert ("signs" in told(role)) is (role in (Role.SELF, Role.THERAPIST))


def test_a_spouse_is_told_no_category_and_the_same_sum():
    shown = cut(FULL, Role.SPOUSE)
    assert {kind for kind, _ in shown.categories()} == {""}
    assert shown.requests == FULL.requests
    assert [day.total for day in shown.days] == [day.total for day in FULL.days]


@pytest.mark.parametrize("role", [Role.SPOUSE, Role.MENTOR])
def test_minutes_in_episodes_are_not_told_by_way_of_the_trend(role: Role):
    shown = cut(FULL, role)
    assert {span.episode_minutes for span in (*shown.trend, shown.base) if span} == {None}
    assert FULL.regained
    assert shown.regained is None


def test_the_own_note_hides_the_middle_of_each_name():
    sites = {site for day in cut(FULL, Role.SELF).days for site, _ in day.sites}
    assert sites
    assert all("…" in site for site in sites)


@pytest.mark.parametrize("role", Role)
def test_a_category_from_outside_becomes_other(role: Role):
    shown = cut(facts(f"<b>{MARK}"), role)
    assert {kind for kind, _ in shown.categories()} <= {"", "adult", "other"}
    assert MARK not in repr(replace(shown, label=""))


def test_cutting_twice_is_cutting_once():
    for role in Role:
        once = cut(FULL, role)
        assert cut(once, role).days == once.days or role is Role.SELF


def test_a_day_of_a_role_that_had_nothing_stays_empty():
    quiet = replace(FULL, days=(Day(date(2026, 11, 16), FULL.cover),))
    assert cut(quiet, Role.SPOUSE).days[0].requests == ()
