"""The one writer of the journal: moves spool records into SQLite, each exactly once, also across kill -9.

Rows and how far their segment was read are committed in one transaction; only then is a finished segment deleted.
A disk that is full, a lock held by somebody else or a damaged file ends a drain with a state and leaves the spool as it
is. Called by `control` alone, from one thread. Refuses a journal made by a newer blockerd.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path
from typing import Any, TypeVar

import apsw

from blockerd.journal import readers
from blockerd.journal.continuity import DIFFERS, OLDER, breaks
from blockerd.journal.decode import Chunk, meta_in, whole_records
from blockerd.journal.entry import Lost, Repair
from blockerd.journal.grow import add_entries, load, settle
from blockerd.journal.intake import Confirm, Confirmed, Intake, Names, feed_all
from blockerd.journal.lookup import Lookup
from blockerd.journal.merge import Marks, Merger, Origin
from blockerd.journal.outcome import Drained, DrainState, explained, given_up, held_up, left_out
from blockerd.journal.schema import JournalError, open_writer
from blockerd.journal.screen import seal
from blockerd.journal.spool import Level, Meta, in_use, record_at, segments
from blockerd.journal.store import adopt, write
from blockerd.screentime import store as screen_time

T = TypeVar("T")

BATCH = 20_000
"""Questions of one transaction, so that memory and the time to a commit stay bounded."""

LONGEST_WAL = 48 * 1024 * 1024
"""Octets of the write-ahead log at which storing stops while a reader holds on to an old state."""

_QUIET_US = 10_000_000
_SETTLE_US = 10_000_000
_DONE_KEPT = 1000
_PARTS = re.compile(r"^(?P<process>[a-z]+)-(?P<start>\d+)-(?P<n>\d+)\.seg$")


@dataclass(frozen=True, slots=True)
class _Segment:
    path: Path
    process: str
    sealed: bool


@dataclass(frozen=True, slots=True)
class _Progress:
    offset: int = 0
    meta_at: int = -1
    done: bool = False


class Journal:
    """The journal at `path`; `clock_us` gives Unix µs.

    Opens (and migrates) it at once where that is possible now, else at the next drain.

    Raises:
        JournalError: the schema is newer than this program, or SQLite is too old.
    """

    def __init__(self, path: Path, clock_us: Callable[[], int]) -> None:
        self.path = path
        self._clock_us = clock_us
        self._db: apsw.Connection | None = None
        self._begun = False
        self._origins: dict[Origin, int] | None = None
        self._numbers: dict[int, Origin] = {}
        self._settled_at = 0
        self._names = Names(Level.SITE)
        self._confirmed: Confirmed | None = None
        self._metas: dict[str, tuple[int, Meta | None]] = {}
        self._unread: list[tuple[Path, OSError]] = []
        self.agents: dict[str, int] = {}
        try:
            self._ready()
        except (apsw.Error, UnicodeDecodeError):
            self.close()  # the next drain tries again and says what is the matter

    def drain(
        self,
        spool: Path,
        *,
        level: Level = Level.SITE,
        confirm: Confirm | None = None,
        stop: Callable[[], bool] = lambda: False,
        settle_now: bool = False,
    ) -> Drained:
        """Stores every whole record of the segments in `spool`, cut to `level`; asks `stop` between transactions.

        Attempts that are over have their leaf when this returns with `settle_now`, else seconds later at the most.

        `confirm` is asked once for each new pair of name and table slot, never for names cut away; what it denies is
        kept as "unconfirmed" and shown nowhere.
        """
        if self._names.level != level:
            self._names = Names(level)
        if confirm is None or self._confirmed is None or self._confirmed.confirm != confirm:
            self._confirmed = Confirmed(confirm) if confirm else None
        total, self._unread = Drained(), []
        try:
            db = self._ready()
            began = self._clock_us()
            found = _segments(spool, began)
            for segment in found:
                while not stop():
                    if self._held_up(db):
                        return replace(total, state=DrainState.LOCKED, message=held_up(self.path))
                    if (part := self._part(db, segment)) is None:
                        break
                    total = total.plus(part)
            if settle_now or not 0 <= began - self._settled_at < _SETTLE_US:
                self._settle(db, began, stop)
        except (apsw.Error, UnicodeDecodeError) as error:
            known = error if isinstance(error, apsw.Error) else apsw.CorruptError("a text in it is none")
            given = given_up(self.path, total, known)
            if given.state == DrainState.DAMAGED:
                self.close()  # a file that gave an I/O error is checked before it is written again
            return given
        return replace(total, message=left_out(self._unread))

    def _held_up(self, db: apsw.Connection) -> bool:
        """True if a reader keeps the write-ahead log, which is long, from being used again: the spool waits better."""
        if size_of(self.path.with_name(self.path.name + "-wal")) <= LONGEST_WAL:
            return False
        ((busy, frames, moved),) = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        return bool(busy) or frames != moved

    def _settle(self, db: apsw.Connection, began: int, stop: Callable[[], bool]) -> None:
        """Gives attempts and hours of screen time that were over when the drain began their leaves; everything asked
        before is stored now."""
        while not stop() and not self._held_up(db):
            with self._transaction(db):
                seal(db, began)
                if not settle(db, began):
                    break
        else:
            return
        self._settled_at = began

    def within(self, work: Callable[[apsw.Connection], T], *, transaction: bool = True) -> T:
        """What `work` gives for the writing connection, in a transaction of its own unless it must be outside of any.

        Raises:
            JournalError: the journal cannot be written now; nothing has changed.
        """
        try:
            db = self._ready()
            if not transaction:
                return work(db)
            with self._transaction(db):
                return work(db)
        except apsw.Error as error:
            raise JournalError(explained(self.path, error)) from None
        finally:
            self._origins = None  # `work` may have changed any table

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a statement that another part brings along, in the writer's own thread; none while it is closed.

        Raises:
            JournalError: it cannot be read now.
        """
        try:
            return list(self._db.execute(sql, values)) if self._db else []
        except apsw.Error as error:
            raise JournalError(explained(self.path, error)) from None

    def close(self) -> None:
        """Closes the database; the next drain opens it again."""
        if self._db is not None:
            self._db.close()
        self._db = self._origins = None
        self._begun = False

    def _ready(self) -> apsw.Connection:
        if self._db is None:
            self._db, _ = open_writer(self.path, self._clock_us())
        if not self._begun:
            self._begin(self._db)
            self._begun = True
        if self._origins is None:
            self._origins = Lookup(self._db).origins()
            self._numbers = {number: origin for origin, number in self._origins.items()}
            self.agents = screen_time.acknowledged(self._db.execute)
        return self._db

    def _begin(self, db: apsw.Connection) -> None:
        """Puts on record where the journal comes from, before anything else; tried again where that cannot be now."""
        with self._transaction(db):
            if not load(db).size:
                adopt(db)
                readers.restore(db, self.path)
            found = breaks(db, self.path, self._clock_us())
            if any(one.what in (OLDER, DIFFERS) for one in found):
                readers.renew(db, self.path, self._clock_us())
            add_entries(db, found)

    def _part(self, db: apsw.Connection, segment: _Segment) -> Drained | None:
        """Stores the next records of `segment` in one transaction; None when there is nothing more to do for it."""
        progress = _progress(db, segment.path.name)
        if progress.done:
            self._delete(segment)
            return None
        try:
            data, meta = _read(segment.path, progress.offset), self._meta(segment.path, progress.meta_at)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._unread.append((segment.path, error))  # the next drain tries again
            return None
        chunk = whole_records(data, progress.offset, BATCH)
        finished = segment.sealed and (not chunk.rest or not chunk.records)
        if not chunk.records and not finished:
            return None
        torn = chunk.rest if finished else 0
        with self._transaction(db):
            intake = self._store(db, segment, chunk, (meta, progress.meta_at), finished)
            if torn:
                said = f"{segment.path.name}: {torn} bytes"
                add_entries(db, [Repair(self._clock_us(), "torn end of a segment", detail=said)])
        if intake.screen:
            self.agents = screen_time.acknowledged(db.execute)
        if finished:
            self._delete(segment)
        return Drained(questions=intake.questions, bad=intake.bad, torn=torn)

    def _store(
        self, db: apsw.Connection, segment: _Segment, chunk: Chunk, held: tuple[Meta | None, int], finished: bool
    ) -> Intake:
        """Inside a transaction: the rows of `chunk` and the offset behind it; `held`: the META before it, and where."""
        name = segment.path.name
        lookup = Lookup(db)
        merger, marks = Merger(lookup.rows, lookup.names), Marks(lookup.span)
        intake = Intake(self._names, self._intern, merger, marks, self._confirmed)
        meta, meta_at = feed_all(intake, chunk, *held, segment.process)
        write(db, intake, self._numbers.__getitem__)
        screen_time.put(db.execute, intake.screen)
        if intake.bad:
            lost = Lost(self._clock_us(), segment.process, intake.bad, f"{name}: records that could not be read")
            add_entries(db, [lost])
        db.execute(
            "INSERT INTO segments (name, offset, meta_at, done) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
            " offset = excluded.offset, meta_at = excluded.meta_at, done = excluded.done",
            (name, chunk.end, meta_at, int(finished)),
        )
        # Kept for a while: a reader that opened the file before it went must still learn that it is stored.
        db.execute(f"DELETE FROM segments WHERE done = 1 AND id < (SELECT max(id) FROM segments) - {_DONE_KEPT}")
        self._metas[name] = (meta_at, meta)
        return intake

    def _meta(self, path: Path, at: int) -> Meta | None:
        known = self._metas.get(path.name)
        if known and known[0] == at:
            return known[1]
        with FileIO(path) as file:
            return meta_in(record_at(file, at)) if at >= 0 else None

    def _delete(self, segment: _Segment) -> None:
        self._metas.pop(segment.path.name, None)
        try:
            segment.path.unlink()
        except OSError:
            pass  # stored and marked as done: the next drain tries again

    def _intern(self, origin: Origin) -> int:
        """The number of `origin`, made inside the running transaction where it is new."""
        assert self._db is not None
        assert self._origins is not None
        number = self._origins.get(origin)
        if number is None:
            marks = ", ".join("?" * len(origin))
            self._db.execute(f"INSERT INTO origins ({', '.join(Origin._fields)}) VALUES ({marks})", origin)
            number = self._origins[origin] = self._db.last_insert_rowid()
            self._numbers[number] = origin
        return number

    @contextmanager
    def _transaction(self, db: apsw.Connection) -> Iterator[None]:
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            self._origins = None  # may hold numbers that are rolled back
            self._metas.clear()
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def _segments(folder: Path, now_us: int) -> list[_Segment]:
    """The segments of `folder` in order; sealed are those that nobody appends to any more.

    Within one start of a process a later number says so. Of the last one of a start, that no writer holds its lock, and
    that it has been quiet for some seconds. Which start is the newest no clock can tell.
    """
    found: list[_Segment] = []
    runs: set[tuple[str, str]] = set()
    for path in reversed(segments(folder)):
        parts = _PARTS.match(path.name)
        assert parts
        run = parts["process"], parts["start"]
        sealed = run in runs or (abs(now_us - _mtime_us(path)) >= _QUIET_US and not in_use(path))
        runs.add(run)
        found.append(_Segment(path, run[0], sealed))
    return found[::-1]


def size_of(path: Path) -> int:
    """Octets of a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _mtime_us(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns // 1000
    except OSError:
        return 0


def _read(path: Path, offset: int) -> bytes:
    """The file from `offset` on."""
    with FileIO(path) as file:
        file.seek(offset)
        return file.readall()


def _progress(db: apsw.Connection, name: str) -> _Progress:
    for offset, meta_at, done in db.execute("SELECT offset, meta_at, done FROM segments WHERE name = ?", (name,)):
        return _Progress(offset, meta_at, bool(done))
    return _Progress()
