"""Forgetting as a whole: rows, spool segments, files set aside, backups and copies of mails, then pages and their log.

`prune` is called daily and keeps what a report still waits for; `erase` is called by the person and takes everything at
once. Both are done only when `scrub` says so: a reader that holds on to an old state delays that. Called by `control`,
and by `log erase` where no control runs.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import apsw

from blockerd.journal import retention
from blockerd.journal.append import Journal
from blockerd.journal.retention import Removed
from blockerd.journal.spool import segments
from blockerd.journal.wipe import wipe

BACKUPS = "backups"
"""Folder beside the journal in which backups are made unless told otherwise."""

COPIES = "sent"
"""Folder beside the journal with the user's own copies of mails, the same bytes as the readers got."""

ASIDE = ("-damaged-", "-replaced-")
"""What the names of journals that were set aside have in them."""

BESIDE = (".new", ".taken")
"""What an `import` that was killed adds to the journal's name for the copies that it leaves."""


def prune(journal: Journal, spool: Path, at: int, before: int, day_begins: Callable[[int], int]) -> Removed:
    """Removes what is older than `before` (Unix µs); `day_begins` gives where the local day of a time begins.

    A file that cannot be removed is told in `left`; call again.

    Raises:
        JournalError: the journal cannot be written now; what is removed is told, the rest is left.
    """
    kinds: dict[str, int] = {}
    commitments = words = 0
    while True:
        part = journal.within(lambda db: retention.prune(db, at, before, day_begins))
        for kind, count in part.kinds.items():
            kinds[kind] = kinds.get(kind, 0) + count
        commitments, words = commitments + part.commitments, words + part.words
        if not part.kinds:
            break
    return Removed(kinds, commitments, words, _files(journal, spool, before))


def erase(journal: Journal, spool: Path, at: int) -> Removed:
    """Removes everything that tells of the person up to now. Drain before: what still waits in the spool stays there.

    A file that cannot be removed is told in `left`; call again.

    Raises:
        JournalError: the journal cannot be written now; nothing is removed.
    """
    removed = journal.within(lambda db: retention.erase(db, at))
    return replace(removed, left=_files(journal, spool, retention.EVER))


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


def _files(journal: Journal, spool: Path, before: int) -> tuple[str, ...]:
    """Removes what lies in files and is older than `before`; a line about each place where that could not be done."""
    left = list[str]()

    def tried(what: Path, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            left.append(f"{what}: {error.strerror or error}; remove it yourself")

    stored = journal.within(_stored)
    for path in segments(spool):
        tried(path, partial(_wipe, path, stored.get(path.name), before))
    folder = journal.path.parent
    found = list[Path]()
    for place in (folder, folder / BACKUPS, folder / COPIES):
        tried(place, partial(_look, found, place, journal.path))
    for path in found:
        tried(path, partial(_unlink, path, before))
    return tuple(left)


def _look(found: list[Path], folder: Path, journal: Path) -> None:
    """Adds the files in `folder` that may tell of the person: other journals, backups, copies of mails.

    Raises:
        OSError: it cannot be looked into; a folder that is not there is empty.
    """
    try:
        there = sorted(folder.iterdir())
    except FileNotFoundError:
        return
    aside = (*(f"{journal.stem}{part}" for part in ASIDE), *(f"{journal.name}{part}" for part in BESIDE))
    wanted = [path for path in there if folder != journal.parent or path.name.startswith(aside)]
    found += [path for path in wanted if path.is_symlink() or not path.is_dir()]


def _wipe(segment: Path, stored: int | None, before: int) -> None:
    """Overwrites what is stored (up to an offset, None: nothing yet) and older than `before` in a segment.

    Raises:
        OSError: it cannot be read or written, or has waited for so long because it cannot.
    """
    with suppress(FileNotFoundError):
        if stored is not None:
            wipe(segment, stored, before)
        elif segment.lstat().st_mtime_ns // 1000 < before:
            with segment.open("rb") as file:
                file.read(1)


def _unlink(path: Path, before: int) -> None:
    if path.lstat().st_mtime_ns // 1000 < before:
        path.unlink()


def _stored(db: apsw.Connection) -> dict[str, int]:
    return {str(name): int(offset) for name, offset in db.execute("SELECT name, offset FROM segments")}
