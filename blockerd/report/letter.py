"""What a note needs beside its facts: whom it is for, where help is for them, when the next one comes. Pure records.

Everything a person or another program wrote (names, addresses, the note, the plan) is text from outside. Filled by
whoever prepares a mail; read by `compose`.
"""

from dataclasses import dataclass
from datetime import tzinfo

from blockerd.report.helplines import Country
from blockerd.settings import Role


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who gets notes, as the user is shown them."""

    name: str
    address: str
    role: Role


@dataclass(frozen=True, slots=True)
class Seal:
    """Where the record stood: number of this note, entries, head (hex), and whether it continues the note before.

    `continues` is None for the first note, False where a record begins anew.
    """

    sequence: int
    entries: int
    head: str
    continues: bool | None


@dataclass(frozen=True, slots=True)
class Letter:
    """One note to one reader.

    `next_due` and `late_since` are Unix microseconds (`late_since` None: in time), `lists_age` days since the oldest
    fetched list was current (None: none fetched). `stop_code` and `talk_word` are made of letters. `partial`: the
    period is shorter than usual. `note`, `plan`, `talks` and `resources` (empty: the shipped
    ones) are the user's; `readers` is shown to the user alone. `reveal`: names
    whole, which no mail has; only what stays on this computer or is printed by its user.
    """

    role: Role
    zone: tzinfo
    next_due: int
    version: str
    country: Country | None = None
    stop_code: str = ""
    talk_word: str = ""
    lists_age: int | None = None
    late_since: int | None = None
    partial: bool = False
    note: str = ""
    plan: tuple[str, ...] = ()
    talks: int = 0
    resources: tuple[str, ...] = ()
    readers: tuple[Reader, ...] = ()
    seal: Seal | None = None
    yardsticks: bool = False
    names_attached: bool = False
    reveal: bool = False
