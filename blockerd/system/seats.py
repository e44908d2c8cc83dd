"""Whose account is in front of this machine: a cheap glance, and a question to systemd-logind when it has changed.

Only the screens and consoles of the machine itself count, no session from afar, and a sign-in screen is nobody's.
Changes nothing, needs no rights; without logind nobody is known. Called by `control.front`.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

Runner = Callable[[Sequence[str]], tuple[int, str]]

_SEATS = "run/systemd/seats"
_PERSON = "user"
"""Classes of sessions that are a person's begin so (sd_session_get_class(3)): user, user-early, user-light …"""


def glance(root: Path = Path("/")) -> tuple[tuple[str, int], ...]:
    """What changes whenever another session comes to the front: logind's own files, which are never read."""
    try:
        found = os.scandir(root / _SEATS)
    except OSError:
        return ()
    with found:
        return tuple(sorted((seat.name, _changed(seat)) for seat in found))


def look(run: Runner) -> frozenset[str]:
    """The login names of those in front, one at each seat at the most; none where nobody is, or nobody tells."""
    sessions = (_said(run, "show-seat", seat, "ActiveSession") for seat in _lines(run))
    people = (_owner(run, session) for session in sessions if session)
    return frozenset(filter(None, people))


def _lines(run: Runner) -> list[str]:
    code, said = run(("loginctl", "list-seats", "--no-legend", "--no-pager"))
    return said.split() if code == 0 else []


def _owner(run: Runner, session: str) -> str:
    of_a_person = _said(run, "show-session", session, "Class").startswith(_PERSON)
    return _said(run, "show-session", session, "Name") if of_a_person else ""


def _said(run: Runner, ask: str, of: str, what: str) -> str:
    code, said = run(("loginctl", ask, of, f"--property={what}", "--value", "--no-pager"))
    return said.strip() if code == 0 else ""


def _changed(seat: os.DirEntry[str]) -> int:
    try:
        return seat.stat().st_mtime_ns
    except OSError:
        return 0
