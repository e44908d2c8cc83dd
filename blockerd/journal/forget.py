"""Forgetting as a whole: rows, spool segments, files set aside and backups, then the pages and the write-ahead log.

`prune` is called daily and keeps what a report still waits for; `erase` is called by the person and takes everything at
once. Both are done only when `scrub` says so: a reader that holds on to an old state delays that. Called by `control`,
and by `log erase` where no control runs.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import apsw

from blockerd.journal import retention
from blockerd.journal.append import Journal
from blockerd.journal.retention import Removed
from blockerd.journal.spool import segments
from blockerd.journal.wipe import wipe

BACKUPS = "backups"
"""Folder beside the journal in which backups are made unless told otherwise."""

ASIDE = ("-damaged-", "-replaced-")
"""What the names of journals that were set aside have in them."""


def prune(journal: Journal, spool: Path, at: int, before: int, day_begins: Callable[[int], int]) -> Removed:
    """Removes what is older than `before` (Unix µs); `day_begins` gives where the local day of a time begins.

    Raises:
        JournalError: the journal cannot be written now; what is removed is told, the rest is left.
        OSError: a file could not be removed; call again.
    """
    kinds: dict[str, int] = {}
    commitments = 0
    while True:
        part = journal.within(lambda db: retention.prune(db, at, before, day_begins))
        for kind, count in part.kinds.items():
            kinds[kind] = kinds.get(kind, 0) + count
        commitments += part.commitments
        if not part.kinds:
            break
    wipe_spool(journal, spool, before)
    for path in set_aside(journal.path):
        if path.stat().st_mtime_ns // 1000 < before:
            path.unlink()
    return Removed(kinds, commitments)


def erase(journal: Journal, spool: Path, at: int) -> Removed:
    """Removes everything that tells of the person up to now. Drain before: what still waits in the spool stays there.

    Raises:
        JournalError: the journal cannot be written now; nothing is removed.
        OSError: a file could not be removed; call again.
    """
    removed = journal.within(lambda db: retention.erase(db, at))
    wipe_spool(journal, spool, 1 << 62)
    for path in set_aside(journal.path):
        path.unlink()
    return removed


def scrub(journal: Journal) -> bool:
    """Takes what was removed out of the file itself, which is written anew; False where a reader is in the way.

    Raises:
        JournalError: the journal cannot be written now.
    """
    return journal.within(retention.scrub, transaction=False)


def empty_log(journal: Journal) -> bool:
    """What is left to do of a `scrub` that said False; True once it is done.

    Raises:
        JournalError: the journal cannot be written now.
    """
    return journal.within(retention.empty_log, transaction=False)


def wipe_spool(journal: Journal, spool: Path, before: int) -> None:
    """Overwrites what is stored and older than `before` in segments that are still there."""
    stored = journal.within(_stored)
    for path in segments(spool):
        if path.name in stored:
            wipe(path, stored[path.name], before)


def set_aside(journal: Path) -> Iterator[Path]:
    """Journals beside `journal` that were damaged or replaced, their companions, and backups made here."""
    for part in ASIDE:
        yield from sorted(journal.parent.glob(f"{journal.stem}{part}*"))
    yield from sorted((journal.parent / BACKUPS).glob("*"))


def _stored(db: apsw.Connection) -> dict[str, int]:
    return {str(name): int(offset) for name, offset in db.execute("SELECT name, offset FROM segments")}
