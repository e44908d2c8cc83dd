"""The one place that reads clocks; everything else takes time as a parameter.

Called by the edges (listener, control, command line). Pure modules never import it.
"""

import sys
import time
from datetime import UTC, datetime


def boot_line(platform: str) -> int | None:
    """The system's clock that runs on in sleep, None where there is none (elsewhere the macOS name stands still)."""
    return getattr(time, "CLOCK_MONOTONIC_RAW" if platform == "darwin" else "CLOCK_BOOTTIME", None)


_BOOTTIME = boot_line(sys.platform)


def now() -> float:
    """Unix time in seconds (UTC)."""
    return time.time()


def now_us() -> int:
    """Unix time in whole microseconds (UTC), as journal records store it."""
    return time.time_ns() // 1000


def monotonic() -> float:
    """Seconds on a clock that is never set, for durations and time-outs."""
    return time.monotonic()


def boottime_us() -> int:
    """Microseconds since the system's start, sleep included; where no clock counts that, without sleep."""
    return time.clock_gettime_ns(_BOOTTIME) // 1000 if _BOOTTIME is not None else time.monotonic_ns() // 1000


def monotonic_us() -> int:
    """Microseconds on a clock that is never set and stands still in sleep (CLOCK_MONOTONIC)."""
    return time.monotonic_ns() // 1000


def utc(seconds: float) -> datetime:
    """An aware UTC datetime for Unix `seconds`."""
    return datetime.fromtimestamp(seconds, UTC)


def rfc3339(seconds: float) -> str:
    """Unix `seconds` as RFC 3339 text in UTC with milliseconds, e.g. 2026-11-22T18:00:00.000Z."""
    return utc(seconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_rfc3339(text: str) -> float:
    """Unix seconds for RFC 3339 `text`; a text without an offset is refused.

    Raises:
        ValueError: not RFC 3339, or without an offset.
    """
    stamp = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
    if stamp.tzinfo is None:
        raise ValueError(f"{text}: add an offset, e.g. {text}Z or {text}+02:00")
    return stamp.timestamp()
