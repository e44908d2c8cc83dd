"""From looks at the desktop to records: two streams, the app in front and who is there. Pure.

Times run on the boot line (microseconds since boot, suspend included), so no clock step stretches or shrinks them;
`anchor` places them in civil time. The state is small and is kept with each record, so that a measuring that ends
without warning goes on where it stopped. Called by `agent`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from blockerd.screentime import afk
from blockerd.screentime.heartbeat import FLOOD, SECOND, Beat, merge

CHUNK = 60 * SECOND
"""A record is closed at this length (µs), so that what is read is at most so old."""

CHUNK_AWAY = 10 * CHUNK
"""The same while nobody is there."""

LONGEST = 3600 * SECOND
"""No record is longer (µs); a night of sleep is several."""

STEP = 2 * SECOND
"""The wall clock may wander this far (µs) from the anchor before that counts as a step."""


class Stream(StrEnum):
    """The kinds of record."""

    APP = "app"
    AFK = "afk"


@dataclass(frozen=True, slots=True)
class Window:
    """The window in front: its app, and its title where titles are switched on."""

    app: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """One look at the desktop: when (boot line `at`, wall clock `wall`, both µs; `boot` names the boot), the `window`
    in front (None: cannot be told) and the fields of `afk.Reading`."""

    at: int
    wall: int
    boot: str
    window: Window | None
    idle: int | None
    held: bool = False
    media: bool = False
    slept: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """What is stored: `value` is an app or a presence; `start` and `end` civil time, Unix µs.

    `start - anchor` is the same moment on the line of `boot`.
    """

    stream: Stream
    start: int
    end: int
    value: str
    title: str
    anchor: int
    boot: str


@dataclass(frozen=True, slots=True)
class State:
    """Where measuring stands; `app` and `period` are still growing, all before them is in records."""

    boot: str
    anchor: int
    people: afk.State
    app: Beat[Window] | None = None
    period: Beat[afk.Presence] | None = None


def observe(state: State | None, tick: Tick, timeout: int = afk.TIMEOUT) -> tuple[State, tuple[Record, ...]]:
    """The next state, and the records that `tick` completes. A tick older than the last one says nothing."""
    if state is None or state.boot != tick.boot:
        before = flush(state)[1] if state else ()
        fresh = State(tick.boot, tick.wall - tick.at, afk.begin(tick.at))
        after, begun = observe(fresh, tick, timeout)
        return after, (*before, *begun)
    if tick.at < state.people.seen:
        return state, ()
    records = list[Record]()
    if abs(tick.wall - tick.at - state.anchor) > STEP:
        stepped, told = flush(state)
        records.extend(told)
        state = replace(stepped, anchor=tick.wall - tick.at)
    app = _app(state, tick, records)
    reading = afk.Reading(tick.at, tick.idle, tick.held, tick.media, tick.slept)
    people, periods = afk.observe(state.people, reading, timeout)
    period = _periods(state, periods, records)
    return State(state.boot, state.anchor, people, app, period), tuple(records)


def flush(state: State) -> tuple[State, tuple[Record, ...]]:
    """Closes what is growing, without a hole; called at clock steps and when measuring ends."""
    records = list[Record]()
    app, period = state.app, state.period
    if app:
        _close(state, Stream.APP, app, records)
        app = Beat(app.end, app.end, app.data)
    if period:
        _close(state, Stream.AFK, period, records)
        period = Beat(period.end, period.end, period.data)
    return replace(state, app=app, period=period), tuple(records)


def _app(state: State, tick: Tick, records: list[Record]) -> Beat[Window] | None:
    """The growing event of the app stream; an app is in front until the look that sees another."""
    last = state.app
    in_sight = last is not None and not tick.slept and tick.at - last.end <= FLOOD
    window = None if tick.held else tick.window
    if last is not None:
        if in_sight and (window is not None or tick.held):
            last = replace(last, end=tick.at)
        if last.data == window and in_sight:
            return _chunk(state, Stream.APP, last, records, away=state.people.status == afk.Presence.AWAY)
        _close(state, Stream.APP, last, records)
    return Beat(tick.at, tick.at, window) if window is not None else None


def _periods(state: State, periods: afk.Periods, records: list[Record]) -> Beat[afk.Presence] | None:
    last = state.period
    for period in periods:
        longer = merge(last, period, 0) if last else None
        if last and longer is None:
            _close(state, Stream.AFK, last, records)
        last = _chunk(state, Stream.AFK, longer or period, records, away=period.data != afk.Presence.ACTIVE)
    return last


def _chunk(state: State, stream: Stream, beat: Beat[Any], records: list[Record], *, away: bool) -> Beat[Any]:
    """`beat`, or, where it is long enough for a record, what begins behind it."""
    if beat.length < (CHUNK_AWAY if away else CHUNK):
        return beat
    _close(state, stream, beat, records)
    return replace(beat, start=beat.end)


def _close(state: State, stream: Stream, beat: Beat[Any], records: list[Record]) -> None:
    value, title = (beat.data.app, beat.data.title) if isinstance(beat.data, Window) else (str(beat.data), "")
    for start in range(beat.start, beat.end, LONGEST):
        end = min(beat.end, start + LONGEST)
        records.append(Record(stream, start + state.anchor, end + state.anchor, value, title, state.anchor, state.boot))


def to_text(state: State) -> str:
    """`state` as one line of JSON."""
    app, period, people = state.app, state.period, state.people
    return json.dumps(
        {
            "boot": state.boot,
            "anchor": state.anchor,
            "people": [people.status, people.decided, people.active, people.seen, people.held],
            "app": [app.start, app.end, app.data.app, app.data.title] if app else None,
            "period": [period.start, period.end, period.data] if period else None,
        },
        separators=(",", ":"),
    )


def from_text(text: str) -> State:
    """The state that `to_text` wrote.

    Raises:
        ValueError: it is not one.
    """
    try:
        got = json.loads(text)
        status, decided, active, seen, held = got["people"]
        people = afk.State(afk.Presence(status), _whole(decided), _whole(active), _whole(seen), bool(held))
        return State(str(got["boot"]), _whole(got["anchor"]), people, _window(got["app"]), _period(got["period"]))
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"no state of measuring: {error}") from None


def _window(got: Sequence[Any] | None) -> Beat[Window] | None:
    return Beat(_whole(got[0]), _whole(got[1]), Window(str(got[2]), str(got[3]))) if got else None


def _period(got: Sequence[Any] | None) -> Beat[afk.Presence] | None:
    return Beat(_whole(got[0]), _whole(got[1]), afk.Presence(got[2])) if got else None


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} is no whole number")
    return value
