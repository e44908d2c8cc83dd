"""From scripted looks at a desktop to records: what was done comes out to the second, whatever the clock does."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.policy.schedule import parse_window
from blockerd.report.period import midnight
from blockerd.screentime.facts import day_minutes
from blockerd.screentime.heartbeat import SECOND
from blockerd.screentime.sums import by_data, hour_of
from blockerd.screentime.track import (
    CHUNK,
    LONGEST,
    Record,
    State,
    Stream,
    Tick,
    Window,
    flush,
    from_text,
    observe,
    to_text,
)
from blockerd.screentime.usage import Known, usage

WALL = 1_795_370_400 * SECOND  # 2026-11-22T18:00:00Z
TIMEOUT = 20 * SECOND


def run(ticks: list[Tick], state: State | None = None, *, kept: bool = False) -> tuple[State, list[Record]]:
    """All records of `ticks`, growing ones included; `kept` writes the state out and reads it again at each step."""
    told: list[Record] = []
    for tick in ticks:
        if kept and state:
            state = from_text(to_text(state))
        state, records = observe(state, tick, TIMEOUT)
        told += records
    assert state
    last, records = flush(state)
    return last, [*told, *records]


def look(at: int, app: str | None = "editor", idle: int | None = 0, **more: object) -> Tick:
    wall = WALL + at * SECOND
    tick = Tick(at * SECOND, wall, "b1", Window(app) if app else None, None if idle is None else idle * SECOND)
    return Tick(**{**{name: getattr(tick, name) for name in Tick.__slots__}, **more})


def seconds(records: list[Record]) -> dict[str, int]:
    """Whole seconds of activity by app; "" is activity in an unknown app."""
    totals = by_data(usage(Known(1, record) for record in records).active)
    return {app: length // SECOND for app, length in totals.items()}


def test_apps_and_absence_come_out_to_the_second():
    ticks = [look(n, "editor") for n in range(100)] + [look(n, "browser") for n in range(100, 160)]
    ticks += [look(n, "browser", idle=n - 159) for n in range(160, 300)]
    _, records = run(ticks)
    assert seconds(records) == {"editor": 100, "browser": 59}


@given(st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.integers(1, 90)), min_size=1, max_size=10))
def test_the_parts_are_the_whole(stretches: list[tuple[str | None, int]]):
    ticks, at = [], 0
    for app, length in stretches:
        ticks += [look(n, app) for n in range(at, at + length)]
        at += length
    _, records = run(ticks)
    assert sum(seconds(records).values()) == at - 1
    for record in records:
        assert 0 < record.end - record.start <= LONGEST


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 30), st.booleans(), st.integers(-5000, 5000)),
        min_size=2,
        max_size=40,
    )
)
def test_no_clock_step_and_no_restart_makes_or_takes_time(looks: list[tuple[str, int, bool, int]]):
    calm = [look(n, app, idle, held=held) for n, (app, idle, held, _) in enumerate(looks)]
    stepped = [look(n, app, idle, held=held, wall=WALL + (n + step) * SECOND)
               for n, (app, idle, held, step) in enumerate(looks)]  # fmt: skip
    expected = seconds(run(calm)[1])
    assert seconds(run(stepped)[1]) == expected
    assert seconds(run(calm, kept=True)[1]) == expected


@pytest.mark.parametrize(
    "steps",
    [{300: 365 * 86_400}, {300: -365 * 86_400}, {n: n for n in range(1, 600)}, {200: -7200, 400: -7200, 500: 7200}],
    ids=["a year on", "a year back", "slewed by a second each second", "back and on"],
)
def test_a_day_never_has_more_time_at_the_screen_than_it_is_long(steps: dict[int, int]):
    off, ticks = 0, []
    for n in range(600):
        off = steps.get(n, off)
        ticks.append(look(n, "ab"[n // 50 % 2], wall=WALL + (n + off) * SECOND))
    _, records = run(ticks)
    use = usage(Known(1, record) for record in records)
    assert all(record.end > record.start for record in records)
    zone = ZoneInfo("Europe/Berlin")
    days = {hour_of(record.start, zone).day for record in records}
    found = [
        day_minutes(
            use, midnight(day, zone), midnight(day + timedelta(days=1), zone), [parse_window("00:00-24:00")], zone
        )
        for day in days
    ]
    assert all(told and told[0] == told[1] <= 1440 for told in found)
    assert sum(told[0] for told in found if told) <= 10


def test_a_clock_set_back_places_what_follows_earlier():
    ticks = [look(n) for n in range(10)] + [look(n, wall=WALL + (n - 3600) * SECOND) for n in range(10, 20)]
    _, records = run(ticks)
    assert seconds(records) == {"editor": 19}
    assert min(record.start for record in records) == WALL - (3600 - 9) * SECOND


def test_sleep_and_a_locked_screen_end_the_app_in_front():
    ticks = [look(n) for n in range(10)] + [look(n, held=True) for n in range(10, 40)]
    ticks += [look(4000, slept=3900 * SECOND), look(4001)]
    _, records = run(ticks)
    apps = [record for record in records if record.stream == Stream.APP]
    assert sum(record.end - record.start for record in apps) == (10 + 1) * SECOND
    assert seconds(records) == {"editor": 9 + 1}


def test_an_app_that_cannot_be_told_is_unknown_while_somebody_is_there():
    _, records = run([look(n, None if 5 <= n < 15 else "editor") for n in range(20)])
    assert seconds(records) == {"editor": 8, "": 11}


def test_another_boot_begins_anew_and_loses_nothing_that_was_told():
    state, told = run([look(n) for n in range(30)])
    ticks = [look(n, boot="b2", wall=WALL + (100 + n) * SECOND) for n in range(5, 15)]
    _, more = run(ticks, state)
    assert seconds([*told, *more]) == {"editor": 29 + 9}


def test_records_are_closed_while_an_app_stays_in_front():
    state, told = None, list[Record]()
    for n in range(200):
        state, records = observe(state, look(n), TIMEOUT)
        told += records
    assert {record.end - record.start for record in told} == {CHUNK}
    assert len(told) == 6


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"people": 1}', '{"people": [1, 2, 3, 4, 5]}'])
def test_what_is_no_state_is_refused(text: str):
    with pytest.raises(ValueError, match=r"."):
        from_text(text)
