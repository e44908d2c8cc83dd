"""What happens by the clock: APScheduler wakes us, and nothing else uses it. And the threads for what takes its time.

The clock only wakes: what is due is decided by whoever is called, from what is on disk. A tick that comes late (a
machine that slept, a busy one) is run once, never skipped: the library's own default drops jobs a second late.
Called by `control`.
"""

import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

from apscheduler.schedulers.asyncio import AsyncIOScheduler

logging.getLogger("apscheduler").setLevel(logging.WARNING)  # it tells of every tick otherwise

DEFAULTS = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
NOTHING = timedelta()


def workers(count: int) -> ThreadPoolExecutor:
    """A pool of `count` threads that all run from the beginning: neither the number of cores nor the busiest minute of
    a week says how many there are and what memory they take."""
    pool, all_here = ThreadPoolExecutor(count, thread_name_prefix="work"), Barrier(count)
    for _ in range(count):
        pool.submit(all_here.wait)
    return pool


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

    def look(self, now: datetime) -> None:
        """Called often, since timers stand still while a machine sleeps and do not follow a clock that is set.

        What came due in a sleep runs now, once; what a clock set back has put off comes within its interval.
        """
        for job in self._scheduler.get_jobs():
            ahead = job.next_run_time - now
            if ahead > job.trigger.interval:
                job.modify(next_run_time=now + job.trigger.interval)
            elif -ahead > job.trigger.interval:
                job.modify(next_run_time=now)  # years of missed times are not counted one by one
            elif ahead <= NOTHING:
                self._scheduler.wakeup()

    def ahead(self, now: datetime) -> list[float]:
        """Seconds from `now` to the next run of each."""
        return [(job.next_run_time - now).total_seconds() for job in self._scheduler.get_jobs()]

    def stop(self) -> None:
        """Ticks no more; what runs goes on to its end."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)


def in_seconds(now: datetime, seconds: float) -> datetime:
    """`seconds` after `now`."""
    return now + timedelta(seconds=seconds)
