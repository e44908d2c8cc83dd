"""The resolver process and its clock: what the hot path holds of a schedule is of now, however the clock moves."""

import asyncio
from pathlib import Path

import pytest

from blockerd import clock
from blockerd.dns.process import DnsProcess
from blockerd.process import Lifeline
from blockerd.settings import load
from tests.fakes.packets import query
from tests.fakes.policies import Listing, guard_of, policy
from tests.fakes.resolvers import run_hot

DAY = 86400.0
MONDAY_NOON = 4 * DAY + DAY / 2  # 5 January 1970
EVENINGS = policy(
    Listing("listed.test", "chat"), schedules=[("chat", ("mon", "tue", "wed", "thu", "fri"), ("18:00-23:00",))]
)


@pytest.mark.parametrize("moved", [8 * 3600.0, 8 * 3600.0 - 3 * DAY])
def test_a_clock_that_is_moved_into_a_window_closes_it_at_the_next_tick(
    moved: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "blockerd.toml").write_text("")
    settings = load(tmp_path / "blockerd.toml", {}, tmp_path)
    settings.state.dir.mkdir(parents=True, exist_ok=True)
    process = DnsProcess(settings, lambda: settings)
    process._following.guard = guard_of(())  # as the policy has it
    process._adopt(EVENINGS, MONDAY_NOON)
    engine = process._engine
    assert engine is not None
    assert run_hot(engine, query("listed.test"), MONDAY_NOON).unlisted, "open at noon"
    monkeypatch.setattr(clock, "now", lambda: MONDAY_NOON + moved)
    asyncio.run(process._tick(Lifeline()))
    hot = run_hot(engine, query("listed.test"), MONDAY_NOON + moved)
    assert (hot.answer is not None, hot.unlisted) == (True, False)
