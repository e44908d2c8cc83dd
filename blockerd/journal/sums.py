"""Attempts counted by quarter of an hour, category and kind: what a report reads instead of millions of rows. Pure.

All time zones in use are whole quarters of an hour from UTC, so days of any zone are sums of quarters. Hits whose full
name was not listed count nowhere. Called by the journal's writer and its readers, so that both count alike.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping

from blockerd.journal.merge import UNCONFIRMED, Origin, Row

QUARTER_US = 900_000_000

Key = tuple[int, str, str]
"""Where a quarter begins (Unix µs), category, kind."""


def quarter(at: int) -> int:
    """Where the quarter of `at` begins (Unix µs)."""
    return at - at % QUARTER_US


def deltas(rows: Iterable[Row], origin_of: Callable[[int], Origin]) -> Mapping[Key, tuple[int, int]]:
    """What `rows` add to the sums that hold their state before: (attempts, questions) for each key that changes."""
    by_origin: dict[tuple[int, int], list[int]] = {}
    for row in rows:
        first, origin = row.first, row.origin
        total = by_origin.setdefault((first - first % QUARTER_US, origin), [0, 0])
        total[0] += 1
        total[1] += row.count
        if row.key is not None:
            total = by_origin.setdefault((quarter(row.began), origin), [0, 0])
            total[0] -= 1
            total[1] -= row.before
    found: dict[Key, list[int]] = {}
    for (begins, number), (attempts, questions) in by_origin.items():
        named = origin_of(number)
        if named.kind != UNCONFIRMED:
            _add(found, (begins, named.category, named.kind), attempts, questions)
    return {key: (attempts, questions) for key, (attempts, questions) in found.items() if attempts or questions}


class Sums:
    """All sums as of one moment, for questions about any range of time."""

    def __init__(self, stored: Iterable[tuple[int, str, str, int, int]], more: Mapping[Key, tuple[int, int]]) -> None:
        found = {(begins, category, kind): [attempts, count] for begins, category, kind, attempts, count in stored}
        for key, (attempts, questions) in more.items():
            _add(found, key, attempts, questions)
        self._keys = sorted(found)
        self._found = found

    def between(self, start: int, end: int) -> Iterator[tuple[str, str, int, int]]:
        """(category, kind, attempts, questions) of the quarters that begin from `start` up to, not at, `end`."""
        first, last = (bisect_left(self._keys, (at, "", "")) for at in (start, end))
        for key in self._keys[first:last]:
            attempts, questions = self._found[key]
            yield key[1], key[2], attempts, questions


def parted(start: int, end: int) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """The whole quarters between `start` and `end` (Unix µs) as one range, and what is left at its sides."""
    inner, outer = -(-start // QUARTER_US) * QUARTER_US, quarter(end)
    if inner >= outer:
        return (start, start), [(start, end)]
    return (inner, outer), [(a, b) for a, b in ((start, inner), (outer, end)) if a < b]


def _add(found: dict[Key, list[int]], key: Key, attempts: int, questions: int) -> None:
    total = found.setdefault(key, [0, 0])
    total[0] += attempts
    total[1] += questions
