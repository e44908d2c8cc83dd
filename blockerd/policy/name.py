"""Domain names: text to canonical wire form and back, masking, registrable domain. Pure.

Canonical wire form (RFC 4034 section 6.2 over RFC 1035 section 3.1) is the only form in which names are compared:
the one label `www.example` under `com` is not `www.example.com`. Text enters here once, from lists and the command
line, and is read as UTS 46 (IDNA 2008 with compatibility mapping); underscores and hyphens may stand anywhere.
"""

import pkgutil
from dataclasses import dataclass
from functools import lru_cache

ROOT = b"\x00"
MAX_NAME = 255
"""Octets of the longest name in wire form, root label included (RFC 1035 section 2.3.4)."""
MAX_LABEL = 63
"""Octets of the longest label (RFC 1035 section 2.3.4)."""

_ALLOWED = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_")
_LENGTH = [bytes((n,)) for n in range(MAX_LABEL + 1)]
_MAX_TEXT = 1024  # characters; more cannot become a name, and mapping a megabyte would take its time


class BadName(ValueError):
    """A text that is no domain name; the message says why in a few words."""


def from_text(text: str) -> bytes:
    """Canonical wire form of `text`; one trailing dot is allowed, IDN and punycode give the same bytes.

    Raises:
        BadName: empty, a label that is empty or over 63 octets, over 255 octets, or characters no name has.
    """
    body = text.strip()
    if len(body) > _MAX_TEXT:
        raise BadName("over 255 octets")
    body = body.lower() if body.isascii() else _to_ascii(body)
    body = body.removesuffix(".")
    if not body:
        raise BadName("no name")
    return from_ascii(body.encode("ascii"))


def from_ascii(body: bytes) -> bytes:
    """Canonical wire form of lower-case ASCII `body` without trailing dot.

    Raises:
        BadName: as `from_text`.
    """
    labels = body.split(b".")
    for label in labels:
        if not label:
            raise BadName("empty label")
        if len(label) > MAX_LABEL:
            raise BadName("label over 63 octets")
        if not _ALLOWED.issuperset(label):
            raise BadName("character that no name has")
    wire = b"".join(_LENGTH[len(label)] + label for label in labels) + ROOT
    if len(wire) > MAX_NAME:
        raise BadName("over 255 octets")
    return wire


def _to_ascii(body: str) -> str:
    """UTS 46 A-labels of `body` (non-transitional); ASCII labels, `xn--` ones included, stay as they are."""
    import idna  # its tables cost a megabyte; a process that reads no IDN text does without

    try:
        mapped = idna.uts46_remap(body, std3_rules=False, transitional=False)
    except UnicodeError:
        raise BadName("character that no name has") from None
    return ".".join(label if label.isascii() else _a_label(label) for label in mapped.split("."))


def _a_label(label: str) -> str:
    """The A-label of mapped `label`; plain punycode where IDNA 2008 refuses what UTS 46 allows (emoji)."""
    import idna

    if len(label) > MAX_LABEL:
        raise BadName("label over 63 octets")
    try:
        return idna.alabel(label).decode("ascii")
    except UnicodeError:
        return "xn--" + label.encode("punycode").decode("ascii")


def to_text(wire: bytes) -> str:
    """`wire` as text without trailing dot; octets that need it are escaped as RFC 1035 section 5.1 says."""
    if wire == ROOT:
        return "."
    return ".".join("".join(_escape(octet) for octet in label) for label in labels_of(wire))


def _escape(octet: int) -> str:
    if octet in b'.\\"();@$':
        return "\\" + chr(octet)
    return chr(octet) if 0x21 <= octet <= 0x7E else f"\\{octet:03d}"


def labels_of(wire: bytes) -> list[bytes]:
    """The labels of `wire`, root left out."""
    labels, at = [], 0
    while length := wire[at]:
        labels.append(wire[at + 1 : at + 1 + length])
        at += 1 + length
    return labels


def suffixes(wire: bytes) -> list[bytes]:
    """`wire` and every ancestor of it but the root, longest first."""
    found, at = [], 0
    while length := wire[at]:
        found.append(wire[at:])
        at += 1 + length
    return found


def covers(ancestor: bytes, wire: bytes) -> bool:
    """True if `wire` is `ancestor` or below it, by whole labels."""
    return ancestor == ROOT or ancestor in suffixes(wire)


@dataclass(frozen=True, slots=True)
class SuffixRules:
    """One section of the public suffix list in wire form: rules, parents of `*.` rules, `!` exceptions."""

    rules: frozenset[bytes]
    wild: frozenset[bytes]
    exceptions: frozenset[bytes]


@lru_cache(1)
def suffix_rules() -> tuple[SuffixRules, SuffixRules]:
    """The ICANN and the private section of the bundled public suffix list (publicsuffix.org/list)."""
    data = (pkgutil.get_data("publicsuffixlist", "public_suffix_list.dat") or b"").decode("utf-8")
    icann, found, private = data.partition("===END ICANN DOMAINS===")
    if not found:
        raise RuntimeError("publicsuffixlist: public_suffix_list.dat lacks its ICANN section; reinstall the package")
    return _section(icann), _section(private)


def _section(text: str) -> SuffixRules:
    lines = [line.split()[0] for line in text.splitlines() if line.strip() and not line.startswith("//")]
    plain = frozenset(_suffix_wire(line) for line in lines if line[0] not in "*!=/")
    wild = frozenset(_suffix_wire(line[2:]) for line in lines if line.startswith("*."))
    return SuffixRules(plain, wild, frozenset(_suffix_wire(line[1:]) for line in lines if line.startswith("!")))


def _suffix_wire(text: str) -> bytes:
    """Wire form of a rule of the list; its IDN rules are mapped already, so punycode alone is enough and light."""
    if text.isascii():
        return from_ascii(text.lower().encode("ascii"))
    labels = (
        label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii") for label in text.split(".")
    )
    return from_ascii(".".join(labels).encode("ascii"))


def public_suffix(wire: bytes, *, private: bool = True) -> bytes:
    """The public suffix of `wire` (publicsuffix.org algorithm, bundled list); unknown top level: the last label.

    `private` False looks at the ICANN section alone. The root is its own suffix.
    """
    chain = suffixes(wire)
    sections = suffix_rules() if private else suffix_rules()[:1]
    for at, name in enumerate(chain):
        parent = chain[at + 1] if at + 1 < len(chain) else ROOT
        if any(name in section.exceptions for section in sections):
            return parent
        if any(name in section.rules or parent in section.wild for section in sections):
            return name
    return chain[-1] if chain else ROOT


def site_of(wire: bytes) -> bytes:
    """The registrable domain of `wire`: one label more than its public suffix; a public suffix is its own site."""
    chain = suffixes(wire)
    if not chain:
        return wire
    at = chain.index(public_suffix(wire))
    return chain[max(0, at - 1)]


def masked(text: str) -> str:
    """`text` as screens show listed names: first and last letter of the label before the suffix, e.g. `p…b.com`.

    A label of one or two letters is hidden whole; a text that is no name gives `…`.
    """
    try:
        site = site_of(from_text(text))
    except BadName:
        return "…"
    suffix = public_suffix(site)
    if suffix == site and len(suffixes(site)) > 1:
        suffix = suffixes(site)[1]
    if suffix == site:
        return _short(to_text(site))
    return f"{_short(labels_of(site)[0].decode('ascii'))}.{to_text(suffix)}"


def _short(label: str) -> str:
    return f"{label[0]}…{label[-1]}" if len(label) > 2 else "…"
