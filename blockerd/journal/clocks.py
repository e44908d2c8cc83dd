"""The machine's clocks at one moment, as entries keep them. Called by `control`; tests hand in times of their own."""

import ctypes
import sys
from typing import NamedTuple

from blockerd import clock


class Clocks(NamedTuple):
    """Unix µs; µs of a clock that runs on through sleep; µs of one that stands still meanwhile. Neither is ever set."""

    wall: int
    boottime: int
    monotonic: int


_TIMEX_BYTES = 256
"""Room for a `struct timex` (208 octets on 64-bit Linux)."""
_UNSYNCHRONISED = 5
"""What adjtimex(2) returns then (TIME_ERROR): since boot, or since the clock was set, no NTP has kept it."""


def synchronised() -> bool:
    """True if the kernel says that NTP keeps its wall clock; False where it does not say."""
    if not sys.platform.startswith("linux"):
        return False
    state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))  # no mode is set: it only reads
    return 0 <= state < _UNSYNCHRONISED


def read() -> Clocks:
    """Now."""
    return Clocks(clock.now_us(), clock.boottime_us(), clock.monotonic_us())
