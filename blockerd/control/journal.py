"""The journal as `control` keeps it: stores what the spool holds, tells trouble once, forgets what is past its time.

One thing at a time: whoever calls waits for the other. Refuses to forget while the clock has just been set. Called by
`control` from worker threads; what else `control` does never waits for this.
"""

import logging
import os
import threading
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo

import blockerd.journal.forget as forgetting
from blockerd import clock
from blockerd.journal import rotation, spool
from blockerd.journal.append import Journal
from blockerd.journal.check import check
from blockerd.journal.checkpoint import PublicKey
from blockerd.journal.continuity import repairs_of
from blockerd.journal.log import open_log
from blockerd.journal.outcome import DrainState
from blockerd.journal.retention import DAY_US, Removed
from blockerd.journal.schema import Connection, JournalError
from blockerd.lists.snapshot import SnapshotError, open_table, read_pointer
from blockerd.policy.match import Table
from blockerd.report.period import day_of, midnight
from blockerd.settings import Settings

if TYPE_CHECKING:
    from blockerd.screentime.store import Execute

log = logging.getLogger(__name__)

T = TypeVar("T")

UNFIT = "the record does not fit its own hashes"

_LITTLE = 65_536
"""Octets free below which a disk counts as full: a batch of records is no longer sure to fit."""

UNUSABLE = "unusable"
"""State beside those of a drain: a newer blockerd made the journal, or its folder takes no file."""


class Scrub(Enum):
    """What is left to do after something was removed: the file is to be written anew, or its log to be emptied."""

    NOTHING = 0
    FILE = 1
    LOG = 2


