"""Forgetting: openings go after a time, sums later, commitments stay; what is deleted is gone from the files too.

Each transaction removes and says so in an entry of its own, with counts and nothing else. Refuses to touch a
commitment that no delivered head covers. Called by `journal.append` for the one writer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import apsw

from blockerd.journal import outbox, screen
from blockerd.journal.entry import Prune
from blockerd.journal.grow import STEP, add_entries, settle
from blockerd.journal.rewind import contradicted
from blockerd.journal.sums import quarter

DAY_US = 86_400_000_000
YEAR_US = 365 * DAY_US
SUMS_US = 2 * YEAR_US
"""Sums by day are kept this long."""

KEPT_A_YEAR = ("daily", "prune", "repair", "report-sent")
"""What readers of old mails may ask for; it names no site."""

KEPT = "key-rotation"
"""Kept for ever: every mail tells all changes of key since the log began. Its own signature bears it out where its
commitment is gone."""

KEPT_AT_ERASE = (
    "start", "stop", "unclean", "mark", "again", "beat", "clock-step", "zone-step", "list-updated", "list-rejected",
    "key-rotation", "prune", "repair", "lost", "report-sent",
)  # fmt: skip
"""That and how it ran, which is no record of a person."""

SCREEN = "screen-rows"
"""Records of screen time: one entry of the log commits to those of an hour."""

EVER = 1 << 62
"""Later than any clock (Unix µs), also one that was ahead."""

_CHUNK = 50_000
_NONE_GOING = "CREATE TEMP TABLE IF NOT EXISTS going (id INTEGER PRIMARY KEY); DELETE FROM temp.going"
_LOOKED_THROUGH = 5_000_000
"""Attempts that one transaction may look through to remove origins."""


@dataclass(frozen=True, slots=True)
class Removed:
    """Openings removed by kind, and records of SCREEN, which share one; leaves whose subtree hashes alone are left.

    `words`: mails and remarks whose text is gone; `left`: a line about each file that could not be removed.
    """

    kinds: dict[str, int]
    commitments: int = 0
    words: int = 0
    left: tuple[str, ...] = ()

    @property
    def openings(self) -> int:
        """All of them."""
        return sum(count for kind, count in self.kinds.items() if kind != SCREEN)


def prune(
    db: apsw.Connection, at: int, before: int, day_begins: Callable[[int], int], *, limit: int = _CHUNK
) -> Removed:
    """Removes up to `limit` attempts and as many events from before `before`; call again until nothing is removed.

    Times in Unix µs; `day_begins` gives where the local day of a time begins. Inside a transaction.
    """
    assert db.in_transaction
    screen.seal(db, at, force=True)
    edge = 0 if contradicted(db, at) else _recorded_before(db, before)
    kinds = _attempts(db, before, (at, edge), limit)
    kinds.update(_events(db, before, (at, edge), limit))
    removed = Removed(kinds, _commitments(db, at - YEAR_US), outbox.forget(db, before))
    _sums(db, before, at - SUMS_US, day_begins)
    db.execute(
        "DELETE FROM spans WHERE last_us < ? AND id NOT IN (SELECT max(id) FROM spans GROUP BY process)", (before,)
    )
    kinds.update(_counted(screen.forget(db, before, at)))
    if removed.openings:
        _origins(db)
    if kinds or removed.commitments:
        add_entries(db, [Prune(at, "age", before, removed.openings, kinds, removed.commitments)])
    return removed


def erase(db: apsw.Connection, at: int) -> Removed:
    """Removes everything that tells of the person, sums included; attempts still open get their leaf first.

    Inside a transaction.
    """
    assert db.in_transaction
    while settle(db, at, force=True):
        pass
    kinds = {"attempt": next(iter(db.execute("SELECT count(*) FROM attempts")))[0]}
    db.execute("DELETE FROM openings WHERE attempt IS NOT NULL")
    db.execute("DELETE FROM attempts; DELETE FROM sums; DELETE FROM origins")
    marks = ", ".join("?" * len(KEPT_AT_ERASE))
    kinds.update(_drop_events(db, f"kind NOT IN ({marks})", KEPT_AT_ERASE))
    kinds.update(_counted(screen.erase(db)))
    removed = Removed({kind: count for kind, count in kinds.items() if count}, words=outbox.forget(db, EVER))
    _uncount(db, removed.openings)
    add_entries(db, [Prune(at, "erase", at, removed.openings, removed.kinds)])
    return removed


def scrub(db: apsw.Connection) -> bool:
    """Writes the file anew from what is left and empties the write-ahead log. Outside of any transaction.

    False where a reader holds on to the old state: call again later. (`secure_delete` alone leaves bytes of rows that
    were moved within their page.)
    """
    db.execute("VACUUM")
    return empty_log(db)


def empty_log(db: apsw.Connection) -> bool:
    """Empties the write-ahead log; False where a reader or another program is in the way."""
    try:
        ((busy, _, _),) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except (apsw.BusyError, apsw.LockedError):
        return False
    return not busy


def _recorded_before(db: apsw.Connection, before: int) -> int:
    """The leaf below which all was recorded before `before`, whatever time it bears: a beat says so that lies behind.

    What a clock that was ahead has dated would else stay until then.
    """
    sql = "SELECT max(n) FROM events CROSS JOIN openings ON event = events.id WHERE at_us < ? AND kind = 'beat'"
    return next(iter(db.execute(sql, (before,))))[0] or 0


def _attempts(db: apsw.Connection, before: int, ahead: tuple[int, int], limit: int) -> dict[str, int]:
    """Removes settled attempts that ended before `before`; those later than now and below a leaf too (`ahead`)."""
    old = "first_us < ? AND last_us < ?"
    of_future = "first_us > ? AND (SELECT n FROM openings WHERE attempt = attempts.id) < ?"
    count = 0
    db.execute(_NONE_GOING)
    for rule, values in ((old, (before, before)), (of_future, ahead)):
        found = f"SELECT id FROM attempts WHERE {rule} AND id NOT IN unsettled ORDER BY first_us LIMIT ?"
        db.execute(f"INSERT OR IGNORE INTO temp.going {found}", (*values, limit))
        count += db.changes()
    db.execute("DELETE FROM openings WHERE attempt IN (SELECT id FROM temp.going)")
    _uncount(db, db.changes())
    db.execute("DELETE FROM attempts WHERE id IN (SELECT id FROM temp.going)")
    return {"attempt": count} if count else {}


def _origins(db: apsw.Connection) -> None:
    """Empties the origins that no attempt has any more, and removes some of them.

    Not all at once: the foreign key makes SQLite look through all attempts for each that is removed.
    """
    unused = db.execute("SELECT id FROM origins WHERE id NOT IN (SELECT origin FROM attempts)").fetchall()
    attempts = next(iter(db.execute("SELECT count(*) FROM attempts")))[0]
    some = max(50, _LOOKED_THROUGH // max(1, attempts))
    db.executemany("DELETE FROM origins WHERE id = ?", unused[:some])
    db.executemany(
        "UPDATE origins SET category = '', source = '', list = '', action = '', channel = '', client = '', user = '',"
        " kind = 'gone ' || id WHERE id = ?",
        unused[some:],
    )


def _events(db: apsw.Connection, before: int, ahead: tuple[int, int], limit: int) -> dict[str, int]:
    marks, year = ", ".join("?" * len(KEPT_A_YEAR)), min(ahead[0] - YEAR_US, before)
    old = f"at_us < ? AND kind != '{KEPT}' AND (at_us < ? OR kind NOT IN ({marks}))"
    of_future = (
        f"at_us > ? AND (SELECT n FROM openings WHERE event = events.id) < ? AND kind NOT IN ({marks}, '{KEPT}')"
    )
    kinds = dict[str, int]()
    for rule, values in ((old, (before, year)), (of_future, ahead)):
        some = f"{rule} ORDER BY id LIMIT ?"
        for kind, count in _drop_events(db, some, (*values, *KEPT_A_YEAR, limit)).items():
            kinds[kind] = kinds.get(kind, 0) + count
    _uncount(db, sum(kinds.values()))
    return kinds


def _drop_events(db: apsw.Connection, rule: str, values: Sequence[int | str]) -> dict[str, int]:
    db.execute(_NONE_GOING)
    db.execute(f"INSERT INTO temp.going SELECT id FROM events WHERE {rule}", values)
    counted = db.execute("SELECT kind, count(*) FROM events WHERE id IN (SELECT id FROM temp.going) GROUP BY kind")
    kinds = {str(kind): int(count) for kind, count in counted}
    db.execute("DELETE FROM openings WHERE event IN (SELECT id FROM temp.going)")
    db.execute("DELETE FROM events WHERE id IN (SELECT id FROM temp.going)")
    return kinds


def _counted(records: int) -> dict[str, int]:
    return {SCREEN: records} if records else {}


def _uncount(db: apsw.Connection, openings: int) -> None:
    db.execute("UPDATE tree SET rows = rows - ?", (openings,))


def _sums(db: apsw.Connection, before: int, oldest: int, day_begins: Callable[[int], int]) -> None:
    """Makes quarters of days that are over before `before` into days; drops those before `oldest`."""
    db.execute("DELETE FROM sums WHERE begins < ?", (oldest,))
    edge = quarter(day_begins(before))
    days: dict[tuple[int, str, str], list[int]] = {}
    stale = []
    for begins, category, kind, attempts, questions in db.execute(
        "SELECT begins, category, kind, attempts, questions FROM sums WHERE begins < ?", (edge,)
    ):
        day = quarter(day_begins(begins))
        if day != begins:
            stale.append((begins, category, kind))
            total = days.setdefault((day, category, kind), [0, 0])
            total[0] += attempts
            total[1] += questions
    db.executemany("DELETE FROM sums WHERE begins = ? AND category = ? AND kind = ?", stale)
    db.executemany(
        "INSERT INTO sums (begins, category, kind, attempts, questions) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
        " SET attempts = attempts + excluded.attempts, questions = questions + excluded.questions",
        [(*key, *counts) for key, counts in days.items()],
    )


def _commitments(db: apsw.Connection, year: int) -> int:
    """Drops commitments of whole blocks below a head delivered over a year ago, where no opening but KEPT is left."""
    sql = "SELECT max(size) FROM heads WHERE delivered_us IS NOT NULL AND at_us < ?"
    covered = next(iter(db.execute(sql, (year,))))[0] or 0
    kept = f"SELECT id FROM events WHERE kind = '{KEPT}'"
    opened = f"SELECT min(n) FROM openings WHERE event IS NULL OR event NOT IN ({kept})"
    first = next(iter(db.execute(opened)))[0]
    minimum = min(covered, covered if first is None else first) >> STEP << STEP
    if minimum <= next(iter(db.execute("SELECT minimum FROM tree")))[0]:
        return 0
    db.execute("DELETE FROM commitments WHERE n < ?", (minimum,))
    dropped = db.changes()
    db.execute("UPDATE tree SET minimum = ?", (minimum,))
    return dropped
