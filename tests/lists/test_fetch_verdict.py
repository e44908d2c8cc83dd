"""What is taken, held and refused, and when a list is due: tables, no input or output."""

import pytest

from blockerd.lists.canary import EVERYWHERE, NOT_ADULT, canaries
from blockerd.lists.verdict import DAY, HOUR, Facts, Held, Outcome, due, judge, wait
from blockerd.model import CATEGORIES
from blockerd.policy.name import from_text

NOW = 1_800_000_000.0
TAKE, HOLD, REFUSE = Outcome.TAKE, Outcome.HOLD, Outcome.REFUSE


def _facts(names: int, sha256: str = "new") -> Facts:
    return Facts(names, sha256)


@pytest.mark.parametrize(
    ("old", "new", "outcome"),
    [
        (None, 1, TAKE),
        (None, 5_000_000, TAKE),
        (1000, 1000, TAKE),
        (1000, 900, TAKE),
        (1000, 700, TAKE),
        (1000, 699, HOLD),
        (1000, 1, HOLD),
        (1000, 3000, TAKE),
        (1000, 3001, HOLD),
        (1000, 0, REFUSE),
        (None, 0, REFUSE),
    ],
)
def test_the_number_of_names_decides(old: int | None, new: int, outcome: Outcome):
    verdict = judge(old, _facts(new), None, NOW)
    assert verdict.outcome is outcome
    assert bool(verdict.reason) is (outcome is not TAKE)
    assert (verdict.held is not None) is (outcome is HOLD)


HELD = Held("held", 500, NOW, "odd")


@pytest.mark.parametrize(
    ("new", "later", "outcome", "first_seen"),
    [
        (_facts(500, "held"), DAY, TAKE, None),
        (_facts(500, "held"), DAY - 1, HOLD, NOW),
        (_facts(550), DAY, TAKE, None),
        (_facts(450), DAY, TAKE, None),
        (_facts(551), DAY, HOLD, NOW + DAY),
        (_facts(449), 3 * DAY, HOLD, NOW + 3 * DAY),
        (_facts(500), -5 * DAY, HOLD, NOW - 5 * DAY),
        (_facts(990), HOUR, TAKE, None),
    ],
    ids=[
        "same-digest", "too-early", "10%-more", "10%-fewer", "another-more", "another-fewer", "clock-set-back", "well",
    ],
)  # fmt: skip
def test_a_day_later_the_same_again_is_taken(new: Facts, later: float, outcome: Outcome, first_seen: float | None):
    verdict = judge(1000, new, HELD, NOW + later)
    assert verdict.outcome is outcome
    assert (verdict.held.first_seen if verdict.held else None) == first_seen


@pytest.mark.parametrize(
    "new",
    [
        Facts(0, "held", refused="HTML, not a list"),
        Facts(0, "held", refused="empty"),
        Facts(500, "held", canary="google.com"),
        Facts(1000, "held", canary="google.com"),
        Facts(0, "held"),
    ],
    ids=["html", "empty", "poisoned", "poisoned-of-usual-size", "no-names"],
)
def test_nothing_confirms_what_is_no_list_or_poisoned(new: Facts):
    verdict = judge(1000, new, HELD, NOW + 30 * DAY)
    assert verdict.outcome is REFUSE
    assert verdict.held == HELD, "what waits for its confirmation goes on waiting"


@pytest.mark.parametrize(("declared", "outcome"), [(None, TAKE), (1000, TAKE), (1428, TAKE), (1429, HOLD)])
def test_a_list_that_holds_far_less_than_it_says_is_held(declared: int | None, outcome: Outcome):
    assert judge(None, Facts(1000, "new", declared=declared), None, NOW).outcome is outcome


@pytest.mark.parametrize(
    ("tried", "failures", "refresh", "at", "expected"),
    [
        (0, 0, 24, NOW, True),
        (NOW, 0, 24, NOW, False),
        (NOW, 0, 24, NOW + 24 * HOUR - 1, False),
        (NOW, 0, 24, NOW + 24 * HOUR, True),
        (NOW, 1, 24, NOW + HOUR - 1, False),
        (NOW, 1, 24, NOW + HOUR, True),
        (NOW, 3, 24, NOW + 4 * HOUR - 1, False),
        (NOW, 3, 24, NOW + 4 * HOUR, True),
        (NOW, 5000, 24, NOW + 24 * HOUR, True),
        (NOW, 0, 1, NOW + HOUR - 1, False),
        (NOW, 0, 1, NOW + HOUR, True),
        (NOW, 0, 24, NOW - 1, True),
    ],
)
def test_when_a_list_is_due(tried: float, failures: int, refresh: int, at: float, expected: bool):
    assert due({"tried_at": tried, "failures": failures}, at, refresh) is expected


@pytest.mark.parametrize("refresh", [1, 6, 24, 168])
def test_a_dead_source_is_never_tried_over_24_times_a_day(refresh: int):
    at, failures, tries = NOW, 0, 0
    while at < NOW + 30 * DAY:
        failures, tries = failures + 1, tries + 1
        assert wait(failures, refresh) >= HOUR
        at += wait(failures, refresh)
    assert tries <= 40, "and far fewer in a month, as it backs off"


def test_a_list_never_seen_is_due():
    assert due({}, NOW, 24)


def test_every_canary_is_a_name_and_only_some_categories_are_spared():
    assert len(canaries("adult")) == len(EVERYWHERE) + len(NOT_ADULT) >= 30
    assert all(canaries(category) >= {from_text(name) for name in EVERYWHERE} for category in CATEGORIES)
    assert from_text("bing.com") not in canaries("no-safe-search")
