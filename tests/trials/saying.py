"""What response seeds are built of: a response about PLACE, records that are true and records that are lies. Pure.

Called by make_sound and make_broken.
"""

import struct
from collections.abc import Iterable, Iterator

from tests.fakes.packets import QR, RA, RD, record, wire
from tests.trials.seed import LIE, PLACE

GOOD, ODD = "good", "odd"
A, NS, CNAME, SOA, TXT, AAAA, DNAME, RRSIG, NSEC, HTTPS = 1, 2, 5, 6, 16, 28, 39, 46, 47, 65
OWN = b"\xc0\x0c"
FOREIGN = (
    "victim.test", "www.victim.test", "trial.test", "test", "", "other.trial.test", "blocked.example",
    "a.seedname.trial.test",
)  # fmt: skip
Made = Iterator[tuple[str, str, bytes]]


def said(
    answers: Iterable[bytes] = (), authority: Iterable[bytes] = (), extra: Iterable[bytes] = (),
    *, qtype: int = A, rcode: int = 0, flags: int = QR | RD | RA,
) -> bytes:  # fmt: skip
    """A response about PLACE, its ID zero."""
    sections = [list(section) for section in (answers, authority, extra)]
    head = struct.pack("!HHHHHH", 0, flags | rcode, 1, *map(len, sections))
    return head + PLACE + struct.pack("!HH", qtype, 1) + b"".join(map(b"".join, sections))


def address(owner: bytes, last: int = 1, ttl: int = 300) -> bytes:
    """An address that may be believed."""
    return record(owner, A, bytes((192, 0, 2, last)), ttl)


def lie(owner: bytes) -> bytes:
    """An address that nobody may be told but about `owner`."""
    return record(owner, A, LIE)


def soa(owner: str = "trial.test", ttl: int = 900, minimum: int = 300) -> bytes:
    """The SOA record of a negative answer."""
    rdata = wire("ns.test") + wire("admin.test") + struct.pack("!IIIII", 1, 3600, 600, 86400, minimum)
    return record(owner, SOA, rdata, ttl)


def link(number: int) -> str:
    """A name in a chain of aliases."""
    return f"c{number}.trial.test"
