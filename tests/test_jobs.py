"""The clock's ticks: a late one is run once and never skipped, a slow one is not run beside itself."""

import asyncio

import pytest

from blockerd import clock
from blockerd.jobs import DEFAULTS, Ticks, in_seconds


def _run(seconds: float, first: float, wanted: int, slow: float = 0.0) -> list[float]:
    """Starts of a job every `seconds`, the first of them `first` seconds from now, until `wanted` are seen."""
    starts: list[float] = []
    under_way = 0

    async def run() -> None:
        enough = asyncio.Event()

        async def job() -> None:
            nonlocal under_way
            under_way += 1
            assert under_way == 1, "beside itself"
            starts.append(clock.monotonic())
            if len(starts) >= wanted:
                enough.set()
            await asyncio.sleep(slow)
            under_way -= 1

        ticks = Ticks()
        ticks.every(seconds, job, first=in_seconds(clock.utc(clock.now()), first))
        ticks.start()
        try:
            async with asyncio.timeout(10):
                await enough.wait()
        finally:
            ticks.stop()
            await asyncio.sleep(slow)

    asyncio.run(run())
    return starts


def test_it_ticks_again_and_again():
    starts = _run(0.05, 0.0, 4)
    assert starts == sorted(starts)


def test_a_tick_that_was_missed_for_an_hour_is_run_once():
    assert len(_run(3600.0, -3600.0 * 5.5, 1)) == 1


def test_a_job_that_takes_longer_than_its_interval_is_not_run_beside_itself(caplog: pytest.LogCaptureFixture):
    assert len(_run(0.05, 0.0, 2, slow=0.2)) >= 2


def test_nothing_is_ever_too_late():
    assert DEFAULTS == {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
