"""What goes out and to whom, as the journal keeps it: readers, mails that wait, mails that went, periods already told.

Runs on the writing connection, inside the transaction of the caller; what only reads takes any connection. A mail gets
its number, its bytes and its head in one transaction, and never other bytes under that number once somebody may have
them. Called by `control.reports` and `control.mails`, by the command line for lists.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import apsw

from blockerd.report.due import Ledger, Sent
from blockerd.report.partner import LAST, SECRET, Asks, Partner, Says, Send, State
from blockerd.settings import RoadName, Role

MIGRATION = """
    CREATE TABLE partners (name TEXT PRIMARY KEY, said TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE chains (place INTEGER PRIMARY KEY, partner TEXT NOT NULL, role TEXT NOT NULL) STRICT;
    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY, lane TEXT NOT NULL, place INTEGER NOT NULL, what TEXT NOT NULL, address TEXT NOT NULL,
        role TEXT NOT NULL, detail TEXT NOT NULL, queued_us INTEGER NOT NULL, due_us INTEGER NOT NULL,
        state TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0, next_us INTEGER NOT NULL DEFAULT 0,
        trouble TEXT NOT NULL DEFAULT '', copy_of INTEGER, number INTEGER, made_us INTEGER, body BLOB,
        origin TEXT, size INTEGER, root BLOB, digest BLOB, head INTEGER, done_us INTEGER
    ) STRICT;
    CREATE INDEX outbox_open ON outbox (state) WHERE state IN ('queued', 'sealed');
    CREATE INDEX outbox_by_place ON outbox (place, number) WHERE number IS NOT NULL;
    CREATE TABLE periods (
        partner TEXT NOT NULL, label TEXT NOT NULL, end_us INTEGER NOT NULL, at_us INTEGER NOT NULL,
        word TEXT NOT NULL, talked_us INTEGER, PRIMARY KEY (partner, label, at_us)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE summaries (
        day TEXT NOT NULL, role TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (day, role)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE remarks (id INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, said TEXT NOT NULL) STRICT;
    CREATE TABLE roads (name TEXT PRIMARY KEY, tries INTEGER NOT NULL, next_us INTEGER NOT NULL, trouble TEXT NOT NULL)
        STRICT, WITHOUT ROWID;
"""
"""One migration of the journal. A lane ("" for the user's own) is sent in order of ids; `copy_of` is the mail whose
bytes a copy for the user has; `summaries` says which leaf tells of a day for a role."""

USER = ""
"""The user's own lane."""

_COLUMNS = (
    "id, lane, place, what, address, role, detail, queued_us, due_us, state, tries, next_us, trouble, copy_of, number,"
    " made_us, body, origin, size, root, digest, head, done_us"
)


class Stand(StrEnum):
    """Where a mail stands. SEALED: it has its bytes and may be with the reader already."""

    WAITING = "queued"
    SEALED = "sealed"
    SENT = "sent"
    REFUSED = "refused"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Row:
    """One mail; times are Unix µs. What is None comes with the seal."""

    id: int
    lane: str
    place: int
    what: Says
    address: str
    role: Role
    detail: Mapping[str, Any]
    queued: int
    due: int
    state: Stand
    tries: int
    next_try: int
    trouble: str
    copy_of: int | None
    number: int | None
    made: int | None
    body: bytes | None
    origin: str | None
    size: int | None
    root: bytes | None
    digest: bytes | None
    head: int | None
    done: int | None

    @property
    def road(self) -> str:
        """How it is handed over."""
        return str(self.detail.get("road", RoadName.SMTP))


@dataclass(frozen=True, slots=True)
class Sealed:
    """What the seal gives a mail: its number (None: no evidence), when it was made, its bytes, its head."""

    made: int
    body: bytes
    number: int | None = None
    origin: str | None = None
    size: int | None = None
    root: bytes | None = None
    digest: bytes | None = None
    head: int | None = None


@dataclass(frozen=True, slots=True)
class RoadState:
    """How often in a row a road could not be gone, when it is tried again (Unix µs), and why, in one line."""

    tries: int = 0
    next_try: int = 0
    trouble: str = ""


def partners(db: apsw.Connection) -> dict[str, Partner]:
    """All readers there are or were, by name; one whose record cannot be read is left out, `partner` says so."""
    found = {}
    for name, said in db.execute("SELECT name, said FROM partners"):
        with suppress(ValueError, LookupError, TypeError):
            found[str(name)] = _partner(str(said))
    return found


def names(db: apsw.Connection) -> list[str]:
    """Names of all readers there are or were."""
    return [str(name) for (name,) in db.execute("SELECT name FROM partners ORDER BY name")]


def partner(db: apsw.Connection, name: str) -> Partner:
    """The reader of this name.

    Raises:
        LookupError, ValueError, TypeError: there is none, or their record cannot be read.
    """
    for (said,) in db.execute("SELECT said FROM partners WHERE name = ?", (name,)):
        return _partner(str(said))
    raise LookupError(name)


def put_partner(db: apsw.Connection, partner: Partner) -> None:
    """Keeps `partner`, and the row of mails that is theirs now."""
    db.execute(
        "INSERT INTO partners VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET said = excluded.said",
        (partner.name, json.dumps(asdict(partner))),
    )
    db.execute("INSERT OR IGNORE INTO chains VALUES (?, ?, ?)", (partner.place, partner.name, str(partner.role)))


def next_place(db: apsw.Connection) -> int:
    """The number of a row of mails that there is not yet."""
    return _number(db, "SELECT ifnull(max(place), 0) + 1 FROM chains")


def role_of(db: apsw.Connection, place: int) -> Role:
    """For which role the mails of a row are."""
    return Role(str(db.execute("SELECT role FROM chains WHERE place = ?", (place,)).fetchall()[0][0]))


def queue(
    db: apsw.Connection, lane: str, send: Send, now: int, due: int, detail: Mapping[str, Any] | None = None
) -> int:
    """Puts a mail in; it is due at `due` (not before). Its number in the list."""
    said = {**(detail or {}), **({"code": send.code} if send.code else {})}
    if send.road != RoadName.SMTP:
        said["road"] = str(send.road)
    db.execute(
        "INSERT INTO outbox (lane, place, what, address, role, detail, queued_us, due_us, state)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'queued')",
        (lane, send.place, str(send.what), send.address, str(send.role), json.dumps(said), now, due),
    )
    return int(db.last_insert_rowid())


def copy(db: apsw.Connection, row: Row, address: str, now: int) -> None:
    """Puts a copy of `row`, the same bytes, into the user's own lane."""
    assert row.body is not None
    db.execute(
        "INSERT INTO outbox (lane, detail, state, place, what, address, role, queued_us, due_us, copy_of, made_us,"
        " body) VALUES ('', '{}', 'sealed', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (row.place, str(row.what), address, str(row.role), now, now, row.id, row.made, row.body),
    )


def rows(db: apsw.Connection, *, open_only: bool = False) -> list[Row]:
    """All mails, oldest first; `open_only`: those that wait."""
    rule = "state IN ('queued', 'sealed')" if open_only else "true"
    return [_row(got) for got in db.execute(f"SELECT {_COLUMNS} FROM outbox WHERE {rule} ORDER BY id")]


def rows_saying(db: apsw.Connection, what: Iterable[Says]) -> list[Row]:
    """Mails that say one of `what`, oldest first, without their bytes and without copies."""
    marks = ", ".join(f"'{one}'" for one in what)
    columns = _COLUMNS.replace("body", "NULL")
    sql = f"SELECT {columns} FROM outbox WHERE what IN ({marks}) AND copy_of IS NULL ORDER BY id"
    return [_row(got) for got in db.execute(sql)]


def row(db: apsw.Connection, number: int) -> Row | None:
    """The mail with this number in the list."""
    return next((_row(got) for got in db.execute(f"SELECT {_COLUMNS} FROM outbox WHERE id = ?", (number,))), None)


def last_of(db: apsw.Connection, place: int) -> Row | None:
    """The newest numbered mail of a row: what the next one follows."""
    sql = f"SELECT {_COLUMNS} FROM outbox WHERE place = ? AND number IS NOT NULL ORDER BY id DESC LIMIT 1"
    return next((_row(got) for got in db.execute(sql, (place,))), None)


def other_row(db: apsw.Connection, place: int) -> Row | None:
    """What the first mail of a row goes on from: the newest numbered one of another row of its reader, else of any."""
    mine = "place IN (SELECT place FROM chains WHERE partner = (SELECT partner FROM chains WHERE place = ?1))"
    numbered = f"SELECT {_COLUMNS} FROM outbox WHERE place != ?1 AND number IS NOT NULL"
    sql = f"{numbered} ORDER BY {mine} DESC, id DESC LIMIT 1"
    return next((_row(got) for got in db.execute(sql, (place,))), None)


def newest(db: apsw.Connection, place: int) -> int | None:
    """When the newest mail of a row was queued or made, dropped ones aside; None for none."""
    which = "place = ? AND state != 'dropped' AND copy_of IS NULL"
    sql = f"SELECT max(max(queued_us, ifnull(made_us, 0))) FROM outbox WHERE {which}"
    found = db.execute(sql, (place,)).fetchall()[0][0]
    return None if found is None else int(found)


def seal(db: apsw.Connection, number: int, sealed: Sealed) -> None:
    """Gives mail `number` of the list its bytes; from here on somebody may have them."""
    db.execute(
        "UPDATE outbox SET state = 'sealed', made_us = ?, body = ?, number = ?, origin = ?, size = ?, root = ?,"
        " digest = ?, head = ? WHERE id = ?",
        (sealed.made, sealed.body, sealed.number, sealed.origin, sealed.size, sealed.root, sealed.digest,
         sealed.head, number),
    )  # fmt: skip


def unseal(db: apsw.Connection, number: int) -> None:
    """Takes them back: the other side said that it does not have them."""
    db.execute(
        "UPDATE outbox SET state = 'queued', made_us = NULL, body = NULL, number = NULL, origin = NULL, size = NULL,"
        " root = NULL, digest = NULL, head = NULL WHERE id = ? AND copy_of IS NULL",
        (number,),
    )


def done(db: apsw.Connection, number: int, state: Stand, at: int, trouble: str = "") -> None:
    """Mail `number` of the list was sent, refused for good, or dropped; a code that it held is forgotten with it."""
    db.execute("UPDATE outbox SET state = ?, done_us = ?, trouble = ? WHERE id = ?", (str(state), at, trouble, number))
    secret = ", ".join(f"'{what}'" for what in sorted(SECRET))
    db.execute(f"UPDATE outbox SET detail = '{{}}', body = NULL WHERE id = ? AND what IN ({secret})", (number,))


def later(db: apsw.Connection, number: int, next_try: int, trouble: str) -> None:
    """Mail `number` of the list could not be handed over now."""
    db.execute(
        "UPDATE outbox SET tries = tries + 1, next_us = ?, trouble = ? WHERE id = ?", (next_try, trouble, number)
    )


def drop(db: apsw.Connection, lane: str, at: int) -> None:
    """Whatever waits for a reader is not sent any more, but for the word that something has ended."""
    for one in rows(db, open_only=True):
        if one.lane == lane and one.what not in LAST:
            done(db, one.id, Stand.DROPPED, at)


def move(db: apsw.Connection, lane: str, place: int, role: Role, at: int) -> None:
    """What waits for a reader tells no more than `role` may know from now on; what has its bytes already is dropped."""
    for one in rows(db, open_only=True):
        if one.lane == lane and one.state == Stand.SEALED:
            done(db, one.id, Stand.DROPPED, at)
        elif one.lane == lane and one.what in (Says.REPORT, Says.SEAL):
            db.execute("UPDATE outbox SET place = ?, role = ? WHERE id = ?", (place, str(role), one.id))


def refused_since(db: apsw.Connection, lane: str) -> list[Row]:
    """Notes to a reader that were refused for good since the last one that was sent."""
    sql = "SELECT ifnull(max(id), 0) FROM outbox WHERE lane = ? AND what = 'report' AND state = 'sent'"
    since = _number(db, sql, lane)
    sql = f"SELECT {_COLUMNS} FROM outbox WHERE lane = ? AND what = 'report' AND state = 'refused' AND id > ?"
    return [_row(got) for got in db.execute(f"{sql} ORDER BY id", (lane, since))]


def told(db: apsw.Connection, partner: str, period: Sent, word: str) -> None:
    """Notes in the ledger that a period is told (its mail is queued); `word` is the one that counts a talk."""
    db.execute(
        "INSERT INTO periods (partner, label, end_us, at_us, word) VALUES (?, ?, ?, ?, ?)",
        (partner, period.label, period.end, period.at, word),
    )


def ledger(db: apsw.Connection, partner: Partner) -> Ledger:
    """What `partner` was told since they said yes."""
    sql = "SELECT label, end_us, at_us FROM periods WHERE partner = ? AND at_us >= ? ORDER BY at_us"
    return Ledger(partner.since, tuple(Sent(*got) for got in db.execute(sql, (partner.name, partner.since))))


def talk(db: apsw.Connection, word: str, now: int) -> bool:
    """Counts a talk where `word` stands in a note that no talk was counted for; the newest of them."""
    sql = "SELECT partner, label, at_us FROM periods WHERE word = ? AND talked_us IS NULL ORDER BY at_us DESC LIMIT 1"
    found = db.execute(sql, (word.strip().lower(),)).fetchall()
    if found:
        db.execute("UPDATE periods SET talked_us = ? WHERE partner = ? AND label = ? AND at_us = ?", (now, *found[0]))
    return bool(found)


def talks(db: apsw.Connection, partner: str) -> int:
    """Talks counted with a reader."""
    sql = "SELECT count(*) FROM periods WHERE partner = ? AND talked_us IS NOT NULL"
    return _number(db, sql, partner)


def keep_summary(db: apsw.Connection, day: str, role: Role, n: int) -> None:
    """Leaf `n` of the log tells of `day` (ISO 8601) for `role`; only it, where the day was told before it was over."""
    db.execute("INSERT OR REPLACE INTO summaries VALUES (?, ?, ?)", (day, str(role), n))


def summaries(db: apsw.Connection, role: Role, first: str = "", last: str = "9999") -> dict[str, int]:
    """The leaf of each day from `first` to `last` that has a summary for `role`."""
    sql = "SELECT day, n FROM summaries WHERE role = ? AND day >= ? AND day <= ? ORDER BY day"
    return {str(day): int(n) for day, n in db.execute(sql, (str(role), first, last))}


def remark(db: apsw.Connection, said: str, now: int) -> None:
    """The user's note for the notes to come; an empty one takes back those that nobody has yet."""
    sent = "SELECT ifnull(max(made_us), 0) FROM outbox WHERE what = 'report' AND state IN ('sealed', 'sent')"
    if said:
        db.execute("INSERT INTO remarks (at_us, said) VALUES (?, ?)", (now, said))
    else:
        db.execute(f"DELETE FROM remarks WHERE at_us > ({sent})")


def remarks(db: apsw.Connection, lane: str, now: int, since: int = 0) -> str:
    """What the user has noted since `since` (Unix µs: the reader's yes) and the last note to a reader."""
    sql = "SELECT ifnull(max(made_us), 0) FROM outbox WHERE what = 'report' AND lane = ? AND made_us < ?"
    since = max(since - 1, _number(db, sql, lane, now))
    sql = "SELECT said FROM remarks WHERE at_us > ? AND at_us <= ? ORDER BY id"
    return "\n".join(str(said) for (said,) in db.execute(sql, (since, now)))


def road(db: apsw.Connection, name: str) -> RoadState:
    """How a road stands."""
    for tries, next_try, trouble in db.execute("SELECT tries, next_us, trouble FROM roads WHERE name = ?", (name,)):
        return RoadState(tries, next_try, trouble)
    return RoadState()


def put_road(db: apsw.Connection, name: str, state: RoadState) -> None:
    """Keeps how a road stands, so that a new start does not knock at once again."""
    db.execute(
        "INSERT INTO roads VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET tries = excluded.tries,"
        " next_us = excluded.next_us, trouble = excluded.trouble",
        (name, state.tries, state.next_try, state.trouble),
    )


def forget(db: apsw.Connection, before: int) -> int:
    """What mails said is forgotten where they were done before `before` (Unix µs); numbers, heads and digests stay.

    How many mails and remarks that were.
    """
    db.execute(
        "UPDATE outbox SET body = NULL, detail = '{}' WHERE done_us < ? AND state NOT IN ('queued', 'sealed')"
        " AND (body IS NOT NULL OR detail != '{}')",
        (before,),
    )
    mails = db.changes()
    db.execute("DELETE FROM remarks WHERE at_us < ?", (before,))
    return mails + db.changes()


def _partner(said: str) -> Partner:
    got = json.loads(said)
    wants = Role(got["wants"]) if got["wants"] else None
    typed = {"role": Role(got["role"]), "state": State(got["state"]), "asks": Asks(got["asks"]), "wants": wants}
    return Partner(**{**got, **typed})


def _number(db: apsw.Connection, sql: str, *values: str | int) -> int:
    return next((int(got) for (got,) in db.execute(sql, values)), 0)


def _row(got: tuple[Any, ...]) -> Row:
    values = dict(zip(Row.__dataclass_fields__, got, strict=True))
    return Row(**{
        **values, "what": Says(values["what"]), "role": Role(values["role"]), "detail": json.loads(values["detail"]),
        "state": Stand(values["state"]),
    })  # fmt: skip
