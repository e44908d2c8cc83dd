"""Response policy zones (draft-vixie-dnsop-dns-rpz sections 3 and 4, master file form of RFC 1035 section 5). Pure.

Only QNAME triggers apply here. An owner with its wildcard, which nearly every list has, becomes one rule for the name
and all below. `$INCLUDE` and `$GENERATE` are refused. Called by `formats`.
"""

import re
from collections.abc import Iterable
from dataclasses import replace

from blockerd.lists.formats.base import MAX_LINE, RULE_TEXT, Taker, address_of, decode, is_sink, list_name, record_of
from blockerd.lists.formats.lines import is_comment, note_header
from blockerd.lists.formats.options import BadRule, checked_record
from blockerd.model import Action
from blockerd.policy.name import BadName
from blockerd.policy.rule import Rule, Scope

TRIGGERS = (b"rpz-ip", b"rpz-client-ip", b"rpz-nsip", b"rpz-nsdname")
"""Last labels of owners that ask about something else than the name of the question."""

_TTL = re.compile(r"\d[\dsmhdw]*", re.IGNORECASE)
_SKIPPED = frozenset(("SOA", "NS", "DNAME", "RRSIG", "NSEC", "NSEC3", "DNSKEY", "DS", "NSEC3PARAM"))
_MAX_OPEN = 20
"""Lines that one record may take: an SOA has seven numbers and names, and one of them a line."""
_Half = tuple[bytes, bool, Action]


class ZoneReader:
    """Reads a zone line by line; `finish` hands over owners and wildcards that stayed without their other half."""

    def __init__(self, taker: Taker) -> None:
        self._taker = taker
        self._base: str | None = None
        self._origin = ""
        self._owner = ""
        self._depth = 0
        self._open_lines = 0
        self._halves: dict[_Half, Rule] = {}

    @property
    def relative(self) -> bool:
        """True while owners are names as they stand and no record is half read."""
        return not (self._origin or self._base or self._depth)

    def take(self, line: int, raw: bytes) -> None:
        """Reads one line of the zone file."""
        if len(raw) > MAX_LINE:
            self._taker.issue(line, decode(raw[:200]), "a line over 64 KiB")
            return
        whole = decode(raw)
        text = whole.strip()
        if not text:
            return
        if is_comment(text, "rpz"):
            note_header(self._taker, line, text)
            return
        text = text.partition(";")[0].rstrip()
        if self._depth or ("(" in text and '"' not in text):
            self._parentheses(line, whole, text)
        elif text[0] == "$":
            self._directive(line, text)
        else:
            self._record(line, text, continued=whole[0] in " \t")

    def _parentheses(self, line: int, whole: str, text: str) -> None:
        """Records over several lines: only SOA has them in policy zones, and it says nothing here."""
        if not self._depth and " SOA " not in f" {' '.join(text.upper().split())} ":
            self._taker.issue(line, whole, "a record over several lines")
        elif not self._depth:
            self._soa(text.split()[0])
        self._depth = max(0, self._depth + text.count("(") - text.count(")"))
        self._open_lines = self._open_lines + 1 if self._depth else 0
        if self._open_lines > _MAX_OPEN:
            self._taker.issue(line, whole, "a parenthesis that is never closed")
            self._depth = self._open_lines = 0

    def _directive(self, line: int, text: str) -> None:
        words = text.split()
        directive = words[0].upper()
        if directive == "$ORIGIN" and len(words) > 1:
            name = words[1].lower()
            self._origin = name.rstrip(".") if name.endswith(".") else ".".join(filter(None, (name, self._origin)))
            self._base = self._origin if self._base is None else self._base
        elif directive != "$TTL":
            self._taker.issue(line, text, f"{directive[:20]} is not supported in a policy zone")

    def _soa(self, owner: str) -> None:
        if self._base is None and owner.endswith("."):
            self._base = self._origin = owner.lower().rstrip(".")

    def _record(self, line: int, text: str, *, continued: bool) -> None:
        words = text.split()
        if not continued:
            self._owner = words.pop(0)
        while words and (words[0].upper() in ("IN", "CH", "HS") or _TTL.fullmatch(words[0])):
            words.pop(0)
        if not words:
            self._taker.issue(line, text, "no record")
            return
        rrtype = words[0].upper()
        if rrtype == "SOA":
            self._soa(self._owner)
        elif rrtype not in _SKIPPED:
            self._policy(line, text, rrtype, " ".join(words[1:]))

    def _policy(self, line: int, text: str, rrtype: str, value: str) -> None:
        try:
            name = self._relative(self._owner)
            if name.rpartition(".")[2].encode() in TRIGGERS:
                self._taker.out.not_applicable += 1
                return
            if not rrtype.isalnum() or not value:
                raise BadRule("no record")
            wire = list_name(name.removeprefix("*."))
            rule = _rule(wire, line, text, rrtype, value, below=name.startswith("*."), owner=name)
        except (BadName, BadRule) as error:
            self._taker.issue(line, text, str(error))
            return
        self._taker.saw("rpz")
        if rule.data:
            self._taker.rule(rule)
        else:
            self._fold(rule)

    def _relative(self, owner: str) -> str:
        """`owner` as the name it is about: relative to the zone, which is what the first origin says."""
        name = owner.lower()
        if name == "@":
            raise BadRule("a rule for the zone itself")
        if not name.endswith("."):
            if self._origin == (self._base or ""):
                return name
            name = f"{name}.{self._origin}."
        name = name.rstrip(".")
        if not self._base:
            return name
        if not name.endswith("." + self._base):
            raise BadRule("the owner is outside the zone")
        return name[: -len(self._base) - 1]

    def _fold(self, rule: Rule) -> None:
        """Joins an owner and its wildcard into one rule for the name and all below."""
        key = (rule.name, rule.allow, rule.action)
        other = self._halves.get(key)
        if other is None:
            self._halves[key] = rule
        elif other.scope is rule.scope:
            self._taker.out.folded += 1
        else:
            del self._halves[key]
            before = self._taker.out.entries
            self._taker.rule(replace(other, scope=Scope.SUBTREE))
            self._taker.out.folded += self._taker.out.entries > before

    def finish(self) -> None:
        """Hands over what has no other half."""
        for rule in self._halves.values():
            self._taker.rule(rule)
        self._halves.clear()


