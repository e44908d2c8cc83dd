"""Configuration lines of dnsmasq and unbound that block or open names. Pure.

Any other option of these programs is counted as not applicable: a list file may set none of ours. Called by `formats`
for whole lists, by `lines` for a dnsmasq line among others.
"""

import re

from blockerd.lists.formats.base import RULE_TEXT, Taker, address_of, is_sink, list_name, record_of
from blockerd.lists.formats.options import BadRule, checked_record
from blockerd.model import Action
from blockerd.policy.name import BadName
from blockerd.policy.rule import Rule, Scope

DNSMASQ = ("local=/", "server=/", "address=/", "--local=/", "--server=/", "--address=/")
_OPTION = re.compile(r"-{0,2}[a-z][a-z0-9-]*(?:\s*[=:].*)?")
_ZONE = re.compile(r"""local-zone:\s*(?:"([^"]*)"\s*|'([^']*)'\s*|([^\s"']+)\s+)"?([a-z_]+)"?\s*(?:#.*)?""")
_DATA = re.compile(r"""local-data:\s*(?:"(.*)"|'(.*)')\s*(?:#.*)?""")

_NXDOMAIN = frozenset(
    ("static", "refuse", "redirect", "always_nxdomain", "always_refuse", "always_null", "inform_redirect")
)
_DROP = frozenset(("deny", "always_deny", "inform_deny"))
_OPEN = frozenset(("transparent", "always_transparent", "typetransparent", "inform", "nodefault"))


def take_dnsmasq(taker: Taker, line: int, text: str) -> None:
    """Reads one option: `local=/x/`, `server=/x/`, `address=/x/`, `/x/#` or a sink address block x and below.

    `/*.x/` is below x only; `server=/x/#` (use the standard servers) opens x; a real server is not applicable.
    """
    option, _, value = text.lstrip("-").partition("=")
    value = value.partition(" #")[0].strip()
    if option.strip() not in ("local", "server", "address") or not value.startswith("/") or value.count("/") < 2:
        if _OPTION.fullmatch(text):
            taker.out.not_applicable += 1
        else:
            taker.issue(line, text, "no option of dnsmasq")
        return
    taker.saw("dnsmasq")
    *names, target = value[1:].split("/")
    if option.strip() != "address" and target not in ("", "#"):
        taker.out.not_applicable += 1
        return
    for name in names:
        _dnsmasq_name(taker, line, text, name, target, opens=option.strip() != "address" and target == "#")


def _dnsmasq_name(taker: Taker, line: int, text: str, name: str, target: str, *, opens: bool) -> None:
    below = name.startswith("*.")
    address = address_of(target) if target not in ("", "#") else None
    try:
        wire = list_name(name.removeprefix("*.").removeprefix("."))
        if target not in ("", "#") and address is None:
            raise BadRule("no address behind the name")
    except (BadName, BadRule) as error:
        taker.issue(line, text, str(error))
        return
    scope = Scope.BELOW if below else Scope.SUBTREE
    if address is None or is_sink(address):
        taker.rule(Rule(wire, line, scope, allow=opens, text=text[:RULE_TEXT]))
    else:
        data = (record_of(address),)
        taker.rule(Rule(wire, line, scope, action=Action.LOCAL_DATA, data=data, text=text[:RULE_TEXT]))


class UnboundReader:
    """Reads `local-zone` and `local-data` lines; `finish` settles redirect zones, whose data may come later."""

    def __init__(self, taker: Taker) -> None:
        self._taker = taker
        self._redirects: dict[bytes, tuple[int, str]] = {}
        self._data: dict[bytes, list[tuple[int, str, str, str]]] = {}

    def take(self, line: int, text: str) -> None:
        """Reads one line that is no comment and not empty."""
        if found := _ZONE.fullmatch(text):
            self._taker.saw("unbound")
            self._zone(line, text, found[1] or found[2] or found[3] or "", found[4])
        elif found := _DATA.fullmatch(text):
            self._taker.saw("unbound")
            self._local_data(line, text, found[1] or found[2] or "")
        elif _OPTION.fullmatch(text):
            self._taker.out.not_applicable += not text.startswith("server:")
        else:
            self._taker.issue(line, text, "no option of unbound")

    def _zone(self, line: int, text: str, name: str, kind: str) -> None:
        try:
            wire = list_name(name)
        except BadName as error:
            self._taker.issue(line, text, str(error))
            return
        if kind in _OPEN:
            self._taker.rule(Rule(wire, line, allow=True, text=text[:RULE_TEXT]))
        elif kind in _DROP:
            self._taker.rule(Rule(wire, line, action=Action.DROP, text=text[:RULE_TEXT]))
        elif kind == "always_nodata":
            self._taker.rule(Rule(wire, line, action=Action.NODATA, text=text[:RULE_TEXT]))
        elif kind == "redirect" and self._taker.rewrites:
            self._redirects[wire] = (line, text)
        elif kind in _NXDOMAIN:
            self._taker.plain(wire, line, text)
        else:
            self._taker.issue(line, text, f"no zone type {kind[:30]}")

    def _local_data(self, line: int, text: str, record: str) -> None:
        fields = record.split()
        name, rest = fields[:1], fields[1:]
        while rest and (rest[0].isdigit() or rest[0].upper() == "IN"):
            rest = rest[1:]
        if not name or len(rest) < 2:
            self._taker.issue(line, text, "no record in local-data")
            return
        try:
            self._data.setdefault(list_name(name[0]), []).append((line, text, rest[0].upper(), " ".join(rest[1:])))
        except BadName as error:
            self._taker.issue(line, text, str(error))

    def finish(self) -> None:
        """Turns what was kept back into rules: data of a redirect zone covers all of it, other data its own name."""
        blocked = frozenset(self._taker.out.names) if self._data else frozenset[bytes]()
        for wire, (line, text) in self._redirects.items():
            if not any(_rewrites(rrtype, value) for _, _, rrtype, value in self._data.get(wire, [])):
                self._taker.plain(wire, line, text)
        for wire, records in self._data.items():
            scope = Scope.SUBTREE if wire in self._redirects else Scope.EXACT
            for line, text, rrtype, value in records:
                self._record(wire, line, text, rrtype, value, scope, wire in blocked)

    def _record(
        self, wire: bytes, line: int, text: str, rrtype: str, value: str, scope: Scope, is_blocked: bool
    ) -> None:
        address = address_of(value) if rrtype in ("A", "AAAA") else None
        if address is not None and is_sink(address):
            if is_blocked or scope is Scope.SUBTREE:
                self._taker.out.folded += 1
            else:
                self._taker.rule(Rule(wire, line, Scope.EXACT, text=text[:RULE_TEXT]))
            return
        try:
            if rrtype in ("A", "AAAA") and (address is None or record_of(address)[0] != rrtype):
                raise BadRule(f"no {rrtype} address")
            data = record_of(address) if address else checked_record(rrtype, value)
        except BadRule as error:
            self._taker.issue(line, text, str(error))
            return
        self._taker.rule(Rule(wire, line, scope, action=Action.LOCAL_DATA, data=(data,), text=text[:RULE_TEXT]))


def _rewrites(rrtype: str, value: str) -> bool:
    address = address_of(value) if rrtype in ("A", "AAAA") else None
    return address is None or not is_sink(address)