class Keeper:
    """The one writer of the journal; `folder` is the spool. `trouble` is one line, "" for none."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.trouble = ""
        self.end_at = float("inf")
        self._folder = folder
        self._journal: Journal | None = None
        self._tables: dict[str, Table] = {}
        self._live: Table | None = None
        self._looked = False
        """Whether the live table was looked for in this drain: to do so for each record costs a fifth of it."""
        self._alone = threading.Lock()
        self._state = str(DrainState.OK)
        self._since = 0
        self._scrub_due = Scrub.NOTHING
        self._checked: Any = None  # the connection of a check that is under way
        self.stored: Callable[[Execute], None] = lambda _: None
        """Called after a drain, in its thread, to look at what was stored."""

    def drain(self) -> list[dict[str, Any]]:
        """Moves what is in the spool into the journal until `end_at`; trouble is told once, the spool keeps everything.

        Gives the events that the caller should record. Cancelling the task that waits for this does not stop its
        thread, so the last drain waits for the one under way.
        """
        with self._alone:
            state, trouble = self._drain()
            if not trouble and (trouble := self._no_room()):
                state = DrainState.FULL  # nothing waited for it; what others would write now is lost all the same
            if trouble != self.trouble:
                self.trouble = trouble
                if trouble:
                    log.warning("journal: %s", trouble)
            return self._news(state)

    def trouble_now(self) -> str:
        """`trouble`, or that the disk has become full since the last drain, which then is for the record too."""
        if self.trouble or not (full := self._no_room()):
            return self.trouble
        self._since, self._state = self._since or clock.boottime_us(), DrainState.FULL
        return full

    def prune(self, keep_from: int | None = None) -> Removed:
        """Forgets what is older than the settings say; nothing from `keep_from` (Unix µs) on, for reports still due.

        Raises:
            JournalError, OSError: it could not be done now; call again.
        """
        with self._alone:
            now = clock.now_us()
            before = now - self.settings.privacy.retention_days * DAY_US
            before = before if keep_from is None else min(before, keep_from)
            removed = forgetting.prune(self._open(), self._folder, now, before, self._day_begins)
            if removed.openings:
                log.info("journal: %d entries of more than %d days forgotten", removed.openings, self._days)
            self._scrub(needed=bool(removed.kinds or removed.words))
            return _whole(removed)

    def erase(self) -> Removed:
        """Forgets everything that tells of the person, at once, what waits in the spool included.

        Raises:
            JournalError, OSError: it could not be done now.
        """
        with self._alone:
            state, trouble = self._drain()
            if state != DrainState.OK:
                raise JournalError(trouble)
            removed = forgetting.erase(self._open(), self._folder, clock.now_us())
            self._scrub(needed=True)
            return _whole(removed)

    def change_key(self) -> PublicKey:
        """Signs heads with another key from now on; the change is on record first.

        Raises:
            rotation.NoKey: none is in use yet.
            JournalError, CheckpointError, OSError: it could not be done now; the key of before goes on.
        """
        with self._alone:
            folder = self.settings.state.dir
            journal = self._open()
            journal.within(lambda db: rotation.record_change(db, folder, clock.now_us()))
            return journal.within(lambda db: rotation.current(db, folder)).public

    def within(self, work: Callable[[Connection], T]) -> T:
        """What `work` gives for the writing connection, in a transaction of its own.

        Raises:
            JournalError: the journal cannot be written now; nothing has changed.
        """
        with self._alone:
            return self._open().within(work)

    def settle(self) -> None:
        """Stores what waits, and gives what is over its leaf.

        Raises:
            JournalError: it could not be done now.
        """
        with self._alone:
            state, trouble = self._drain(settle_now=True)
            if state != DrainState.OK:
                raise JournalError(trouble)

    def check(self) -> list[dict[str, Any]]:
        """Whether the record still fits its hashes, beside all other work; the events that the caller should record.

        Told once for each first place that does not fit. What cannot be read now is left to the next start.
        """
        path = self.settings.state.dir / "journal.sqlite"
        try:
            with open_log(path) as record:
                if record is None:
                    return []
                self._checked = record.db
                checked = check(record.db)
                told = {one.detail for one in repairs_of(record) if one.what == UNFIT}
        except (JournalError, ValueError) as error:
            log.info("journal: not checked (%s)", error)
            return []
        finally:
            self._checked = None
        if not checked.broken:
            return []
        first = checked.broken[0]
        detail = f"leaf {first.first}: {first.why}"
        log.warning("journal: %s (%s); blockerd log check tells all places", UNFIT, detail)
        return [] if detail in told else [{"kind": "repair", "what": UNFIT, "detail": detail}]

    def end_check(self) -> None:
        """Ends a check that is under way, so that the process can end."""
        if checking := self._checked:
            checking.interrupt()

    def agents(self) -> dict[str, int]:
        """Number of the last record stored, by agent."""
        return self._journal.agents if self._journal else {}

    def close(self) -> None:
        """Closes the journal; the next call opens it again."""
        with self._alone:
            if self._journal:
                self._journal.close()

    def _drain(self, *, settle_now: bool = False) -> tuple[str, str]:
        """State and trouble."""
        self._looked = False
        try:
            level = spool.Level(self.settings.privacy.level)
            drained = self._open().drain(
                self._folder, level=level, confirm=self._confirm, stop=self._late, settle_now=settle_now
            )
            self.stored(self._open().query)
            if self._scrub_due == Scrub.LOG and forgetting.empty_log(self._open()):
                self._scrub_due = Scrub.NOTHING
        except (OSError, JournalError) as error:
            return UNUSABLE, f"{error}; attempts wait in the spool"
        return drained.state, drained.message

    def _no_room(self) -> str:
        said = f"{self._folder}: the disk is full: free some space; what happens now is lost, and counted"
        return said if is_full(self._folder) else ""

    def _late(self) -> bool:
        return clock.monotonic() > self.end_at

    def _open(self) -> Journal:
        if self._journal is None:
            self._journal = Journal(self.settings.state.dir / "journal.sqlite", clock.now_us)
        return self._journal

    def _scrub(self, *, needed: bool) -> None:
        """Takes what was removed out of the file; where a reader holds on to the old state, drains do the rest."""
        if needed:
            self._scrub_due = Scrub.FILE
        if self._scrub_due == Scrub.FILE:
            self._scrub_due = Scrub.NOTHING if forgetting.scrub(self._open()) else Scrub.LOG

    def _news(self, state: str) -> list[dict[str, Any]]:
        """That the journal could not be written for a while, once it can be again."""
        if state != DrainState.OK:
            self._since = self._since or clock.boottime_us()
            self._state = state
        elif self._since:
            detail = f"{self._state} for {(clock.boottime_us() - self._since) // 1_000_000} s"
            self._since = 0
            return [{"kind": "repair", "what": "journal can be written again", "detail": detail}]
        return []

    def _day_begins(self, at: int) -> int:
        zone = ZoneInfo(self.settings.time.zone)
        return midnight(day_of(at, zone), zone)

    @property
    def _days(self) -> int:
        return self.settings.privacy.retention_days

    def _confirm(self, attempts: Sequence[spool.RawAttempt]) -> list[bool]:
        """Whether the hash match behind each attempt is one by full name too."""
        if not self._looked:
            self._live, self._looked = self._table(), True
        table = self._live
        return [table is None or confirmed(table, attempt) for attempt in attempts]

    def _table(self) -> Table | None:
        """The live table, to look names up in."""
        pointer = read_pointer(self.settings.state.dir)
        if pointer is None:
            return None
        if pointer.snapshot not in self._tables:
            try:
                table = open_table(self.settings.state.dir / pointer.snapshot)
            except SnapshotError:
                return None
            self._tables = {pointer.snapshot: table}
        return self._tables[pointer.snapshot]


def is_full(folder: Path) -> bool:
    """True where the file system of `folder` has no room for this user to write another record."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    free = disk.f_bfree if os.geteuid() == 0 else disk.f_bavail  # the rest is kept for root
    files = disk.f_ffree if os.geteuid() == 0 else disk.f_favail
    return (disk.f_blocks > 0 and free * disk.f_frsize < _LITTLE) or (disk.f_files > 0 and files == 0)


def _whole(removed: Removed) -> Removed:
    """`removed`; OSError where a file is left, after all else is done."""
    if removed.left:
        raise OSError("; ".join(removed.left))
    return removed


def confirmed(table: Table, attempt: spool.RawAttempt) -> bool:
    """True if a rule of the attempt's source really names the recorded name, a name above it or (where only the site
    is kept) one below it. Decides by full names, never by hash."""
    if attempt.name == b"\x00":
        return True
    if any(table.sources[hit.combo.source].id == attempt.source for hit in table.hits(attempt.name)):
        return True
    if attempt.slot >= len(table.slots) or not table.slots[attempt.slot]:
        return False
    return table.name_at(attempt.slot).endswith(attempt.name)
