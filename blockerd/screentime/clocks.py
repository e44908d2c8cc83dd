"""The clocks of the agent: civil time, and a line that runs on through suspend and knows of no clock step.

Called by `agent`; tests hand in clocks of their own.
"""

from typing import NamedTuple

from blockerd import clock


class Instant(NamedTuple):
    """A moment: µs on the boot line, civil time (Unix µs), and µs on a line that stands still during suspend."""

    at: int
    wall: int
    awake: int


def read() -> Instant:
    """Now. Where the system has one line only, both are it and a suspend shows as a hole between two looks."""
    awake = clock.monotonic_us()  # first: it is never ahead of the boot line
    return Instant(clock.boottime_us(), clock.now_us(), awake)
