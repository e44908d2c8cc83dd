"""The records that pieces of blockerd hand to each other, and nothing else.

Everything here is immutable and imports nothing of the package, so that any layer may use it. Names inside the
program are canonical wire form (RFC 1035 section 3.1: length-prefixed labels, lower case, ending in the root
label); text appears only at the edges, through `policy.name`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

CATEGORIES: tuple[str, ...] = (
    "adult", "cam", "chat", "random-video", "sexting", "dating", "escort", "phone-sex", "venue", "usenet", "erotica",
    "ai-companion", "mixed", "bypass", "no-safe-search", "shortener", "demo",
)  # fmt: skip
"""Category ids. The index is stored in snapshots as the category number: append only, at most 64 of them."""

TEST_NAME = "blocked.example"
"""Always blocked (category demo), so that no check or document ever needs a real site."""


class Action(StrEnum):
    """What is done with a question, in RPZ terms (draft-vixie-dnsop-dns-rpz section 3)."""

    PASSTHRU = "PASSTHRU"
    NXDOMAIN = "NXDOMAIN"
    NODATA = "NODATA"
    LOCAL_DATA = "LOCAL_DATA"
    DROP = "DROP"


class Channel(StrEnum):
    """The way by which a question reached us."""

    DNS = "dns"
    PROXY = "proxy"
    CLI = "cli"


class Query(NamedTuple):
    """One question: canonical wire-form `name`, `qtype` as a number, and who asked through what."""

    name: bytes
    qtype: int = 1
    group: str = ""
    channel: Channel = Channel.DNS


@dataclass(frozen=True, slots=True)
class RuleRef:
    """Where a decision comes from: `source` id, `line` (1-based, 0 unknown), the rule as text, its category."""

    source: str
    line: int
    text: str
    category: str


class Decision(NamedTuple):
    """The answer of `policy.decide`: what happens, because of which rule, and until when it holds.

    `until` is a Unix time in seconds, or None where nothing in the policy will change it by itself.
    `data` holds the rewrite of LOCAL_DATA: (record type, text) pairs; `site` the registrable domain (wire form) of
    what was hit where the policy knows it, else b"".
    """

    action: Action
    reason: str
    rule: RuleRef | None = None
    category: str = ""
    until: float | None = None
    data: tuple[tuple[str, str], ...] = ()
    site: bytes = b""

    @property
    def blocked(self) -> bool:
        """True when the real answer is withheld; a rewrite to another name or address is not a block."""
        return self.action in (Action.NXDOMAIN, Action.NODATA, Action.DROP)


class Kind(StrEnum):
    """What an attempt was: an ordinary one, a try to walk round the filter, or the test name."""

    ATTEMPT = "attempt"
    BYPASS = "bypass"
    TEST = "test"


def kind_of(category: str) -> Kind:
    """The kind of attempt that a hit in `category` is."""
    return {"bypass": Kind.BYPASS, "demo": Kind.TEST}.get(category, Kind.ATTEMPT)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One recorded attempt, already cut down to the privacy level.

    `time` and `last` are Unix microseconds (UTC) of the first and last question, `site` the registrable domain as
    text ("" at the levels category and counts), `names` the full names at level name, `count` the questions merged.
    """

    time: int
    last: int
    site: str
    names: tuple[str, ...]
    category: str
    source: str
    list: str
    action: Action
    channel: Channel
    client: str
    user: str
    count: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class Change:
    """A change of settings, lists, locks or schedules, as `binding.submit` records it.

    `direction` is "stronger", "weaker" or "neutral"; `at` is Unix microseconds (UTC); `what` a one-line description.
    """

    at: int
    what: str
    old: str
    new: str
    direction: str
    by: str
