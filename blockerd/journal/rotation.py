"""Another key for the heads: the change is an entry of the log, signed by the key before, and later mails tell it.

Three steps: the next key lies beside the old one, the entry is in the log, the next key takes the place of the old.
Whoever signs asks `current` first, which finishes a change that a crash left half done. Refuses to change a key that
no head was signed with yet: there is none. Called by `control`, and by the command line where no control runs.
"""

import os
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path

import apsw

from blockerd.journal import checkpoint
from blockerd.journal.checkpoint import PublicKey, SigningKey
from blockerd.journal.entry import KeyRotation, decode
from blockerd.journal.grow import add_entries
from blockerd.journal.log import Log


class NoKey(Exception):
    """There is no key to change; the message is one line."""


def key_file(folder: Path, log: str) -> Path:
    """Where the key of the log with this id is kept."""
    return folder / f"signing-{log[:16]}.key"


def current(db: apsw.Connection, folder: Path) -> SigningKey:
    """The key that signs heads of this log, once a change that is on record has been finished.

    Raises:
        FileNotFoundError: there is none yet.
        checkpoint.CheckpointError, OSError: it cannot be used.
    """
    log = Log(db)
    path = key_file(folder, log.state().log)
    key, changes = checkpoint.load(path), rotations(log)
    if changes and changes[-1][0] != key.public.text and _next(path) == changes[-1][0]:
        return checkpoint.adopt(path)
    return key


def record_change(db: apsw.Connection, folder: Path, at: int, chance: Callable[[int], bytes] = os.urandom) -> PublicKey:
    """Puts a change of key on record as of `at` (Unix µs). Inside a transaction; call `current` once it is committed.

    Raises:
        NoKey: nothing was signed yet.
        checkpoint.CheckpointError, OSError: the key cannot be used, or the next one not be kept.
    """
    assert db.in_transaction
    try:
        old = current(db, folder)
    except FileNotFoundError:
        raise NoKey("no key is in use yet: one is made with the first mail") from None
    path = key_file(folder, Log(db).state().log)
    change = checkpoint.prepare_rotation(path, chance(32))
    signature = b64encode(change.signature).decode()
    add_entries(db, [KeyRotation(at, old.public.text, change.key.text, signature)])
    return change.key


def rotations(log: Log) -> tuple[tuple[str, bytes], ...]:
    """Every change on record, oldest first, as `report.evidence` takes it: new key, signature by the key before."""
    found = []
    for opening in log.openings([KeyRotation.KIND]):
        said = decode(opening.event)
        if isinstance(said, KeyRotation):
            found.append((said.new, b64decode(said.signature)))
    return tuple(found)


def _next(path: Path) -> str:
    """Text of the key that lies ready, "" where none does."""
    try:
        return checkpoint.load(path.with_name(path.name + checkpoint.NEXT)).public.text
    except FileNotFoundError:
        return ""
