"""The check of `journal.check` in its plain words, leaf by leaf: slow, and the oracle of the tests of the quick one."""

import heapq
import json
from collections.abc import Iterator
from itertools import islice

import apsw

from blockerd.journal import merkle, screen
from blockerd.journal.check import _LOST, _OUTSIDE, MOST, Broken, Checked
from blockerd.journal.entry import KeyRotation, Screen
from blockerd.journal.grow import STEP, load
from blockerd.journal.heads import heads
from blockerd.journal.log import Gone, Log, Opening

_BLOCK = 1 << STEP
_FEW = 10


def openings_in_order(log: Log) -> Iterator[Opening]:
    """All openings whose row is there, first leaf first."""
    return heapq.merge(log._events("true", ()), log._attempts("true", ()), key=lambda opening: opening.n)


def uncommitted(db: apsw.Connection) -> Iterator[int]:
    kept = screen._committed(db)
    sql = "SELECT screen.id, name, seq FROM screen JOIN agents ON agents.id = agent WHERE seq <= sealed"
    for key, name, seq in db.execute(sql):
        if not any(first <= seq <= last for first, last in kept.get(name, ())):
            yield int(key)


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
    found = [
        *_leaves(log, state.minimum, state.size),
        *_nodes(log, state.size),
        *_whole(db, log, state.size, state.rows),
    ]
    return Checked(state.size, state.root, state.rows, tuple(sorted(found)[:MOST]))


def _leaves(log: Log, minimum: int, size: int) -> Iterator[Broken]:
    """Commitments that are missing or too many, and openings that do not fit theirs."""
    openings = openings_in_order(log)
    opening = next(openings, None)
    expected = minimum
    for n, commitment in log.commitments():
        if n < minimum or n >= size:
            yield Broken(n, n, "a leaf that is not in the tree")
        for missing in range(expected, min(n, size)):
            yield Broken(missing, missing, "its commitment is missing")
        expected = max(expected, n + 1)
        while opening and opening.n < n:
            if opening.n >= minimum or opening.kind != KeyRotation.KIND:
                yield Broken(opening.n, opening.n, "an opening without a commitment")
            opening = next(openings, None)
        if opening and opening.n == n:
            if why := _unfit(log.db, opening, commitment):
                yield Broken(n, n, why)
            opening = next(openings, None)
    for missing in range(expected, size):
        yield Broken(missing, missing, "its commitment is missing")


def _unfit(db: apsw.Connection, opening: Opening, commitment: bytes) -> str:
    """Why `opening` does not fit, "" where it does."""
    if len(opening.salt) != merkle.SALT or merkle.commitment(opening.salt, opening.event) != commitment:
        return "what it says is not what was committed to"
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
    if len(children) == _BLOCK and merkle.tree_of(children).root() != kept:
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
    for key in islice(uncommitted(db), _FEW):
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
