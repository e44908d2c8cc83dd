"""The clock's ticks: a late one is run once and never skipped, a slow one is not run beside itself."""

import asyncio
from threading import active_count

import pytest

from blockerd import clock
from blockerd.jobs import DEFAULTS, Ticks, in_seconds, workers


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
    """T62: missed runs give one run."""
    assert len(_run(3600.0, -3600.0 * 5.5, 1)) == 1


def test_a_job_that_takes_longer_than_its_interval_is_not_run_beside_itself(caplog: pytest.LogCaptureFixture):
    assert len(_run(0.05, 0.0, 2, slow=0.2)) >= 2


def test_nothing_is_ever_too_late():
    assert DEFAULTS == {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}


def _look(first: float) -> float:
    """Seconds from now to the next run of a job of each hour, first due in `first` seconds, after a look."""

    async def run() -> float:
        async def job() -> None:
            """Does nothing."""

        ticks, now = Ticks(), clock.utc(clock.now())
        ticks.every(3600.0, job, first=in_seconds(now, first))
        ticks.start()
        try:
            ticks.look(now)
            await asyncio.sleep(0)
            (left,) = ticks.ahead(now)
            return left
        finally:
            ticks.stop()

    return asyncio.run(run())


def test_a_clock_that_is_set_back_a_year_puts_nothing_off_longer_than_its_interval():
    assert _look(365 * 86_400.0) == 3600.0


def test_a_clock_that_is_set_on_by_fifty_years_is_not_counted_hour_by_hour():
    began = clock.monotonic()
    assert 3590 < _look(-50 * 365 * 86_400.0) <= 3601
    assert clock.monotonic() - began < 1


def test_what_came_due_in_a_sleep_runs_at_the_next_look():
    assert 0 < _look(-1800.0) <= 1801


def test_all_threads_of_a_pool_are_there_from_the_beginning_and_no_more_come():
    before = active_count()
    with workers(3) as pool:
        assert active_count() == before + 3
        done = [pool.submit(pow, n, 2) for n in range(200)]
        assert [one.result(10) for one in done] == [n * n for n in range(200)]
        assert active_count() == before + 3
    assert active_count() == before
