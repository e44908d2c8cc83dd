"""The machine's clocks at one moment, as entries keep them. Called by `control`; tests hand in times of their own."""

from typing import NamedTuple

from blockerd import clock


class Clocks(NamedTuple):
    """Unix µs; µs of a clock that runs on through sleep; µs of one that stands still meanwhile. Neither is ever set."""

    wall: int
    boottime: int
    monotonic: int


def read() -> Clocks:
    """Now."""
    return Clocks(clock.now_us(), clock.boottime_us(), clock.monotonic_us())
