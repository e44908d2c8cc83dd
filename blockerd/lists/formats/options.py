"""Options of an Adblock rule: what stands behind the `$`. Pure.

Knows the modifiers that have a meaning for a name (AdGuard DNS syntax) and those that only a browser can use; any
other refuses the rule, for a rule without its condition would cover more than its author meant. Called by
`adblock`.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from blockerd.lists.formats.base import address_of, is_sink, list_name, record_of
from blockerd.model import Action
from blockerd.policy.name import BadName, to_text

QTYPES = {
    "A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "HINFO": 13, "MX": 15, "TXT": 16, "RP": 17, "AAAA": 28, "LOC": 29,
    "SRV": 33, "NAPTR": 35, "DNAME": 39, "DS": 43, "SSHFP": 44, "RRSIG": 46, "NSEC": 47, "DNSKEY": 48, "TLSA": 52,
    "SVCB": 64, "HTTPS": 65, "SPF": 99, "ANY": 255, "URI": 256, "CAA": 257,
}  # fmt: skip
"""Question types by name (IANA DNS parameters), those that rules name."""

_WHOLE_SITE = frozenset(("doc", "document", "all"))
_BROWSER_WORDS = """
    1p 3p app badheader cname content cookie csp css ctag client domain elemhide ehide empty extension first-party
    font frame from genericblock generichide ghide header hls image inline-font inline-script ipaddress jsinject
    jsonprune match-case media method mp4 network object object-subrequest other permissions ping popunder popup
    redirect redirect-rule referrerpolicy removeheader removeparam replace script shide specifichide stealth
    strict1p strict3p strict-first-party strict-third-party stylesheet subdocument third-party to urlblock
    urltransform webrtc websocket xhr xmlhttprequest xmlprune
