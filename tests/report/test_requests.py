"""What a person asks for is told from what pages and programs ask, as far as the record can tell, and no further."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.model import CATEGORIES, Action, Attempt, Channel, Kind, kind_of
from blockerd.report.requests import Confidence, Finer, Front, Reading, Sort, read

SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 24 * 60 * MINUTE
T = 1_795_000_000 * SECOND


def attempt(
    at: float, site: str = "one.test", *, length: float = 1, count: int = 3, category: str = "adult",
    client: str = "127.0.0.1", channel: Channel = Channel.DNS,
) -> Attempt:  # fmt: skip
    """One attempt `at` seconds after T that lasts `length` seconds."""
    first = T + int(at * SECOND)
    return Attempt(
        time=first, last=first + int(length * SECOND), site=site, names=(), category=category, source="s", list="l",
        action=Action.NXDOMAIN, channel=channel, client=client, user="", count=count, kind=kind_of(category),
    )  # fmt: skip


def told(readings: Sequence[Reading]) -> list[tuple[str, str]]:
    return [(reading.sort, reading.confidence) for reading in readings]


def test_what_cannot_be_told_is_a_request_with_low_confidence():
    assert told(read([attempt(0)])) == [("request", "low")]


def test_the_test_name_and_ways_round_stand_apart():
    assert told(read([attempt(0, category="demo"), attempt(900, category="bypass")])) == [("apart", "high")] * 2


def test_a_look_on_the_command_line_is_no_request():
    assert told(read([attempt(0, channel=Channel.CLI)])) == [("background", "high")]


def test_equal_gaps_are_background():
    readings = read([attempt(300 * n + n % 3, count=1) for n in range(12)])
    assert told(readings) == [("background", "high")] * 12
    assert readings[0].reasons == ("asked for every 5 min, 12 times in a row",)


def test_five_times_are_medium_and_four_are_not_enough():
    assert set(told(read([attempt(600 * n) for n in range(5)]))) == {("background", "medium")}
    assert set(told(read([attempt(600 * n) for n in range(4)]))) == {("request", "low")}


def test_irregular_visits_of_one_site_stay_requests():
    assert set(told(read([attempt(at) for at in (0, 190, 700, 2000, 2100, 4700, 9000)]))) == {("request", "low")}


def test_gaps_that_differ_by_a_fifth_are_not_equal():
    assert set(told(read([attempt(at) for at in (0, 600, 1320, 1880, 2570, 3190, 3900)]))) == {("request", "low")}


def test_a_clock_among_requests_is_found():
    poll = [attempt(900 * n, "poll.test", count=1) for n in range(20)]
    person = [attempt(at, "two.test") for at in (1111, 5432)]
    readings = read(sorted(poll + person, key=lambda one: one.time))
    assert {r.sort for r in readings if r.attempt.site == "poll.test"} == {Sort.BACKGROUND}
    assert {r.sort for r in readings if r.attempt.site == "two.test"} == {Sort.REQUEST}


def test_an_hour_without_a_pause_is_background():
    assert told(read([attempt(0, length=3590, count=90)])) == [("background", "high")]
    assert told(read([attempt(0, length=1000, count=30)])) == [("background", "medium")]
    assert told(read([attempt(0, length=300, count=30)])) == [("request", "low")]


def test_the_same_minute_on_four_days_is_background():
    nightly = [attempt(n * 86_400 + 10 * n, count=1) for n in (0, 1, 3, 6)]
    assert set(told(read(nightly))) == {("background", "medium")}
    assert set(told(read(nightly[:3]))) == {("request", "low")}


def test_many_sites_in_one_second_are_prefetched():
    readings = read([attempt(n / 10, f"site-{n}.test") for n in range(8)])
    assert set(told(readings)) == {("prefetch", "medium")}


def test_the_first_of_a_few_may_be_a_request_and_the_others_came_along():
    assert told(read([attempt(0, "one.test"), attempt(0.2, "two.test"), attempt(0.4, "three.test")])) == [
        ("request", "low"), ("embed", "low"), ("embed", "low"),
    ]  # fmt: skip


def test_two_people_at_two_machines_are_not_one_burst():
    assert told(read([attempt(0, "one.test"), attempt(0.2, "two.test", client="192.168.1.30")])) == [
        ("request", "low"), ("request", "low"),
    ]  # fmt: skip


def test_one_site_after_another_within_minutes_is_a_person():
    assert (
        told(read([attempt(0, "one.test"), attempt(90, "two.test"), attempt(400, "three.test")]))
        == [("request", "medium")] * 3
    )


@pytest.mark.parametrize(
    ("finer", "expected"),
    [
        (Finer(navigation=True), ("request", "high")),
        (Finer(navigation=False), ("embed", "high")),
        (Finer(front=Front.NOBODY), ("background", "medium")),
        (Finer(before=9), ("embed", "medium")),
        (Finer(before=4), ("embed", "low")),
        (Finer(before=0, after=0), ("request", "medium")),
        (Finer(before=0, after=0, front=Front.BROWSER), ("request", "high")),
        (Finer(front=Front.BROWSER), ("request", "medium")),
        (Finer(qtypes=frozenset({1})), ("background", "low")),
        (Finer(qtypes=frozenset({1, 28, 65})), ("request", "low")),
    ],
)
def test_finer_facts_tell_more(finer: Finer, expected: tuple[str, str]):
    assert told(read([attempt(0)], {0: finer})) == [expected]


def test_reasons_name_nothing_and_say_what_the_level_hides():
    readings = read([attempt(0, ""), attempt(50, "very-telling.test")])
    assert "sites are not kept" in readings[0].reasons[-1]
    assert not any("telling" in reason for reading in readings for reason in reading.reasons)


ATTEMPTS = st.lists(
    st.builds(
        attempt,
        st.integers(0, 20 * 86_400),
        st.sampled_from(("", "one.test", "two.test", "three.test")),
        length=st.integers(0, 3700),
        count=st.integers(1, 500),
        category=st.sampled_from(CATEGORIES),
        client=st.sampled_from(("127.0.0.1", "::1")),
        channel=st.sampled_from(Channel),
    ),
    max_size=40,
)


@given(ATTEMPTS)
def test_every_attempt_has_one_reading_in_its_place(attempts: list[Attempt]):
    readings = read(attempts)
    assert [reading.attempt for reading in readings] == attempts
    assert all(reading.reasons for reading in readings)
    for reading in readings:
        assert (reading.sort == Sort.APART) == (reading.attempt.kind != Kind.ATTEMPT)
        if reading.sort == Sort.REQUEST:
            assert reading.confidence != Confidence.HIGH  # never without finer facts


@given(ATTEMPTS, st.randoms())
def test_the_order_of_attempts_does_not_matter_for_background(attempts: list[Attempt], chance: Random):
    mixed = list(enumerate(attempts))
    chance.shuffle(mixed)
    again = read([one for _, one in mixed])
    before = read(attempts)
    for (n, _), reading in zip(mixed, again, strict=True):
        assert (reading.sort == Sort.BACKGROUND) == (before[n].sort == Sort.BACKGROUND)
