"""From stored records to how time was used: activity by app, absence, and what nothing is known about. Pure.

Presence and apps are joined on the boot line of one agent, so that clock steps change nothing; the result is placed in
civil time. Activity in an app that could not be told stands under "". Called by `blockerd time` and the reports.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from blockerd.screentime.afk import Presence
from blockerd.screentime.heartbeat import Beat, flood, intersect, union, without
from blockerd.screentime.track import Record, Stream

UNKNOWN_APP = ""


@dataclass(frozen=True, slots=True)
class Known:
    """A stored record and the number of the agent that made it."""

    agent: int
    record: Record


@dataclass(frozen=True, slots=True)
class Usage:
    """Civil time, Unix µs: `active` by app, `away` (also locked and asleep), both in order of time.

    No moment is in both; what is in neither is unknown.
    """

    active: list[Beat[str]]
    away: list[Beat[None]]

    @property
    def known(self) -> list[Beat[None]]:
        """Times about which something is known."""
        return union([*union(self.active), *self.away])


def usage(records: Iterable[Known]) -> Usage:
    """How time was used; `records` may come in any order, each once.

    Where two sessions were used at once, a moment counts for one of them; who is active in one is not away.
    """
    active: list[Beat[str]] = []
    away: list[Beat[None]] = []
    by_line = sorted(records, key=lambda known: (known.agent, known.record.boot, _line(known.record)))
    for _, group in groupby(by_line, key=lambda known: known.agent):
        lines = [_one_line([known.record for known in line]) for _, line in groupby(group, key=_boot)]
        own = sorted((beat for line in lines for beat in line.active), key=_start)
        active += without(own, union(active))
        away += [beat for line in lines for beat in line.away]
    return Usage(sorted(active, key=_start), without(union(away), union(active)))


def _one_line(records: Sequence[Record]) -> Usage:
    """The use of one agent's time on one boot line; `records` are in its order."""
    apps = flood(_beats([r for r in records if r.stream == Stream.APP]))
    periods = [record for record in records if record.stream == Stream.AFK]
    present = _beats([record for record in periods if record.value == Presence.ACTIVE])
    away = _beats([record for record in periods if record.value == Presence.AWAY])
    known = intersect(apps, present)
    unknown = [Beat(beat.start, beat.end, (UNKNOWN_APP, beat.data[1])) for beat in without(present, apps)]
    return Usage(
        [Beat(beat.start + beat.data[1], beat.end + beat.data[1], beat.data[0]) for beat in (*known, *unknown)],
        union(Beat(beat.start + beat.data[1], beat.end + beat.data[1], None) for beat in away),
    )


def _beats(records: Sequence[Record]) -> list[Beat[tuple[str, int]]]:
    """Records of one stream on the boot line, each with its value and anchor; one that overlaps is cut."""
    found: list[Beat[tuple[str, int]]] = []
    for record in records:
        start = max(_line(record), found[-1].end if found else _line(record))
        end = record.end - record.anchor
        if end > start:
            found.append(Beat(start, end, (record.value, record.anchor)))
    return found


def _boot(known: Known) -> str:
    return known.record.boot


def _line(record: Record) -> int:
    return record.start - record.anchor


def _start(beat: Beat[str]) -> int:
    return beat.start
