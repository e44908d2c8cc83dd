"""Forty minutes in which dns did not run show as forty minutes of a week of 10,080 (T73), from marks to the record.

The signs are made by what makes them in the daemon: alive marks in their file, the pulse of control, the spool, the
journal. Clocks are set by the test.
"""

from dataclasses import asdict
from pathlib import Path

import pytest

from blockerd.journal.alive import AliveMark
from blockerd.journal.append import Journal
from blockerd.journal.clocks import Clocks
from blockerd.journal.entry import kind_of
from blockerd.journal.pulse import Facts, Pulse
from blockerd.journal.read import View
from blockerd.report.coverage import Boot, End, State, minutes, signs_of, stretches
from tests.journal.spooling import SECOND, START, Spool

MINUTE = 60 * SECOND
WEEK = 7 * 24 * 60


class Machine:
    """One boot: dns with its marks, control with its pulse, a journal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.minute = 0
        self.asleep = 0
        self.run = 1
        self.spool = Spool(folder / "spool")
        self.marks = AliveMark(folder / "dns.alive")
        self.pulse = Pulse(
            folder, folder / "dns.alive", "b1", self.spool.writer.event, self.clocks, lambda: Facts({}, "p"),
            lambda: ("UTC", "UTC"),
        )  # fmt: skip
        self.dns("start")
        self.pulse.start({})

    def clocks(self) -> Clocks:
        passed = self.minute * MINUTE
        self.spool.at = START + passed
        return Clocks(START + passed, MINUTE + passed, MINUTE + passed - self.asleep * MINUTE)

    def dns(self, state: str, **more: object) -> None:
        """A start or a stop, and right after it the mark, as the process does both."""
        now = self.clocks()
        times = {"run": self.run, "boottime": now.boottime, "monotonic": now.monotonic}
        self.spool.tell(kind="coverage", process="dns", state=state, boot="b1", **times, **more)
        mark = self.marks.stopped if state == "stop" else self.marks.mark
        mark(now.wall + 9, now.boottime + 9, now.monotonic + 9, "b1", self.run)

    def on(self, count: int, *, dns: bool = True) -> None:
        """So many minutes pass; control looks every few, dns marks where it runs, to the last minute."""
        end = self.minute + count
        while self.minute < end:
            self.minute = min(end, self.minute + 5)
            now = self.clocks()
            if dns:
                self.marks.mark(now.wall, now.boottime, now.monotonic, "b1", self.run)
            self.pulse.look()

    def back(self) -> None:
        """Dns starts again, and knows the last mark of its run before."""
        self.marks.close()
        self.marks = AliveMark(self.folder / "dns.alive")
        mark = self.marks.previous
        assert mark
        self.run += 1
        said = {"at": mark.wall_us, "boot": "b1", "run": mark.run, "boottime": mark.boottime_us}
        self.dns("start", mark={**said, "monotonic": mark.monotonic_us})

    def told(self) -> dict[State, int]:
        """What a report makes of the week."""
        journal = Journal(self.folder / "journal.sqlite", lambda: self.spool.at)
        assert journal.drain(self.spool.folder).message == ""
        journal.close()
        with View(self.folder / "journal.sqlite", self.spool.folder) as view:
            entries = view.entries(0, 1 << 62, ("start", "stop", "mark", "again", "beat", "unclean"))
        signs = signs_of({**asdict(entry), "kind": kind_of(entry)} for entry in entries)
        end = START + WEEK * MINUTE
        boots = [Boot("b1", START - MINUTE, end, End.RUNNING)]
        return {state: count for state, count in minutes(stretches(START, end, signs, boots, end)).items() if count}


@pytest.mark.once
@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_forty_minutes_without_the_filter_are_forty_minutes(tmp_path: Path, how: str):
    machine = Machine(tmp_path)
    machine.on(3 * 24 * 60 + 22 * 60 + 10)
    if how == "stopped":
        machine.dns("stop")
    machine.on(40, dns=False)
    machine.back()
    machine.on(WEEK - machine.minute)
    told = machine.told()
    assert sum(told.values()) == WEEK
    assert abs(told[State.UNMONITORED] - 40) <= 1
    assert set(told) == {State.MONITORED, State.UNMONITORED}


@pytest.mark.once
def test_nine_hours_of_sleep_are_no_gap(tmp_path: Path):
    machine = Machine(tmp_path)
    machine.on(2000)
    machine.minute, machine.asleep = machine.minute + 540, 540
    machine.on(WEEK - machine.minute)
    told = machine.told()
    assert (sum(told.values()), told.get(State.UNMONITORED, 0)) == (WEEK, 0)
    assert abs(told[State.ASLEEP] - 540) <= 1
