"""Does the log still say what it said? Every hash is made again from what is there, and the first broken leaf is named.

Finds whatever was changed without changing everything above it: rows, openings, commitments, stored nodes, peaks,
counts, heads. One who rewrites all of them consistently is found only by a head that somebody else holds.
Changes nothing. Called by commands, by tests and after an import.
"""

import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import apsw

from blockerd.journal import merkle, screen
from blockerd.journal.entry import KeyRotation, Screen
from blockerd.journal.grow import STEP, Pieces, load
from blockerd.journal.heads import heads
from blockerd.journal.log import Gone, Log, Opening
from blockerd.journal.lookup import Lookup

MOST = 100
"""Broken places that one check tells."""

_BLOCK = 1 << STEP
_FEW = 10
_NOT_SAID = "what it says is not what was committed to"
_OPENED = (
    "SELECT openings.n, salt, hash, {0} FROM openings CROSS JOIN {1}s ON id = {1}"
    " LEFT JOIN commitments ON commitments.n = openings.n ORDER BY openings.n"
)


@dataclass(frozen=True, slots=True, order=True)
class Broken:
    """A place where the log does not fit: leaves `first` to `last` (size of the log: none in particular), and why."""

    first: int
    last: int
    why: str


@dataclass(frozen=True, slots=True)
class Checked:
    """The log as it stands, and what is broken in it, first leaf first."""

    size: int
    root: bytes
    rows: int
    broken: tuple[Broken, ...]


def check(db: apsw.Connection) -> Checked:
    """Makes every hash again. Reads one moment of the journal. What cannot be read as a text is broken too.

    Raises:
        apsw.Error: it cannot be read.
    """
    try:
        with Log(db).moment() as log:
            return _checked(db, log)
    except (UnicodeDecodeError, apsw.CorruptError) as error:
        return Checked(0, b"", 0, (Broken(0, 0, f"the file is damaged: {error.__class__.__name__}"),))


def _checked(db: apsw.Connection, log: Log) -> Checked:
    try:
        state = log.state()
    except (ValueError, StopIteration):
        return Checked(0, b"", 0, (Broken(0, 0, "size and peaks of the tree do not fit each other"),))
    found = heapq.merge(
        _leaves(log, state.minimum, state.size),
        _events(db, state.minimum),
        _attempts(db),
        _nodes(log, state.size),
        sorted(_whole(db, log, state.size, state.rows)),
    )
    broken = tuple(one for one, _ in zip(found, range(MOST), strict=False))
    return Checked(state.size, state.root, state.rows, tuple(sorted(broken)))


def _leaves(log: Log, minimum: int, size: int) -> Iterator[Broken]:
    """Commitments that are missing or too many."""
    count, first, last = next(iter(log.db.execute("SELECT count(*), min(n), max(n) FROM commitments")))
    if (count, first, last) == (size - minimum, minimum, size - 1) or count == size - minimum == 0:
        return
    expected = minimum
    for n, _ in log.commitments():
        for missing in range(expected, min(n, size)):
            yield Broken(missing, missing, "its commitment is missing")
        if n < minimum or n >= size:
            yield Broken(n, n, "a leaf that is not in the tree")
        expected = max(expected, n + 1)
    for missing in range(expected, size):
        yield Broken(missing, missing, "its commitment is missing")


def _events(db: apsw.Connection, minimum: int) -> Iterator[Broken]:
    """Openings of events that do not fit their commitments."""
    last = _last(db)
    for n, salt, commitment, kind, at, payload in db.execute(_OPENED.format("kind, at_us, payload", "event")):
        if commitment is None:
            if n < last and (n >= minimum or kind != KeyRotation.KIND):
                yield Broken(n, n, "an opening without a commitment")
        elif why := _unfit(db, Opening(n, kind, at, salt, payload.encode("ascii", "backslashreplace")), commitment):
            yield Broken(n, n, why)


def _attempts(db: apsw.Connection) -> Iterator[Broken]:
    """Openings of attempts that do not fit theirs: what an attempt says is made from its row, so its bytes tell all."""
    last, pieces = _last(db), {number: Pieces(origin).of for origin, number in Lookup(db).origins().items()}
    columns = "first_us, last_us, site, origin, count, names, names_more"
    sql = _OPENED.format(columns, "attempt")
    for n, salt, commitment, first, end, site, origin, count, names, more in db.execute(sql):
        if commitment is None:
            if n < last:
                yield Broken(n, n, "an opening without a commitment")
            continue
        said = pieces[origin](first, end, site, count, names.split(), more) if origin in pieces else b""
        if len(salt) != merkle.SALT or merkle.commitment(salt, said) != commitment:
            yield Broken(n, n, _NOT_SAID)


