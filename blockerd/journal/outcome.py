"""How a drain ended: its state, its counts and one line for people. Pure.

Called by `journal.append`, which turns every error of SQLite into one of these states, and by who shows them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import apsw


class DrainState(StrEnum):
    """How a drain ended; in all but OK the spool still holds what is not stored."""

    OK = "ok"
    LOCKED = "locked"
    FULL = "full"
    UNWRITABLE = "unwritable"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Drained:
    """What one drain did: `questions` stored, `bad` records that could not be read, `torn` bytes given up.

    `message` is one line for people, "" where there is nothing to say.
    """

    state: DrainState = DrainState.OK
    questions: int = 0
    bad: int = 0
    torn: int = 0
    message: str = ""

    def plus(self, part: "Drained") -> "Drained":
        """Both together, with the state of this one."""
        questions, bad, torn = self.questions + part.questions, self.bad + part.bad, self.torn + part.torn
        return replace(self, questions=questions, bad=bad, torn=torn)


def given_up(path: Path, so_far: Drained, error: apsw.Error) -> Drained:
    """`so_far` with the state and the message for `error`; an error that no machine causes is raised again."""
    state = _state_of(error)
    return replace(so_far, state=state, message=explained(path, error))


def explained(path: Path, error: apsw.Error) -> str:
    """`error` in one line for people; one that no machine causes is raised again."""
    return f"{path}: {_ADVICE[_state_of(error)]} ({error})"


def held_up(path: Path) -> str:
    """One line for people where a reader is in the way."""
    return f"{path}: another program has been reading it for long: close that program; attempts wait in the spool"


def left_out(unread: Sequence[tuple[Path, OSError]]) -> str:
    """One line for people where segments cannot be read and all others are stored; "" where there are none."""
    if not unread:
        return ""
    path, error = unread[0]
    more = f" and {len(unread) - 1} more" if len(unread) > 1 else ""
    if isinstance(error, PermissionError):
        return f"{path}{more}: cannot be read: give it to the user who runs blockerd (chown); all else is stored"
    return f"{path}{more}: cannot be read ({error.strerror or error}): look at the disk; all else is stored"


_ADVICE = {
    DrainState.LOCKED: "another program holds it: close that program; attempts wait in the spool",
    DrainState.FULL: "the disk is full: free some space; attempts wait in the spool",
    DrainState.UNWRITABLE: "cannot be written: give it to the user who runs blockerd; attempts wait in the spool",
    DrainState.DAMAGED: "reading or writing it went wrong: look at the disk; attempts wait in the spool",
}


_BY_HAND = apsw.SQLError | apsw.ConstraintError
"""What comes of a file whose tables somebody has changed."""


def _state_of(error: apsw.Error) -> DrainState:
    if isinstance(error, apsw.BusyError | apsw.LockedError | apsw.ProtocolError):
        return DrainState.LOCKED
    if isinstance(error, apsw.FullError):
        return DrainState.FULL
    if isinstance(error, apsw.ReadOnlyError | apsw.CantOpenError | apsw.PermissionsError):
        return DrainState.UNWRITABLE
    if isinstance(error, apsw.IOError | apsw.CorruptError | apsw.NotADBError | _BY_HAND):
        return DrainState.DAMAGED
    raise error
