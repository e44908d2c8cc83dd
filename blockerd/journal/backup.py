"""A copy of the journal in one file, and a journal taken from such a copy: after a loss, or on a new machine.

The copy holds the whole log, so heads go on from it; that it was restored or moved is an entry of its own, with the
head of what it replaced, which is kept beside it. Refuses a copy that is damaged or does not check, and never writes
over a file. `backup` may run beside `control`; `restore` must not. Called by the command line.
"""

import errno
import os
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import apsw

from blockerd.journal import readers
from blockerd.journal.check import check
from blockerd.journal.entry import Repair
from blockerd.journal.grow import add_entries, load
from blockerd.journal.heads import Delivered, Head, delivered, remember, remembered
from blockerd.journal.log import Log, State, open_log
from blockerd.journal.schema import JournalError, connect, open_writer, unreadable
from blockerd.journal.store import adopt

MOVED = "moved here from another machine"
RESTORED = "restored from a backup"


def backup(journal: Path, target: Path) -> State:
    """Copies the journal at `journal` to the new file `target` (0600) and says what the copy holds.

    Raises:
        JournalError: there is no journal, or it cannot be read now.
        FileExistsError: `target` is there.
        OSError: it cannot be written.
    """
    with open_log(journal) as log:
        if log is None:
            raise JournalError(f"{journal}: nothing is on record yet")
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        _copy(journal, target)
        with open_log(target) as log:
            assert log
            return log.state()
    except BaseException:
        target.unlink()
        raise


def restore(journal: Path, source: Path, at: int) -> State:
    """Puts the backup `source` in the place of the journal at `journal`, as of `at` (Unix µs); the log it holds now.

    Nobody may write the journal meanwhile.

    Raises:
        JournalError: `source` is no backup, is damaged, or does not check; everything is as it was.
        OSError: a file cannot be written.
    """
    _assert_backup(source)
    replaced = _state(journal)
    beside = journal.with_name(f"{journal.name}.new")
    beside.unlink(missing_ok=True)
    os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        _copy(source, beside)
        before = _up_to_date(beside, source, at)
        state, head = _told(beside, journal, at, before, replaced)
        _sync(beside)
        _set_aside(journal, at)
        beside.rename(journal)
        _sync(journal.parent)
    except (apsw.FullError, apsw.IOError) as error:
        raise _like(error, journal.parent) from None
    finally:
        for ending in ("-wal", "-shm", ""):
            beside.with_name(beside.name + ending).unlink(missing_ok=True)
    if head and not remembered(journal):  # on a new machine it is noted beside the journal, as it was on the old one
        remember(journal, Delivered(state.log, head.size, head.root, head.delivered or 0, head.text))
    return state


def _told(copy: Path, journal: Path, at: int, before: State, replaced: State | None) -> tuple[State, Head | None]:
    """Puts on record in the new journal where it comes from; what it holds, and the head that was delivered last.

    Where it is an older copy of the log that was here, readers stay as they are now.
    """
    ended = replaced or State("", 0, b"", 0, 0)
    what = MOVED if replaced is None else RESTORED
    detail = f"log {before.log} with {before.size} leaves"
    db, _ = open_writer(copy, at)
    with closing(db):
        with db:
            add_entries(db, [Repair(at, what, "", ended.log, ended.size, ended.root.hex(), detail)])
            if before.log in (ended.log, *(one.log for one in remembered(journal)[-1:])):
                readers.renew(db, journal, at)
        db.pragma("journal_mode", "delete")  # all of it is in the one file that is to be renamed
        return Log(db).state(), delivered(db)


def _assert_backup(source: Path) -> None:
    """Raises JournalError unless `source` is a sound file of this program or an older one."""
    try:
        db = connect(source, older=True)
        if db is None:
            raise JournalError(f"{source}: no backup of a journal; name a file that `blockerd backup` wrote")
        with closing(db):
            if db.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)]:
                raise JournalError(f"{source}: damaged; take an older backup")
    except apsw.Error as error:
        raise unreadable(source, error) from None


def _up_to_date(copy: Path, source: Path, at: int) -> State:
    """Brings the copy of `source` to the newest schema; what it holds. JournalError unless every hash in it fits."""
    try:
        db, damaged = open_writer(copy, at)
        with closing(db):
            if damaged:
                damaged.unlink()
                raise JournalError(f"{source}: damaged; take an older backup")
            with db:
                if not load(db).size:
                    adopt(db)
            checked = check(db)
            if checked.broken:
                first = checked.broken[0]
                raise JournalError(f"{source}: its log does not fit at leaf {first.first} ({first.why}); not taken")
            return Log(db).state()
    except (apsw.FullError, apsw.IOError):
        raise  # of the copy: the disk on which it is
    except apsw.Error as error:
        raise unreadable(source, error) from None


def _state(journal: Path) -> State | None:
    """What the journal holds that is about to be replaced; None where there is none, or none that can be read."""
    try:
        with open_log(journal) as log:
            return None if log is None else log.state()
    except (JournalError, ValueError):
        return State("", 0, b"", 0, 0)


def _copy(source: Path, target: Path) -> None:
    """Copies one moment of `source` into the empty file `target`, which then is whole without companions.

    Raises:
        JournalError: `source` cannot be read now.
        OSError: there is no room for `target`.
    """
    try:
        with (
            closing(apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)) as old,
            closing(apsw.Connection(str(target))) as new,
        ):
            old.set_busy_timeout(1000)
            with new.backup("main", old, "main") as copying:
                copying.step()
            new.pragma("journal_mode", "delete")
    except apsw.FullError as error:
        raise _like(error, target) from None
    except apsw.Error as error:
        raise unreadable(source, error) from None


def _like(error: apsw.Error, place: Path) -> OSError:
    """What the system would have said of `error`; a full disk gives no shared memory beside the file either."""
    full = isinstance(error, apsw.FullError) or getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHMSIZE
    number = errno.ENOSPC if full else errno.EIO
    return OSError(number, os.strerror(number), str(place))


def _set_aside(journal: Path, at: int) -> None:
    """Gives the journal that is there another name beside its own, so that there is one at each moment."""
    stamp = datetime.fromtimestamp(at / 1e6, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = journal.with_name(f"{journal.stem}-replaced-{stamp}{journal.suffix}")
    with suppress(apsw.Error):  # one that is damaged keeps its write-ahead log
        _put_together(journal)
    for ending in ("-wal", "-shm"):
        companion = journal.with_name(journal.name + ending)
        if companion.exists():
            companion.rename(aside.with_name(aside.name + ending))
    try:
        os.link(journal, aside)
    except FileNotFoundError:
        return
    except OSError:  # a file system on which a file has one name
        journal.rename(aside)


def _put_together(journal: Path) -> None:
    """Brings what is in the write-ahead log into the file itself; it goes with the last connection."""
    if journal.exists():
        with closing(apsw.Connection(str(journal), flags=apsw.SQLITE_OPEN_READWRITE)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
