"""Estimates, budgets, sessions, notices, titles and the export: what is said, and what is not claimed."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.policy.schedule import parse_window
from blockerd.screentime.budgets import (
    HOUR,
    MINUTE,
    Left,
    Week,
    against,
    busiest,
    late,
    mark_text,
    sessions,
    standings,
)
from blockerd.screentime.export import export
from blockerd.screentime.facts import day_minutes
from blockerd.screentime.heartbeat import SECOND, Beat
from blockerd.screentime.intake import Refused
from blockerd.screentime.notice import FRESH, QUIET, TEXT, Notice, Notices, Sort, detail, notice_in
from blockerd.screentime.sites import LINGER, Estimate, Method, estimates
from blockerd.screentime.titles import Rules, kept
from blockerd.screentime.track import Record, Stream, Window
from blockerd.screentime.usage import Known, Usage
from blockerd.settings import Budget, Per

BERLIN = ZoneInfo("Europe/Berlin")
NOON = 1_795_345_200 * SECOND  # 2026-11-22T12:00 in Berlin


def _at(minutes: float) -> int:
    return NOON + round(minutes * MINUTE)


def _span(start: float, end: float, data: str = "adult") -> Beat[str]:
    return Beat(_at(start), _at(end), data)


def _nothing(start: float, end: float) -> Beat[None]:
    return Beat(_at(start), _at(end), None)


def test_a_moment_counts_for_the_best_witness_only():
    questions, flows = [_span(0, 9)], [_span(2, 4)]
    rows = estimates(questions, flows, [_nothing(0, 6)], [_nothing(0, 8)])
    assert rows == [
        Estimate("adult", Method.PROXY, 3 * MINUTE),
        Estimate("adult", Method.BROWSER, 3 * MINUTE),
        Estimate("adult", Method.DNS, 2 * MINUTE),  # after minute 8, where nothing was measured
    ]
    assert [row.certain for row in rows] == [True, True, False]


def test_questions_while_no_browser_was_in_front_count_nothing():
    assert estimates([_span(0, 5)], [], [], [_nothing(-5, 60)]) == []


def test_pages_fetched_while_no_browser_was_in_front_count_nothing():
    assert estimates([], [_span(0, 5)], [], [_nothing(-5, 60)]) == []


def test_pages_fetched_where_nothing_was_measured_count_as_the_proxy_saw_them():
    assert estimates([], [_span(0, 5)], [], []) == [Estimate("adult", Method.PROXY, 6 * MINUTE)]


def test_a_single_question_stands_for_a_minute():
    assert estimates([_span(0, 0, "cam")], [], [_nothing(-9, 9)], []) == [Estimate("cam", Method.BROWSER, LINGER)]


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9), st.sampled_from(["adult", "cam"])), max_size=8),
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9), st.sampled_from(["adult", "cam"])), max_size=4),
)
def test_no_category_has_more_time_than_there_was(
    asked: list[tuple[int, int, str]], flowed: list[tuple[int, int, str]]
):
    questions = [_span(start, start + length, name) for start, length, name in asked]
    flows = [_span(start, start + length, name) for start, length, name in flowed]
    rows = estimates(questions, flows, [_nothing(10, 30)], [_nothing(5, 40)])
    for name in ("adult", "cam"):
        assert 0 <= sum(row.length for row in rows if row.category == name) <= 61 * MINUTE
    assert all(row.length > 0 for row in rows)


@pytest.mark.parametrize(
    ("used", "state"),
    [(0, Left.FINE), (49, Left.FINE), (50, Left.NEAR), (59, Left.NEAR), (60, Left.OVER), (90, Left.OVER)],
)
def test_a_budget_warns_before_its_end(used: int, state: Left):
    (standing,) = standings([Budget(of="firefox", minutes=60, warn=10)], {"firefox": used * MINUTE}, {})
    assert standing.state == state
    assert standing.left == (60 - used) * MINUTE


def test_a_short_budget_does_not_warn_before_its_half():
    found = [standings([Budget(of="a", minutes=5)], {"a": used * MINUTE}, {})[0].state for used in (0, 2, 3, 5)]
    assert found == [Left.FINE, Left.FINE, Left.NEAR, Left.OVER]


def test_a_weekly_budget_looks_at_the_week():
    (standing,) = standings([Budget(of="all", minutes=60, per=Per.WEEK)], {"all": HOUR}, {"all": MINUTE})
    assert standing.used == MINUTE


def test_late_hours_are_the_users_own_and_go_over_midnight():
    night = datetime(2026, 11, 22, 21, 30, tzinfo=UTC)  # 22:30 in Berlin
    start = round(night.timestamp()) * SECOND
    active = [Beat(start, start + 2 * HOUR, "a"), Beat(start + 10 * HOUR, start + 11 * HOUR, "a")]
    assert late(active, [parse_window("23:00-05:00")], BERLIN) == 3 * HOUR // 2
    assert late(active, [], BERLIN) == 0
    assert late(active, [parse_window("22:50-22:53"), parse_window("00:29-00:40")], BERLIN) == 4 * MINUTE


def test_a_day_without_a_record_is_unknown_in_its_summary_and_one_that_was_away_is_none():
    window = [parse_window("13:00-14:00")]
    use = Usage([_span(0, 90, "a")], [_nothing(90, 100)])
    assert day_minutes(use, _at(-60), _at(600), window, BERLIN) == (90, 30)
    assert day_minutes(use, _at(90), _at(600), window, BERLIN) == (0, 0)
    assert day_minutes(use, _at(100), _at(600), window, BERLIN) is None


def test_a_short_pause_does_not_end_a_session_and_short_ones_are_not_named():
    active = [_span(0, 50, "a"), _span(54, 120, "b"), _span(126, 130, "a")]
    assert sessions(active, 2 * HOUR) == [Beat(_at(0), _at(120), None)]


@pytest.mark.parametrize(
    ("used", "known", "regained"), [(2, 100, 3), (9, 100, -4), (2, 70, 3), (2, 60, None), (2, 0, None)]
)
def test_hours_are_regained_only_beside_a_week_that_is_known_as_well(used: int, known: int, regained: int | None):
    got = against(Week("now", used * HOUR, known * HOUR), Week("then", 5 * HOUR, 100 * HOUR)).regained
    assert got == (None if regained is None else regained * HOUR)


@pytest.mark.parametrize(("hours", "place"), [(3, "below both"), (11.5, "between"), (20, "above both")])
def test_the_marks_are_a_number_to_talk_about(hours: float, place: str):
    text = mark_text(round(hours * HOUR))
    assert place in text
    assert "a number to talk about, not a diagnosis" in text


def test_hours_of_the_day_are_those_of_the_zone():
    assert busiest([_span(0, 90, "a")], BERLIN)[12:14] == [HOUR, HOUR // 2]


def test_a_site_has_one_notice_a_minute_and_another_site_its_own():
    notices = Notices(100)
    told = [notices.offer(at, at, site, "adult") for at, site in ((0, "a"), (1, "a"), (2, "b"), (QUIET, "a"))]
    assert [notice and notice.number for notice in told] == [100, None, 101, 102]
    assert [notice.number for notice in notices.after(100, 1000)] == [101, 102]
    assert notices.offer(QUIET, QUIET + FRESH + 1, "c", "adult") is None


def test_a_budget_is_told_once_in_its_day_to_its_user_alone():
    notices = Notices(1)
    told = [
        notices.warn(uid, at, "firefox a day", day, sort, "firefox: 50 of 60 minutes of this day")
        for uid, at, day, sort in (
            (1000, 1, "mon", Sort.NEAR), (1000, 2, "mon", Sort.OVER), (1001, 3, "mon", Sort.OVER),
            (1000, 4, "tue", Sort.NEAR),
        )
    ]  # fmt: skip
    assert [notice and notice.number for notice in told] == [1, None, 2, 3]
    assert [notice.number for notice in notices.after(0, 1000)] == [1, 3]
    assert [notice.number for notice in notices.after(0, 1001)] == [2]


def test_a_notice_says_nothing_but_that_and_its_details_mask_the_site():
    notice = Notice(1, 2, "blocked.example", "demo")
    assert notice.text == TEXT == "A page was not opened."
    assert detail(notice) == "blocked.example (demo). More: blockerd log"
    assert detail(Notice(1, 2, "listed.test", "adult")) == "l…d.test (adult). More: blockerd log"
    assert detail(Notice(1, 2, "", "adult")) == "adult. More: blockerd log"
    assert notice_in(notice.as_dict()) == notice


def test_a_warning_says_how_the_budget_stands_only_on_a_click():
    notice = Notice(1, 2, "firefox a day", "2026-11-22", Sort.NEAR, "firefox: 50 of 60 minutes of this day")
    assert notice.text == "A time budget of yours is nearly used up."
    assert detail(notice) == "firefox: 50 of 60 minutes of this day. More: blockerd time"
    assert notice_in(notice.as_dict()) == notice


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"number": "1"},
        {"number": 1, "at": 2, "site": 3, "category": ""},
        {**Notice(1, 2, "", "").as_dict(), "sort": "loud"},
    ],
)
def test_what_is_no_notice_is_refused(bad: dict[str, Any]):
    with pytest.raises(Refused):
        notice_in(bad)


@pytest.mark.parametrize(
    ("window", "rules", "expected"),
    [
        (Window("Editor", "a letter"), Rules(), ""),
        (Window("editor", "a\nletter\x00"), Rules(on=True), "a letter"),
        (Window("firefox", "a page"), Rules(on=True), ""),
        (Window("viewer", "Notes (Private Browsing)"), Rules(on=True), ""),
        (Window("mail", "to Robin"), Rules(on=True, hide=["mai?"]), ""),
        (Window("mail", "x" * 999), Rules(on=True), "x" * 256),
    ],
    ids=["off", "on", "browser", "private", "own rule", "long"],
)
def test_titles_pass_the_rules_before_they_are_written(window: Window, rules: Rules, expected: str):
    assert kept(window, rules).title == expected


def test_the_export_is_a_dict_of_buckets_with_seconds_and_offsets():
    app = Record(Stream.APP, NOON + 250_000, NOON + 90 * SECOND, "editor", "a letter", 0, "b")
    afk = Record(Stream.AFK, NOON, NOON + 60 * SECOND, "not-afk", "", 0, "b")
    got = export([Known(1, app), Known(1, afk)], "host", {1: "robin"})["buckets"]
    assert list(got) == ["blockerd-afk_host_robin", "blockerd-window_host_robin"]
    assert got["blockerd-window_host_robin"] == {
        "id": "blockerd-window_host_robin",
        "type": "currentwindow",
        "client": "blockerd-window",
        "hostname": "host",
        "created": "2026-11-22T11:00:00.250000+00:00",
        "events": [
            {
                "timestamp": "2026-11-22T11:00:00.250000+00:00",
                "duration": 89.75,
                "data": {"app": "editor", "title": "a letter"},
            }
        ],
    }
    assert got["blockerd-afk_host_robin"]["events"][0]["data"] == {"status": "not-afk"}
