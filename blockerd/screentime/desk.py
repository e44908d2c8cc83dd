"""Where agents are heard inside `control`: their records go into its spool, notices wait for them.

Each request is judged by `intake`; who speaks is what the socket says. `tell` may run in another thread than the rest.
Called by `control`.
"""

import asyncio
import pwd
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from zoneinfo import ZoneInfo

from blockerd import clock
from blockerd.model import CATEGORIES
from blockerd.report.period import midnight, week_of
from blockerd.screentime import budgets, store
from blockerd.screentime.facts import Request, facts
from blockerd.screentime.intake import Refused, accept
from blockerd.screentime.notice import FRESH, Notices, Sort
from blockerd.screentime.store import Execute
from blockerd.screentime.sums import hour_of
from blockerd.screentime.usage import usage
from blockerd.settings import Per, Settings

WAIT = 30.0
"""Seconds after which a wait for notices is answered without one."""

WEIGH_EVERY = 60.0
"""Seconds between two looks at the budgets; records are about as old as that anyway."""

_NEWEST = 5000
_NEWS = f"""
    SELECT last_us, site, category FROM (SELECT attempt FROM unsettled ORDER BY attempt DESC LIMIT {_NEWEST})
    CROSS JOIN attempts ON attempts.id = attempt JOIN origins ON origins.id = origin
    WHERE last_us > ? AND kind IN ('attempt', 'test') ORDER BY last_us
"""
"""Attempts that a question of a moment ago began or went on with: those are unsettled. Of a page that asks for names
without end, the newest alone: nobody reads a notice for each."""

_REQUESTS = (
    "SELECT first_us, last_us, category, channel = 'proxy' FROM attempts JOIN origins ON origins.id = origin"
    " WHERE first_us >= ? AND kind = 'attempt' AND category != ''"
)
_SORTS = {budgets.Left.NEAR: Sort.NEAR, budgets.Left.OVER: Sort.OVER}


class Desk:
    """Answers agents; `event` puts an event into the spool, `settings` gives those of now, `person` is the login name
    of the one that an install is for."""

    def __init__(
        self, event: Callable[[dict[str, Any]], None], settings: Callable[[], Settings], person: str = ""
    ) -> None:
        self._event, self._settings, self._person = event, settings, person
        self._notices = Notices(clock.now_us())
        self._seen = clock.now_us()
        self._weighed = float("-inf")
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def hears(self, uid: int) -> bool:
        """Whether agents of user `uid` are heard beside those of the service's own user."""
        return uid in _uids((*self._settings().agent.users, *([self._person] if self._person else [])))

    async def answer(self, request: Mapping[str, Any], uid: int, stored: Mapping[str, int]) -> dict[str, Any] | None:
        """The answer to a request of user `uid`; None where it is none of an agent. `stored`: `store.acknowledged`."""
        self._loop = asyncio.get_running_loop()
        if request.get("do") == "notices":
            return await self._wait(request.get("after"), uid)
        if request.get("do") == "bounds":
            return self._bounds()
        if request.get("do") != "heartbeats":
            return None
        try:
            told = accept(request, uid, stored, titles=self._settings().agent.titles)
        except Refused as error:
            return {"error": str(error)}
        for event in told.events:
            self._event(event)
        return told.answer

    def _bounds(self) -> dict[str, Any]:
        """What an agent needs of the settings, which its user may not read."""
        settings = self._settings()
        own = str(settings.proxy.listen) if settings.proxy.enabled else ""
        return {"titles": settings.agent.titles, "hide": list(settings.agent.hide), "proxy": own}

    def tell(self, execute: Execute) -> None:
        """Makes notices of the attempts stored since the last call, and now and then of budgets near their end;
        `execute` is that of the journal's connection."""
        now = clock.now_us()
        since = max(self._seen, now - FRESH)
        for at, site, category in execute(_NEWS, (since,)):
            self._seen = max(self._seen, int(at))
            self._notices.offer(int(at), now, str(site), str(category))
        if self._settings().budget and clock.monotonic() - self._weighed >= WEIGH_EVERY:
            self._weighed = clock.monotonic()
            self._weigh(execute, now)
        if self._loop:
            self._loop.call_soon_threadsafe(self._news.set)

    def _weigh(self, execute: Execute, now: int) -> None:
        """Warns each user whose budget of this day or week is near its end, once."""
        settings = self._settings()
        zone = ZoneInfo(settings.time.zone)
        week, day = week_of(now, zone), hour_of(now, zone).day
        weekly = any(budget.per == Per.WEEK for budget in settings.budget)
        since = week.start if weekly else midnight(day, zone)
        asked = execute(_REQUESTS, (since,)) if any(budget.of in CATEGORIES for budget in settings.budget) else ()
        requests = [Request(int(a), int(b), str(c), bool(d)) for a, b, c, d in asked]
        owners = {agent: uid for agent, (uid, _) in store.agents(execute).items()}
        records = list(store.records(execute, since, now))
        for uid in {owners[known.agent] for known in records}:
            use = usage(known for known in records if owners[known.agent] == uid)
            today = facts(str(day), midnight(day, zone), now, now, use, requests)
            of_week = facts(week.label, week.start, now, now, use, requests)
            for standing in budgets.standings(settings.budget, today.by_name, of_week.by_name):
                if sort := _SORTS.get(standing.state):
                    budget = standing.budget
                    period = today.label if budget.per == Per.DAY else of_week.label
                    self._notices.warn(uid, now, f"{budget.of} a {budget.per}", period, sort, standing.text)

    async def _wait(self, after: object, uid: int) -> dict[str, Any]:
        """The notices for `uid` above number `after`, waited for a while; at once how far they are where `after` is no
        number of this start."""
        if type(after) is not int or not 0 < after <= self._notices.last:
            return {"last": self._notices.last, "notices": []}
        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT):
                while self._notices.last == after:
                    self._news.clear()
                    await self._news.wait()
        return {"last": self._notices.last, "notices": [one.as_dict() for one in self._notices.after(after, uid)]}


def _uids(names: tuple[str, ...]) -> set[int]:
    """Their numbers; a name that this machine does not know has none."""
    found = set[int]()
    for name in names:
        with suppress(KeyError):
            found.add(pwd.getpwnam(name).pw_uid)
    return found
