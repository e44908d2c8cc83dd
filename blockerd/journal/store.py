"""Writes what an Intake took into the tables: attempts, their sums, spans, and events with their leaves.

Runs inside the transaction of the caller, `journal.append`, which also commits how far the spool was read.
"""

import json
from collections.abc import Callable

import apsw

from blockerd.journal.entry import canonical, of_event
from blockerd.journal.grow import add_events
from blockerd.journal.intake import Intake
from blockerd.journal.merge import Origin, Row, Span
from blockerd.journal.sums import deltas


def write(db: apsw.Connection, intake: Intake, origin_of: Callable[[int], Origin]) -> None:
    """Everything in `intake`; `origin_of` gives the origin of a number."""
    _attempts(db, intake.merger.rows)
    _sums(db, intake.merger.rows, origin_of)
    _spans(db, intake.marks.spans)
    add_events(db, intake.events)


def adopt(db: apsw.Connection) -> None:
    """Gives the events of a journal that had no log yet their leaves; its attempts have theirs when they settle."""
    old = [_adopted(*row) for row in db.execute("SELECT at_us, kind, payload FROM events ORDER BY id")]
    db.execute("DELETE FROM events")
    add_events(db, old)


def _adopted(at: int, kind: str, payload: str) -> tuple[int, str, str]:
    said = json.loads(payload)
    if kind == "coverage":
        said = {**said, "kind": said.get("state", kind)}
    try:
        return of_event(at, said)
    except ValueError:
        return at, "notice", canonical({"at": at, "kind": "notice", "was": payload}).decode("ascii")


def _attempts(db: apsw.Connection, rows: list[Row]) -> None:
    newest = next(iter(db.execute("SELECT ifnull(max(id), 0) FROM attempts")))[0]
    db.executemany(
        "INSERT INTO attempts (first_us, last_us, site, origin, count, names, names_more) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(r.first, r.last, r.site, r.origin, r.count, " ".join(r.names), r.more) for r in rows if r.key is None],
    )
    db.execute("INSERT INTO unsettled SELECT id FROM attempts WHERE id > ?", (newest,))
    db.executemany(
        "UPDATE attempts SET first_us = ?, last_us = ?, count = ?, names = ?, names_more = ? WHERE id = ?",
        [(r.first, r.last, r.count, " ".join(r.names), r.more, r.key) for r in rows if r.key is not None],
    )


def _sums(db: apsw.Connection, rows: list[Row], origin_of: Callable[[int], Origin]) -> None:
    db.executemany(
        "INSERT INTO sums (begins, category, kind, attempts, questions) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
        " SET attempts = attempts + excluded.attempts, questions = questions + excluded.questions",
        [(*key, *counts) for key, counts in deltas(rows, origin_of).items()],
    )


def _spans(db: apsw.Connection, spans: list[Span]) -> None:
    db.executemany(
        "INSERT INTO spans (process, boot, first_us, last_us, ended) VALUES (?, ?, ?, ?, ?)",
        [(s.process, s.boot, s.first, s.last, int(s.ended)) for s in spans if s.key is None],
    )
    db.executemany(
        "UPDATE spans SET last_us = ?, ended = ? WHERE id = ?",
        [(s.last, int(s.ended), s.key) for s in spans if s.key is not None],
    )
