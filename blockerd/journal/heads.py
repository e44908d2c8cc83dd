"""Signed heads of the log: the table that keeps them, and a small file beside the journal that outlives it.

A head is signed by others (`journal.checkpoint`); here it is only remembered, and that it was delivered. The side file
holds the last delivered heads, so that a journal begun anew after damage can say which log ended where.
Called by the one writer of the journal; readers use `heads` and `delivered`.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from blockerd.journal.grow import load

KEPT = 8
"""Delivered heads that the side file holds."""

_COLUMNS = "id, size, root, rows, at_us, text, delivered_us"


@dataclass(frozen=True, slots=True)
class Head:
    """A head as it was signed: `text` is the checkpoint, `at` and `delivered` (None: not yet) are Unix µs."""

    id: int
    size: int
    root: bytes
    rows: int
    at: int
    text: str
    delivered: int | None


@dataclass(frozen=True, slots=True)
class Delivered:
    """A line of the side file: which log (its id), how long, its root, when (Unix µs), the checkpoint's text."""

    log: str
    size: int
    root: bytes
    at: int
    text: str


def record_head(db: apsw.Connection, at: int, text: str) -> Head:
    """Keeps the checkpoint `text`, made at `at` (Unix µs) over the log as it is now. Inside a transaction."""
    assert db.in_transaction
    tree = load(db)
    rows = next(iter(db.execute("SELECT rows FROM tree")))[0]
    db.execute(
        "INSERT INTO heads (size, root, rows, at_us, text) VALUES (?, ?, ?, ?, ?)",
        (tree.size, tree.root(), rows, at, text),
    )
    return Head(db.last_insert_rowid(), tree.size, tree.root(), rows, at, text, None)


def heads(db: apsw.Connection) -> list[Head]:
    """All heads, oldest first."""
    return [_head(row) for row in db.execute(f"SELECT {_COLUMNS} FROM heads ORDER BY id")]


def delivered(db: apsw.Connection) -> Head | None:
    """The newest delivered head."""
    sql = f"SELECT {_COLUMNS} FROM heads WHERE delivered_us IS NOT NULL ORDER BY id DESC LIMIT 1"
    return next((_head(row) for row in db.execute(sql)), None)


def mark_delivered(db: apsw.Connection, journal: Path, number: int, at: int) -> None:
    """Notes that head `number` reached its reader at `at` (Unix µs), in the table and then beside `journal`.

    Inside a transaction.

    Raises:
        OSError: the side file cannot be written.
        LookupError: there is no such head.
    """
    assert db.in_transaction
    db.execute("UPDATE heads SET delivered_us = ? WHERE id = ?", (at, number))
    found = db.execute(f"SELECT {_COLUMNS} FROM heads WHERE id = ?", (number,)).fetchall()
    if not found:
        raise LookupError(f"no head {number}")
    head = _head(found[0])
    log = str(next(iter(db.execute("SELECT log FROM tree")))[0])
    remember(journal, Delivered(log, head.size, head.root, at, head.text))


def remember(journal: Path, head: Delivered) -> None:
    """Adds `head` to the side file of `journal`, which comes into place whole.

    Raises:
        OSError: it cannot be written; the old one stays.
    """
    lines = [*remembered(journal), head][-KEPT:]
    put_beside(side_file(journal), "".join(_line(one) for one in lines))


def put_beside(path: Path, text: str) -> None:
    """Writes a small file that only its owner reads; it comes into place whole.

    Raises:
        OSError: it cannot be written; the old one stays.
    """
    beside = path.with_suffix(".new")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:  # it writes the rest of what a full disk cut, or raises
        file.write(text)
        file.flush()
        os.fsync(fd)
    beside.replace(path)


def remembered(journal: Path) -> list[Delivered]:
    """The heads of the side file, oldest first; lines that cannot be read are passed over."""
    try:
        lines = side_file(journal).read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return []
    return [head for line in lines if (head := _parsed(line))]


def side_file(journal: Path) -> Path:
    """Where the delivered heads of `journal` are noted."""
    return journal.with_name(f"{journal.stem}-delivered.jsonl")


def _head(row: tuple[Any, ...]) -> Head:
    number, size, root, *rest = row
    return Head(number, size, bytes(root), *rest)


def _line(head: Delivered) -> str:
    said = {"log": head.log, "size": head.size, "root": head.root.hex(), "at": head.at, "text": head.text}
    return json.dumps(said) + "\n"


def _parsed(line: str) -> Delivered | None:
    try:
        said = json.loads(line)
        return Delivered(
            str(said["log"]), int(said["size"]), bytes.fromhex(said["root"]), int(said["at"]), str(said["text"])
        )
    except (ValueError, TypeError, LookupError):
        return None
