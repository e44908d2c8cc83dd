"""Reads an upstream's answer by raw octets: what it says about the question, where its TTLs stand. Pure.

Only the chain of the question is kept (its name, the targets of its CNAMEs); an answer that carries anything else is
`foreign` and is rebuilt without it by `message.only`. Pointers go backwards only and are counted (RFC 1035 section
4.1.4, RFC 9267); TTLs over 2^31-1 count as 0 (RFC 2181 section 8) and are capped at a day (RFC 8767 section 4).
"""

import struct
from typing import NamedTuple

from blockerd.dns import svcb
from blockerd.dns.gate import Question
from blockerd.dns.private import is_private
from blockerd.policy.name import covers

MAX_TTL = 86400
MAX_NEGATIVE_TTL = 10800
MAX_RECORDS = 256
MAX_CHAIN = 16

_A, _NS, _CNAME, _SOA, _AAAA, _DNAME, _OPT, _RRSIG, _SVCB, _HTTPS = 1, 2, 5, 6, 28, 39, 41, 46, 64, 65
_WIDTH = {_A: 4, _AAAA: 16}
_COUNTS, _FIXED = struct.Struct(">HHH"), struct.Struct(">HHIH")


class Malformed(Exception):
    """Octets that are no DNS message."""


class Unusable(Malformed):
    """A DNS message that nobody can use: a chain that goes round or has no end, more records than anybody needs."""


class Scan(NamedTuple):
    """What an answer says.

    `rcode` has all twelve bits (RFC 6891 section 6.1.3). `end` is where the authority section ends, `ttls` are (offset,
    seconds) of the records up to there, `ttl` how long it may be kept (0: not at all). `targets` are the names that its
    chain leads through. `foreign`: it carries more than that chain; `private`: an address of a home or a machine is
    among its answers or hints; `ech`: it has the keys of an encrypted hello.
    """

    rcode: int
    ad: bool
    answers: int
    authorities: int
    end: int
    ttls: tuple[tuple[int, int], ...]
    ttl: int
    targets: tuple[bytes, ...]
    foreign: bool
    private: bool = False
    ech: bool = False


class _Record(NamedTuple):
    owner: bytes
    type: int
    rclass: int
    ttl_at: int
    ttl: int
    rdata_at: int
    end: int


def matches(packet: bytes, query: bytes) -> bool:
    """True if `packet` is the answer to `query`: same ID, QR=1, same opcode, one question, equal to the octet."""
    end = len(query) - 11 if query[11] else len(query)
    return (
        len(packet) >= end
        and packet[:2] == query[:2]
        and packet[2] & 0xF8 == 0x80
        and packet[4:6] == b"\x00\x01"
        and packet[12:end] == query[12:end]
    )


def matches_but_case(packet: bytes, query: bytes) -> bool:
    """As `matches`, but for upper and lower case in the name: a server that changes it, or a guess at it."""
    end = len(query) - 11 if query[11] else len(query)
    return matches(packet[:12] + packet[12:end].lower(), query[:12] + query[12:].lower())


def scan(packet: bytes, question: Question) -> Scan:
    """Reads `packet`, an answer to `question`.

    Raises:
        Malformed: not a well-formed message.
        Unusable: over 256 records, or a chain that loops or has over 16 links.
    """
    return scan_for(packet, question.name, question.qtype)


def scan_for(packet: bytes, name: bytes, qtype: int) -> Scan:
    """As `scan`, for a question of `name` (canonical) and `qtype`."""
    try:
        return _scan(packet, name, qtype)
    except (IndexError, ValueError, struct.error):
        raise Malformed("cut short") from None


def _scan(packet: bytes, name: bytes, qtype: int) -> Scan:
    answers, authorities, rest = _COUNTS.unpack_from(packet, 6)
    if answers + authorities > MAX_RECORDS:
        raise Unusable("too many records")
    at = 16 + len(name)
    records = []
    for _ in range(answers + authorities):
        record = _record(packet, at, name)
        if record.rclass != 1:
            raise Malformed("a record of another class")
        records.append(record)
        at = record.end
    rcode = packet[3] & 0x0F | _upper_rcode(packet, at, rest, name)
    told, authority = records[:answers], records[answers:]
    chain = _chain(packet, told, name)
    foreign = False
    for record in told:
        foreign = foreign or not _belongs(record, chain)
    for record in authority:
        foreign = foreign or not _speaks_for(record, chain)
    ttl = _keep(packet, rcode, told, authority, chain, qtype)
    ttls = tuple((r.ttl_at, min(r.ttl, ttl) if ttl and r.type == _SOA else r.ttl) for r in records)
    services, private, ech = _led_to(packet, told)
    targets = (*chain[1:], *services)
    return Scan(rcode, bool(packet[3] & 0x20), answers, authorities, at, ttls, ttl, targets, foreign, private, ech)


