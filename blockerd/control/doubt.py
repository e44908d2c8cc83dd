"""Whether notes can go by the wall clock now, what the user is told while they wait for it, and what it put wrong.

Called by `control.reports` at each tick, inside its transaction.
"""

from collections.abc import Callable
from datetime import datetime, tzinfo

import blockerd.journal.outbox as mailbox
from blockerd.journal.schema import Connection
from blockerd.report.partner import as_of

BEHIND = "the clock is behind the record: notes wait until it is set, until NTP keeps it, or until it has run longer"


def why(now: int, left: int, zone: tzinfo, *, behind: bool) -> str:
    """Why nothing is decided by the clock at `now` (Unix µs), and until when; "" where it is believed.

    `left` (µs): for so long it is in doubt, since it was set or the computer was off; `behind`: the record says so.
    """
    if not left:
        return BEHIND if behind else ""
    until = datetime.fromtimestamp((now + left) // 1_000_000, zone)
    return f"the clock was set, or the computer was off for long: notes wait until {until:%H:%M}, or until NTP keeps it"


def waits(db: Connection) -> bool:
    """True if anybody is to get a mail."""
    return any(one.reads for one in mailbox.partners(db).values()) or bool(mailbox.rows(db, open_only=True))


def set_right(db: Connection, now: int, kept: Callable[[], bool]) -> None:
    """What a clock that was ahead has dated of readers is as of `now`, where `kept` says that NTP keeps the clock.

    Not before: as of a clock that is behind they would read of days before they agreed.
    """
    readers = mailbox.partners(db).values()
    late = [right for one in readers if (right := as_of(one, now)) != one]
    if late and kept():
        for one in late:
            mailbox.put_partner(db, one)
