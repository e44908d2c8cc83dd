"""What a scenario says, as records: configuration, scripted upstreams, steps. Made by `parse`, read by `runner`.

Words stay as they were written (names, types, rcodes); what they mean is found out where they are used, so that a
slip there is reported with its line too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of the configuration: category, format and its lines; `rewrite`: it may give other answers."""

    category: str
    format: str
    rewrite: bool
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Config:
    """A block `config`, or `policy` in the middle of the steps, which adds to it.

    `names` are the lines of the own files: allow, block, protected; `clients` pairs of network and enrolled.
    """

    line: int = 0
    lists: tuple[Listed, ...] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    local_domains: tuple[tuple[str, str], ...] = ()
    clients: tuple[tuple[str, bool], ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """A resource record of a section, or the statement that the section is empty (no `owner`), or raw octets.

    `owner` "@" stands for the question's name; "*" as `ttl` or `data` for any.
    """

    line: int
    section: str
    owner: str = ""
    ttl: str = ""
    type: str = ""
    data: str = ""


@dataclass(frozen=True, slots=True)
class Matcher:
    """Which queries a rule speaks for; `number` counts the queries for this name and type at this server from 1."""

    name: str
    type: str
    stream: bool | None = None
    edns: bool | None = None
    number: int = 0
    later: bool = False


@dataclass(frozen=True, slots=True)
class Send:
    """One packet of an upstream: `send` with an rcode, `packet` in octets, `silence`, or `unreachable`."""

    line: int
    kind: str
    rcode: str = "NOERROR"
    flags: frozenset[str] = frozenset()
    options: Mapping[str, str] = field(default_factory=dict)
    records: tuple[Record, ...] = ()
    packet: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a server sends, in this order, to the queries that `to` matches."""

    to: Matcher
    sends: tuple[Send, ...]


@dataclass(frozen=True, slots=True)
class Server:
    """A scripted upstream; the first rule that matches speaks."""

    address: str
    rules: tuple[Rule, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Ask:
    """A client's query by its fields, or by its octets (`packet`). `pairs` are the options in the order written."""

    line: int
    name: str = ""
    type: str = ""
    flags: frozenset[str] = frozenset()
    options: Mapping[str, str] = field(default_factory=dict)
    pairs: tuple[tuple[str, str], ...] = ()
    packet: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Queries that are sent at the same moment."""

    line: int
    asks: tuple[Ask, ...]


@dataclass(frozen=True, slots=True)
class Advance:
    """The clock goes on."""

    line: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Answered:
    """Each query of the last group has this answer."""

    line: int
    rcodes: tuple[str, ...]
    flags: frozenset[str]
    options: Mapping[str, str]
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Silent:
    """No query of the last group has an answer."""

    line: int


@dataclass(frozen=True, slots=True)
class Takes:
    """The answers came so many seconds after their queries."""

    line: int
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Packet:
    """A query that an upstream got."""

    line: int
    server: str
    name: str
    type: str
    flags: frozenset[str]


@dataclass(frozen=True, slots=True)
class Packets:
    """The queries that upstreams got since the last look: between how many, perhaps each of them."""

    line: int
    count: tuple[int, int]
    packets: tuple[Packet, ...]


@dataclass(frozen=True, slots=True)
class Attempted:
    """A recorded attempt."""

    line: int
    name: str
    category: str
    kind: str
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Attempts:
    """The attempts recorded since the last look: between how many, perhaps each of them."""

    line: int
    count: tuple[int, int]
    attempts: tuple[Attempted, ...]


Step = Group | Advance | Answered | Silent | Takes | Packets | Attempts | Config


@dataclass(frozen=True, slots=True)
class Scenario:
    """One file. `about` is its opening comment in one line."""

    path: Path
    about: str
    config: Config
    servers: tuple[Server, ...]
    steps: tuple[Step, ...]
