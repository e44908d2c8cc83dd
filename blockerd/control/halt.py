"""Word to the readers that the program was stopped for good or taken off; never about requests.

It waits half an hour in sight of the user, who may take it back, and comes once in seven days at the most. Asked for
over the socket; or decided here, where `control` runs and the filter does not: a crash, an update or a restart is over
long before. Called by `control.reports` inside its transactions.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo

import blockerd.journal.outbox as mailbox
from blockerd.journal.outbox import Row, Stand
from blockerd.journal.schema import Connection
from blockerd.report import partner as people
from blockerd.report.deliver import MINUTE_US
from blockerd.report.partner import NotAgreed, Partner, Says, Send

HOLD_US = 30 * MINUTE_US
"""So long (µs) a notice waits."""
AGAIN_US = 7 * people.DAY_US
"""Between two notices."""
SURE_US = 2 * MINUTE_US
"""For so long the filter is gone before a notice is put in: a restart takes seconds."""

TAKEN_BACK = "taken back by the user"
_HOW = {"halted": Says.HALTED, "removed": Says.REMOVED, "neutral": Says.NEUTRAL}
_AUTO = {"by": "control"}


def asked(db: Connection, how: str, now: int, hold: int) -> str:
    """`how`: halted, removed or neutral put a notice in; nothing ends sharing without any; cancel takes it back.

    Raises:
        NotAgreed: it is none of these, or a notice went out a short while ago.
    """
    if how == "cancel":
        _drop(db, [one for one in _notices(db) if one.state == Stand.WAITING], now, TAKEN_BACK)
        return "no notice is sent"
    if how == "nothing":
        _drop(db, [one for one in _notices(db) if one.state == Stand.WAITING], now, TAKEN_BACK)
        for partner in _reading(db):
            mailbox.drop(db, partner.name, now)
            mailbox.put_partner(db, people.leave(partner).partner)
        return "nothing is sent; sharing has ended"
    if how not in _HOW:
        raise NotAgreed(f"{how}: halted, removed, neutral, nothing or cancel")
    if _recent(db, now):
        raise NotAgreed("a notice of an end was sent less than 7 days ago; nothing was added")
    names = ", ".join(f"{one.name} ({one.address})" for one in _put(db, _HOW[how], now, now + hold, {})) or "nobody"
    when = "in 30 minutes" if hold else "now"
    back = "; blockerd report halt --cancel takes it back" if hold else ""
    return f"{when} a notice goes to {names}; it says nothing about requests{back}"


class Watch:
    """Looks whether the filter runs; `filters` says so. Where it is gone for good, readers are told."""

    def __init__(self, filters: Callable[[], bool]) -> None:
        self._filters = filters
        self._gone: int | None = None
        self._due: int | None = None

    def look(self, db: Connection, now: int) -> None:
        """At each tick. What waits from before a restart of this process counts its half hour anew."""
        runs = self._filters()
        if runs or self._gone is None:
            waiting = [one for one in _notices(db) if one.state == Stand.WAITING and _by_itself(one)]
            _drop(db, waiting, now, "the filter runs" if runs else "counted anew")
            self._gone, self._due = None if runs else now, None
        elif now - self._gone >= SURE_US and not _recent(db, now):
            due = self._gone + HOLD_US
            self._due = due if _put(db, Says.HALTED, now, due, _AUTO) else None
        elif self._due is not None and not any(one.state == Stand.WAITING for one in _notices(db)):
            self._due = None

    def told(self, zone: tzinfo) -> str:
        """What the user should know; "" while there is nothing."""
        if self._due is None:
            return ""
        at = datetime.fromtimestamp(self._due // 1_000_000, zone)
        return (
            f"the filter does not run; at {at:%H:%M} your readers are told that it was stopped"
            " (blockerd report halt --cancel takes that back)"
        )


def _put(db: Connection, what: Says, now: int, due: int, detail: dict[str, str]) -> Sequence[Partner]:
    reading = _reading(db)
    for one in reading:
        send = Send(what, one.place, one.address, one.role, road=one.road)
        mailbox.queue(db, one.name, send, now, due, detail)
    return reading


def _notices(db: Connection) -> list[Row]:
    return mailbox.rows_saying(db, _HOW.values())


def _recent(db: Connection, now: int) -> bool:
    """True if a notice waits, went, or was taken back within AGAIN_US."""
    counted = (one for one in _notices(db) if one.state != Stand.DROPPED or one.trouble == TAKEN_BACK)
    return any(now - one.queued < AGAIN_US for one in counted)


def _by_itself(row: Row) -> bool:
    return row.detail.get("by") == _AUTO["by"]


def _drop(db: Connection, found: Sequence[Row], now: int, why: str) -> None:
    for row in found:
        mailbox.done(db, row.id, Stand.DROPPED, now, why)


def _reading(db: Connection) -> list[Partner]:
    return [one for one in mailbox.partners(db).values() if one.reads]
