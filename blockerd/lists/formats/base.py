"""What every list parser shares: the result, the way a name or rule enters it, and what a list may not say. Pure.

`Taker` is the only door into `Parsed`: it refuses public suffixes and rewrites that the source may not make, and keeps
issues short and printable. Called by the format parsers.
"""

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address

from blockerd.lists.formats.suffixes import TLDS, Reach, reach
from blockerd.model import Action
from blockerd.policy.name import BadName, from_text
from blockerd.policy.rule import Rule, Scope

MAX_ISSUES = 1000
MAX_LINE = 65536
"""Octets of the longest line that is read; the longest real rules ($denyallow lists) have a few thousand."""
MAX_PATTERN = 4096
RULE_TEXT = 400
"""Characters of a rule that are kept to show."""
_TEXT = 120
_LOOPBACK = IPv4Network("127.0.0.0/8")
_NO_ADDRESS = frozenset((IPv4Address("0.0.0.0"), IPv6Address("::"), IPv6Address("::1")))

Batch = Callable[[list[bytes], "array[int]", list[int]], None]
"""Takes plain names, their lines, and the indexes of those that are exact."""


@dataclass(frozen=True, slots=True)
class Issue:
    """A line that was not taken: `line` is 1-based, `text` at most 120 printable characters of it."""

    line: int
    text: str
    reason: str


@dataclass(slots=True)
class Parsed:
    """What a list says.

    `format` is what it was read as; a list read line by line is called by the kind of three quarters of its rules,
    else `adblock` or `mixed`. `names` are plain block rules in canonical wire form, in file order (an RPZ name stands
    where its second half was), `lines` the line of each;
    `exact` holds indexes of names that are public suffixes of the private section and so stand for themselves alone.
    `rules` is everything else. `folded` counts rules as written that are part of another (an RPZ wildcard beside its
    owner). `refused` says why the whole list was refused; names and rules are then empty.
    """

    format: str
    names: list[bytes] = field(default_factory=list)
    lines: "array[int]" = field(default_factory=lambda: array("I"))
    exact: list[int] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    issue_count: int = 0
    not_applicable: int = 0
    comments: int = 0
    folded: int = 0
    streamed: int = 0
    declared: int | None = None
    refused: str | None = None
    title: str = ""

    @property
    def entries(self) -> int:
        """Rules as written: plain names (those handed to a sink included), other rules, and folded ones."""
        return len(self.names) + self.streamed + len(self.rules) + self.folded


def printable(text: str, limit: int = _TEXT) -> str:
    """`text` cut to `limit` characters, with what a terminal would obey written as an escape."""
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text[:limit]
    )
    return shown[:limit]


def decode(line: bytes) -> str:
    """A line as text for issues and rules; octets that are no UTF-8 stay visible as escapes."""
    return line.decode("utf-8", "backslashreplace")


