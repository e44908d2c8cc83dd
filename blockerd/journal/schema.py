"""The SQLite journal as a file: opening it for the one writer, numbered migrations, and what to do with a damaged one.

Refuses a schema made by a newer blockerd and an SQLite with the WAL-reset defect (before 3.51.3). A damaged file is
never repaired in place and never deleted: it is moved aside and a new one begins. Called by `journal.append`; readers
use `connect`.
"""

import errno
import os
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import apsw

from blockerd.journal import outbox
from blockerd.journal.grow import assert_fits
from blockerd.screentime import store

Connection = apsw.Connection
"""What the writer hands to those who add to its transactions, and who know nothing else of SQLite."""

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
    """
    CREATE TABLE tree (
        one INTEGER PRIMARY KEY CHECK (one = 1), log TEXT NOT NULL, size INTEGER NOT NULL, peaks BLOB NOT NULL,
        minimum INTEGER NOT NULL, rows INTEGER NOT NULL
    ) STRICT;
    INSERT INTO tree VALUES (1, lower(hex(randomblob(16))), 0, x'', 0, 0);
    CREATE TABLE commitments (n INTEGER PRIMARY KEY, hash BLOB NOT NULL) STRICT;
    CREATE TABLE nodes (
        level INTEGER NOT NULL, place INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, place)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE openings (
        n INTEGER PRIMARY KEY, salt BLOB NOT NULL, attempt INTEGER, event INTEGER,
        CHECK ((attempt IS NULL) != (event IS NULL))
    ) STRICT;
    CREATE UNIQUE INDEX openings_by_attempt ON openings (attempt) WHERE attempt IS NOT NULL;
    CREATE UNIQUE INDEX openings_by_event ON openings (event) WHERE event IS NOT NULL;
    CREATE TABLE unsettled (attempt INTEGER PRIMARY KEY) STRICT;
    INSERT INTO unsettled SELECT id FROM attempts;
    CREATE TABLE heads (
        id INTEGER PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, rows INTEGER NOT NULL,
        at_us INTEGER NOT NULL, text TEXT NOT NULL, delivered_us INTEGER
    ) STRICT;
    CREATE TABLE sums (
        begins INTEGER NOT NULL, category TEXT NOT NULL, kind TEXT NOT NULL, attempts INTEGER NOT NULL,
        questions INTEGER NOT NULL, PRIMARY KEY (begins, category, kind)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO sums SELECT first_us - first_us % 900000000, category, kind, count(*), sum(count)
        FROM attempts JOIN origins ON origins.id = origin WHERE kind != 'unconfirmed' GROUP BY 1, 2, 3;
    """,
    store.SCHEMA,
    outbox.MIGRATION,
    "ALTER TABLE agents ADD COLUMN sealed INTEGER NOT NULL DEFAULT 0",
)
"""Entry n brings a journal from `user_version` n to n + 1. Append only. `names` holds texts parted by spaces (a name
in text form has none); `segments` says how far each spool segment is stored, in the transaction that stores it.

The log: `tree` has its id, size, peaks (32 bytes each, largest first), the first leaf whose commitment is kept, and how
many openings are; `nodes` the roots of complete subtrees of 2^8, 2^16, … leaves; an opening is the salt and the row it
points to; `unsettled` are attempts that may still grow, which have no leaf yet. `sums` are attempts by quarter of an
hour (Unix µs), kept in step with `attempts` and longer than they; `sealed` is the number of an agent's last record of
screen time that an entry commits to."""

_LIKE: dict[int, type[apsw.Error]] = {
    errno.EROFS: apsw.ReadOnlyError,
    errno.EACCES: apsw.PermissionsError,
    errno.EPERM: apsw.PermissionsError,
    errno.ENOSPC: apsw.FullError,
    errno.EIO: apsw.IOError,
}
"""What SQLite would have said of the same trouble."""

_READ_AT_START = (
    "SELECT * FROM origins",
    "SELECT log FROM tree",
    "SELECT payload FROM events WHERE kind = 'repair'",
    "SELECT name FROM agents",
)
"""What the writer reads before it stores anything."""

_BUSY_MS = 250
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


