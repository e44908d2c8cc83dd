"""The resolver process and its clock: what the hot path holds of a schedule is of now, however the clock moves."""

import asyncio
from pathlib import Path

import pytest

from blockerd import clock
from blockerd.dns.engine import Engine, Forward
from blockerd.dns.process import DnsProcess
from blockerd.process import Lifeline
from blockerd.settings import load
from tests.fakes.packets import a, query, response
from tests.fakes.policies import Listing, guard_of, policy
from tests.fakes.resolvers import CLIENT, run_hot

DAY = 86400.0
MONDAY_NOON = 4 * DAY + DAY / 2  # 5 January 1970
EVENINGS = policy(
    Listing("listed.test", "chat"), schedules=[("chat", ("mon", "tue", "wed", "thu", "fri"), ("18:00-23:00",))]
)


def _process(folder: Path) -> tuple[DnsProcess, Engine]:
    """A process that has taken up EVENINGS at noon, and its engine."""
    (folder / "blockerd.toml").write_text("")
    settings = load(folder / "blockerd.toml", {}, folder)
    settings.state.dir.mkdir(parents=True, exist_ok=True)
    process = DnsProcess(settings, lambda: settings)
    process._following.guard = guard_of(())  # as the policy has it
    process._adopt(EVENINGS, MONDAY_NOON)
    engine = process._engine
    assert engine is not None
    return process, engine


@pytest.mark.parametrize("moved", [8 * 3600.0, 8 * 3600.0 - 3 * DAY])
def test_a_clock_that_is_moved_into_a_window_closes_it_at_the_next_tick(
    moved: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    process, engine = _process(tmp_path)
    assert run_hot(engine, query("listed.test"), MONDAY_NOON).unlisted, "open at noon"
    monkeypatch.setattr(clock, "now", lambda: MONDAY_NOON + moved)
    asyncio.run(process._tick(Lifeline()))
    hot = run_hot(engine, query("listed.test"), MONDAY_NOON + moved)
    assert (hot.answer is not None, hot.unlisted) == (True, False)


@pytest.mark.parametrize(("moved", "forgotten"), [(-7200.0, True), (-0.5, False), (7200.0, False)])
def test_a_clock_that_is_set_back_ends_what_would_stay_for_as_long_as_the_step(
    moved: float, forgotten: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Dual boot with the clock in local time: names that failed before it is put right must not fail for hours."""
    process, engine = _process(tmp_path)
    now, boottime = MONDAY_NOON, 60_000_000
    monkeypatch.setattr(clock, "now", lambda: now)
    monkeypatch.setattr(clock, "boottime_us", lambda: boottime)
    asyncio.run(process._tick(Lifeline()))
    failing, kept = query("failing.test"), query("kept.test")
    for packet, answer in ((failing, None), (kept, response(kept, [a(b"\xc0\x0c", ttl=86400)]))):
        forward = engine.handle(packet, CLIENT, now)
        assert isinstance(forward, Forward)
        engine.finish(forward, answer, now)
        assert not isinstance(engine.handle(packet, CLIENT, now), Forward)
    now, boottime = now + moved, boottime + 250_000
    asyncio.run(process._tick(Lifeline()))
    again = [isinstance(engine.handle(packet, CLIENT, now), Forward) for packet in (failing, kept)]
    assert again == ([True, True] if forgotten else [moved > 0, False])
    assert (run_hot(engine, kept, now).answer is None) == forgotten
