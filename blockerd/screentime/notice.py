"""What is told on the screen, and when: blocks, at most one a site and minute, and budgets, once in their time. Pure.

A notice says one calm line and nothing else; what it was about stays behind a click. Called by `control`, which
pushes, and by `agent`, which shows.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from blockerd.model import TEST_NAME
from blockerd.policy.name import masked
from blockerd.screentime.heartbeat import SECOND
from blockerd.screentime.intake import Refused, text_in, whole_in

QUIET = 60 * SECOND
"""After a notice the same site has none for this long (µs)."""

FRESH = 10 * SECOND
"""A block older than this (µs) is not told: it would surprise."""

KEPT = 100
_SITES = 1000


class Sort(StrEnum):
    """What a notice is about."""

    PAGE = "page"
    NEAR = "budget near its end"
    OVER = "budget used up"


TEXTS = {
    Sort.PAGE: "A page was not opened.",
    Sort.NEAR: "A time budget of yours is nearly used up.",
    Sort.OVER: "A time budget of yours is used up.",
}
"""All that a notice says by itself."""

TEXT = TEXTS[Sort.PAGE]


@dataclass(frozen=True, slots=True)
class Notice:
    """Number, time (Unix µs) and what the details say on a click: site ("" where it is not kept) and category.

    Of a budget these are its name and its day or week, and `said` how it stands.
    """

    number: int
    at: int
    site: str
    category: str
    sort: Sort = Sort.PAGE
    said: str = ""

    @property
    def text(self) -> str:
        """What is shown at first."""
        return TEXTS[self.sort]

    def as_dict(self) -> dict[str, Any]:
        """As it goes over the socket."""
        return {"number": self.number, "at": self.at, "site": self.site, "category": self.category, "sort": self.sort,
                "said": self.said}  # fmt: skip


class Notices:
    """The newest notices, numbered from `first` on; a start of `control` gives a `first` above all earlier numbers."""

    def __init__(self, first: int) -> None:
        self.last = first - 1
        self._kept: deque[tuple[Notice, int | None]] = deque(maxlen=KEPT)
        self._told: dict[str, int] = {}
        self._warned: dict[tuple[int, str], str] = {}

    def offer(self, at: int, now: int, site: str, category: str) -> Notice | None:
        """The notice for a block at `at` as of `now` (Unix µs); None where it is old or its site was just told of."""
        if now - at > FRESH:
            return None
        told = self._told.get(site or category)
        if told is not None and abs(at - told) < QUIET:
            return None
        if len(self._told) >= _SITES:
            self._told.clear()
        self._told[site or category] = at
        return self._keep(Notice(self.last + 1, at, site, category), None)

    def warn(self, uid: int, now: int, budget: str, period: str, sort: Sort, said: str) -> Notice | None:
        """The notice to user `uid` that a budget is near its end or over; None where `period` (a day or week) had
        one."""
        if self._warned.get((uid, budget)) == period:
            return None
        self._warned[uid, budget] = period
        return self._keep(Notice(self.last + 1, now, budget, period, sort, said), uid)

    def after(self, number: int, uid: int) -> list[Notice]:
        """The kept notices above `number` for `uid`, or for whoever is at the screen; another thread may add some."""
        return [notice for notice, of in tuple(self._kept) if notice.number > number and of in (None, uid)]

    def _keep(self, notice: Notice, uid: int | None) -> Notice:
        self.last = notice.number
        self._kept.append((notice, uid))
        return notice


def notice_in(got: Mapping[str, Any]) -> Notice:
    """The notice that came over the socket.

    Raises:
        intake.Refused: it is none.
    """
    try:
        sort = Sort(text_in(got, "sort", 64))
    except ValueError as error:
        raise Refused(f"sort: {error}") from None
    return Notice(whole_in(got, "number"), whole_in(got, "at"), text_in(got, "site", 255, 0),
                  text_in(got, "category", 64, 0), sort, text_in(got, "said", 255, 0))  # fmt: skip


def detail(notice: Notice) -> str:
    """What a click shows: which kind of site, its name masked as on every screen, and where to look; or the budget."""
    if notice.sort != Sort.PAGE:
        return f"{notice.said}. More: blockerd time"
    site = notice.site if notice.site in ("", TEST_NAME) else masked(notice.site)
    what = f"{site} ({notice.category})" if site else notice.category or "a listed site"
    return f"{what}. More: blockerd log"