def connect(path: Path, *, older: bool = False) -> apsw.Connection | None:
    """A connection that only reads, or None where no journal was made yet.

    Raises:
        JournalError: the schema is newer than this program or, unless `older`, older than its writer would leave it.
        apsw.Error: locked, damaged or not readable.
    """
    if not path.exists() or not path.stat().st_size:
        return None
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    db.set_busy_timeout(4 * _BUSY_MS)
    version = _version(db)
    try:
        _refuse_newer(path, version, len(MIGRATIONS))
        if 0 < version < len(MIGRATIONS) and not older:
            raise JournalError(f"{path}: written by an older blockerd: start this one, which brings it up to date")
    except JournalError:
        db.close()
        raise
    if version:
        return db
    db.close()
    return None


def unreadable(path: Path, error: apsw.Error) -> JournalError:
    """What a reader says to people about `error`, in one line."""
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return JournalError(f"{path}: another program holds it: close that program and try again")
    if isinstance(error, apsw.CantOpenError | apsw.PermissionsError | apsw.ReadOnlyError):
        return JournalError(f"{path}: cannot be opened: run this as the user of blockerd")
    return JournalError(f"{path}: cannot be read ({error}): start blockerd, which sets a damaged journal aside")


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
    try:  # SQLite gives -wal and -shm the same mode
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        if like := _LIKE.get(error.errno or 0):
            raise like(str(error)) from None
        raise
    db = apsw.Connection(str(path))
    try:
        db.set_busy_timeout(_BUSY_MS)
        _refuse_newer(path, _version(db), len(MIGRATIONS))
        _assert_shape(db)
        _set_up(db)
        migrate(db, path)
        _assert_usable(db)
    except (apsw.Error, JournalError):
        db.close()
        raise
    return db


def _assert_shape(db: apsw.Connection) -> None:
    """That tables and indexes are those of the version that the file names: their texts are covered by no check of
    SQLite's, and a name with another letter would end every statement, and the writer, at each start. (Somebody's own
    index or view beside those of the newest version does no harm; a trigger may change what is written.)

    Raises:
        apsw.CorruptError: they are others.
    """
    version, shape = _version(db), _shape(db)
    made = _made_by(version)
    if not (made <= shape if version == len(MIGRATIONS) else made == shape):
        raise apsw.CorruptError("another schema")
    if any(kind == "trigger" for kind, *_ in shape):
        raise apsw.CorruptError("there is a trigger")


def _made_by(version: int) -> frozenset[tuple[str, ...]]:
    """The shape of a journal of this version."""
    with closing(apsw.Connection(":memory:")) as db:
        for step in MIGRATIONS[:version]:
            db.execute(step)
        return _shape(db)


def _shape(db: apsw.Connection) -> frozenset[tuple[str, ...]]:
    """Kind, name, table and text without spaces of all tables and indexes but SQLite's own notes."""
    made = db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%'")
    return frozenset(tuple("".join(str(part).split()) for part in row) for row in made)


def _set_up(db: apsw.Connection) -> None:
    """Checks the file, sets what durability rests on and that deleted is gone, and reads each setting back."""
    if db.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)]:
        raise apsw.CorruptError("quick_check")
    if db.pragma("journal_mode", "wal") != "wal":
        raise JournalError(f"{db.db_filename('main')}: no WAL on this file system: put state.dir on a local disk")
    db.execute("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON")
    db.pragma("journal_size_limit", _WAL_BYTES)
    db.pragma("secure_delete", 1)
    if tuple(map(db.pragma, ("synchronous", "foreign_keys", "secure_delete"))) != (2, 1, 1):
        raise JournalError("SQLite was built without synchronous, foreign_keys or secure_delete: use apsw from PyPI")


def _assert_usable(db: apsw.Connection) -> None:
    """What SQLite takes for sound and the writer cannot go on from: texts that are none, a tree of other leaves."""
    try:
        for sql in _READ_AT_START:
            db.execute(sql).fetchall()
        assert_fits(db)
    except ValueError as error:
        raise apsw.CorruptError(f"{error.__class__.__name__}: {error}") from None


def _move_aside(path: Path, now_us: int) -> Path:
    """Moves the file and its companions to journal-damaged-<UTC time>.sqlite."""
    stamp = datetime.fromtimestamp(now_us / 1e6, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    moved = path.with_name(f"{path.stem}-damaged-{stamp}{path.suffix}")
    for ending in ("-wal", "-shm", ""):
        companion = path.with_name(path.name + ending)
        if companion.exists():
            companion.rename(moved.with_name(moved.name + ending))
    return moved
