"""Queries and answers as octets, built field by field so that a test can get each of them wrong.

Pure; uses neither the resolver's code nor its DNS library.
"""

import ipaddress
import struct
from collections.abc import Iterable, Sequence

A, NS, CNAME, SOA, MX, TXT, AAAA, RRSIG, SVCB, HTTPS, ANY = 1, 2, 5, 6, 15, 16, 28, 46, 64, 65, 255
QR, AA, TC, RD, RA, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010
NXDOMAIN = 3


def wire(name: str | Sequence[bytes]) -> bytes:
    """Wire form of a dotted text or of labels, case kept."""
    labels = [label.encode() for label in name.split(".") if label] if isinstance(name, str) else name
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\x00"


def opt(*, size: int = 1232, do: bool = False, version: int = 0, options: bytes = b"", rcode: int = 0) -> bytes:
    """An OPT record (RFC 6891 section 6.1.2)."""
    return b"\x00" + struct.pack("!HHBBHH", 41, size, rcode, version, 0x8000 if do else 0, len(options)) + options


def option(code: int, data: bytes) -> bytes:
    """One option of an OPT record."""
    return struct.pack("!HH", code, len(data)) + data


def question(name: str | Sequence[bytes], qtype: int = A, qclass: int = 1) -> bytes:
    """A question section."""
    return wire(name) + struct.pack("!HH", qtype, qclass)


def query(
    name: str | Sequence[bytes], qtype: int = A, *, qid: int = 0x1234, flags: int = RD, edns: bytes = b"",
    qclass: int = 1,
) -> bytes:  # fmt: skip
    """A query of one question; `edns` is the OPT record or empty."""
    return struct.pack("!HHHHHH", qid, flags, 1, 0, 0, 1 if edns else 0) + question(name, qtype, qclass) + edns


def record(owner: str | Sequence[bytes] | bytes, rtype: int, rdata: bytes, ttl: int = 300, rclass: int = 1) -> bytes:
    """One resource record; `owner` as octets is taken as it stands (a pointer, say)."""
    name = owner if isinstance(owner, bytes) else wire(owner)
    return name + struct.pack("!HHIH", rtype, rclass, ttl, len(rdata)) + rdata


def a(owner: str | bytes, address: str = "192.0.2.1", ttl: int = 300) -> bytes:
    """An address record."""
    return record(owner, A, bytes(int(part) for part in address.split(".")), ttl)


def aaaa(owner: str | bytes, address: str = "2001:db8::53", ttl: int = 300) -> bytes:
    """An IPv6 address record."""
    return record(owner, AAAA, ipaddress.IPv6Address(address).packed, ttl)


def cname(owner: str | bytes, target: str, ttl: int = 300) -> bytes:
    """An alias."""
    return record(owner, CNAME, wire(target), ttl)


def soa(owner: str, ttl: int = 900, minimum: int = 300) -> bytes:
    """A zone's SOA record, as negative answers carry it (RFC 2308)."""
    rdata = wire("ns.test") + wire("admin.test") + struct.pack("!IIIII", 1, 3600, 600, 86400, minimum)
    return record(owner, SOA, rdata, ttl)


def https(owner: str | bytes, target: str = ".", priority: int = 1, params: bytes = b"", ttl: int = 300) -> bytes:
    """An HTTPS record (RFC 9460 section 2.2)."""
    return record(owner, HTTPS, struct.pack("!H", priority) + wire(target) + params, ttl)


def response(
    asked: bytes, answers: Iterable[bytes] = (), authority: Iterable[bytes] = (), extra: Iterable[bytes] = (),
    *, rcode: int = 0, flags: int = QR | RD | RA, qid: int | None = None,
) -> bytes:  # fmt: skip
    """The reply to the query `asked`, with its ID and question."""
    answers, authority, extra = list(answers), list(authority), list(extra)
    end = question_end(asked)
    number = int.from_bytes(asked[:2], "big") if qid is None else qid
    head = struct.pack("!HHHHHH", number, flags | rcode, 1, len(answers), len(authority), len(extra))
    return b"".join((head, asked[12:end], *answers, *authority, *extra))


def question_end(packet: bytes) -> int:
    """Where the question section of a query of one question ends."""
    at = 12
    while packet[at]:
        at += 1 + packet[at]
    return at + 5


def name_of(asked: bytes) -> str:
    """The name a query asks for, as dotted text."""
    at, labels = 12, []
    while asked[at]:
        labels.append(asked[at + 1 : at + 1 + asked[at]].decode("ascii"))
        at += 1 + asked[at]
    return ".".join(labels)


def type_of(asked: bytes) -> int:
    """The type a query asks for."""
    return int.from_bytes(asked[question_end(asked) - 4 :][:2], "big")


def ttls(packet: bytes) -> list[int]:
    """The TTLs of an answer's records but OPT, in order; names in it may be compressed."""
    counts = struct.unpack("!4H", packet[4:12])
    at, found = question_end(packet) if counts[0] else 12, []
    for _ in range(sum(counts[1:])):
        while packet[at] and packet[at] < 0xC0:
            at += 1 + packet[at]
        at += 2 if packet[at] else 1
        rtype, _, ttl, length = struct.unpack("!HHIH", packet[at : at + 10])
        found += [ttl] if rtype != 41 else []
        at += 10 + length
    return found
