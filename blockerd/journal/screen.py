"""Screen time in the log: one entry for each hour of an agent's records, with a digest over all of them.

A leaf for each record would be most of the log; so an entry commits to the records of an hour once that is over, and
records and entry are forgotten together. Records of the current hour are not committed to yet. Runs inside the
transaction of the one writer. Called by `journal.append`, `journal.retention` and `journal.check`.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import accumulate, groupby
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

import apsw

from blockerd.journal.entry import Screen, decode
from blockerd.journal.grow import add_entries

HOUR_US = 3_600_000_000
LATE_US = 600_000_000
"""How long (µs) after its end an hour waits for records that are still with their agent."""

_DOMAIN = b"blockerd/screen/1\n"
_FIELDS = "seq, stream, start_us, end_us, value, title, anchor_us, boot"
_START, _END = 2, 3

Row = Sequence[Any]
"""Of a table; a record is as `_FIELDS` says."""


def seal(db: apsw.Connection, now_us: int, *, force: bool = False) -> int:
    """Appends an entry for each hour of records that is over at `now_us` (Unix µs), for each with `force`; how many."""
    assert db.in_transaction
    entries = []
    for agent, name, sealed in _agents(db, "sealed < stored"):
        rows = _rows(db, agent, sealed + 1, 1 << 62)
        hours = [list(group) for _, group in groupby(rows, key=lambda row: row[_START] // HOUR_US)]
        if hours and not force and now_us < (hours[-1][-1][_START] // HOUR_US + 1) * HOUR_US + LATE_US:
            hours.pop()
        entries += [_entry(name, hour) for hour in hours]
        if hours:
            db.execute("UPDATE agents SET sealed = ? WHERE id = ?", (hours[-1][-1][0], agent))
    add_entries(db, entries)
    return len(entries)


def forget(db: apsw.Connection, before: int, at: int) -> int:
    """Removes records that ended before `before` (Unix µs) or after now (`at`) and whose entry is gone; how many.

    Which agent sent how much stays, so that each is taken once.
    """
    kept, count = _committed(db), 0
    for agent, name, sealed in _agents(db, "true"):
        last = min((first - 1 for first, _ in kept.get(name, ())), default=sealed)
        rule = "agent = ? AND seq <= ? AND (end_us < ? OR end_us > ?)"
        db.execute(f"DELETE FROM screen WHERE {rule}", (agent, last, before, at))
        count += db.changes()
    return count


def erase(db: apsw.Connection) -> int:
    """Removes all records, those that no entry commits to included; how many."""
    db.execute("DELETE FROM screen")
    count = db.changes()
    db.execute("UPDATE agents SET sealed = stored")
    return count


def unfit(db: apsw.Connection, entry: bytes) -> str:
    """Why the records of an entry of screen time do not fit it, "" where they do."""
    try:
        said = decode(entry)
    except ValueError:
        return "it is no entry of screen time"
    if not isinstance(said, Screen):
        return ""
    (agent,) = next(iter(db.execute("SELECT max(id) FROM agents WHERE name = ?", (said.agent,))))
    rows = [] if agent is None else _rows(db, agent, said.first, said.last)
    if len(rows) != said.count:
        return f"{len(rows)} records of screen time, not {said.count}"
    return "" if digest(rows) == said.digest else "its records of screen time were changed"


def uncommitted(db: apsw.Connection) -> Iterator[int]:
    """Records that no entry commits to, though their number says that one did: their rows."""
    kept = {name: _reach(entries) for name, entries in _committed(db).items()}
    sql = "SELECT screen.id, name, seq FROM screen JOIN agents ON agents.id = agent WHERE seq <= sealed"
    for key, name, seq in db.execute(sql):
        firsts, reach = kept.get(name, ([], [-1]))
        if reach[bisect_right(firsts, seq)] < seq:
            yield int(key)


def digest(rows: Sequence[Row]) -> str:
    """SHA-256 in hexadecimal over the canonical lines of records in order of their numbers."""
    return sha256(_DOMAIN + "".join(map(_line, rows)).encode("ascii")).hexdigest()


def _line(row: Row) -> str:
    """The canonical bytes of a record (`entry.canonical` of its columns) and a line end, several times faster."""
    seq, stream, start, end, value, title, anchor, boot = row
    said = f"{quoted(value)},{quoted(title)},{anchor},{quoted(boot)}"
    return f"[{seq},{quoted(stream)},{start},{end},{said}]\n"


def _agents(db: apsw.Connection, rule: str) -> list[Row]:
    return list(db.execute(f"SELECT id, name, sealed FROM agents WHERE {rule}"))


def _committed(db: apsw.Connection) -> dict[str, list[tuple[int, int]]]:
    """First and last number of each entry that is there, by name of the agent."""
    found: dict[str, list[tuple[int, int]]] = {}
    said = "payload ->> '$.agent', payload ->> '$.first', payload ->> '$.last'"
    for name, first, last in db.execute(f"SELECT {said} FROM events WHERE kind = 'screen'"):
        found.setdefault(str(name), []).append((int(first), int(last)))
    return found


def _reach(entries: Sequence[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """First numbers in order, and before each of them and behind the last how far the entries up to there go."""
    ordered = sorted(entries)
    return [first for first, _ in ordered], list(accumulate((last for _, last in ordered), max, initial=-1))


def _rows(db: apsw.Connection, agent: int, first: int, last: int) -> list[Row]:
    sql = f"SELECT {_FIELDS} FROM screen WHERE agent = ? AND seq BETWEEN ? AND ? ORDER BY seq"
    return list(db.execute(sql, (agent, first, last)))


def _entry(name: str, rows: Sequence[Row]) -> Screen:
    """Filed under the last end of its records, so that it is forgotten with the last of them and not before."""
    end = max(row[_END] for row in rows)
    return Screen(end, min(row[_START] for row in rows), name, rows[0][0], rows[-1][0], len(rows), digest(rows))
