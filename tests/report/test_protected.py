"""Protected times by the clock on the wall: each told once, with the day on which it ends, over both clock changes."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from blockerd.model import Action, Attempt, Channel, Kind
from blockerd.policy.schedule import DAYS, compile_schedules
from blockerd.report.period import run_of
from blockerd.report.protected import Plan, Protected, ending_in, inside, kept
from blockerd.report.requests import Confidence, Reading, Sort

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = ("adult", DAYS, ("21:00-07:00",))
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)


def told(first: date, days: int, *schedules: tuple[str, tuple[str, ...], tuple[str, ...]]) -> list[Protected]:
    """The windows of some days."""
    return [one for day in run_of(first, days, BERLIN).days for one in ending_in(day, schedules, BERLIN)]


def reading(at: str, category: str = "adult", sort: Sort = Sort.REQUEST) -> Reading:
    """A request at `at` (RFC 3339)."""
    time = int(datetime.fromisoformat(at).timestamp()) * 1_000_000
    attempt = Attempt(
        time, time, "a.test", (), category, "own", "own", Action.NXDOMAIN, Channel.DNS, "", "", 1, Kind.ATTEMPT
    )
    return Reading(attempt, sort, Confidence.LOW, ())


def test_a_night_is_told_with_the_day_on_which_it_ends():
    (night,) = ending_in(run_of(date(2026, 11, 18), 1, BERLIN).days[0], [NIGHT], BERLIN)
    assert datetime.fromtimestamp(night.start / 1e6, UTC).isoformat() == "2026-11-17T20:00:00+00:00"
    assert datetime.fromtimestamp(night.end / 1e6, UTC).isoformat() == "2026-11-18T06:00:00+00:00"


def test_one_that_ends_at_midnight_belongs_to_the_day_before_it():
    evening = ("chat", ("wed",), ("20:00-24:00",))
    (one,) = told(date(2026, 11, 16), 7, evening)
    assert one.categories == {"chat"}
    assert told(date(2026, 11, 18), 1, evening) == [one]


def test_equal_windows_of_two_categories_are_one_protected_time():
    assert len(told(date(2026, 11, 18), 7, NIGHT, ("cam", DAYS, ("21:00-07:00",)))) == 7


def test_clock_changes_make_a_night_shorter_and_longer():
    hours = {day: [(one.end - one.start) // 3_600_000_000 for one in told(day, 1, NIGHT)] for day in (SPRING, AUTUMN)}
    assert hours == {SPRING: [9], AUTUMN: [11]}


def test_a_window_that_a_clock_change_skips_is_none():
    assert told(SPRING, 1, ("adult", DAYS, ("02:10-02:50",))) == []
    assert len(told(AUTUMN, 1, ("adult", DAYS, ("02:10-02:50",)))) == 1


def test_kept_means_no_request_of_its_categories():
    times = told(date(2026, 11, 16), 7, NIGHT, ("chat", ("sat",), ("10:00-18:00",)))
    assert (len(times), kept(times, [])) == (8, 8)
    seen = [
        reading("2026-11-17T22:00:00+01:00"),
        reading("2026-11-18T06:00:00+01:00"),  # the same night
        reading("2026-11-18T12:00:00+01:00"),  # no protected time
        reading("2026-11-19T23:00:00+01:00", "chat"),  # another category
        reading("2026-11-20T23:00:00+01:00", sort=Sort.BACKGROUND),  # nobody asked
        reading("2026-11-21T11:00:00+01:00", "chat"),
    ]
    assert kept(times, seen) == 6
    assert inside(times, seen) == 3


@given(
    st.dates(date(2026, 1, 1), date(2027, 12, 31)),
    st.sampled_from(["21:00-07:00", "00:00-24:00", "12:30-12:31", "02:00-03:00", "23:59-23:58"]),
    st.sets(st.sampled_from(DAYS), min_size=1),
    st.sampled_from(["Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia", "UTC"]),
)
def test_each_window_is_told_once_and_is_what_the_filter_closes(first: date, window: str, days: set[str], zone: str):
    schedule = ("adult", tuple(sorted(days)), (window,))
    place = ZoneInfo(zone)
    found = [one for day in run_of(first, 16, place).days for one in ending_in(day, [schedule], place)]
    assert len({(one.start, one.end) for one in found}) == len(found)
    assert 2 * len(days) - 1 <= len(found) <= 3 * len(days) + 1 or window == "02:00-03:00"
    compiled = compile_schedules([schedule], zone)
    for one in found:
        middle = (one.start + one.end) / 2e6
        assert compiled.active("adult", middle)
    assert timedelta(microseconds=max((one.end - one.start for one in found), default=0)) <= timedelta(hours=25)


def test_the_usual_plan_protects_nothing():
    assert Plan() == Plan((), yardsticks=False)
