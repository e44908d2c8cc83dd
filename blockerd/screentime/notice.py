"""Which blocks are told on the screen, and when: at most one a site and minute. Pure.

A notice says "A page was not opened." and nothing else; what it was about stays behind a click. Called by `control`,
which pushes, and by `agent`, which shows.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blockerd.screentime.heartbeat import SECOND
from blockerd.screentime.intake import text_in, whole_in

TEXT = "A page was not opened."

QUIET = 60 * SECOND
"""After a notice the same site has none for this long (µs)."""

FRESH = 10 * SECOND
"""A block older than this (µs) is not told: it would surprise."""

KEPT = 100
_SITES = 1000


@dataclass(frozen=True, slots=True)
class Notice:
    """Number, time (Unix µs) and what the details say on a click: site ("" where it is not kept) and category."""

    number: int
    at: int
    site: str
    category: str

    def as_dict(self) -> dict[str, Any]:
        """As it goes over the socket."""
        return {"number": self.number, "at": self.at, "site": self.site, "category": self.category}


class Notices:
    """The newest notices, numbered from `first` on; a start of `control` gives a `first` above all earlier numbers."""

    def __init__(self, first: int) -> None:
        self.last = first - 1
        self._kept: deque[Notice] = deque(maxlen=KEPT)
        self._told: dict[str, int] = {}

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
        self.last += 1
        notice = Notice(self.last, at, site, category)
        self._kept.append(notice)
        return notice

    def after(self, number: int) -> list[Notice]:
        """The kept notices above `number`."""
        return [notice for notice in self._kept if notice.number > number]


def notice_in(got: Mapping[str, Any]) -> Notice:
    """The notice that came over the socket.

    Raises:
        intake.Refused: it is none.
    """
    return Notice(whole_in(got, "number"), whole_in(got, "at"), text_in(got, "site", 255, 0),
                  text_in(got, "category", 64, 0))  # fmt: skip


def detail(notice: Notice) -> str:
    """What a click shows: which kind of site, and where to look."""
    what = f"{notice.site} ({notice.category})" if notice.site else notice.category or "a listed site"
    return f"{what}. Why: blockerd check --why {notice.site}" if notice.site else f"{what}. More: blockerd log"
