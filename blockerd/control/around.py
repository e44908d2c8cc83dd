"""What is known around attempts: who was in front when a name was asked for, and what came before an episode.

Introduces screen time and the entries of the log to the readings of attempts. Only this machine's own questions are
set beside its screens. Called by daily summaries, and by what shows a person their own episodes.
"""

import os
import pwd
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Generic, TypeVar

from blockerd.journal.entry import Pause
from blockerd.journal.read import View
from blockerd.model import Attempt, Kind
from blockerd.report.episodes import BEFORE_US, LONG_US, Before, Sighting
from blockerd.report.requests import Finer, Front
from blockerd.screentime import budgets, store
from blockerd.screentime.heartbeat import Beat
from blockerd.screentime.store import Execute
from blockerd.screentime.titles import is_browser
from blockerd.screentime.usage import UNKNOWN_APP, Known, Usage, usage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Around:
    """`finer` as `requests.read` takes it, by place of the attempt; `sightings` as `episodes.episodes` takes them."""

    finer: Mapping[int, Finer]
    sightings: Sequence[Sighting]


def around(view: View, attempts: Sequence[Attempt], since: int, until: int) -> Around:
    """What the record knows from `since` up to `until` (Unix µs) that helps to read `attempts`.

    Raises:
        JournalError: the record became unreadable.
    """
    use = usage(own_records(view.query, since - BEFORE_US - LONG_US, until))
    pauses = [one for one in view.entries(since - BEFORE_US, until, [Pause.KIND]) if isinstance(one, Pause)]
    return Around(fronts(attempts, use), tuple(sightings(attempts, use, pauses)))


def own_records(query: Execute, since: int, until: int) -> list[Known]:
    """Screen time of the person that this install is for, and of nobody else who uses the machine.

    That is the user named by the service (BLOCKERD_PERSON), else who runs this, through sudo or not, else the only one
    on record.
    """
    owners = {agent: uid for agent, (uid, _) in store.agents(query).items()}
    callers = (_uid(os.environ.get("SUDO_USER", "")), os.geteuid())
    uid = _person(set(owners.values()), _uid(os.environ.get("BLOCKERD_PERSON", "")), callers)
    return [known for known in store.records(query, since, until) if owners[known.agent] == uid]


def _person(on_record: Set[int], named: int | None, callers: Iterable[int | None]) -> int | None:
    if named is not None:
        return named
    only = min(on_record) if len(on_record) == 1 else None
    return next((uid for uid in callers if uid in on_record), only)


def _uid(name: str) -> int | None:
    with suppress(KeyError):
        return pwd.getpwnam(name).pw_uid
    return None


def fronts(attempts: Sequence[Attempt], use: Usage) -> dict[int, Finer]:
    """Who was in front at each attempt of this machine, by its place; nothing where that is not known."""
    active, away = _Times(use.active), _Times(use.away)
    found = {}
    for place, attempt in enumerate(attempts):
        if not _is_here(attempt.client):
            continue
        if beat := active.at(attempt.time):
            if beat.data != UNKNOWN_APP:
                found[place] = Finer(front=Front.BROWSER if is_browser(beat.data) else Front.OTHER)
        elif away.at(attempt.time):
            found[place] = Finer(front=Front.NOBODY)
    return found


def sightings(attempts: Iterable[Attempt], use: Usage, pauses: Iterable[Pause]) -> list[Sighting]:
    """Sessions at the screen, ways round, pauses."""
    sessions = budgets.sessions(use.active, budgets.MINUTE)
    return [
        *(Sighting(Before.LONG_SESSION, one.start, one.end) for one in sessions),
        *(Sighting(Before.BYPASS, one.time, one.last + 1) for one in attempts if one.kind == Kind.BYPASS),
        *(Sighting(Before.PAUSE, one.at, one.until) for one in pauses),
    ]


class _Times(Generic[T]):
    """Stretches of time in order, of which the latest that begins before a moment is looked up."""

    def __init__(self, beats: Sequence[Beat[T]]) -> None:
        self._beats = sorted(beats, key=lambda beat: beat.start)
        self._starts = [beat.start for beat in self._beats]

    def at(self, moment: int) -> Beat[T] | None:
        """The stretch that holds `moment`. Two sessions at once may overlap: a few before are looked at too."""
        last = bisect_right(self._starts, moment)
        return next((beat for beat in self._beats[max(0, last - 8) : last][::-1] if moment < beat.end), None)


def _is_here(client: str) -> bool:
    try:
        return ip_address(client).is_loopback
    except ValueError:
        return False
