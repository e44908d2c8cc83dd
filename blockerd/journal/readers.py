"""Who reads the mails, and where each row of mails ended: a small file beside the journal that outlives it.

A journal that was set aside or lost would end sharing without a word. So whoever begins a new one finds here who agreed
to what, which periods they were told last, and the head that the first mail of the new record has to name. Holds no
mail and nothing of the record; a question whose mail still waits counts as not asked. Written by `control.reports`,
read by `journal.append` where a journal is new, and by `journal.backup` where an older copy takes its place.
"""

import json
from contextlib import suppress
from pathlib import Path

import apsw

from blockerd.journal import outbox
from blockerd.journal.heads import put_beside
from blockerd.report.partner import State

_PARTNERS = """
    SELECT name, iif(name IN (SELECT lane FROM outbox WHERE what IN ('invite', 'renew', 'more') AND state = 'queued'),
    json_set(said, '$.asks', '', '$.code', '', '$.wants', NULL, '$.asked', 0), said) FROM partners ORDER BY name
"""
_CHAINS = "SELECT place, partner, role FROM chains ORDER BY place"
_LAST = """
    SELECT lane, place, what, address, role, queued_us, due_us, number, made_us, origin, size, hex(root), hex(digest),
    done_us FROM outbox WHERE id IN (SELECT max(id) FROM outbox WHERE number IS NOT NULL GROUP BY place) ORDER BY id
"""
_TOLD = """
    SELECT partner, label, end_us, at_us, word, talked_us FROM periods
    WHERE (partner, at_us) IN (SELECT partner, max(at_us) FROM periods GROUP BY partner) ORDER BY partner, label
"""
_BACK = {
    _PARTNERS: "INSERT INTO partners (name, said) VALUES (?, ?)",
    _CHAINS: "INSERT INTO chains (place, partner, role) VALUES (?, ?, ?)",
    _LAST: "INSERT INTO outbox (lane, place, what, address, role, queued_us, due_us, number, made_us, origin, size,"
    " root, digest, done_us, detail, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, unhex(?), unhex(?), ?, '{}',"
    " 'sent')",
    _TOLD: "INSERT INTO periods (partner, label, end_us, at_us, word, talked_us) VALUES (?, ?, ?, ?, ?, ?)",
}


def side_file(journal: Path) -> Path:
    """Where the readers of `journal` are noted."""
    return journal.with_name(f"{journal.stem}-readers.json")


def remember(db: apsw.Connection, journal: Path) -> None:
    """Notes how it stands with the readers, where that changed.

    Raises:
        OSError: it cannot be written; the old one stays.
    """
    text = json.dumps([list(db.execute(sql)) for sql in _BACK]) + "\n"
    if text != _read(journal) and (text != _NOBODY or side_file(journal).exists()):
        put_beside(side_file(journal), text)


def restore(db: apsw.Connection, journal: Path) -> None:
    """Gives a new journal the readers of the one before. Inside a transaction; a file that is none is passed over."""
    assert db.in_transaction
    with suppress(ValueError, TypeError, apsw.Error), db:
        for sql, rows in zip(_BACK.values(), json.loads(_read(journal)), strict=True):
            db.executemany(sql, rows)


def renew(db: apsw.Connection, journal: Path, at: int) -> None:
    """Gives an older copy of `journal` what holds with its readers as of `at` (Unix µs): who agreed or ended it, what
    they were told. What waited there for somebody who reads no more is dropped. Inside a transaction.
    """
    assert db.in_transaction
    with suppress(ValueError, TypeError, apsw.Error), db:
        for sql, rows in zip(_BACK, json.loads(_read(journal)), strict=True):
            if sql != _LAST:
                db.executemany(_BACK[sql].replace("INSERT", f"INSERT OR {_ONCE_MORE[sql]}", 1), rows)
    for one in outbox.partners(db).values():
        if not one.reads and one.state != State.INVITED:
            outbox.drop(db, one.name, at)


_ONCE_MORE = {_PARTNERS: "REPLACE", _CHAINS: "IGNORE", _TOLD: "IGNORE"}
"""What is done where the copy has a row of its own."""

_NOBODY = json.dumps([[] for _ in _BACK]) + "\n"


def _read(journal: Path) -> str:
    try:
        return side_file(journal).read_text("utf-8")
    except (OSError, ValueError):
        return ""
