"""The log as reports read it: its head, its openings, and the hashes that tell how one head follows from another.

Reads only, and only through the connection that it is given: one of `schema.connect`, or the writer's own. Refuses what
has been removed: a leaf below the first kept commitment has no hash of its own any more, an opening may be gone.
Called by the makers of heads and mails, by `journal.check` and by exports.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw

from blockerd.journal import merkle
from blockerd.journal.grow import STEP, Pieces, hashes, load
from blockerd.journal.heads import Head, heads
from blockerd.journal.lookup import ATTEMPT_COLUMNS, Lookup, to_row
from blockerd.journal.schema import JournalError, connect, unreadable


class Gone(LookupError):
    """A hash or an opening that was removed, or never was."""


@dataclass(frozen=True, slots=True)
class State:
    """The log now: its id (32 hex digits), leaves, root, openings kept, and the first leaf whose commitment is kept."""

    log: str
    size: int
    root: bytes
    rows: int
    minimum: int


@dataclass(frozen=True, slots=True)
class Opening:
    """What leaf `n` was made from: merkle.commitment(salt, event) is its commitment; `entry.decode` reads `event`."""

    n: int
    kind: str
    at: int
    salt: bytes
    event: bytes


class Log:
    """The log behind `db`; every call sees the newest state unless the caller holds a transaction (`moment`)."""

    def __init__(self, db: apsw.Connection) -> None:
        self.db = db

    @contextmanager
    def moment(self) -> Iterator["Log"]:
        """What is read inside is of one moment. Keep it short: the writer's own log cannot shrink meanwhile."""
        self.db.execute("BEGIN")
        try:
            yield self
        finally:
            self.db.execute("COMMIT")

    def state(self) -> State:
        """The head to be signed, with the count of rows."""
        log, minimum, rows = next(iter(self.db.execute("SELECT log, minimum, rows FROM tree")))
        tree = load(self.db)
        return State(log, tree.size, tree.root(), rows, minimum)

    def node(self, level: int, index: int) -> bytes:
        """Root of the complete subtree over leaves [index << level, (index + 1) << level); level 0: a leaf's hash.

        Raises:
            Gone: it was removed, or the log is not that long.
        """
        if not level:
            return merkle.leaf_hash(self.commitment(index))
        if not level % STEP:
            for (kept,) in self.db.execute("SELECT hash FROM nodes WHERE level = ? AND place = ?", (level, index)):
                return bytes(kept)
            raise Gone(f"no node {index} at level {level}")
        below = level - level % STEP
        first, count = index << (level - below), 1 << (level - below)
        found = self.level(below, first, count)
        if len(found) != count:
            raise Gone(f"no node {index} at level {level}")
        return merkle.root_of(found)

    def level(self, level: int, first: int, count: int) -> list[bytes]:
        """Up to `count` hashes of a stored level from `first` on; of level 0, leaves."""
        return hashes(self.db, level, first, count)

    def commitment(self, n: int) -> bytes:
        """The commitment of leaf `n`.

        Raises:
            Gone: it was removed, or there is no such leaf.
        """
        for (kept,) in self.db.execute("SELECT hash FROM commitments WHERE n = ?", (n,)):
            return bytes(kept)
        raise Gone(f"no commitment of leaf {n}")

    def commitments(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
        """(leaf number, commitment) from `start` up to, not at, `end`, as far as they are kept."""
        sql = "SELECT n, hash FROM commitments WHERE n >= ? AND n < ? ORDER BY n"
        for n, kept in self.db.execute(sql, (start, _EVER if end is None else end)):
            yield n, bytes(kept)

    def peaks(self, size: int) -> tuple[bytes, ...]:
        """Peaks of the first `size` leaves, largest first.

        Raises:
            Gone: a hash that this takes was removed.
        """
        return tuple(self.node(level, index) for level, index in merkle.subtrees(0, size))

    def root(self, size: int) -> bytes:
        """Root of the first `size` leaves.

        Raises:
            Gone: a hash that this takes was removed, or the log is not that long.
        """
        return merkle.Tree(size, self.peaks(size)).root()

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The hashes that show the first `old` leaves to be the beginning of the first `new` (RFC 9162, 2.1.4).

        Raises:
            Gone: a hash that this takes was removed.
            ValueError: not 0 <= old <= new.
        """
        return merkle.consistency_path(old, new, self.node)

    def inclusion(self, n: int, size: int) -> list[bytes]:
        """The hashes from leaf `n` to the root of the first `size` (RFC 9162, 2.1.3).

        Raises:
            Gone: a hash that this takes was removed.
            ValueError: no such leaf in a log of this size.
        """
        return merkle.inclusion_path(n, size, self.node)

    def opening(self, n: int) -> Opening:
        """The opening of leaf `n`.

        Raises:
            Gone: it was removed, or there is no such leaf.
        """
        for found in self._openings("openings.n = ?", (n,)):
            return found
        raise Gone(f"no opening of leaf {n}")

    def openings(
        self, kinds: Sequence[str] = (), since: int = 0, until: int | None = None, *, first: int = 0
    ) -> Iterator[Opening]:
        """Openings of these kinds (none named: all) that began from `since` up to `until` (Unix µs), from leaf `first`.

        In order of leaves: events before attempts.
        """
        end = _EVER if until is None else until
        if not kinds or set(kinds) - {"attempt"}:
            marks = ", ".join("?" * len(kinds))
            more = f" AND events.kind IN ({marks})" if kinds else ""
            rule = f"openings.n >= ? AND events.at_us >= ? AND events.at_us < ?{more}"
            yield from self._events(rule, (first, since, end, *kinds))
        if not kinds or "attempt" in kinds:
            rule = "openings.n >= ? AND attempts.first_us >= ? AND attempts.first_us < ?"
            yield from self._attempts(rule, (first, since, end))

    def heads(self) -> list[Head]:
        """All signed heads on record, oldest first."""
        return heads(self.db)

    def _openings(self, rule: str, values: tuple[int | str, ...]) -> Iterator[Opening]:
        yield from self._events(rule, values)
        yield from self._attempts(rule, values)

    def _events(self, rule: str, values: tuple[int | str, ...]) -> Iterator[Opening]:
        sql = f"SELECT n, events.kind, at_us, salt, payload FROM openings JOIN events ON id = event WHERE {rule}"
        for n, kind, at, salt, payload in self.db.execute(f"{sql} ORDER BY n", values):
            yield Opening(n, kind, at, bytes(salt), payload.encode("ascii", "backslashreplace"))

    def _attempts(self, rule: str, values: tuple[int | str, ...]) -> Iterator[Opening]:
        pieces = {number: Pieces(origin) for origin, number in Lookup(self.db).origins().items()}
        sql = f"SELECT n, salt, {ATTEMPT_COLUMNS} FROM openings JOIN attempts ON id = attempt WHERE {rule} ORDER BY n"
        for n, salt, *columns in self.db.execute(sql, values):
            row = to_row(tuple(columns))
            said = pieces[row.origin].said(row) if row.origin in pieces else b""
            yield Opening(n, "attempt", row.first, bytes(salt), said)


_EVER = 1 << 62


@contextmanager
def open_log(journal: Path) -> Iterator[Log | None]:
    """The log of the journal at `journal`, to read; None where no journal was made yet.

    Raises:
        JournalError: made by a newer blockerd, or not readable now.
    """
    db = None
    try:
        db = connect(journal)
        yield None if db is None else Log(db)
    except apsw.Error as error:
        raise unreadable(journal, error) from None
    finally:
        if db is not None:
            db.close()


__all__ = ["Gone", "Head", "JournalError", "Log", "Opening", "State", "open_log"]
