"""Each role's payload holds what it may and nothing more, whatever hostile text the records bring along."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.journal.entry import canonical
from blockerd.model import CATEGORIES, Action, Attempt, Change, Channel, Kind
from blockerd.report.coverage import Stretch, minutes
from blockerd.report.daily import BANDS, KEYS, DayFacts, payload, payloads, told
from blockerd.report.episodes import Before, Episode, Sighting, episodes
from blockerd.report.evidence import figures
from blockerd.report.requests import Confidence, Reading, Sort, read
from blockerd.report.signs import State
from blockerd.report.week import Cover, Marks, Signs
from blockerd.report.words import UNSEEN, length, sentences
from blockerd.settings import Role

ZONE = ZoneInfo("Europe/Berlin")
DAY = date(2026, 11, 17)
MIDNIGHT = int(datetime(2026, 11, 17, tzinfo=ZONE).timestamp()) * 1_000_000
MINUTE = 60_000_000
HOUR = 60 * MINUTE
COVER = {State.MONITORED: 600, State.UNMONITORED: 40, State.OFF: 800}


def attempt(hour: float, category: str = "adult", kind: Kind = Kind.ATTEMPT, site: str = "one.test") -> Attempt:
    at = MIDNIGHT + int(hour * HOUR)
    return Attempt(
        at,
        at + 1,
        site,
        (f"www.{site}",),
        category,
        "src",
        "list",
        Action.NXDOMAIN,
        Channel.DNS,
        "127.0.0.1",
        "me",
        3,
        kind,
    )


def facts_of(attempts: list[Attempt]) -> DayFacts:
    readings = read(attempts)
    return DayFacts(DAY, COVER, readings, episodes(readings, ZONE))


FACTS = replace(
    facts_of([attempt(1.5), attempt(13, "cam"), attempt(22, "chat"), attempt(22.2), attempt(9, "bypass", Kind.BYPASS)]),
    changes=(Change(1, "lists", "a", "b", "weaker", "me"), Change(2, "lists", "a", "b", "stronger", "me")),
    marks=Marks(pauses=1, paused=30, weaker=1, bypass=2),
    screen=300,
    late=45,
    signs=Signs(1, 2),
    earlier=(5, 0, 3),
)


def test_a_spouse_reads_coverage_counts_and_trend_only():
    assert payload(FACTS, Role.SPOUSE, ZONE) == {
        "v": "1",
        "day": "2026-11-17",
        "role": "spouse",
        "cover": {"monitored": 600, "asleep": 0, "off": 800, "unmonitored": 40, "not_running": 0, "unknown": 0},
        "requests": {"all": 4},
        "episodes": 3,
        "marks": {
            "pauses": 1, "paused": 30, "unlocks": 0, "weaker": 2, "stronger": 1, "bypass": 3, "vpn": 0,
            "elsewhere": 0, "another": 0, "clock": 0,
            "unclean": 0, "rejected": 0, "lost": 0, "protected": 0, "kept": 0,
        },
        "trend": {"days_7": "4", "requests_7": "12", "days_28": "4", "requests_28": "12"},
    }  # fmt: skip


def test_a_mentor_reads_kinds_and_quarters_of_the_day():
    got = payload(FACTS, Role.MENTOR, ZONE)
    assert (got["requests"], got["bands"]) == ({"adult": 2, "cam": 1, "chat": 1}, [1, 0, 1, 2])
    assert set(got) == set(KEYS[Role.SPOUSE]) | {"bands", "background"}


def test_a_therapist_reads_more_but_no_hour_and_self_reads_all():
    therapist, own = payload(FACTS, Role.THERAPIST, ZONE), payload(FACTS, Role.SELF, ZONE)
    assert (therapist["screen"], therapist["late"], therapist["signs"]) == (300, 45, {"control": 1, "continuation": 2})
    assert therapist["urges"][0] == {"band": "night", "minutes": "1", "requests": "1", "before": []}
    assert "hours" not in therapist
    assert (own["hours"][1], own["hours"][13], own["hours"][22]) == (1, 1, 2)
    assert sum(own["confidence"].values()) == 4


def test_background_never_counts_as_a_request():
    poll = facts_of([attempt(2 + n / 12, site="poll.test") for n in range(20)])
    own = payload(poll, Role.SELF, ZONE)
    assert (own["requests"], own["background"], own["episodes"], sum(own["hours"])) == ({}, 20, 0, 0)


def test_the_test_name_is_nowhere():
    got = payload(facts_of([attempt(2, "demo", Kind.TEST)]), Role.SELF, ZONE)
    assert (got["requests"], got["background"], got["marks"]["bypass"]) == ({}, 0, 0)


def test_what_was_not_measured_is_left_out():
    got = payload(DayFacts(DAY, COVER), Role.SELF, ZONE)
    assert not {"screen", "late", "signs"} & set(got)
    day = told(got)
    assert (day.screen, day.late, day.signs, day.total) == (None, None, None, 0)


def test_a_kind_of_site_from_outside_becomes_other():
    got = payload(facts_of([attempt(3, "evil.test"), attempt(5, "")]), Role.MENTOR, ZONE)
    assert got["requests"] == {"other": 1, "all": 1}


@pytest.mark.parametrize("role", Role)
def test_the_notes_read_what_was_written(role: Role):
    got = json.loads(canonical(payload(FACTS, role, ZONE)))
    day = told(got)
    assert (day.date, day.total, day.episodes, day.marks.bypass) == (DAY, 4, 3, 3)
    assert day.cover == Cover(monitored=600, unmonitored=40, off=800)
    assert bool(day.hours) == (role == Role.SELF)
    assert bool(day.bands) == (role != Role.SPOUSE)


@pytest.mark.parametrize(
    "change",
    [
        {"v": "2"}, {"role": "nobody"}, {"day": "soon"}, {"requests": {"evil.test": 1}}, {"requests": {"adult": -1}},
        {"cover": {"monitored": "1"}}, {"hours": [0] * 24}, {"names": ["evil.test"]}, {"episodes": True},
    ],
)  # fmt: skip
def test_a_payload_of_another_shape_is_refused(change: dict[str, object]):
    with pytest.raises(ValueError, match="daily summary"):
        told({**payload(FACTS, Role.SPOUSE, ZONE), **change})
    with pytest.raises(ValueError, match="daily summary"):
        told({})


HOSTILE = st.text(min_size=1, max_size=8).map(lambda text: f"zq{text}qz.test")
"""A name that no honest payload holds any part of."""

ATTEMPT = st.builds(
    Attempt,
    time=st.integers(MIDNIGHT, MIDNIGHT + 24 * HOUR - 1), last=st.just(MIDNIGHT + 24 * HOUR), site=HOSTILE,
    names=st.lists(HOSTILE, max_size=2).map(tuple), category=HOSTILE | st.sampled_from(CATEGORIES), source=HOSTILE,
    list=HOSTILE, action=st.sampled_from(Action), channel=st.sampled_from(Channel), client=HOSTILE, user=HOSTILE,
    count=st.integers(1, 9), kind=st.sampled_from(Kind),
)  # fmt: skip
READING = st.builds(
    Reading, ATTEMPT, st.sampled_from(Sort), st.sampled_from(Confidence), st.lists(HOSTILE, max_size=2).map(tuple)
)
CHANGE = st.builds(
    Change, st.integers(0, 9), HOSTILE, HOSTILE, HOSTILE, HOSTILE | st.sampled_from(("weaker", "stronger")), HOSTILE
)
NUMBERS = st.integers(0, 1440)


@given(st.lists(READING, max_size=12), st.lists(CHANGE, max_size=4), NUMBERS, NUMBERS)
def test_no_name_no_text_and_no_hour_leaves_in_a_payload(
    readings: list[Reading], changes: list[Change], screen: int, late: int
):
    sightings = [Sighting(Before.LONG_SESSION, MIDNIGHT - HOUR, MIDNIGHT + 9 * HOUR)]
    found = episodes(readings, ZONE, sightings=sightings)
    facts = DayFacts(DAY, COVER, readings, found, changes, Marks(), screen, late, Signs(1, 1), (1, 2))
    for role, got in payloads(facts, ZONE).items():
        data = canonical(got)  # integers, texts, lists and objects only
        assert b"zq" not in data
        assert b".test" not in data
        assert set(got) <= set(KEYS[role])
        assert told(json.loads(data)).total == sum(reading.sort == Sort.REQUEST for reading in readings)
        texts = {text for text in _texts(got) if text not in KEYS[role] and not text.isdecimal()}
        assert texts <= ALLOWED[role]
    assert b"band" not in canonical(payload(facts, Role.SPOUSE, ZONE))


_COUNTS = {
    "pauses",
    "paused",
    "unlocks",
    "weaker",
    "stronger",
    "bypass",
    "vpn",
    "elsewhere",
    "another",
    "clock",
    "unclean",
    "rejected",
    "lost",
    "protected",
    "kept",
}
_STATES = {state.name.lower() for state in State}
_TREND = {"days_7", "days_28", "requests_7", "requests_28"}
_SPOUSE = {"2026-11-17", *map(str, Role), *_COUNTS, *_STATES, *_TREND, "all"}
_MENTOR = _SPOUSE | set(CATEGORIES) | {"other"}
_THERAPIST = _MENTOR.union(
    ("band", "minutes", "before", "control", "continuation", *BANDS), map(str, Sort), map(str, Before)
)
ALLOWED = {
    Role.SPOUSE: _SPOUSE,
    Role.MENTOR: _MENTOR,
    Role.THERAPIST: _THERAPIST,
    Role.SELF: _THERAPIST.union(map(str, Confidence)),
}


def _texts(value: object) -> set[str]:
    """Every text in a payload, keys included."""
    if isinstance(value, dict):
        return set(value).union(*map(_texts, value.values()))
    if isinstance(value, list):
        return set().union(*map(_texts, value))
    return {value} if isinstance(value, str) else set()


@given(st.lists(st.integers(0, 24 * 60 - 1), max_size=8), st.lists(st.integers(0, 24 * 60 - 1), max_size=8))
def test_a_spouse_and_a_mentor_cannot_tell_hours_of_one_quarter_apart(one: list[int], other: list[int]):
    """Days that differ only inside the quarters, and in nothing that is counted, give equal payloads."""
    width = {Role.SPOUSE: 24 * 60, Role.MENTOR: 6 * 60}
    for role, minutes_ in width.items():
        moved = [at // minutes_ * minutes_ + place % minutes_ for at, place in zip(one, other + one, strict=False)]
        days = [
            DayFacts(DAY, COVER, [Reading(attempt(at / 60), Sort.REQUEST, Confidence.LOW, ()) for at in times])
            for times in (one, moved)
        ]
        assert payload(days[0], role, ZONE) == payload(days[1], role, ZONE)


def week_of(requests: int = 0, **states: int) -> list[dict[str, object]]:
    cover = {State[name.upper()]: count for name, count in states.items()}
    readings = [Reading(attempt(20 + n / 60), Sort.REQUEST, Confidence.LOW, ()) for n in range(requests)]
    return [payload(DayFacts(DAY, cover, readings, episodes(readings, ZONE)), Role.SELF, ZONE)]


GAP = Stretch(MIDNIGHT + 22 * HOUR + 10 * MINUTE, MIDNIGHT + 22 * HOUR + 50 * MINUTE, State.UNMONITORED)


def test_the_words_are_those_of_the_plan():
    days = week_of(monitored=60 * 60 + 30, unmonitored=40, off=10_080 - 60 * 60 - 70)
    assert sentences(days, [GAP], Role.SELF, ZONE, continues=True) == [
        "Nothing reported in earlier mails has been changed.",
        "In this week the machine was awake 61 h 10 min; 60 h 30 min were monitored;"
        " 40 min were not (Tue 22:10-22:50).",
        "No attempts were seen on this machine while monitored.",
        UNSEEN,
    ]


@pytest.mark.parametrize(
    ("role", "place"), [(Role.SPOUSE, "(Tue)"), (Role.MENTOR, "(Tue 18-24 h)"), (Role.THERAPIST, "(Tue 18-24 h)")]
)
def test_others_read_no_clock_times(role: Role, place: str):
    line = sentences(week_of(monitored=60, unmonitored=40), [GAP], role, ZONE, continues=None)[1]
    assert place in line
    assert "22:" not in line


def test_what_is_not_known_is_said():
    lines = sentences(week_of(2, monitored=60, not_running=300, unknown=5), [], Role.SELF, ZONE, continues=None)
    assert lines[1:] == [
        "In this week the machine was awake 1 h; all of it was monitored.",
        "For 5 h blockerd was not running; whether the machine was on then, this system does not tell.",
        "Of 5 min nothing is known.",
        "2 requests for listed sites came from this computer while monitored, in 1 episode.",
        UNSEEN,
    ]


def test_without_monitoring_nothing_is_said_about_requests():
    lines = sentences(week_of(off=1440), [], Role.SPOUSE, ZONE, continues=False)
    assert lines[1:3] == [
        "In this week the machine is not known to have been awake.",
        "Nothing can be said about requests.",
    ]
    assert "does not continue" in lines[0]


def test_many_gaps_are_named_up_to_five():
    many = [Stretch(GAP.start_us + n * 24 * HOUR, GAP.end_us + n * 24 * HOUR, GAP.state) for n in range(7)]
    line = sentences(week_of(monitored=60, unmonitored=280), many, Role.SELF, ZONE, continues=True)[1]
    assert line.count("22:10") == 5
    assert "and 2 more" in line


def test_a_gap_across_midnight_names_both_days():
    gap = Stretch(MIDNIGHT + 23 * HOUR, MIDNIGHT + 31 * HOUR, State.UNMONITORED)
    days = week_of(monitored=60, unmonitored=480)
    assert "(Tue 23:00-Wed 07:00)" in sentences(days, [gap], Role.SELF, ZONE, continues=True)[1]
    assert "(Tue, Wed)" in sentences(days, [gap], Role.SPOUSE, ZONE, continues=True)[1]
    assert "(Tue 18-24 h, Wed 0-6 h, Wed 6-12 h)" in sentences(days, [gap], Role.MENTOR, ZONE, continues=True)[1]


def test_the_minutes_of_a_stretch_and_of_a_payload_agree():
    parts = [Stretch(0, 90 * MINUTE, State.MONITORED), Stretch(90 * MINUTE, 24 * HOUR, State.ASLEEP)]
    got = payload(DayFacts(DAY, minutes(parts)), Role.SPOUSE, UTC)
    assert (got["cover"]["monitored"], sum(got["cover"].values())) == (90, 1440)


def test_every_number_of_a_payload_may_be_summed_over_days():
    """What the evidence sums: counts and minutes, no versions, no places in time, no sums over other days."""
    names = set(figures([canonical({"facts": payload(FACTS, Role.SELF, ZONE)})]))
    kinds = {name.partition(".")[0] for name in names}
    assert kinds == {
        "cover", "requests", "episodes", "marks", "bands", "background", "aside", "screen", "late",
        "episode_minutes", "signs", "hours", "confidence",
    }  # fmt: skip


def test_lengths_read_well():
    assert [length(n) for n in (0, 40, 60, 61, 3670)] == ["0 min", "40 min", "1 h", "1 h 1 min", "61 h 10 min"]


def test_an_episode_is_told_without_its_hour_to_others():
    one = Episode(MIDNIGHT + 23 * HOUR, MIDNIGHT + 23 * HOUR + 9 * MINUTE, 1, 23, (("adult", 2),), 0, (Before.PAUSE,))
    got = payload(DayFacts(DAY, COVER, episodes=(one,)), Role.THERAPIST, ZONE)
    assert got["urges"] == [{"band": "evening", "minutes": "9", "requests": "2", "before": ["pause"]}]
    assert timedelta(minutes=got["episode_minutes"]) == timedelta(minutes=9)
