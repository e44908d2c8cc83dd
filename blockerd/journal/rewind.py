"""Takes back what a wall clock that was ahead has put into the journal: days and notes of a time that is still to come.

Does nothing while the clock runs as it should. Whoever calls is sure of the clock: one that is *behind* looks the same
from here, but for how long each has run (`contradicted`). The leaves of the log stay, as all leaves do. Called by
`control.reports` inside its transactions.
"""

import apsw

_LONGEST_PAUSE = 86_400_000_000
"""Between two tries of a mail (µs) there is never more."""


def contradicted(db: apsw.Connection, now: int) -> bool:
    """True if the record is more often later than `now` (Unix µs) than the clock has beaten since: it may be behind."""
    beats = "SELECT count(*), ifnull(max(id), 0) FROM events WHERE kind = 'beat'"
    ((later, last),) = db.execute(f"{beats} AND at_us > ?", (now,))
    if not later:
        return False
    ((since, _),) = db.execute(f"{beats} AND id > ?", (last,))
    return bool(later > since)


def rewind(db: apsw.Connection, now: int, settled: int) -> None:
    """As of `now` (Unix µs); a day may be told `settled` µs after its end.

    Of mails of the future a note or seal that waits is dropped, all else that waits or is under way goes as it is, as
    long after now as it was to wait; of those that are done the times are set to now. So none keeps a later one back.
    A remark stands in the next note, also where one of the future had it.
    """
    db.execute(
        "DELETE FROM summaries WHERE n IN (SELECT n FROM openings JOIN events ON events.id = openings.event"
        " WHERE at_us > ? AND kind = 'daily')",
        (now - settled,),
    )
    db.execute("DELETE FROM periods WHERE end_us > ?", (now,))
    db.execute(
        "UPDATE outbox SET state = 'dropped', done_us = ?1 WHERE state = 'queued' AND queued_us > ?1"
        " AND what IN ('report', 'seal')",
        (now,),
    )
    db.execute(
        "UPDATE outbox SET queued_us = ?1, due_us = ?1 + iif(state = 'queued', max(0, due_us - queued_us), 0)"
        " WHERE state IN ('queued', 'sealed') AND queued_us > ?1",
        (now,),
    )
    db.execute(
        "UPDATE outbox SET queued_us = min(queued_us, ?1), made_us = min(made_us, ?1), done_us = min(done_us, ?1)"
        " WHERE state NOT IN ('queued', 'sealed') AND max(queued_us, ifnull(made_us, 0), ifnull(done_us, 0)) > ?1",
        (now,),
    )
    db.execute("UPDATE remarks SET at_us = ?1 + 1 WHERE at_us > ?1 + 1", (now,))
    for table in ("outbox", "roads"):
        db.execute(f"UPDATE {table} SET next_us = 0 WHERE next_us > ?", (now + _LONGEST_PAUSE,))
