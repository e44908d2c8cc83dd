"""The invented weeks: reserved names, always the same, and shaped like weeks."""

from collections import Counter
from zoneinfo import ZoneInfo

from blockerd.model import CATEGORIES, TEST_NAME
from blockerd.report.period import week
from blockerd.report.synthetic import Sign, Visit, moments

WEEKS = [week(f"2026-W{n}", ZoneInfo("Europe/Berlin")) for n in range(43, 47)]
STORY = moments(WEEKS, 20)
VISITS = [moment for moment in STORY if isinstance(moment, Visit)]


def test_the_same_seed_tells_the_same_story_and_another_one_another():
    assert moments(WEEKS, 20) == STORY
    assert moments(WEEKS, 21) != STORY


def test_it_names_reserved_sites_and_known_categories_only():
    assert all(visit.site.endswith(".test") or visit.site == TEST_NAME for visit in VISITS)
    assert {visit.category for visit in VISITS} <= set(CATEGORIES)


def test_it_stays_in_its_weeks_in_order_of_time():
    times = [moment.at for moment in STORY]
    assert times == sorted(times)
    assert WEEKS[0].start <= times[0] <= times[-1] < WEEKS[-1].end


def test_each_day_has_a_start_and_a_stop_and_visits_in_between():
    states = Counter(moment.state for moment in STORY if isinstance(moment, Sign))
    assert (states["start"], states["stop"]) == (28, 28)
    assert states["alive"] > 28 * 200
    assert len(VISITS) > 40
