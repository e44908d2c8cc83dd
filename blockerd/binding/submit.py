"""The one road of every change: it is recorded with its direction, then applied, and the line for the terminal says so.

There is no delay queue yet: a change applies at once. Refuses one thing: a weaker change that cannot be recorded.
Called by the commands that change something; whoever reloads a file edited by hand calls `record` for each of
`changes_between`.
"""

import errno
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

from blockerd.binding.change import Direction, changes_between, direction
from blockerd.model import Change

__all__ = ["NotRecorded", "changes_between", "direction", "record", "submit"]

_BACK = {Direction.WEAKER: Direction.STRONGER, Direction.STRONGER: Direction.WEAKER}


class Writer(Protocol):
    """What keeps records: `journal.spool.Writer`. `lost` counts those it could not keep."""

    folder: Path
    lost: int

    def event(self, event: dict[str, Any]) -> None:
        """Takes one record with a key `kind`."""

    def close(self) -> None:
        """Writes what waits in memory and ends the segment; a later record begins the next."""


class NotRecorded(OSError):
    """A weaker change was not made because the spool took no record of it; `strerror` says so in one line."""

    def __str__(self) -> str:
        return str(self.strerror)


def submit(change: Change, writer: Writer | None, apply: Callable[[], None]) -> str:
    """Records `change`, applies it at once, and returns one line for the terminal. `writer` None keeps no record.

    The record comes first: a crash in between leaves a change on record that was not made, never one made without a
    record. `apply` does all or nothing: if it raises, a second record takes the first one back (same time, old and new
    exchanged, `outcome` says why) and the exception goes on.

    Raises:
        NotRecorded: the change is weaker and the spool is full or cannot be written.
    """
    kept = writer is not None and record(change, writer)
    if writer is not None and not kept and change.direction == Direction.WEAKER:
        what = f"{change.what}: not changed, for it could not be recorded; free space in {writer.folder}"
        raise NotRecorded(errno.EIO, what)
    try:
        apply()
    except Exception as error:  # whatever went wrong, the record must not say that the change was made
        if writer is not None and kept:
            _take_back(change, writer, error)
        raise
    how = f"recorded as {change.direction}" if kept else "not recorded"
    return f"applied at once, {how}: {told(change)}"


def record(change: Change, writer: Writer, **more: str) -> bool:
    """Writes `change` to the spool with `more` keys; False if the spool could not keep it (the writer counts that).

    Ends the segment, because only that writes at once what the writer holds in memory after a slow or full disk.
    """
    lost = writer.lost
    writer.event({"kind": "change", **asdict(change), **more})
    writer.close()
    return writer.lost == lost


def told(change: Change) -> str:
    """`change` as one line: what, and from what to what."""
    if change.old and change.new:
        return f"{change.what}: {change.old} → {change.new}"
    if change.new:
        return f"{change.what}: added {change.new}"
    return f"{change.what}: removed {change.old}" if change.old else change.what


def _take_back(change: Change, writer: Writer, error: BaseException) -> None:
    way = _BACK.get(Direction(change.direction), Direction.NEUTRAL)
    back = replace(change, old=change.new, new=change.old, direction=way)
    reason = " ".join(str(error).split()) or type(error).__name__
    record(back, writer, outcome=f"not applied: {reason}")
