"""What happens by the clock: APScheduler wakes us, and nothing else uses it.

It only wakes: what is due is decided by whoever is called, from what is on disk. A tick that comes late (a machine that
slept, a busy one) is run once, never skipped: the library's own default drops jobs that are a second late.
Called by `control`.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

DEFAULTS = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}


class Ticks:
    """Calls coroutines at intervals on the running event loop, between `start` and `stop`."""

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(timezone=UTC, job_defaults=DEFAULTS)

    def every(self, seconds: float, call: Callable[[], Awaitable[None]], *, first: datetime) -> None:
        """Calls `call` at `first` (UTC) and then every `seconds`; a call still running is not called again."""
        self._scheduler.add_job(call, "interval", seconds=seconds, next_run_time=first)

    def start(self) -> None:
        """Begins to tick; needs a running event loop."""
        self._scheduler.start()

    def stop(self) -> None:
        """Ticks no more; what runs goes on to its end."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)


def in_seconds(now: datetime, seconds: float) -> datetime:
    """`seconds` after `now`."""
    return now + timedelta(seconds=seconds)
