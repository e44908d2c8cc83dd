"""Signs of life as the record keeps them, and what happened between two that follow each other in one boot. Pure.

Lengths come from CLOCK_BOOTTIME and CLOCK_MONOTONIC alone: their difference is sleep, and the wall clock, which can be
set, has no say. Called by `report.placing`, `report.coverage` and whoever makes the marks.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

BEAT_US = 900_000_000
"""Beats come this far apart (15 min)."""

SILENCE_US = 2 * BEAT_US + 60_000_000
"""Awake time between two signs of one run that still counts as monitored: one beat may be missing."""

MARK_US = 45_000_000
"""Awake time between two alive marks (30 s apart) that still counts as running."""

STEP_US = 2_000_000
"""A difference of wall clock and BOOTTIME from which on the clock was set, beside SLEW."""

SLEW = 500
"""Wall clock and BOOTTIME may differ by one part in this many while a clock is being slewed."""

SLEEP_US = 1_000_000
"""BOOTTIME and MONOTONIC that differ by less were read at different moments."""


class State(StrEnum):
    """What is known of a time. NOT_RUNNING: off or unmonitored, which of the two this system does not tell."""

    MONITORED = "monitored"
    ASLEEP = "asleep"
    OFF = "off"
    UNMONITORED = "unmonitored"
    NOT_RUNNING = "not running"
    UNKNOWN = "unknown"


class What(StrEnum):
    """What a sign says. MARK: it runs; AGAIN: it runs again after its time stood still (see `is_hole`).

    UNCLEAN carries the times of the last mark of a run that ended without saying so.
    """

    START = "start"
    BEAT = "beat"
    MARK = "mark"
    AGAIN = "again"
    STOP = "stop"
    UNCLEAN = "unclean"


_SAID = frozenset(map(str, What)) - {str(What.BEAT)}


@dataclass(frozen=True, slots=True)
class Sign:
    """A moment of run number `run` of the resolver: Unix µs, and µs of CLOCK_BOOTTIME and CLOCK_MONOTONIC."""

    wall_us: int
    boot: str
    run: int
    boottime_us: int
    monotonic_us: int
    what: What


def clock_step(before: Sign, after: Sign) -> int:
    """By how much (µs, signed) the wall clock was set between two signs of one boot; 0 where it was at most slewed."""
    length = after.boottime_us - before.boottime_us
    step = after.wall_us - before.wall_us - length
    return step if abs(step) > STEP_US + abs(length) // SLEW else 0


def is_hole(before: Sign, after: Sign) -> bool:
    """True if between two alive marks of one run, 30 s apart, sleep came, the process stood or the clock was set.

    Whoever makes the marks then records both, as MARK and AGAIN: only so the hole is placed to half a minute.
    """
    awake = after.monotonic_us - before.monotonic_us
    asleep = after.boottime_us - before.boottime_us - awake
    return awake > MARK_US or asleep > STEP_US or clock_step(before, after) != 0


def signs_of(events: Iterable[Mapping[str, Any]]) -> list[Sign]:
    """The signs of the resolver in entries of the log (objects with `kind` and `at`, see `journal.entry`), in order.

    Taken are start, stop, mark and again of the process dns, unclean with its `last`, and the mark that a beat
    carries. One without BOOTTIME is of an older version and says too little: it is passed over; so is the mark of a run
    that has said stop, which beats of `control` go on to carry while dns is not there.
    """
    found, stopped = list[Sign](), set[tuple[str, int]]()
    for event in events:
        kind, of = event["kind"], event
        if kind == What.BEAT:
            of = event.get("mark") or {}
        elif kind not in _SAID or event.get("process") != "dns":
            continue
        if of.get("boottime", 0) > 0 and not (kind == What.BEAT and (of["boot"], of["run"]) in stopped):
            wall = of["last"] if kind == What.UNCLEAN else of["at"]
            found.append(Sign(wall, of["boot"], of["run"], of["boottime"], of["monotonic"], What(kind)))
            change = stopped.add if kind == What.STOP else stopped.discard
            change((of["boot"], of["run"]))
    return found


def between(one: Sign, other: Sign) -> list[tuple[State, int]]:
    """What happened between two neighbouring signs of a boot, with lengths in µs; sleep is put in the middle."""
    length = other.boottime_us - one.boottime_us
    asleep = asleep_in(length, other.monotonic_us - one.monotonic_us)
    awake = length - asleep
    if one.run == other.run and one.what != What.STOP and other.what != What.START:
        state = _running(awake, other.what)
        return [(state, awake // 2), (State.ASLEEP, asleep), (state, awake - awake // 2)]
    told = one.what in (What.STOP, What.UNCLEAN)
    grace = 0 if told else min(awake, BEAT_US)
    rest = awake - grace
    return [
        (State.UNKNOWN, grace),
        (State.UNMONITORED, rest // 2),
        (State.ASLEEP, asleep),
        (State.UNMONITORED, rest - rest // 2),
    ]


def _running(awake: int, what: What) -> State:
    if what == What.AGAIN:
        return State.MONITORED if awake <= MARK_US else State.UNMONITORED
    return State.MONITORED if awake <= SILENCE_US else State.UNKNOWN


def asleep_in(boottime: int, monotonic: int) -> int:
    """µs of sleep in a time that was so long by BOOTTIME and by MONOTONIC."""
    asleep = boottime - max(0, monotonic)
    return asleep if asleep >= SLEEP_US else 0
