"""What an install may do to a machine: five kinds of step, each with what is needed to take it back. Pure.

A plan is a tuple of these, in the order of doing; taking back goes from the last to the first. Made by `system.plan`
and the files for each way; done and undone by `system.apply`; kept as JSON objects by `system.manifest`.
"""

import base64
import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias


class Foreign(StrEnum):
    """What is done on the way back with a file that somebody else has written since."""

    RESTORE = "the former file comes back all the same"
    LEAVE = "theirs stays: it is newer than ours and does not lead to us"
    UNMERGE = "what we added is taken out of the JSON, the rest stays"


@dataclass(frozen=True, slots=True)
class File:
    """A file with exactly this content. `owner` is "user:group", "" for whoever installs.

    `expect` is the SHA-256 of the content this was made from, "" where there was none, None where that is of no
    matter: a file that changed since the look is not overwritten.
    """

    title: str
    path: str
    content: bytes
    mode: int = 0o644
    owner: str = ""
    foreign: Foreign = Foreign.RESTORE
    expect: str | None = None
    data: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    title: str
    path: str
    target: str
    foreign: Foreign = Foreign.RESTORE
    data: bool = False


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder; one that is there stays as it is. On the way back it goes, with what is in it, if this step made it."""

    title: str
    path: str
    mode: int = 0o755
    data: bool = False


@dataclass(frozen=True, slots=True)
class Owned:
    """Who a file or folder belongs to ("user:group") and its mode; nothing where there is none.

    With `below` all that is in the folder belongs to them too. On the way back it belongs to whom it did before, so
    that what stays is nobody's who gets the number of a removed user later.
    """

    title: str
    path: str
    owner: str
    mode: int
    below: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the system. Either may be empty: a restart that is needed on the way back stands before the files it
    reads, and one that is needed on the way there after them.

    `beside` are files that either command rewrites: where the inverse has made them what they were, their times come
    back too, and with them the copies that such commands keep (names that end with "-").
    """

    title: str
    forward: tuple[str, ...] = ()
    inverse: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    may_fail: bool = False
    data: bool = False


Step: TypeAlias = File | Link | Folder | Owned | Command
"""`data` marks what belongs to the person: settings and record stay unless they ask for them to go."""


@dataclass(frozen=True, slots=True)
class Before:
    """A path as it was: `kind` is absent, file, link or folder; the rest as that kind has it."""

    kind: str
    content: bytes = b""
    target: str = ""
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0


@dataclass(frozen=True, slots=True)
class Undo:
    """All that is needed to take one step back, without the program that made it.

    `made` are folders that did not exist, outermost first; `ours` is the SHA-256 of what we wrote, or a link's target.
    """

    title: str
    kind: str
    path: str = ""
    before: Before = Before("absent")
    beside: tuple[tuple[str, Before], ...] = ()
    made: tuple[str, ...] = ()
    ours: str = ""
    added: str = ""
    command: tuple[str, ...] = ()
    foreign: Foreign = Foreign.RESTORE
    data: bool = field(default=False)


def digest(content: bytes) -> str:
    """The SHA-256 that `File.expect` and `Undo.ours` hold."""
    return hashlib.sha256(content).hexdigest()


def to_json(undo: Undo) -> dict[str, Any]:
    """An object for one line of the manifest."""
    return {
        "title": undo.title, "kind": undo.kind, "path": undo.path, "before": _before_to(undo.before),
        "beside": [[path, _before_to(before)] for path, before in undo.beside], "made": list(undo.made),
        "ours": undo.ours, "added": undo.added, "command": list(undo.command), "foreign": undo.foreign.name,
        "data": undo.data,
    }  # fmt: skip


def from_json(got: dict[str, Any]) -> Undo:
    """The Undo of one line.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    return Undo(
        title=str(got["title"]),
        kind=str(got["kind"]),
        path=str(got["path"]),
        before=_before_from(got["before"]),
        beside=tuple((str(path), _before_from(before)) for path, before in got["beside"]),
        made=tuple(map(str, got["made"])),
        ours=str(got["ours"]),
        added=str(got["added"]),
        command=tuple(map(str, got["command"])),
        foreign=Foreign[got["foreign"]],
        data=bool(got["data"]),
    )


def _before_to(before: Before) -> dict[str, Any]:
    return {
        "kind": before.kind, "content": base64.b64encode(before.content).decode("ascii"), "target": before.target,
        "mode": before.mode, "uid": before.uid, "gid": before.gid, "mtime_ns": before.mtime_ns,
    }  # fmt: skip


def _before_from(got: dict[str, Any]) -> Before:
    return Before(
        kind=str(got["kind"]),
        content=base64.b64decode(got["content"], validate=True),
        target=str(got["target"]),
        mode=int(got["mode"]),
        uid=int(got["uid"]),
        gid=int(got["gid"]),
        mtime_ns=int(got["mtime_ns"]),
    )


def told(step: Step) -> tuple[str, str]:
    """What a step does and how it is taken back, one line each, for `install --dry-run`."""
    match step:
        case File():
            return f"write {step.path}: {step.title}", f"{step.path} as it is now, byte for byte"
        case Link():
            return f"link {step.path} to {step.target}: {step.title}", f"{step.path} as it is now"
        case Folder():
            return f"folder {step.path}: {step.title}", f"removed if it was not there{', if you say so' * step.data}"
        case Owned():
            return f"{step.path} belongs to {step.owner}: {step.title}", f"{step.path} belongs to whom it does now"
        case Command():
            there = " ".join(step.forward) or "nothing now"
            return f"{step.title}: {there}", " ".join(step.inverse) or "nothing needed"
