"""How long sites of a kind may have been used: an estimate, with the way it was made on every row. Pure.

What is known of a visit are questions (DNS) and flows (proxy), not looks. So a minute counts for the best witness there
is: a flow through the proxy; else a browser in front of somebody, joined with questions; else questions alone, which is
never told as fact. Called by `blockerd time` and the reports.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from blockerd.screentime.heartbeat import SECOND, Beat, intersect, union, without

LINGER = 60 * SECOND
"""A page is taken to be looked at for this long (µs) after its last question: caches answer the next ones."""


class Method(StrEnum):
    """How a row was found, best first."""

    PROXY = "proxy flow"
    BROWSER = "browser in front and DNS"
    DNS = "DNS only"


@dataclass(frozen=True, slots=True)
class Estimate:
    """Microseconds estimated for `category`, by `method`."""

    category: str
    method: Method
    length: int

    @property
    def certain(self) -> bool:
        """False where only questions tell of it: other programs and prefetching ask too."""
        return self.method != Method.DNS


def estimates(
    questions: Iterable[Beat[str]],
    flows: Iterable[Beat[str]],
    browsing: Sequence[Beat[None]],
    known: Sequence[Beat[None]],
) -> list[Estimate]:
    """Rows by category and method, without those of no length.

    `questions` and `flows` (those that the proxy saw) run from the first to the last of an attempt and name their
    category. `browsing`: a browser in front of somebody; `known`: times that the agent measured. Where it measured,
    neither counts without a browser in front. A moment counts once for each category.
    """
    asked, flowed = list(questions), list(flows)
    rows: list[Estimate] = []
    for category in sorted({beat.data for beat in (*asked, *flowed)}):
        rows += _rows(category, _of(flowed, category), _of(asked, category), browsing, known)
    return rows


def _rows(
    category: str,
    flows: list[Beat[str]],
    asked: list[Beat[str]],
    browsing: Sequence[Beat[None]],
    known: Sequence[Beat[None]],
) -> list[Estimate]:
    elsewhere = without(known, browsing)  # measured, and no browser in front of anybody
    by_flow = without(_lingering(flows), elsewhere)
    left = without(_lingering(asked), by_flow)
    found = (
        (Method.PROXY, by_flow),
        (Method.BROWSER, intersect(left, browsing)),
        (Method.DNS, without(without(left, browsing), known)),
    )
    lengths = [(method, sum(beat.length for beat in beats)) for method, beats in found]
    return [Estimate(category, method, length) for method, length in lengths if length]


def _of(beats: list[Beat[str]], category: str) -> list[Beat[str]]:
    return [beat for beat in beats if beat.data == category]


def _lingering(asked: list[Beat[str]]) -> list[Beat[None]]:
    return union(Beat(beat.start, beat.end + LINGER, None) for beat in asked)
