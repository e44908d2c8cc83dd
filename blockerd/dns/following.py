"""Which policy the resolver lives by: the one that `policy.current` names, looked at by a timer.

A policy that cannot be opened is told once and the live one stays. Called by `dns.process`.
"""

import logging
import os
from collections.abc import Callable
from pathlib import Path

from blockerd.lists.guard import GuardError, Protected
from blockerd.lists.snapshot import SnapshotError
from blockerd.lists.state import open_policy
from blockerd.policy.decide import Policy

log = logging.getLogger(__name__)

BAD_AGAIN = 2.0
"""Seconds until a policy with a problem is looked at again: reading it takes a while, and it rarely heals."""


class Following:
    """Follows the policy in `folder`; `make_guard` gives the protected names as the settings and lists have them now.

    `problem` is what hinders the newest policy, "" where nothing does; `guard` what the last one was opened with.
    """

    def __init__(self, folder: Path, make_guard: Callable[[], Protected]) -> None:
        self.guard = make_guard()
        self.problem = ""
        self._folder = folder
        self._make_guard = make_guard
        self._stamp: tuple[int, ...] = ()
        self._missed = False
        self._looked = 0.0

    def again(self) -> None:
        """The next `poll` opens the policy whether it has changed or not."""
        self._stamp = ()

    def poll(self, live: Policy | None, now: float) -> Policy | None:
        """The policy to take up in place of `live` at Unix time `now`; None where that one stays."""
        try:
            stat = os.stat(self._folder / "policy.current")
        except OSError:
            self._stamp = ()
            self._tell("no policy yet; run: blockerd lists build")
            return None
        stamp = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        waits = not self.problem or self._looked <= now < self._looked + BAD_AGAIN
        if stamp == self._stamp and waits:
            return None
        changed, self._stamp, self._looked = stamp != self._stamp or self._missed, stamp, now
        self._missed = True
        told: list[str] = []
        try:
            guard = self._make_guard()
            policy = open_policy(self._folder, guard, live, tell=told.append)
        except (SnapshotError, GuardError, OSError, ValueError, KeyError, TypeError) as error:
            self._tell(str(error))
            return None
        self._missed = False
        if policy.table.protected_digest != guard.digest:
            told.append("protected names have changed since the last build; if this stays, run: blockerd lists build")
        self._tell("; ".join(told))
        healed = live is None or (policy.generation, guard.digest) != (live.generation, self.guard.digest)
        self.guard = guard
        return policy if changed or healed else None

    def _tell(self, problem: str) -> None:
        if problem and problem != self.problem:
            log.warning("%s", problem)
        self.problem = problem
