"""Where agents are heard inside `control`: their records go into its spool, notices wait for them.

Each request is judged by `intake`; who speaks is what the socket says. `tell` may run in another thread than the rest.
Called by `control`.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from blockerd import clock
from blockerd.screentime.intake import Refused, accept
from blockerd.screentime.notice import FRESH, Notices
from blockerd.screentime.store import Execute

WAIT = 30.0
"""Seconds after which a wait for notices is answered without one."""

_NEWS = (
    "SELECT last_us, site, category FROM attempts JOIN origins ON origins.id = origin"
    " WHERE first_us > ? AND last_us > ? AND kind IN ('attempt', 'test') ORDER BY last_us"
)
_HOUR = 3_600_000_000


class Desk:
    """Answers agents; `event` puts an event into the spool."""

    def __init__(self, event: Callable[[dict[str, Any]], None]) -> None:
        self._event = event
        self._notices = Notices(clock.now_us())
        self._seen = clock.now_us()
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def answer(
        self, request: Mapping[str, Any], uid: int, stored: Mapping[str, int], *, titles: bool
    ) -> dict[str, Any] | None:
        """The answer to a request of user `uid`; None where it is none of an agent. `stored`: `store.acknowledged`."""
        self._loop = asyncio.get_running_loop()
        if request.get("do") == "notices":
            return await self._wait(request.get("after"))
        if request.get("do") != "heartbeats":
            return None
        try:
            told = accept(request, uid, stored, titles=titles)
        except Refused as error:
            return {"error": str(error)}
        for event in told.events:
            self._event(event)
        return told.answer

    def tell(self, execute: Execute) -> None:
        """Makes notices of the attempts stored since the last call; `execute` is that of the journal's connection."""
        now = clock.now_us()
        since = max(self._seen, now - FRESH)
        for at, site, category in execute(_NEWS, (since - _HOUR, since)):
            self._seen = max(self._seen, int(at))
            self._notices.offer(int(at), now, str(site), str(category))
        if self._loop:
            self._loop.call_soon_threadsafe(self._news.set)

    async def _wait(self, after: object) -> dict[str, Any]:
        """The notices above number `after`, waited for a while; at once how far they are where `after` is no number of
        this start."""
        if type(after) is not int or not 0 < after <= self._notices.last:
            return {"last": self._notices.last, "notices": []}
        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT):
                while self._notices.last == after:
                    self._news.clear()
                    await self._news.wait()
        return {"last": self._notices.last, "notices": [one.as_dict() for one in self._notices.after(after)]}