"""
_BROWSER = frozenset(_BROWSER_WORDS.split())
_REFUSED = frozenset(("NXDOMAIN", "REFUSED", "SERVFAIL"))
_COMMA = re.compile(r"(?<!\\),")


class NotForNames(Exception):
    """The rule is for pages or requests; a resolver cannot apply it."""


class BadRule(ValueError):
    """A rule that cannot be taken; the message says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the modifiers say; `rewrites` marks a `$dnsrewrite`, also the empty one of an exception."""

    important: bool = False
    badfilter: bool = False
    denyallow: tuple[bytes, ...] = ()
    types: frozenset[int] = frozenset()
    types_except: bool = False
    action: Action = Action.NXDOMAIN
    data: tuple[tuple[str, str], ...] = ()
    rewrites: bool = False


NO_OPTIONS = Options()


def split_options(text: str) -> list[str]:
    """The modifiers of `text`; a comma behind a backslash belongs to the value."""
    return [part.replace("\\,", ",").strip() for part in _COMMA.split(text)]


@lru_cache(1024)  # a list uses the same few modifiers in thousands of rules
def read_options(text: str) -> Options:
    """The modifiers of `text`, which is what follows `$`.

    Raises:
        NotForNames: a modifier that only a browser or another resolver's client list can apply.
        BadRule: an unknown modifier or a value that cannot be read.
    """
    if not text:
        return NO_OPTIONS
    found: dict[str, str] = {}
    for part in split_options(text):
        key, _, value = part.partition("=")
        key = key.strip().lower()
        if key in _WHOLE_SITE:
            continue
        found["denyallow" if key in ("domain", "from") and _all_negated(value) else key] = value.strip()
    return _options(found)


def _all_negated(value: str) -> bool:
    """True for `~a|~b`: on a whole-page rule, such `$domain` spares these sites and nothing else."""
    return bool(value) and all(part.startswith("~") for part in value.split("|"))


def _options(found: dict[str, str]) -> Options:
    known = {"important", "badfilter", "denyallow", "dnstype", "dnsrewrite"}
    other = sorted(set(found) - known)
    if any(key.removeprefix("~") in _BROWSER for key in other):
        raise NotForNames
    if other:
        raise BadRule(f"unknown modifier ${other[0]}" if other[0] else "empty modifier")
    types, types_except = _types(found["dnstype"]) if "dnstype" in found else (frozenset[int](), False)
    action, data = read_rewrite(found["dnsrewrite"]) if "dnsrewrite" in found else (Action.NXDOMAIN, ())
    return Options(
        important="important" in found,
        badfilter="badfilter" in found,
        denyallow=_names(found["denyallow"]) if "denyallow" in found else (),
        types=types,
        types_except=types_except,
        action=action,
        data=data,
        rewrites="dnsrewrite" in found,
    )


def _names(value: str) -> tuple[bytes, ...]:
    try:
        return tuple(list_name(part.strip().removeprefix("~").removeprefix("*.")) for part in value.split("|"))
    except BadName as error:
        raise BadRule(f"$denyallow: {error}") from None


def _types(value: str) -> tuple[frozenset[int], bool]:
    """The types of `$dnstype=A|AAAA` or `$dnstype=~A|~CNAME`; names, `TYPE65` or numbers."""
    parts = [part.strip().upper() for part in value.split("|")]
    negated = {part.startswith("~") for part in parts}
    if len(negated) > 1:
        raise BadRule("$dnstype: some types negated, others not")
    return frozenset(_type(part.removeprefix("~")) for part in parts), negated.pop()


def _type(text: str) -> int:
    number = text.removeprefix("TYPE")
    if number.isascii() and number.isdigit() and len(number) <= 5 and int(number) <= 65535:
        return int(number)
    if text not in QTYPES:
        raise BadRule(f"$dnstype: no type {text[:20]}")
    return QTYPES[text]


def read_rewrite(value: str) -> tuple[Action, tuple[tuple[str, str], ...]]:
    """The action and records of `$dnsrewrite=value`, short form or `RCODE;TYPE;VALUE` (AdGuard DNS syntax).

    Every refusal code withholds the answer and is NXDOMAIN here; so does a sink address. NOERROR alone is NODATA.

    Raises:
        BadRule: an unknown code or type, or a value that its type does not have.
    """
    if ";" in value:
        rcode, _, rest = value.partition(";")
        rrtype, _, text = rest.partition(";")
        return _full(rcode.strip().upper(), rrtype.strip().upper(), text.strip())
    if not value or value.upper() in _REFUSED:
        return Action.NXDOMAIN, ()
    if value.upper() == "NOERROR":
        return Action.NODATA, ()
    address = address_of(value) if value[0] in "0123456789abcdefABCDEF:" else None
    rrtype = record_of(address)[0] if address else "CNAME"
    return _record(rrtype, value)


def _full(rcode: str, rrtype: str, text: str) -> tuple[Action, tuple[tuple[str, str], ...]]:
    if rcode in _REFUSED:
        return Action.NXDOMAIN, ()
    if rcode != "NOERROR":
        raise BadRule(f"$dnsrewrite: no code {rcode[:20]}")
    return _record(rrtype, text) if text else (Action.NODATA, ())


def _record(rrtype: str, text: str) -> tuple[Action, tuple[tuple[str, str], ...]]:
    if rrtype in ("A", "AAAA"):
        address = address_of(text)
        if address is None or record_of(address)[0] != rrtype:
            raise BadRule(f"$dnsrewrite: no {rrtype} address")
        return (Action.NXDOMAIN, ()) if is_sink(address) else (Action.LOCAL_DATA, (record_of(address),))
    return Action.LOCAL_DATA, (checked_record(rrtype, text),)


_NUMBERS_BEFORE_NAME = {"CNAME": 0, "PTR": 0, "NS": 0, "DNAME": 0, "MX": 1, "HTTPS": 1, "SVCB": 1, "SRV": 3}


def checked_record(rrtype: str, text: str) -> tuple[str, str]:
    """A record of local data as (type, text), its names canonical.

    Raises:
        BadRule: a type that no rule may make, or a value of another form.
    """
    if rrtype == "TXT":
        return "TXT", text[:255].strip('"')
    if rrtype not in _NUMBERS_BEFORE_NAME:
        raise BadRule(f"no rewrite to type {rrtype[:20]}")
    count = _NUMBERS_BEFORE_NAME[rrtype]
    parts = text.split()
    extra = parts[count + 1 :]
    numbers = parts[:count]
    if len(parts) <= count or (extra and rrtype not in ("HTTPS", "SVCB")) or not all(n.isdigit() for n in numbers):
        raise BadRule(f"no value of type {rrtype}")
    try:
        target = "." if parts[count] == "." else to_text(list_name(parts[count]))
    except BadName as error:
        raise BadRule(f"{rrtype} target: {error}") from None
    return rrtype, " ".join((*numbers, target, *extra))
