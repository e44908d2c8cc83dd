"""What is known about a stretch of time at the machine: use, absence, holes, and estimates for kinds of sites. Pure.

Times are Unix microseconds. Active, away and unknown time add up to the stretch. Called by `blockerd time` and, for
budgets, by `desk`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

from blockerd.policy.schedule import Window
from blockerd.screentime import budgets
from blockerd.screentime.heartbeat import Beat, union
from blockerd.screentime.sites import Estimate, estimates
from blockerd.screentime.sums import by_data, clip
from blockerd.screentime.titles import is_browser
from blockerd.screentime.usage import Usage

ALL = "all"
"""What a budget calls all time together."""


@dataclass(frozen=True, slots=True)
class Request:
    """Requests for one site of `category`, from the `first` to the `last`; `proxied`: the proxy saw them as flows."""

    first: int
    last: int
    category: str
    proxied: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about [start, end), up to `until`."""

    label: str
    start: int
    end: int
    until: int
    use: Usage
    sites: list[Estimate]

    @property
    def active(self) -> int:
        """Microseconds of activity."""
        return sum(beat.length for beat in self.use.active)

    @property
    def away(self) -> int:
        """Microseconds away, locked or asleep."""
        return sum(beat.length for beat in self.use.away)

    @property
    def known(self) -> int:
        """Microseconds about which something is known."""
        return sum(beat.length for beat in self.use.known)

    @property
    def unknown(self) -> int:
        """Microseconds about which nothing is known."""
        return max(0, self.until - self.start - self.known)

    @property
    def listed(self) -> int:
        """Microseconds at listed categories that are more than questions alone."""
        return sum(row.length for row in self.sites if row.certain)

    @property
    def by_name(self) -> Counter[str]:
        """Microseconds by app, by category (where more than questions tell of it) and, under ALL, together."""
        found = by_data(self.use.active)
        for row in self.sites:
            found[row.category] += row.length if row.certain else 0
        found[ALL] = self.active
        return found


def facts(label: str, start: int, end: int, now: int, use: Usage, requests: Sequence[Request]) -> Facts:
    """What `use` and `requests` say about [start, end) as of `now`; both may reach beyond it."""
    cut = Usage(clip(use.active, start, end), clip(use.away, start, end))
    told = [request for request in requests if start <= request.first < end]
    flows, questions = (
        [Beat(one.first, one.last, one.category) for one in told if one.proxied is proxied] for proxied in (True, False)
    )
    browsing = union(beat for beat in cut.active if is_browser(beat.data))
    rows = estimates(questions, flows, browsing, cut.known)
    return Facts(label, start, end, max(start, min(now, end)), cut, rows)


def day_minutes(use: Usage, start: int, end: int, late: Sequence[Window], zone: tzinfo) -> tuple[int, int] | None:
    """Whole minutes at the machine in [start, end), and those of them in the `late` hours: what a daily summary tells.

    None where nothing was measured, which is not the same as none.
    """
    if not clip(use.known, start, end):
        return None
    active = union(clip(use.active, start, end))  # a clock that was set back lays hours over one another
    whole = sum(beat.length for beat in active)
    return whole // budgets.MINUTE, budgets.late(active, late, zone) // budgets.MINUTE
