"""The SQLite journal as a file: opening it for the one writer, numbered migrations, and what to do with a damaged one.

Refuses a schema made by a newer blockerd and an SQLite with the WAL-reset defect (before 3.51.3). A damaged file is
never repaired in place and never deleted: it is moved aside and a new one begins. Called by `journal.append`; readers
use `connect`.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import apsw

OLDEST_SQLITE = 3_051_003

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE origins (
        id INTEGER PRIMARY KEY, category TEXT NOT NULL, source TEXT NOT NULL, list TEXT NOT NULL, action TEXT NOT NULL,
        channel TEXT NOT NULL, client TEXT NOT NULL, user TEXT NOT NULL, kind TEXT NOT NULL,
        UNIQUE (category, source, list, action, channel, client, user, kind)
    ) STRICT;
    CREATE TABLE attempts (
        id INTEGER PRIMARY KEY, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, site TEXT NOT NULL,
        origin INTEGER NOT NULL REFERENCES origins, count INTEGER NOT NULL,
        names TEXT NOT NULL, names_more INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX attempts_by_time ON attempts (first_us);
    CREATE INDEX attempts_by_site ON attempts (site, origin);
    CREATE TABLE events (
        id INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, kind TEXT NOT NULL, payload TEXT NOT NULL
    ) STRICT;
    CREATE INDEX events_by_time ON events (at_us);
    CREATE TABLE spans (
        id INTEGER PRIMARY KEY, process TEXT NOT NULL, boot TEXT NOT NULL,
        first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, ended INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX spans_by_time ON spans (last_us);
    CREATE TABLE segments (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, offset INTEGER NOT NULL, meta_at INTEGER NOT NULL,
        done INTEGER NOT NULL
    ) STRICT;
    """,
)
"""Entry n brings a journal from `user_version` n to n + 1. Append only. `names` holds texts parted by spaces (a name
in text form has none); `segments` says how far each spool segment is stored, in the transaction that stores it."""

_BUSY_MS = 250
_CACHE_KIB = 32 * 1024
_WAL_BYTES = 32 * 1024 * 1024


class JournalError(Exception):
    """The journal cannot be used as it is; the message is one line for people: what, where, what to do."""


def open_writer(path: Path, now_us: int) -> tuple[apsw.Connection, Path | None]:
    """The journal at `path`, made or migrated, and where a damaged one was moved to (None: it was sound).

    Raises:
        JournalError: newer schema, or an SQLite that loses writes.
        apsw.Error: locked, full, or not writable at this moment.
    """
    _assert_sqlite()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return _open(path), None
    except (apsw.CorruptError, apsw.NotADBError):
        moved = _move_aside(path, now_us)
    return _open(path), moved


def connect(path: Path) -> apsw.Connection | None:
    """A connection that only reads, or None where no journal was made yet.

    Raises:
        JournalError: the schema is newer than this program.
        apsw.Error: locked, damaged or not readable.
    """
    if not path.exists() or not path.stat().st_size:
        return None
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    db.set_busy_timeout(4 * _BUSY_MS)
    version = _version(db)
    _refuse_newer(path, version, len(MIGRATIONS))
    if version:
        return db
    db.close()
    return None


def migrate(db: apsw.Connection, path: Path, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Brings `db` to the newest schema, all steps in one transaction.

    Raises:
        JournalError: the schema is newer than `migrations`.
    """
    version = _version(db)
    _refuse_newer(path, version, len(migrations))
    if version == len(migrations):
        return
    with db:
        for step in migrations[version:]:
            db.execute(step)
        db.execute(f"PRAGMA user_version = {len(migrations)}")


def _assert_sqlite() -> None:
    if apsw.SQLITE_VERSION_NUMBER < OLDEST_SQLITE:
        version = apsw.sqlite_lib_version()
        raise JournalError(f"SQLite {version} may lose writes: install apsw 3.51.3 or newer (pip install -U apsw)")


def _refuse_newer(path: Path, version: int, known: int) -> None:
    if version > known:
        raise JournalError(f"{path}: written by a newer blockerd (schema {version}, known {known}): update blockerd")


def _version(db: apsw.Connection) -> int:
    return int(str(db.pragma("user_version")))


def _open(path: Path) -> apsw.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # SQLite gives -wal and -shm the same mode
    db = apsw.Connection(str(path))
    try:
        db.set_busy_timeout(_BUSY_MS)
        _refuse_newer(path, _version(db), len(MIGRATIONS))
        _set_up(db)
        migrate(db, path)
    except (apsw.Error, JournalError):
        db.close()
        raise
    return db


def _set_up(db: apsw.Connection) -> None:
    """Checks the file and sets what durability rests on, reading each setting back."""
    if db.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)]:
        raise apsw.CorruptError("quick_check")
    if db.pragma("journal_mode", "wal") != "wal":
        raise JournalError(f"{db.db_filename('main')}: no WAL on this file system: put state.dir on a local disk")
    db.execute(f"PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -{_CACHE_KIB}")
    db.pragma("journal_size_limit", _WAL_BYTES)
    if (db.pragma("synchronous"), db.pragma("foreign_keys")) != (2, 1):
        raise JournalError("SQLite was built without synchronous or foreign_keys: install apsw from PyPI")


def _move_aside(path: Path, now_us: int) -> Path:
    """Moves the file and its companions to journal-damaged-<UTC time>.sqlite."""
    stamp = datetime.fromtimestamp(now_us / 1e6, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    moved = path.with_name(f"{path.stem}-damaged-{stamp}{path.suffix}")
    for ending in ("-wal", "-shm", ""):
        companion = path.with_name(path.name + ending)
        if companion.exists():
            companion.rename(moved.with_name(moved.name + ending))
    return moved
