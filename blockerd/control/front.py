"""How `control` keeps up with whose account is in front, where the settings or the install say whose record this is.

Glances each second, asks logind when something changed, records when another account comes to the front and when it is
gone, and leaves for `dns` and the proxy one file that says so. Nobody named, nobody in front, or root: recorded as
ever. A file that cannot be written is told once and tried again; until then all is recorded. Called by `control`.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from blockerd import clock
from blockerd.control.networks import brief
from blockerd.dns.front import FILE, to_bytes
from blockerd.process import boot_id, put_for_now, run_folder
from blockerd.settings import Settings
from blockerd.system import seats

log = logging.getLogger(__name__)

EVERY, CALM = 1.0, 60.0
"""Seconds between two glances, and after which logind is asked without a change."""

LEASE = 180_000_000
"""For how long it is believed after the last look (µs): longer than two looks are apart."""

WHAT = "account"
"""`what` of the entries of kind "resolver-path": `old` and `new` are "another", or "" for one of those named."""

Record = Callable[[dict[str, Any]], object]


class InFront:
    """Looks at the seats below `root` and writes `run/front.json`. `record` puts an event into the spool; `named` gives
    the login names whose record this is, as of now."""

    def __init__(
        self,
        settings: Settings,
        record: Record,
        named: Callable[[], Iterable[str]],
        root: Path = Path("/"),
        runner: seats.Runner = brief,
    ) -> None:
        self.another: bool | None = None
        self._record, self._named, self._root, self._run = record, named, root, runner
        self._path = run_folder(settings) / FILE
        self._seen: tuple[object, ...] = ()
        self._glance_at, self._look_at = 0.0, 0.0
        self._looking: asyncio.Task[None] | None = None
        self._said = ""

    def look(self) -> None:
        """Called often: one glance a second, and a look where something changed, which holds nothing up."""
        now = clock.boottime_us() / 1e6  # what was told last runs out in sleep too
        if now < self._glance_at or (self._looking and not self._looking.done()):
            return
        self._glance_at = now + EVERY
        if self._looking and (error := self._looking.exception()):
            log.warning("seats: %s: %s; looked at again later", type(error).__name__, error)
        self._looking = None
        seen = (tuple(self._named()), seats.glance(self._root))
        if seen != self._seen or now >= self._look_at:
            self._seen, self._look_at = seen, now + CALM
            self._looking = asyncio.get_running_loop().create_task(self._ask())

    async def _ask(self) -> None:
        mine = frozenset(self._named())
        front = await asyncio.to_thread(seats.look, self._run) if mine and self._seen[1] else frozenset[str]()
        self.take(is_another(front, mine))

    def take(self, another: bool) -> None:
        """Makes it what holds. The file of an earlier run stands until the first look."""
        before, self.another = self.another, another
        if another != bool(before):
            old, new = ("", "another") if another else ("another", "")
            self._record({"kind": "resolver-path", "what": WHAT, "old": old, "new": new, "detail": ""})
        if another or before is not False:
            self._write()

    def _write(self) -> None:
        until = clock.boottime_us() + LEASE if self.another else 0
        trouble = ""
        try:
            put_for_now(self._path, to_bytes(boot_id(), until))
        except OSError as error:
            trouble = f"{self._path}: {error.strerror}; what another account asks is recorded until it can be written"
        if trouble and trouble != self._said:
            log.warning("%s", trouble)
        self._said = trouble


def is_another(front: frozenset[str], mine: frozenset[str]) -> bool:
    """True if somebody is in front and none of them is one of `mine`; root is no other person."""
    return bool(front) and bool(mine) and not front & (mine | {"root"})
