"""Overwrites what is stored and past its time in spool segments that a running process still appends to.

Such a segment cannot be deleted, and with few attempts it may live for months. Only what the journal has is touched, in
place: an overwritten record is a whole one that says nothing, so whoever reads the segment again goes on behind it.
Called by `journal.append`.
"""

import os
import zlib
from io import FileIO
from pathlib import Path

from blockerd.journal.intake import WIPED
from blockerd.journal.spool import HEAD, Record, RecordKind, read

_NOTHING = f'{{"kind":"{WIPED}"}}'.encode()


def wipe(segment: Path, stored: int, before: int) -> int:
    """Overwrites the records of `segment` that end at or below offset `stored` and are older than `before` (Unix µs),
    or bear a later time and lie before one that is.

    Says how many. What lists are called (META) stays, for the records behind it need it.

    Raises:
        OSError: the file cannot be read or written.
    """
    last = max((one.end for one in read(segment) if one.end <= stored and one.time < before), default=0)
    if not last:
        return 0
    old = [one for one in read(segment) if one.end <= last and one.kind != RecordKind.META and _says(one)]
    if not old:
        return 0
    with FileIO(segment, "r+") as file:
        for record in old:
            os.pwrite(file.fileno(), _filler(record), record.offset)
        os.fsync(file.fileno())
    return len(old)


def _says(record: Record) -> bool:
    """True if there is something in it that can be overwritten."""
    return len(record.payload) >= len(_NOTHING) and not record.payload.startswith(_NOTHING)


def _filler(record: Record) -> bytes:
    """A record of the same length that says nothing."""
    payload = _NOTHING.ljust(len(record.payload))
    rest = HEAD.pack(0, len(payload), record.time, 0, RecordKind.EVENT, 0)[4:] + payload
    return zlib.crc32(rest).to_bytes(4, "little") + rest
