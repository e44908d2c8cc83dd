"""How a mail leaves: one small protocol for every road, what can go wrong on it, and when it is tried again.

A road is opened first; only then does a mail get its bytes, so that one that waited says so. Whatever goes wrong is
one of four outcomes, told in a line that holds no password, no address and no text of the other side. Refuses a road
that is not secure enough. Called by `control.reports`; each road stands in a file of its own.
"""

import os
import stat
from enum import StrEnum
from pathlib import Path
from typing import Protocol

MINUTE_US, HOUR_US = 60_000_000, 3_600_000_000
_FIRST = (MINUTE_US, 5 * MINUTE_US, 15 * MINUTE_US)
"""Waits after the first tries; from then on it is an hour."""

LATE_US = HOUR_US
"""A mail that is made this long after it was due says so."""


_WRITE = "write the password or token alone there"


class Outcome(StrEnum):
    """What became of a try. In all but UNSURE the other side certainly does not have the mail."""

    LATER = "later"
    REFUSED = "refused"
    UNSURE = "unsure"
    UNSAFE = "unsafe"


class NotDelivered(Exception):
    """A try that ended otherwise than with a yes; the message is one line for people: what, where, what to do."""

    def __init__(self, outcome: Outcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class Session(Protocol):
    """An open road."""

    async def send(self, recipient: str, message: bytes) -> None:
        """Hands `message` over.

        Raises:
            NotDelivered: the other side did not say yes.
        """

    async def close(self) -> None:
        """Ends it; never raises."""


class Road(Protocol):
    """A way for mails: `name` for people, `hosts` are all that it may connect to (host, port)."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def hosts(self) -> tuple[tuple[str, int], ...]:
        """Where it connects to."""

    async def open(self) -> Session:
        """A session.

        Raises:
            NotDelivered: there is none now; nothing was handed over.
        """


def wait(tries: int) -> int:
    """Microseconds from try number `tries` (from 1) to the next: soon for a few times, then once an hour."""
    return _FIRST[tries - 1] if 1 <= tries <= len(_FIRST) else HOUR_US


def secret(path: Path) -> str:
    """The password that stands alone in a file, which only its owner may read.

    Raises:
        NotDelivered: there is none, or others can read it.
    """
    try:
        with path.open("rb") as file:
            if os.name == "posix" and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise NotDelivered(Outcome.UNSAFE, f"{path}: others can read it; chmod 600 it")
            return file.read(4096).decode("utf-8").rstrip("\r\n")
    except OSError as error:
        raise NotDelivered(Outcome.LATER, f"{path}: {error.strerror}; {_WRITE}") from None
    except UnicodeDecodeError:
        raise NotDelivered(Outcome.LATER, f"{path}: is no text; {_WRITE}") from None
