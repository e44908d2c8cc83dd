"""The machine's clocks at one moment, as entries keep them. Called by `control`; tests hand in times of their own."""

import ctypes
import subprocess
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
_PATIENCE = 2.0
"""Seconds that timedatectl may take: it starts systemd-timedated where that does not run (0.2 s on an idle machine)."""


def synchronised() -> bool:
    """True if NTP keeps the kernel's wall clock; False where nobody says so. May take as long as a program's start."""
    if not sys.platform.startswith("linux"):
        return False
    state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))  # no mode is set: it only reads
    return timedated() == "yes" if state < 0 else state < _UNSYNCHRONISED


def timedated() -> str:
    """What systemd-timedated says of it: "yes", "no", or "" where there is none.

    It is asked because a unit with ProtectClock=yes may not call adjtimex, which is refused also where it only reads.
    """
    command = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.stdout.strip()


def read() -> Clocks:
    """Now."""
    return Clocks(clock.now_us(), clock.boottime_us(), clock.monotonic_us())
