"""Spools written by the real Writer at chosen times, and what must come out of them. Called by the tests beside it."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from blockerd.journal import spool
from blockerd.journal.read import View
from blockerd.journal.spool import Level, Meta, Writer
from blockerd.model import Attempt
from blockerd.policy.name import from_text

START = 1_795_370_400_000_000  # 2026-11-22T18:00:00Z
SECOND = 1_000_000

COMBOS = (
    ("starter", "Adult sites", "adult", "attempt"),
    ("starter", "Cam sites", "cam", "attempt"),
    ("ways", "Ways round", "bypass", "bypass"),
    ("demo", "Test name", "demo", "test"),
)
META = Meta(7, "policy-7.snapshot", "NXDOMAIN", COMBOS)


class Spool:
    """A spool folder with one writing process; `at` is its clock in Unix µs."""

    def __init__(self, folder: Path, process: str = "dns", start: int = START) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self.at = start
        self.folder = folder
        self.writer = Writer(folder, process, lambda: self.at, lambda: 0.0)
        self.writer.meta(META)

    def ask(self, *names: str, combo: int = 0, flags: int = 0, addresses: bytes = b"", slot: int = 0) -> None:
        """Refused questions of type A for `names`, in one record."""
        wires = [from_text(name) + b"\x00\x01\x00\x01" for name in names]
        self.writer.attempts([slot, combo] * len(names), wires, flags, addresses)

    def tell(self, **event: object) -> None:
        """One EVENT."""
        self.writer.event(event)

    def alive(self, state: str, boot: str = "b1") -> None:
        """One sign of life."""
        self.tell(kind="coverage", process="dns", state=state, boot=boot)

    def end(self) -> None:
        """The process ends; a further record would begin the next segment."""
        self.writer.close()

    @property
    def paths(self) -> list[Path]:
        """The segments in the folder."""
        return spool.segments(self.folder)


def quiet(*paths: Path) -> None:
    """Makes `paths` look as if nobody wrote to them for an hour."""
    for path in paths:
        os.utime(path, (1_000_000_000, 1_000_000_000))


def counts(attempts: Iterable[Attempt]) -> Counter[str]:
    """Questions by site."""
    found: Counter[str] = Counter()
    for attempt in attempts:
        found[attempt.site] += attempt.count
    return found


def everything(journal: Path, folder: Path, level: Level = Level.SITE) -> list[Attempt]:
    """All attempts on record, oldest first."""
    with View(journal, folder, level) as view:
        return list(view.attempts())
