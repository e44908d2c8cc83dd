"""What is owed: once, for the right days, whatever the clock, the zone or sleep did."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.report.due import Ledger, Owed, Sent, due, latest, next_due
from blockerd.report.period import last_of, run_of
from blockerd.settings import Every, SendAt

BERLIN = ZoneInfo("Europe/Berlin")
SUNDAY_EVENING = SendAt(6, 18 * 60)
MONDAY_NOON = SendAt(0, 12 * 60)
HOUR = 3_600_000_000
DAY = 24 * HOUR


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


def tell(ledger: Ledger, owed: Owed | None, at: int) -> Ledger:
    assert owed is not None
    return Ledger(ledger.since, (*ledger.sent, Sent(owed.period.label, owed.period.end, at)))


def run(every: Every, send_at: SendAt, zone: ZoneInfo, awake: list[int], since: int) -> list[tuple[int, Owed]]:
    """Everything sent by a machine that looks at these moments."""
    ledger, sent = Ledger(since), []
    for now in awake:
        owed = due(ledger, every, send_at, zone, now)
        if owed is not None:
            sent.append((now, owed))
            ledger = tell(ledger, owed, now)
    return sent


def test_a_week_sent_on_a_monday_is_the_iso_week():
    owed = due(Ledger(us("2026-11-01T00:00+01:00")), Every.WEEK, MONDAY_NOON, BERLIN, us("2026-11-23T12:00+01:00"))
    assert owed is not None
    assert owed.period.label == "2026-W47"


def test_a_week_sent_on_a_sunday_ends_with_saturday_so_that_it_is_whole_and_fresh():
    ledger = Ledger(us("2026-11-14T09:00+01:00"))
    assert due(ledger, Every.WEEK, SUNDAY_EVENING, BERLIN, us("2026-11-22T17:59+01:00")) is None
    owed = due(ledger, Every.WEEK, SUNDAY_EVENING, BERLIN, us("2026-11-22T18:00+01:00"))
    assert owed is not None
    assert (owed.period.label, owed.missed) == ("2026-11-15/P7D", ())
    assert owed.due == us("2026-11-22T18:00+01:00")


def test_a_machine_asleep_at_the_due_time_sends_once_for_the_right_week():
    since, asleep = us("2026-11-08T00:00+01:00"), us("2026-11-22T17:00+01:00")
    woke = us("2026-11-24T08:00+01:00")
    awake = [*range(since, asleep, 60_000_000 * 30), *range(woke, woke + 3 * DAY, 60_000_000)]
    sent = run(Every.WEEK, SUNDAY_EVENING, BERLIN, awake, since)
    assert [owed.period.label for _, owed in sent] == ["2026-11-08/P7D", "2026-11-15/P7D"]
    assert sent[1] == (woke, sent[1][1])
    assert sent[1][1].due == us("2026-11-22T18:00+01:00")


def test_thirty_missed_weeks_make_one_note_that_says_so():
    since = us("2026-01-04T00:00+01:00")
    now = us("2026-08-02T18:30+02:00")
    owed = due(Ledger(since), Every.WEEK, SUNDAY_EVENING, BERLIN, now)
    assert owed is not None
    assert (owed.period.label, len(owed.missed)) == ("2026-07-26/P7D", 29)
    assert owed.missed[0].label == "2026-01-04/P7D"
    assert all(one.end == two.start for one, two in pairwise(owed.missed))
    assert due(tell(Ledger(since), owed, now), Every.WEEK, SUNDAY_EVENING, BERLIN, now) is None


def test_days_before_sharing_began_are_not_told():
    wednesday = us("2026-11-18T20:00+01:00")
    owed = due(Ledger(wednesday), Every.WEEK, SUNDAY_EVENING, BERLIN, us("2026-11-22T18:00+01:00"))
    assert owed is not None
    assert [day.date.day for day in owed.period.days] == [19, 20, 21]
    assert due(Ledger(wednesday), Every.DAY, SendAt(None, 0), BERLIN, us("2026-11-19T12:00+01:00")) is None


def test_three_days_follow_each_other_whenever_the_program_was_set_up():
    since = us("2026-11-01T00:00+01:00")
    awake = [since + hour * HOUR for hour in range(24 * 20)]
    sent = [owed.period for _, owed in run(Every.THREE_DAYS, SendAt(None, 600), BERLIN, awake, since)]
    assert {len(period.days) for period in sent[1:]} == {3}
    assert all(one.end == two.start for one, two in pairwise(sent))


def test_from_weeks_to_days_and_back_tells_no_day_twice():
    since = us("2026-11-01T00:00+01:00")
    ledger, told = Ledger(since), []
    for hour in range(24 * 28):
        now = since + hour * HOUR
        every = Every.DAY if 9 <= hour // 24 < 18 else Every.WEEK
        owed = due(ledger, every, SUNDAY_EVENING, BERLIN, now)
        if owed is not None:
            told += [day.date for period in (*owed.missed, owed.period) for day in period.days]
            ledger = tell(ledger, owed, now)
    assert told == sorted(set(told))
    assert told == [date(2026, 11, 1) + timedelta(days=n) for n in range(len(told))]


def test_a_move_to_another_zone_tells_no_day_twice_and_loses_none():
    since = us("2026-11-01T00:00+01:00")
    ledger, told = Ledger(since), []
    for hour in range(24 * 20):
        zone = ZoneInfo("Pacific/Auckland") if 7 * 24 <= hour < 14 * 24 else BERLIN
        owed = due(ledger, Every.DAY, SendAt(None, 18 * 60), zone, since + hour * HOUR)
        if owed is not None:
            told += [day.date for period in (*owed.missed, owed.period) for day in period.days]
            ledger = tell(ledger, owed, since + hour * HOUR)
    assert told == [date(2026, 11, 1) + timedelta(days=n) for n in range(len(told))]
    assert len(told) >= 18


@pytest.mark.parametrize("every", [Every.DAY, Every.THREE_DAYS, Every.WEEK])
@pytest.mark.parametrize("way", [("America/New_York", "Asia/Tokyo"), ("Pacific/Pago_Pago", "Pacific/Kiritimati")])
def test_a_move_by_more_than_half_a_day_loses_no_day_either(way: tuple[str, str], every: Every):
    since = us("2026-11-01T12:00+00:00")
    for turn in range(24 * 8, 24 * 16, 7):
        ledger, told = Ledger(since), []
        for hour in range(24 * 30):
            zone = ZoneInfo(way[turn <= hour < turn + 150])
            owed = due(ledger, every, SUNDAY_EVENING, zone, since + hour * HOUR)
            if owed is not None:
                told += [day.date for period in (*owed.missed, owed.period) for day in period.days]
                ledger = tell(ledger, owed, since + hour * HOUR)
        assert told == [told[0] + timedelta(days=n) for n in range(len(told))]


def test_a_clock_set_forward_a_year_and_back_costs_no_note():
    since = us("2026-11-01T00:00+01:00")
    wrong = us("2027-11-21T19:00+01:00")
    ledger = tell(Ledger(since), due(Ledger(since), Every.WEEK, SUNDAY_EVENING, BERLIN, wrong), wrong)
    now = us("2026-11-22T18:00+01:00")
    owed = due(ledger, Every.WEEK, SUNDAY_EVENING, BERLIN, now)
    assert owed is not None
    assert owed.period.label == "2026-11-15/P7D"


def test_a_clock_set_back_owes_nothing_again():
    since, now = us("2025-01-05T00:00+01:00"), us("2026-11-22T18:00+01:00")
    ledger = tell(Ledger(since), due(Ledger(since), Every.WEEK, SUNDAY_EVENING, BERLIN, now), now)
    assert due(ledger, Every.WEEK, SUNDAY_EVENING, BERLIN, now) is None


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-03-28T12:00+01:00", "2026-03-29T03:30+02:00"),  # 02:30 does not exist: an hour later on the wall
        ("2026-10-24T12:00+02:00", "2026-10-25T02:30+02:00"),  # 02:30 comes twice: the first
    ],
)
def test_where_clocks_change_the_moment_exists_and_comes_once(now: str, expected: str):
    assert next_due(Every.DAY, SendAt(None, 150), BERLIN, us(now)) == us(expected)


zones = st.sampled_from(["Europe/Berlin", "America/Havana", "Asia/Kathmandu", "Pacific/Apia", "UTC"]).map(ZoneInfo)
moments = st.integers(us("2001-01-01T00:00:00+00:00"), us("2040-01-01T00:00:00+00:00"))
sends = st.builds(SendAt, st.integers(0, 6), st.integers(0, 24 * 60 - 1))


@given(moments, zones, sends, st.sampled_from(list(Every)))
def test_the_next_due_moment_is_the_first_at_which_something_is_owed(
    now: int, zone: ZoneInfo, send_at: SendAt, every: Every
):
    told = latest(every, send_at, zone, now)
    ledger = Ledger(0, (Sent(told.label, told.end, now),))
    moment = next_due(every, send_at, zone, now)
    assert moment > now
    assert due(ledger, every, send_at, zone, moment - 1) is None
    owed = due(ledger, every, send_at, zone, moment)
    assert owed is not None or moment - now > DAY  # a day that a zone left out is nothing to tell
    if owed is not None:
        assert (owed.missed, owed.due) == ((), moment)


@given(st.lists(st.integers(0, 90 * 24 * 60), min_size=1, max_size=60), sends, st.sampled_from(list(Every)))
def test_whenever_it_looks_each_day_is_told_once_and_in_order(looks: list[int], send_at: SendAt, every: Every):
    since = us("2026-02-01T00:00+01:00")
    awake = sorted(since + minute * 60_000_000 for minute in looks)
    sent = run(every, send_at, BERLIN, awake, since)
    periods = [period for _, owed in sent for period in (*owed.missed, owed.period)]
    told = [day.date for period in periods for day in period.days]
    assert told == [date(2026, 2, 1) + timedelta(days=n) for n in range(len(told))]
    assert all(owed.period.end <= owed.due <= now for now, owed in sent)


@given(st.dates(date(1971, 1, 1), date(2200, 1, 1)), st.integers(1, 800))
def test_a_label_tells_the_last_of_its_days(first: date, count: int):
    period = run_of(first, count, UTC)
    assert last_of(period.label) == period.days[-1].date


def test_a_run_of_days_has_a_name_and_at_least_one_day():
    assert run_of(date(2026, 11, 16), 1, UTC).label == "2026-11-16"
    assert run_of(date(2026, 11, 16), 7, UTC).label == "2026-W47"
    with pytest.raises(ValueError, match="at least one"):
        run_of(date(2026, 11, 16), 0, UTC)
