"""The note: where it begins, what it never says, and how it reads."""

import re
from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from blockerd.model import Kind
from blockerd.report.period import week
from blockerd.report.render import HELP, text
from blockerd.report.summarise import Facts, ListState, PeriodSummary, Stretch, Tally, summarise

ZONE = ZoneInfo("Europe/Berlin")
WEEK = week("2026-W47", ZONE)
HOUR = 3_600_000_000

NEVER = re.compile(
    r"\b(clean|dirty|relapse\w*|addict\w*|failed|violation\w*|suspect\w*|caught|offender\w*|cured|proof|tamper)\b", re.I
)


def summary(now: int = WEEK.end, tallies: tuple[Tally, ...] = (), hours: int = 0, lost: int = 0) -> PeriodSummary:
    stretches = (Stretch("dns", WEEK.start, WEEK.start + hours * HOUR),) if hours else ()
    first, last = (stretches[0].first, stretches[0].last) if stretches else (None, None)
    return summarise(WEEK, tallies, Facts(stretches, first, last, lost), now)


FULL = summary(
    tallies=(
        Tally(0, "adult", Kind.ATTEMPT, 12, 30),
        Tally(5, "cam", Kind.ATTEMPT, 1, 1),
        Tally(5, "bypass", Kind.BYPASS, 2, 2),
    ),
    hours=100,
    lost=1,
)
ALL = [summary(), summary(now=WEEK.start + 30 * HOUR, hours=20), summary(hours=168), FULL]


def test_a_week_reads_like_this():
    assert text(FULL, ZONE) == (
        "Coverage: blockerd was running in part of this week; about the rest nothing is known.\n"
        "\n"
        f"{HELP}\n"
        "\n"
        "Week 2026-W47, Mon 16 Nov to Sun 22 Nov 2026\n"
        "\n"
        "blockerd was running for 100.0 of 168.0 hours. The other 68.0 are unknown: off, asleep or not filtered.\n"
        "The record reaches from Mon 16 Nov 2026 00:00 to Fri 20 Nov 2026 04:00.\n"
        "1 request could not be recorded.\n"
        "\n"
        "Requests made on this computer for listed sites (repeats within a minute count once):\n"
        "\n"
        "                Mon   Tue   Wed   Thu  Fri  Sat  Sun   week\n"
        "adult            12     –     –     –    –    –    –     12\n"
        "cam               –     –     –     –    –    1    –      1\n"
        "together         12     –     –     –    –    1    –     13\n"
        "hours running  24.0  24.0  24.0  24.0  4.0  0.0  0.0  100.0\n"
        "\n"
        "Beside these, 2 requests for ways round the filter.\n"
        "\n"
        "These are requests, not visits: pages also load by themselves. A number to talk about, not a verdict.\n"
    )


@pytest.mark.parametrize("one", ALL)
def test_coverage_is_the_first_line_and_help_stands_before_any_figure(one: PeriodSummary):
    lines = text(one, ZONE)
    first, help_line, rest = lines.partition(HELP)
    assert first.startswith("Coverage: ")
    assert not re.search(r"\d", first)
    assert help_line
    assert re.search(r"\d", rest)


@pytest.mark.parametrize("one", ALL)
def test_no_word_judges_and_no_line_is_long(one: PeriodSummary):
    lines = text(one, ZONE)
    assert NEVER.findall(lines) == []
    assert max(map(len, lines.splitlines())) <= 110


def test_without_a_record_it_says_so():
    lines = text(summary(), ZONE)
    assert lines.startswith("Coverage: nothing is known about this week; blockerd left no sign of running.")
    assert "There is no record yet." in lines
    assert "No requests for listed sites were recorded." in lines


def test_a_week_that_is_not_over_is_told_so_far():
    lines = text(summary(now=WEEK.start + 30 * HOUR, hours=30), ZONE)
    assert lines.startswith("Coverage: blockerd was running in all of this week so far.")
    assert "2026, so far\n" in lines
    assert "for 30.0 of 30.0 hours.\n" in lines


def test_categories_that_were_not_kept_are_one_line():
    lines = text(summary(tallies=(Tally(0, "", Kind.ATTEMPT, 3, 3),), hours=1), UTC)
    assert re.search(r"^all kinds +3 ", lines, re.M)


def test_fetched_lists_are_told_by_category_with_their_age_and_what_is_held_back():
    lists = [ListState("adult", 3.9, False), ListState("chat", 12.2, True), ListState("cam", None, False)]
    told = text(summary(), UTC, lists)
    assert "Fetched lists: 3; the oldest copy is 12 days old." in told
    assert "Not fetched yet, so not in force: cam." in told
    assert "Held back or out of reach: chat." in told
    assert "Fetched lists" not in text(summary(), UTC)
