"""The query gate: what may be asked, decided on raw octets, the same for UDP and TCP. Pure.

dnslib accepts names of 256 octets, label type 0x40 and two OPT records, so it never sees a query before this has
passed it (RFC 1035 sections 4.1 and 2.3.4, RFC 6891 section 6, RFC 9619).
"""

from typing import NamedTuple

FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 1, 2, 3, 4, 5
BADVERS = 16

_META = frozenset((41, 249, 250, 251, 252))
"""Types that are no question for a forwarder: OPT, TKEY, TSIG, IXFR, AXFR."""

_NXNAME = 128
"""Says in an NSEC record that a name does not exist; asked for, it is a format error (RFC 9824 section 3.5)."""


class Dropped(Exception):
    """Not answered at all: too short to be a query, or itself a response."""


class Refused(Exception):
    """Answered with `rcode` alone."""

    def __init__(self, rcode: int, edns: bool = False) -> None:
        super().__init__(rcode)
        self.rcode = rcode
        self.edns = edns


class Question(NamedTuple):
    """A query that passed. `raw` is the question section as sent (case kept), `name` its canonical wire name.

    `size` is the largest UDP answer the client takes, in octets.
    """

    id: int
    rd: bool
    ad: bool
    cd: bool
    raw: bytes
    name: bytes
    qtype: int
    edns: bool
    do: bool
    size: int


def read(packet: bytes) -> Question:
    """The question in `packet`.

    Raises:
        Dropped: under 12 octets or QR=1.
        Refused: with the rcode to answer.
    """
    if len(packet) < 12 or packet[2] & 0x80:
        raise Dropped
    if packet[2] & 0x78:
        raise Refused(NOTIMP)
    counts = packet[4:12]
    if packet[2] & 0x02 or counts[:6] != b"\x00\x01\x00\x00\x00\x00" or counts[6:] not in (b"\x00\x00", b"\x00\x01"):
        raise Refused(FORMERR)
    end = _name_end(packet)
    raw = packet[12 : end + 4]
    if len(raw) != end - 8:
        raise Refused(FORMERR)
    qtype, qclass = int.from_bytes(raw[-4:-2], "big"), int.from_bytes(raw[-2:], "big")
    edns, size, do = _opt(packet, end + 4) if counts[7] else (False, 512, False)
    if not counts[7] and len(packet) != end + 4:
        raise Refused(FORMERR)
    if qtype == _NXNAME:
        raise Refused(FORMERR, edns)
    if qclass != 1 or qtype in _META or qtype == 0:
        raise Refused(REFUSED if qclass != 255 or qtype in _META else NOTIMP, edns)
    return Question(
        int.from_bytes(packet[:2], "big"), bool(packet[2] & 1), bool(packet[3] & 0x20), bool(packet[3] & 0x10),
        raw, raw[:-4].lower(), qtype, edns, do, size,
    )  # fmt: skip


def _name_end(packet: bytes) -> int:
    """Where the question's name ends; a query has no use for compression, so pointers are refused."""
    at = 12
    while True:
        if at >= len(packet):
            raise Refused(FORMERR)
        length = packet[at]
        if length > 63:
            raise Refused(FORMERR)
        at += length + 1
        if at - 12 > 255:
            raise Refused(FORMERR)
        if not length:
            return at


def _opt(packet: bytes, at: int) -> tuple[bool, int, bool]:
    """Reads the one additional record, which must be OPT, to the last octet (RFC 6891 sections 6.1.1 to 6.1.3)."""
    head = packet[at : at + 11]
    if len(head) != 11 or head[0] != 0 or head[1:3] != b"\x00\x29":
        raise Refused(FORMERR)
    if at + 11 + int.from_bytes(head[9:11], "big") != len(packet):
        raise Refused(FORMERR)
    if head[6]:
        raise Refused(BADVERS, edns=True)
    _options(packet[at + 11 :])
    return True, max(512, int.from_bytes(head[3:5], "big")), bool(head[7] & 0x80)


def _options(data: bytes) -> None:
    """Checks the shape of the options: lengths that add up, cookies and client subnets as their RFCs want them."""
    at = 0
    while at < len(data):
        if at + 4 > len(data):
            raise Refused(FORMERR, edns=True)
        code, length = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
        at += 4 + length
        if at > len(data) or (code in _SHAPES and not _SHAPES[code](data[at - length : at])):
            raise Refused(FORMERR, edns=True)


def _is_cookie(data: bytes) -> bool:
    """RFC 7873 section 5.2.2."""
    return len(data) == 8 or 16 <= len(data) <= 40


def _is_subnet(data: bytes) -> bool:
    """RFC 7871 section 6: as many octets as the prefix needs, no bits beyond it, no scope in a query."""
    if len(data) < 4 or data[3]:
        return False
    family, prefix, address = int.from_bytes(data[:2], "big"), data[2], data[4:]
    if prefix > {0: 0, 1: 32, 2: 128}.get(family, 255) or len(address) != (prefix + 7) // 8:
        return False
    return not (prefix % 8 and address[-1] & (0xFF >> prefix % 8))


_SHAPES = {8: _is_subnet, 10: _is_cookie}
