"""The policy and the page rules as the proxy follows them: looked at by a timer, replaced whole, a bad one told once.

Refuses nothing: without a policy `policy` is None and the gate acts by `proxy.on_policy_error`; page rules that cannot
be read leave the last good ones in force. Called by the gate four times a second.
"""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from blockerd.lists.guard import GuardError, guard_of
from blockerd.lists.snapshot import SnapshotError
from blockerd.lists.sources import own_folder
from blockerd.lists.state import open_policy
from blockerd.policy.decide import Policy
from blockerd.proxy import manifest
from blockerd.proxy.manifest import Manifest
from blockerd.proxy.shipped import OWN_FILE, load
from blockerd.settings import Settings

if TYPE_CHECKING:
    from blockerd.proxy.decide_url import Pages

log = logging.getLogger(__name__)

AGAIN = 2.0
"""Seconds until a policy that could not be opened is tried again."""

Stamp = tuple[int, int, int] | None


class RuleSource:
    """Policy, pages and manifest of one install; `follow` brings them up to date."""

    def __init__(self, settings: Settings, tell: Callable[[str], None]) -> None:
        self.settings = settings
        self.policy: Policy | None = None
        self.pages: Pages | None = None
        self.manifest = Manifest()
        self.problem = ""
        self._tell = tell
        self._again_at = 0.0
        self._stamps: dict[Path, Stamp] = {}

    def follow(self, now: float) -> bool:
        """Takes up what has changed; True where something has. `now` is Unix time in seconds."""
        changed = self._follow_policy(now)
        own, authority = own_folder(self.settings) / OWN_FILE, self.settings.state.dir / "proxy" / "ca" / manifest.FILE
        if self._moved(own) or self.pages is None:
            changed = self._take_pages() or changed
        if self._moved(authority):
            changed = self._take_manifest(authority.parent) or changed
        return changed

    @property
    def titles(self) -> dict[str, str]:
        """The title of each list and of each file of page rules by its id."""
        policy, pages = self.policy, self.pages
        own = {"own-block": "your own block list"}
        lists = {one.id: one.title for one in policy.table.sources} if policy else {}
        return {**(pages.rules.titles if pages else {}), **lists, **own}

    def forget(self) -> None:
        """Everything is looked at again at the next `follow`."""
        self._stamps.clear()
        self._again_at = 0.0

    def _moved(self, path: Path) -> bool:
        stamp = stamp_of(path)
        if path in self._stamps and self._stamps[path] == stamp:
            return False
        self._stamps[path] = stamp
        return True

    def _follow_policy(self, now: float) -> bool:
        path = self.settings.state.dir / "policy.current"
        if not self._moved(path) and not (self.problem and now >= self._again_at):
            return False
        self._again_at = now + AGAIN
        try:
            policy = self._open()
        except (SnapshotError, GuardError, OSError, ValueError, KeyError, TypeError) as error:
            self._complain(str(error))
            return False
        self._complain("")
        self.policy = policy
        return True

    def _open(self) -> Policy:
        return open_policy(self.settings.state.dir, guard_of(self.settings), self.policy)

    def _complain(self, problem: str) -> None:
        if problem and problem != self.problem:
            log.warning("%s", problem)
            self._tell(problem)
        self.problem = problem

    def _take_pages(self) -> bool:
        try:
            loaded = load(own_folder(self.settings), safe_search=self.settings.dns.safe_search)
        except (OSError, ValueError) as error:
            log.warning("page rules: %s; the last good ones stay in force", error)
            return False
        for one in loaded.refused[:3]:
            log.warning("%s:%d: %s; the line is skipped", OWN_FILE, one.line, one.reason)
        self.pages = loaded.pages
        return True

    def _take_manifest(self, folder: Path) -> bool:
        try:
            self.manifest = manifest.read(folder)
        except OSError as error:
            log.warning("%s; no connection is opened until then", error)
            self.manifest = Manifest()
        return True


def stamp_of(path: Path) -> Stamp:
    """What changes when the file does; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
