"""When what is past its time is forgotten: once a day of the machine's life, its sleep included."""

from pathlib import Path

import pytest

from blockerd.control.life import Life
from blockerd.journal import clocks
from blockerd.journal.clocks import Clocks
from blockerd.settings import Settings, State

HOUR = 3_600_000_000


def test_a_laptop_that_sleeps_most_of_the_day_forgets_daily(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    at = Clocks(0, 0, 0)
    monkeypatch.setattr(clocks, "read", lambda: at)
    life = Life(Settings(state=State(tmp_path)), lambda _: None)
    assert life.time_to_prune()
    life.pruned()
    for awake in range(1, 4):
        at = Clocks(awake * HOUR, awake * HOUR, awake * HOUR)
        assert not life.time_to_prune()
    at = Clocks(24 * HOUR, 24 * HOUR, 4 * HOUR)
    assert life.time_to_prune()