def _last(db: apsw.Connection) -> int:
    """The last leaf that has a commitment."""
    return int(next(iter(db.execute("SELECT ifnull(max(n), -1) FROM commitments")))[0])


def _unfit(db: apsw.Connection, opening: Opening, commitment: bytes) -> str:
    """Why `opening` does not fit, "" where it does."""
    if len(opening.salt) != merkle.SALT or merkle.commitment(opening.salt, opening.event) != commitment:
        return _NOT_SAID
    said = json.loads(opening.event)
    if (said["kind"], said["at"]) != (opening.kind, opening.at):
        return "its row is filed under another kind or time"
    return screen.unfit(db, opening.event) if opening.kind == Screen.KIND else ""


def _nodes(log: Log, size: int) -> Iterator[Broken]:
    """Stored nodes that their own children do not give."""
    found = []
    for level in range(STEP, max(size.bit_length(), 1), STEP):
        for place in range(size >> level):
            if why := _unlike(log, level, place):
                first = place << level
                found.append(Broken(first, first + (1 << level) - 1, why))
    yield from sorted(found)


def _unlike(log: Log, level: int, place: int) -> str:
    try:
        kept = log.node(level, place)
    except Gone:
        return "the stored hash over these leaves is missing"
    children = log.level(level - STEP, place << STEP, _BLOCK)
    if len(children) == _BLOCK and merkle.root_of(children) != kept:
        return "these leaves do not give the stored hash over them"
    return ""


def _whole(db: apsw.Connection, log: Log, size: int, rows: int) -> Iterator[Broken]:
    """What does not fit about the whole: peaks, heads, counts, rows outside of the log."""
    try:
        if log.peaks(size) != load(db).peaks:
            yield Broken(_last_peak(size), size, "the leaves do not give the peaks of the tree")
    except Gone:
        pass  # told as a missing leaf or node
    for head in heads(db):
        if head.size > size:
            yield Broken(size, size, f"signed head {head.id} is longer: {head.size} leaves")
        elif (root := _root(log, head.size)) is not None and root != head.root:
            yield Broken(0, head.size - 1, f"signed head {head.id} over {head.size} leaves has another root")
    if next(iter(db.execute("SELECT count(*) FROM openings")))[0] != rows:
        yield Broken(size, size, f"not {rows} openings, which is what was counted")
    for n in _each(db, _LOST):
        yield Broken(n, n, "the row of this opening is missing")
    for key in islice(screen.uncommitted(db), _FEW):
        yield Broken(size, size, f"screen time without a leaf: row {key}")
    for sql, what in _OUTSIDE:
        for key in _each(db, sql):
            yield Broken(size, size, f"{what} {key}")


def _last_peak(size: int) -> int:
    """Where the smallest complete subtree at the end begins."""
    return size & (size - 1) if size else 0


def _root(log: Log, size: int) -> bytes | None:
    """The root of the first `size` leaves as they are now; None where too much was removed to tell."""
    try:
        return log.root(size)
    except Gone:
        return None


def _each(db: apsw.Connection, sql: str) -> list[int]:
    return [int(key) for (key,) in db.execute(f"{sql} LIMIT {_FEW}")]


_LOST = """
    SELECT n FROM openings WHERE (event IS NOT NULL AND event NOT IN (SELECT id FROM events))
    OR (attempt IS NOT NULL AND attempt NOT IN (SELECT id FROM attempts)) ORDER BY n
"""
_OUTSIDE = (
    ("SELECT id FROM events WHERE id NOT IN (SELECT event FROM openings WHERE event IS NOT NULL)",
     "an event without a leaf: row"),
    ("SELECT id FROM attempts WHERE id NOT IN (SELECT attempt FROM openings WHERE attempt IS NOT NULL)"
     " AND id NOT IN unsettled", "an attempt without a leaf: row"),
    ("SELECT attempt FROM unsettled WHERE attempt NOT IN (SELECT id FROM attempts)",
     "an attempt is missing before it was settled: row"),
)  # fmt: skip