def _upper_rcode(packet: bytes, at: int, count: int, name: bytes) -> int:
    """The upper eight bits of the rcode, which an OPT record among the `count` additional ones has."""
    if count == 1 and packet[at : at + 3] == b"\x00\x00\x29" and at + 11 + _u16(packet, at + 9) <= len(packet):
        return packet[at + 5] << 4
    for _ in range(count):
        record = _record(packet, at, name)
        if record.type == _OPT:
            return packet[record.ttl_at] << 4
        at = record.end
    return 0


def _record(packet: bytes, at: int, name: bytes) -> _Record:
    if packet[at : at + 2] == b"\xc0\x0c":
        owner, at = name, at + 2
    else:
        owner, at = read_name(packet, at)
    rtype, rclass, ttl, length = _FIXED.unpack_from(packet, at)
    end = at + 10 + length
    if end > len(packet):
        raise Malformed("cut short")
    if ttl > MAX_TTL:
        ttl = MAX_TTL if ttl <= 0x7FFFFFFF else 0
    return _Record(owner, rtype, rclass, at + 4, ttl, at + 10, end)


def read_name(packet: bytes, at: int) -> tuple[bytes, int]:
    """The canonical name at `at`, pointers followed, and where the record goes on.

    Raises:
        Malformed: a label type that does not exist, a pointer forwards, over 255 octets.
    """
    labels: list[bytes] = []
    total, after, limit = 1, 0, at
    while length := packet[at]:
        if length >= 0xC0:
            after = after or at + 2
            at = (length & 0x3F) << 8 | packet[at + 1]
            if at >= limit or at < 12:
                raise Malformed("pointer forwards or into the header")
            limit = at
            continue
        if length > 63:
            raise Malformed("label type")
        total += length + 1
        if total > 255:
            raise Malformed("name over 255 octets")
        labels.append(packet[at : at + length + 1].lower())
        at += length + 1
    return b"".join(labels) + b"\x00", after or at + 1


def _u16(packet: bytes, at: int) -> int:
    return packet[at] << 8 | packet[at + 1]


def _chain(packet: bytes, answers: list[_Record], name: bytes) -> list[bytes]:
    """The question's name and the CNAME targets it leads through, in order."""
    aliases: dict[bytes, bytes] = {}
    for record in answers:
        if record.type == _CNAME:
            target, end = read_name(packet, record.rdata_at)
            if end != record.end or aliases.setdefault(record.owner, target) != target:
                raise Unusable("target outside its record, or a name with two CNAMEs")
    chain = [name]
    while (link := aliases.get(chain[-1])) is not None:
        if link in chain or len(chain) > MAX_CHAIN:
            raise Unusable("CNAME loop or over 16 links")
        chain.append(link)
    return chain


def _belongs(record: _Record, chain: list[bytes]) -> bool:
    if record.owner in chain:
        return True
    return record.type in (_DNAME, _RRSIG) and any(name.endswith(record.owner) for name in chain)


def _speaks_for(record: _Record, chain: list[bytes]) -> bool:
    """False for the SOA or NS record of a zone that no name of the chain is in (RFC 2181 section 5.4.1)."""
    return record.type not in (_SOA, _NS) or any(covers(record.owner, name) for name in chain)


def _led_to(packet: bytes, answers: list[_Record]) -> tuple[list[bytes], bool, bool]:
    """TargetNames of SVCB and HTTPS records (RFC 9460 section 2.2; `.` stands for the owner and is left out), whether
    an address that is answered or hinted at is private, and whether there are keys for an encrypted hello."""
    found, private, ech = [], False, False
    for record in answers:
        if record.type in (_A, _AAAA):
            address = packet[record.rdata_at : record.end]
            if len(address) != _WIDTH[record.type]:
                raise Malformed("an address of another length")
            private = private or is_private(address)
        elif record.type in (_SVCB, _HTTPS):
            target, end = read_name(packet, record.rdata_at + 2)
            if end > record.end:
                raise Malformed("target outside its record")
            if target != b"\x00":
                found.append(target)
            hinted, keys = _service(packet[end : record.end])
            private, ech = private or hinted, ech or keys
    return found, private, ech


def _service(params: bytes) -> tuple[bool, bool]:
    """Whether a hint is private and whether there are ECH keys; parameters that no client can read have neither."""
    try:
        return any(map(is_private, svcb.hints(params))), any(key == svcb.ECH for key, _ in svcb.params(params))
    except ValueError:
        return False, False


def _keep(
    packet: bytes, rcode: int, answers: list[_Record], authority: list[_Record], chain: list[bytes], qtype: int
) -> int:
    """Seconds the answer may be kept; negative ones as RFC 2308 section 5 says, without SOA not at all."""
    if packet[2] & 0x02 or rcode not in (0, 3):
        return 0
    final = any(r.owner in chain and (r.type == qtype or qtype == 255) for r in answers)
    if final and rcode == 0:
        return min(record.ttl for record in answers)
    soa = next((record for record in authority if record.type == _SOA and covers(record.owner, chain[-1])), None)
    if soa is None or soa.end - soa.rdata_at < 22:
        return 0
    minimum = int.from_bytes(packet[soa.end - 4 : soa.end], "big")
    return min([soa.ttl, minimum, MAX_NEGATIVE_TTL, *(record.ttl for record in answers)])
