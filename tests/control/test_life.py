"""When `control` believes the wall clock: for notes, and for forgetting what is past its time."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from blockerd import clock
from blockerd.control.life import Life
from blockerd.journal import clocks
from blockerd.journal.clocks import Clocks
from blockerd.settings import Settings, State

START, HOUR, DAY = 1_795_370_400_000_000, 3_600_000_000, 86_400_000_000


class Machine:
    """A machine whose clocks the test turns; `ntp`: the kernel says that NTP keeps the clock."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder / "run").mkdir()
        self.folder = folder
        self.wall, self.boottime = START, 100 * HOUR
        self.ntp = False
        monkeypatch.setattr(clocks, "read", lambda: Clocks(self.wall, self.boottime, self.boottime))
        monkeypatch.setattr(clocks, "synchronised", lambda: self.ntp)
        monkeypatch.setattr(clock, "boottime_us", lambda: self.boottime)
        self.boot("first")

    def boot(self, name: str, off: int = 0) -> None:
        """Another start of the system, `off` µs later by its clock."""
        self.wall += off
        self.pulse = Life(Settings(state=State(self.folder)), lambda _: None)
        self.pulse._pulse._last = self.pulse._pulse._last.__class__(boot=name)
        self.pulse.start()

    def passes(self, time: int, *, set_by: int = 0) -> None:
        """Time goes by, and the clock is set."""
        self.boottime += time
        self.wall += time + set_by
        self.pulse._pulse.look()

    @property
    def believed(self) -> tuple[bool, bool]:
        """For notes, for forgetting."""
        return self.pulse.doubt() == 0, self.pulse.time_to_prune()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    return Machine(tmp_path, monkeypatch)


@pytest.mark.parametrize("step", [HOUR // 6, 3 * DAY, 730 * DAY, -HOUR])
def test_a_clock_that_was_set_is_in_doubt_for_an_hour_or_until_ntp(machine: Machine, step: int):
    assert machine.believed == (True, True)
    machine.passes(HOUR, set_by=step)
    assert machine.believed == (False, False)
    machine.ntp = True
    assert machine.believed == (True, False)
    machine.ntp = False
    machine.passes(HOUR)
    assert machine.believed == (True, True)


def test_nothing_is_forgotten_in_a_run_that_began_years_ahead_before_ntp_says_so(machine: Machine):
    machine.boot("second", 730 * DAY)
    assert machine.believed == (False, False)
    machine.passes(2 * HOUR)
    assert machine.believed == (True, False)
    machine.ntp = True
    assert machine.believed == (True, True)


def test_a_run_that_began_years_ahead_is_believed_once_it_has_lasted_a_day_where_nobody_knows_of_ntp(machine: Machine):
    machine.boot("second", 730 * DAY)
    machine.passes(DAY - HOUR)
    assert machine.believed == (True, False)
    machine.passes(HOUR)
    assert machine.believed == (True, True)


def test_a_computer_used_at_weekends_forgets_though_nobody_knows_of_ntp(machine: Machine):
    machine.boot("second", 6 * DAY)
    assert machine.believed == (False, False)
    machine.passes(HOUR)
    assert machine.believed == (True, True)


def test_a_night_off_is_no_doubt(machine: Machine):
    machine.boot("second", 10 * HOUR)
    assert machine.believed == (True, True)


def test_forgetting_is_daily_also_where_the_computer_sleeps_most_of_the_day(machine: Machine):
    machine.pulse.pruned()
    machine.boottime += 23 * HOUR
    assert not machine.pulse.time_to_prune()
    machine.boottime += HOUR
    assert machine.pulse.time_to_prune()


@pytest.mark.parametrize(("said", "kept"), [(0, True), (1, True), (5, False), (-1, False)])
def test_the_kernel_says_whether_ntp_keeps_the_clock(said: int, monkeypatch: pytest.MonkeyPatch, *, kept: bool):
    """adjtimex(2): TIME_OK and TIME_INS, TIME_ERROR, and a call that is not allowed."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("ctypes.CDLL", lambda _: SimpleNamespace(adjtimex=lambda room: said if len(room) > 208 else 0))
    assert clocks.synchronised() is kept


@pytest.mark.parametrize(
    ("script", "kept"), [("echo yes", True), ("echo no", False), ("exec >&2; echo yes; exit 1", False)]
)
def test_where_the_unit_may_not_ask_the_kernel_timedated_says_it(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, kept: bool
):
    """Under ProtectClock= adjtimex is refused; a room of Debian says that timedatectl is heard there."""
    program = tmp_path / "timedatectl"
    program.write_text(f'#!/bin/sh\n[ "$*" = "show --property=NTPSynchronized --value" ] || exit 2\n{script}\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("ctypes.CDLL", lambda _: SimpleNamespace(adjtimex=lambda _: -1))
    assert clocks.synchronised() is kept
