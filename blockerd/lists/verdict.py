"""Judges a download against the last good copy, and says when a list is due again. Pure; times are Unix seconds.

`judge` takes, holds or refuses. Held: the size is odd, and a second download at least a day later that says the same
is taken. Refused: nothing confirms a page of HTML, an empty list, one that names google.com, or one of which most
lines can no longer be read. Called by `fetch`,
`due` by whoever starts an update.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from blockerd.lists import formats

HEAD = 262144
"""Octets at the beginning of a list by which `turned` judges."""
_FEW = 5

DAY = 86400.0
HOUR = 3600.0
SHRUNK, GROWN = 0.7, 3.0
"""Of the last good number of names: less (−30 %) or more (+200 %) is held. Real lists move ±10 % a day at most."""
DECLARED = 0.7
"""Of the number that the list states of itself: less means that its end is missing."""
SAME = 0.1
"""How far a second download may be from the held one and still say the same."""
_LONGEST_WAIT = 24 * HOUR


class Outcome(StrEnum):
    """What becomes of a download."""

    TAKE = "take"
    HOLD = "hold"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a download is: its rules counted, `refused` as the parser says it, `canary` a name it must not hold.

    `turned` is what the function of that name says.
    """

    names: int
    sha256: str
    refused: str = ""
    canary: str = ""
    turned: str = ""
    declared: int | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A download that waits to be confirmed."""

    sha256: str
    names: int
    first_seen: float
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is a few words for people, "" where there is nothing to say; `held` is what waits from now on."""

    outcome: Outcome
    reason: str = ""
    held: Held | None = None


def judge(old: int | None, new: Facts, held: Held | None, now: float) -> Verdict:
    """What becomes of the download `new`, where the last good copy has `old` names (None: there is none)."""
    if poisoned := _never(new):
        return Verdict(Outcome.REFUSE, poisoned, held)
    reason = _odd(old, new)
    if not reason:
        return Verdict(Outcome.TAKE)
    if held is None or not _same(held, new) or held.first_seen > now:
        return Verdict(Outcome.HOLD, reason, Held(new.sha256, new.names, now, reason))
    if now - held.first_seen >= DAY:
        return Verdict(Outcome.TAKE, f"confirmed after a day: {reason}")
    return Verdict(Outcome.HOLD, reason, Held(new.sha256, new.names, held.first_seen, reason))


def _never(new: Facts) -> str:
    """Why no later download can confirm `new`; "" where one may."""
    if new.refused:
        return new.refused
    if new.canary:
        return f"names {new.canary}, which no such list means"
    return new.turned if new.names else "not one name or rule in it"


def _odd(old: int | None, new: Facts) -> str:
    """Why `new` needs a second look; "" where it does not."""
    if new.declared and new.names < DECLARED * new.declared:
        return f"says that it has {new.declared:,} entries and holds {new.names:,}: its end is missing"
    if old and not SHRUNK * old <= new.names <= GROWN * old:
        return f"{new.names:,} names where there were {old:,} ({100 * (new.names - old) // old:+d} %)"
    return ""


def _same(held: Held, new: Facts) -> bool:
    return held.sha256 == new.sha256 or abs(new.names - held.names) <= SAME * held.names


def wait(failures: int, refresh_hours: int) -> float:
    """Seconds from one try to the next after `failures` fruitless ones in a row.

    An hour, doubled each time, up to `refresh_hours` or a day, whichever is longer: never over 24 tries a day.
    """
    if failures <= 0:
        return refresh_hours * HOUR
    longest = max(_LONGEST_WAIT, refresh_hours * HOUR)
    return min(HOUR * 2.0 ** min(failures - 1, 16), longest)


def due(meta: Mapping[str, Any], now: float, refresh_hours: int) -> bool:
    """True if a list whose record is `meta` (`tried_at`, `failures`) may be tried at `now`.

    A try that lies in the future was noted by a clock that has been set back since; it does not count.
    """
    tried = meta.get("tried_at") or 0.0
    return not tried <= now < tried + wait(meta.get("failures") or 0, refresh_hours)


def turned(data: bytes, good: bytes, format_: str) -> str:
    """Why the list `data` does not take the place of its last good copy, which begins with `good`; "" where it may.

    Most of its lines cannot be read, and those of the copy could be. `good` is b"" where there is no copy: then a list
    is taken as far as it can be read.
    """
    why = mostly_unread(data, format_) if good else ""
    return "" if why and mostly_unread(good, format_) else why


def mostly_unread(data: bytes, format_: str) -> str:
    """That the lines of a list are mostly none, "" where they are not; looks at the first 256 KB."""
    head = data if len(data) <= HEAD else data[: data.rfind(b"\n", 0, HEAD) + 1 or HEAD]
    parsed = formats.parse(head, format_)
    good = parsed.entries + parsed.not_applicable
    if parsed.refused or parsed.issue_count < _FEW or parsed.issue_count <= good:
        return ""
    return f"{parsed.issue_count:,} of {parsed.issue_count + good:,} lines at its beginning cannot be read"
