"""The facts of days: what they are made of, and the order in which the record is read."""

from datetime import UTC, date
from pathlib import Path

from blockerd.control.days import summarised
from blockerd.journal.append import Journal
from blockerd.journal.read import View
from blockerd.report.daily import told
from blockerd.report.week import Cover
from blockerd.settings import Role
from tests.fakes.sharing import DAY, HOUR, MINUTE, us
from tests.journal.spooling import Spool

MONDAY = us("2026-11-23T00:00+00:00")


class Computer:
    """A computer whose resolver and control tell of themselves; `ahead` (µs) is how far its clock is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = Spool(folder / "spool", start=MONDAY)
        self.ahead = 0

    def says(self, what: str, at: int, boot: str, begin: int) -> None:
        """A sign of the resolver in the boot that began at `begin`."""
        self.spool.at = at + self.ahead
        clocks = {"at": self.spool.at, "boot": boot, "run": 1, "boottime": at - begin, "monotonic": at - begin}
        mark = {"counters": {}, "policy": "p", "mark": clocks} if what == "beat" else {"process": "dns"}
        self.spool.tell(kind=what, **mark, **clocks)

    def on(self, boot: str, begin: int, end: int) -> None:
        """A boot in which the filter runs from `begin` to `end`."""
        for at in range(begin, end + 1, 15 * MINUTE):
            self.says("start" if at == begin else "stop" if at == end else "beat", at, boot, begin - MINUTE)

    def cover(self, day: date, now: int) -> Cover:
        """What the user is told of `day`."""
        journal = Journal(self.folder / "journal.sqlite", lambda: self.spool.at)
        journal.drain(self.spool.folder)
        journal.close()
        with View(self.folder / "journal.sqlite", self.spool.folder) as view:
            return told(summarised(view, [day], None, now, UTC, {})[day][Role.SELF]).cover


def test_twenty_minutes_in_which_the_resolver_stood_still_are_told(tmp_path: Path):
    """It tells of its last mark before and the first behind; beats go on meanwhile."""
    computer, noon = Computer(tmp_path), MONDAY + 12 * HOUR
    told_by_it = {"start": -15, "mark": 0, "again": 20, "beat": 25, "stop": 30}
    for what, minute in told_by_it.items():
        computer.says(what, noon + minute * MINUTE, "b", noon - HOUR)
    cover = computer.cover(date(2026, 11, 23), MONDAY + DAY + HOUR)
    assert (cover.monitored, cover.unmonitored) == (25, 20)


def test_an_hour_of_a_clock_days_ahead_counts_for_no_day_on_which_the_computer_was_off(tmp_path: Path):
    """The order of the record shows that it was wrong; by their times alone these signs would fit in."""
    computer = Computer(tmp_path)
    computer.on("b0", MONDAY + 10 * HOUR, MONDAY + 12 * HOUR)
    computer.ahead = 3 * DAY
    computer.on("b1", MONDAY + 13 * HOUR, MONDAY + 14 * HOUR)
    computer.ahead = 0
    computer.on("b2", MONDAY + 15 * HOUR, MONDAY + 3 * DAY + 11 * HOUR)
    computer.on("b3", MONDAY + 4 * DAY + 8 * HOUR, MONDAY + 4 * DAY + 9 * HOUR)
    cover = computer.cover(date(2026, 11, 26), MONDAY + 4 * DAY + 10 * HOUR)
    assert cover.monitored == 11 * 60
