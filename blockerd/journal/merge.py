"""Merging: which questions are one attempt, and which signs of life are one span of running. Pure.

An attempt is what was asked for one site, by the same asker, for the same reason, with less than a minute between two
questions: A, AAAA, HTTPS and the retries of one visit. What was written before is looked up through the functions
that the caller passes. Called by `journal.intake`, for the writer and for readers alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

GAP_US = 60_000_000
"""A question this long after the last one (µs) still belongs to the attempt."""

LONGEST_US = 3_600_000_000
"""An attempt that lasts this long (µs) is followed by a new one, so that a day of retries has its hours."""

NAMES_PER_HOUR = 64
"""Distinct full names kept for one site and hour; further ones are only counted."""

SPAN_GAP_US = 150_000_000
"""Two signs of life further apart than this (µs) leave a hole: marks come every 60 s, one may be late."""

UNCONFIRMED = "unconfirmed"
"""Kind of a hit whose full name turned out not to be listed (equal hashes); kept, and shown nowhere."""


class Origin(NamedTuple):
    """What an attempt hit and who asked; equal for all questions of one attempt."""

    category: str
    source: str
    list: str
    action: str
    channel: str
    client: str
    user: str
    kind: str


@dataclass(slots=True)
class Row:
    """One attempt in the making: Unix µs of first and last question, questions so far, names kept, names only counted.

    `key` is None until it is in the database; `before` is the count it has there, `began` the first question.
    """

    key: int | None
    first: int
    last: int
    site: str
    origin: int
    count: int = 0
    names: list[str] = field(default_factory=list)
    more: int = 0
    before: int = 0
    began: int = 0


def fits(row: Row, at: int) -> bool:
    """True if a question at `at` (Unix µs) belongs to `row`. A clock set back by up to GAP_US does not part them."""
    return row.first - GAP_US <= at <= row.last + GAP_US and at - row.first < LONGEST_US


class Question(NamedTuple):
    """One question as merging sees it: Unix µs, site, number of its origin, full name to keep ("": none)."""

    at: int
    site: str
    origin: int
    name: str


class Merger:
    """Takes questions in order and leaves the rows they made or changed in `rows`.

    `find(keys, since)` gives for each (site, origin) the newest row written before, where its last question is not
    before `since`; `known(site, origin, hour)` the names of the rows that began in that hour (Unix µs over an hour).
    """

    def __init__(
        self,
        find: Callable[[list[tuple[str, int]], int], dict[tuple[str, int], Row]],
        known: Callable[[str, int, int], set[str]],
    ) -> None:
        self.rows: list[Row] = []
        self._open: dict[tuple[str, int], Row] = {}
        self._hours: dict[tuple[str, int, int], set[str]] = {}
        self._find = find
        self._known = known

    def add(self, questions: Sequence[Question]) -> None:
        """The next questions; many at once spare look-ups."""
        if not questions:
            return
        opened = self._open
        keys = list({(q.site, q.origin) for q in questions} - opened.keys())
        earlier = self._find(keys, min(q.at for q in questions) - GAP_US)
        for at, site, origin, name in questions:
            row = opened.get((site, origin))
            if row is None:
                row = earlier.get((site, origin))
                row = self._enter(row if row and fits(row, at) else Row(None, at, at, site, origin))
            elif not fits(row, at):
                row = self._enter(Row(None, at, at, site, origin))
            if at > row.last:
                row.last = at
            elif at < row.first:
                row.first = at
            row.count += 1
            if name and name not in row.names:
                self._keep(row, name)

    def _enter(self, row: Row) -> Row:
        self._open[row.site, row.origin] = row
        self.rows.append(row)
        return row

    def _keep(self, row: Row, name: str) -> None:
        where = (row.site, row.origin, row.first // LONGEST_US)
        names = self._hours.get(where)
        if names is None:
            names = self._hours[where] = self._known(*where)
        if name not in names and len(names) >= NAMES_PER_HOUR:
            row.more += 1
            return
        names.add(name)
        row.names.append(name)


@dataclass(slots=True)
class Span:
    """A time (Unix µs) in which `process` is known to have run; `ended` once it said that it stops."""

    key: int | None
    process: str
    boot: str
    first: int
    last: int
    ended: bool = False


class Marks:
    """Takes signs of life in order and leaves the spans they made or lengthened in `spans`.

    `find(process, boot)` gives the newest span written before, of any boot where `boot` is None. Nothing is inferred
    across a hole: a suspend or a crash ends a span at its last mark.
    """

    def __init__(self, find: Callable[[str, str | None], Span | None]) -> None:
        self.spans: list[Span] = []
        self._open: dict[tuple[str, str], Span] = {}
        self._find = find

    def before(self, process: str) -> Span | None:
        """The newest span of `process` so far, in whatever boot."""
        own = (span for span in reversed(self.spans) if span.process == process)
        return next(own, None) or self._find(process, None)

    def add(self, at: int, process: str, boot: str, state: str) -> None:
        """One sign at `at` (Unix µs); `state` is "start", "alive" or "stop".

        Raises:
            ValueError: another state.
        """
        if state not in ("start", "alive", "stop"):
            raise ValueError(f"no state of a process: {state}")
        span = self._open.get((process, boot)) or self._find(process, boot)
        if state == "start" or span is None or span.ended or not 0 <= at - span.last <= SPAN_GAP_US:
            span = Span(None, process, boot, at, at)
        span.last = at
        span.ended = state == "stop"
        if self._open.get((process, boot)) is not span:
            self._open[process, boot] = span
            self.spans.append(span)
