"""What is already in the journal, as merging asks for it, and rows as `Attempt` records. Reads only.

Called by `journal.append` inside its transactions and by `journal.read` inside its snapshot.
"""

import json
from functools import lru_cache
from typing import Any

import apsw

from blockerd.journal.merge import LONGEST_US, Origin, Row, Span
from blockerd.model import Action, Attempt, Channel, Kind

ATTEMPT_COLUMNS = "id, first_us, last_us, site, origin, count, names, names_more"

# One statement for all keys: a statement for each costs three times as much.
_NEWEST = f"""
    SELECT attempts.{ATTEMPT_COLUMNS} FROM json_each(?) AS wanted CROSS JOIN attempts ON attempts.id = (
        SELECT max(id) FROM attempts WHERE site = wanted.value ->> 0 AND origin = wanted.value ->> 1
    ) AND last_us >= ? AND attempts.id IN unsettled
"""
_OF_HOUR = "SELECT first_us, names FROM attempts WHERE site = ? AND origin = ? ORDER BY id DESC"
_SPAN = (
    "SELECT id, process, boot, first_us, last_us, ended FROM spans WHERE process = ?1 AND boot = ifnull(?2, boot)"
    " ORDER BY id DESC LIMIT 1"
)


class Lookup:
    """Questions to one connection; without one (no journal yet) nothing is known."""

    def __init__(self, db: apsw.Connection | None) -> None:
        self._db = db

    def rows(self, keys: list[tuple[str, int]], since: int) -> dict[tuple[str, int], Row]:
        """For each (site, origin) the newest attempt, where its last question was not before `since` (Unix µs).

        One that is settled has its leaf in the log and takes no further question.
        """
        if self._db is None or not keys:
            return {}
        found = map(to_row, self._db.execute(_NEWEST, (json.dumps(keys), since)))
        return {(row.site, row.origin): row for row in found}

    def names(self, site: str, origin: int, hour: int) -> set[str]:
        """The names that attempts for `site` and `origin` hold which began in `hour` (Unix µs divided by an hour)."""
        found: set[str] = set()
        for first, names in self._db.execute(_OF_HOUR, (site, origin)) if self._db else ():
            if int(first) // LONGEST_US < hour:
                break
            found.update(str(names).split())
        return found

    def span(self, process: str, boot: str | None) -> Span | None:
        """The newest span of `process` in `boot`, None for any."""
        for key, name, where, first, last, ended in self._db.execute(_SPAN, (process, boot)) if self._db else ():
            return Span(key, name, where, first, last, bool(ended))
        return None

    def origins(self) -> dict[Origin, int]:
        """All origins and their numbers."""
        if self._db is None:
            return {}
        rows = self._db.execute("SELECT category, source, list, action, channel, client, user, kind, id FROM origins")
        return {Origin(*row[:8]): row[8] for row in rows}


def to_row(got: tuple[Any, ...]) -> Row:
    """The attempt in a result row of ATTEMPT_COLUMNS."""
    key, first, last, site, origin, count, names, more = got
    return Row(key, first, last, site, origin, count, names.split(), more, count, first)


def to_attempt(row: Row, origin: Origin) -> Attempt:
    """The record that readers get."""
    action, channel, kind = _kinds(origin.action, origin.channel, origin.kind)
    return Attempt(
        time=row.first,
        last=row.last,
        site=row.site,
        names=tuple(row.names),
        category=origin.category,
        source=origin.source,
        list=origin.list,
        action=action,
        channel=channel,
        client=origin.client,
        user=origin.user,
        count=row.count,
        kind=kind,
    )


@lru_cache(64)
def _kinds(action: str, channel: str, kind: str) -> tuple[Action, Channel, Kind]:
    return Action(action), Channel(channel), Kind(kind)