def _rule(wire: bytes, line: int, text: str, rrtype: str, value: str, *, below: bool, owner: str) -> Rule:
    rule = Rule(wire, line, Scope.BELOW if below else Scope.EXACT, text=text[:RULE_TEXT])
    if rrtype == "CNAME":
        target = value.lower()
        bare = target.rstrip(".")
        if target == "*." or bare == owner.removeprefix("*.") or bare == owner:
            return replace(rule, action=Action.NODATA) if target == "*." else replace(rule, allow=True)
        if target == ".":
            return rule
        if bare == "rpz-passthru":
            return replace(rule, allow=True)
        if bare == "rpz-drop":
            return replace(rule, action=Action.DROP)
        if bare.startswith("rpz-"):
            raise BadRule(f"no action {bare[:30]}")
    address = address_of(value) if rrtype in ("A", "AAAA") else None
    if address is not None and is_sink(address):
        return rule
    if rrtype in ("A", "AAAA") and (address is None or record_of(address)[0] != rrtype):
        raise BadRule(f"no {rrtype} address")
    data = record_of(address) if address else checked_record(rrtype, value)
    return replace(rule, action=Action.LOCAL_DATA, data=(data,))


def fold_pairs(owners: list[bytes]) -> list[bytes] | None:
    """The owners of a run of `x`, `*.x` pairs in this order; None if the run is anything else."""
    if len(owners) % 2 or any(wild[:2] != b"*." or wild[2:] != x for x, wild in _pairs(owners)):
        return None
    return owners[::2]


def _pairs(owners: list[bytes]) -> Iterable[tuple[bytes, bytes]]:
    return zip(owners[::2], owners[1::2], strict=True)
