"""Does this journal go on from the last delivered head? If not, the log itself says so, and which log ended where.

A damaged journal was set aside and a new one begun, the file was deleted, or an older copy was put in its place: in
each case an entry binds what is here to the head that was delivered last. Called by `journal.append` when it opens the
file, and by `journal.backup`.
"""

from collections.abc import Iterator
from pathlib import Path

import apsw

from blockerd.journal.entry import Repair, decode
from blockerd.journal.heads import Delivered, remembered
from blockerd.journal.log import Gone, Log

DAMAGED = "damaged journal kept, new one begun"
MISSING = "journal missing, new one begun"
OLDER = "journal older than the last delivered head"
DIFFERS = "journal differs from the last delivered head"
ANOTHER = "another log than the last delivered head"


def breaks(db: apsw.Connection, journal: Path, at: int) -> list[Repair]:
    """What has to be told of at `at` (Unix µs) and is not on record yet."""
    told = {_about(entry) for entry in repairs_of(Log(db))}
    return [found for found in _found(db, journal, at) if _about(found) not in told]


def _about(entry: Repair) -> tuple[str, str, int, str]:
    """The file and the head that an entry tells of: said once, it need not be said in other words."""
    return entry.file, entry.log, entry.size, entry.root


def _found(db: apsw.Connection, journal: Path, at: int) -> Iterator[Repair]:
    last = next(reversed(remembered(journal)), None)
    head = ("", 0, "") if last is None else (last.log, last.size, last.root.hex())
    if not Log(db).state().size:
        kept = sorted(journal.parent.glob(f"{journal.stem}-damaged-*{journal.suffix}"))
        yield from (Repair(at, DAMAGED, file.name, *head) for file in kept)
        if last and not kept:
            yield Repair(at, MISSING, "", *head)
    elif last and (what := _parting(Log(db), last)):
        yield Repair(at, what, "", *head)


def _parting(log: Log, last: Delivered) -> str:
    """How `log` parts from the head that was delivered last; "" where it goes on from it."""
    state = log.state()
    if state.log != last.log:
        # A log that began anew says so in its first entries; that it is another one is no news then.
        return "" if any(entry.log == last.log for entry in repairs_of(log)) else ANOTHER
    if state.size < last.size:
        return OLDER
    try:
        return "" if log.root(last.size) == last.root else DIFFERS
    except Gone:
        return ""


def begun_anew(log: Log) -> bool:
    """True if this log began because the one before was damaged or lost."""
    return any(entry.what in (DAMAGED, MISSING) for entry in repairs_of(log))


def repairs_of(log: Log) -> Iterator[Repair]:
    """All entries that tell of the record itself."""
    for opening in log.openings(["repair"]):
        try:
            entry = decode(opening.event)
        except ValueError:
            continue
        if isinstance(entry, Repair):
            yield entry