class Taker:
    """Collects one list into `out`. `own` and `trust` say what the source may do (DESIGN section 3)."""

    def __init__(self, out: Parsed, *, trust: str, own: bool, sink: Batch | None) -> None:
        self.out = out
        self.own = own
        self.rewrites = own or trust == "rewrite"
        self.kinds: dict[str, int] = {}
        self._sink = sink
        self._data: dict[tuple[bytes, Scope, frozenset[int]], int] = {}

    def beside(self) -> "Taker":
        """An empty one for the same source."""
        return Taker(Parsed(""), trust="rewrite" if self.rewrites else "block", own=self.own, sink=None)

    def saw(self, kind: str, count: int = 1) -> None:
        """Counts lines of a kind, for the name of the format."""
        self.kinds[kind] = self.kinds.get(kind, 0) + count

    def issue(self, line: int, text: str, reason: str) -> None:
        """Notes that a line was not taken."""
        self.out.issue_count += 1
        if len(self.out.issues) < MAX_ISSUES:
            self.out.issues.append(Issue(line, printable(text), reason))

    def plain(self, wire: bytes, line: int, text: str, *, means_it: bool = True) -> None:
        """A plain block rule. `means_it` is False in hosts and plain lists, which never close a public suffix."""
        kind = reach(wire)
        if kind is Reach.ORDINARY or (self.own and means_it):
            self._append(wire, line)
        elif kind is Reach.PRIVATE:
            self.out.exact.append(len(self.out.names))
            self._append(wire, line)
        elif means_it and wire in TLDS:
            self._append(wire, line)
        else:
            self.issue(line, text, _too_wide(kind))

    def _append(self, wire: bytes, line: int) -> None:
        self.out.names.append(wire)
        self.out.lines.append(line)

    def rule(self, rule: Rule) -> None:
        """A rule that is more than a plain block: one by name is held to the same suffixes, a block to its limits."""
        if rule.plain and rule.scope is Scope.SUBTREE and not (rule.allow or rule.important):
            self.plain(rule.name, rule.line, rule.text)
            return
        if rule.name and not self.own:
            kind = reach(rule.name)
            narrow = kind is Reach.PRIVATE and not rule.allow and rule.scope is not Scope.BELOW
            if narrow and rule.scope is Scope.SUBTREE:
                rule = replace(rule, scope=Scope.EXACT)
            too_wide = kind in (Reach.LABEL, Reach.PUBLIC) and rule.name not in TLDS
            if too_wide or (kind is Reach.PRIVATE and not narrow and not rule.allow):
                self.issue(rule.line, rule.text, _too_wide(kind))
                return
        if rule.action is Action.LOCAL_DATA:
            self._local_data(rule)
        else:
            self.out.rules.append(rule)

    def _local_data(self, rule: Rule) -> None:
        """Rewrites of one name come a record a line; they are one rule (an answer holds all records of a name)."""
        if not self.rewrites:
            self.issue(rule.line, rule.text, "a rewrite, and this source may only block")
            return
        key = (rule.name, rule.scope, rule.types)
        at = self._data.get(key) if rule.name and not rule.important else None
        if at is None:
            self._data[key] = len(self.out.rules)
            self.out.rules.append(rule)
        else:
            first = self.out.rules[at]
            self.out.rules[at] = replace(first, data=tuple(dict.fromkeys(first.data + rule.data)))

    def flush(self) -> None:
        """Hands what has gathered to the sink, where there is one."""
        out = self.out
        if self._sink is not None and out.names:
            self._sink(out.names, out.lines, out.exact)
            out.streamed += len(out.names)
            out.names, out.lines, out.exact = [], array("I"), []


def _too_wide(kind: Reach) -> str:
    return {
        Reach.LABEL: "a single label would cover a whole top-level domain",
        Reach.PUBLIC: "a public suffix: unrelated sites live below it",
        Reach.PRIVATE: "a public suffix: sites of unrelated people live below it",
    }[kind]


def address_of(text: str) -> IPv4Address | IPv6Address | None:
    """The address that `text` is, `0` being 0.0.0.0 as resolvers read it; zone ids (`%lo0`) are let go."""
    if text == "0":
        return IPv4Address(0)
    try:
        return ip_address(text.partition("%")[0].strip("[]"))
    except ValueError:
        return None


def is_sink(address: IPv4Address | IPv6Address) -> bool:
    """True for the addresses by which lists say "nowhere"."""
    return address in _NO_ADDRESS or (address.version == 4 and address in _LOOPBACK)


def record_of(address: IPv4Address | IPv6Address) -> tuple[str, str]:
    """`address` as record type and text."""
    return ("A" if address.version == 4 else "AAAA", str(address))


def list_name(text: str) -> bytes:
    """Canonical wire form of a name in a list.

    Raises:
        BadName: as `policy.name.from_text`; also addresses, and names that end in a number and so read as one.
    """
    if ":" in text:
        raise BadName(_colon(text))
    try:
        wire = from_text(text)
    except BadName:
        if "://" in text or "/" in text:
            raise BadName("a URL, not a name") from None
        raise
    tail = text.rstrip(". ").rpartition(".")[2]
    if tail.isascii() and tail.isdigit():
        raise BadName("an address, not a name" if address_of(text) else "ends in a number, as only addresses do")
    return wire


def _colon(text: str) -> str:
    if address_of(text):
        return "an address, not a name"
    if "://" in text:
        return "a URL, not a name"
    right = text.partition(":")[2]
    return "a name with a port" if right.isdigit() else "two names glued by a colon"
