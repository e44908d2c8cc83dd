"""Root that works on the state of another user works as that user, so that the service can read what a command left.

An install gives the state to a user of its own, for whom a person speaks through sudo. The ids that count for files
(effective user and group, other groups) become the owner's; the real ones stay root's, so that `as_oneself` can open a
file that the person named. Called by `output.settings_of` for every command that does not say `as_root`, and by
processes that stay, which give root up for good.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

with suppress(ImportError):  # Windows has no such thing, and nobody is root there
    import pwd


class Unreachable(Exception):
    """The owner of the state cannot read this program or its Python; the text says who, what, and what to do."""


def is_root() -> bool:
    """True while this process may do everything."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def owner_of(folder: Path) -> tuple[int, int] | None:
    """User and group to work as on `folder`; None for everybody but root, and where it is root's own or not there."""
    if not is_root() or not folder.exists():
        return None
    there = folder.stat()
    if not there.st_uid:
        return None
    try:
        return there.st_uid, pwd.getpwuid(there.st_uid).pw_gid
    except KeyError:
        return there.st_uid, there.st_gid


def become(folder: Path) -> None:
    """Works as the owner of `folder` from now on; nothing for everybody but root.

    Raises:
        Unreachable: the owner could not even read this program.
    """
    ids = owner_of(folder)
    if ids is None:
        return
    _take(*ids)
    for needed in (Path(__file__), Path(os.__file__)):
        if not may_read(needed):
            back()
            raise Unreachable(
                f"{folder}: belongs to {_name(ids[0])}, who cannot read {needed.parent}; use the blockerd that is"
                " installed in the system, or name another state with --config"
            )


@contextmanager
def as_owner(folder: Path) -> Iterator[None]:
    """Works as the owner of `folder` inside; raises as `become`."""
    before = became()
    become(folder)
    try:
        yield
    finally:
        if not before:
            back()


@contextmanager
def as_oneself() -> Iterator[None]:
    """Inside, root is root again, for what needs it: files that the person named, low ports, stores of the system."""
    if not became():
        yield
        return
    ids, groups = (os.geteuid(), os.getegid()), os.getgroups()
    back()
    try:
        yield
    finally:
        _take(*ids, groups)


def may_read(path: Path) -> bool:
    """True unless `become` is in force and its user may not read `path`."""
    return not became() or os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids)


def for_good(home: Path | None = None) -> None:
    """Gives up what `become` left of root: for processes that stay, and for what runs programs that were downloaded."""
    if not became():
        return
    uid, gid, groups = os.geteuid(), os.getegid(), os.getgroups()
    os.seteuid(0)
    os.setgroups(groups)
    os.setgid(gid)
    os.setuid(uid)
    if home is not None:
        os.environ["HOME"] = str(home)


def became() -> bool:
    """True while `become` is in force."""
    return hasattr(os, "geteuid") and os.getuid() == 0 != os.geteuid()


def _take(uid: int, gid: int, groups: list[int] | None = None) -> None:
    os.setgroups(_groups(uid, gid) if groups is None else groups)
    os.setegid(gid)
    os.seteuid(uid)


def back() -> None:
    """Root again, where `become` made us somebody else."""
    if not became():
        return
    os.seteuid(os.getuid())
    os.setegid(os.getgid())
    os.setgroups([os.getgid()])


def _groups(uid: int, gid: int) -> list[int]:
    try:
        return os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
    except KeyError:
        return [gid]


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
