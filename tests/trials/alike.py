"""The script that several resolvers are compared on: what the upstream says by a name's first label, what is asked.

Everything follows from the question, so each resolver hears the same whatever it asks and when. Called by test_alike.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from tests.fakes.packets import (
    AAAA,
    AD,
    CD,
    CNAME,
    QR,
    RA,
    RD,
    RRSIG,
    TC,
    A,
    a,
    cname,
    name_of,
    opt,
    option,
    query,
    record,
    response,
    soa,
    type_of,
    wire,
)
from tests.trials.reading import TC as _TC
from tests.trials.seed import Chance
from tests.trials.stub import Call
from tests.trials.zoo import RDATA

ZONE, OLD, NEW = "alike.example", "old.example", "there.example"
OWN = b"\xc0\x0c"
LARGE = 120
KINDS = (
    "plain", "three", "large", "chain1", "chain8", "chain16", "nx", "nodata", "nxbare", "servfail", "refused", "cut",
    "signed", "zoo", "ttl0", "extra", "case", "dname", "aliasnx", "any",
)  # fmt: skip
TYPES = (A, A, A, AAAA, AAAA, 2, 6, 12, 15, 16, 33, 64, 65, 65, 257, 65280)
ZOO = {qtype: rdata for _, qtype, rdata in RDATA}


@dataclass(frozen=True, slots=True)
class Asked:
    """One question of the comparison: what kind of answer it gets, and how it was put."""

    kind: str
    qtype: int
    shape: str
    packet: bytes


SPECIAL = (
    "localhost", "a.localhost", "invalid", "a.invalid", "onion", "a.onion", "test", "a.test", "10.in-addr.arpa",
    "1.0.0.10.in-addr.arpa", "1.0.0.127.in-addr.arpa", "168.192.in-addr.arpa", "d.f.ip6.arpa", "home.arpa",
    "a.home.arpa", "resolver.arpa", "_dns.resolver.arpa", "use-application-dns.net", "a.local", "a.internal",
    "a.example", "blocked.example", "www.blocked.example",
)  # fmt: skip
"""Names that some resolvers answer themselves; each is asked for an address and, as `special`, compared too."""


def questions(count: int) -> Iterator[Asked]:
    """`count` different questions, the same each time; those about special names come last."""
    yield from _ordinary(count - 3 * len(SPECIAL))
    for name, qtype in product(SPECIAL, (A, AAAA, 12)):
        yield Asked("special", qtype, name, query(name, qtype, edns=opt()))


def _ordinary(count: int) -> Iterator[Asked]:
    chance = Chance(4)
    shapes = (
        ("plain", b"", RD), ("EDNS", opt(), RD), ("DO", opt(do=True), RD), ("CD", opt(), RD | CD), ("AD", b"", RD | AD),
        ("DO CD", opt(do=True), RD | CD), ("small", opt(size=512), RD), ("big", opt(size=4096), RD),
        ("no RD", opt(), 0), ("cookie", opt(options=option(10, b"cookiecc")), RD),
        ("padding", opt(options=option(12, bytes(20))), RD),
    )  # fmt: skip
    for number in range(count):
        kind, (shape, form, flags) = KINDS[number % len(KINDS)], chance.one(shapes)
        qtype = chance.one(_TYPES_OF.get(kind, TYPES))
        name = f"{kind}-{number}.{OLD if kind == 'dname' else ZONE}"
        if kind == "case":
            name = "".join(letter.upper() if chance.below(2) else letter for letter in name)
        yield Asked(kind, qtype, shape, query(name, qtype, edns=form, flags=flags))


_TYPES_OF: dict[str, tuple[int, ...]] = {
    "zoo": tuple(ZOO),
    "any": (255,),
    **dict.fromkeys(
        ("three", "large", "cut", "chain1", "chain8", "chain16", "signed", "dname", "aliasnx", "extra", "ttl0"), (A,)
    ),
}


def script(call: Call) -> None:
    """The upstream."""
    packet, name = call.packet, name_of(call.packet).lower()
    kind = name.partition("-")[0]
    do = bool(packet[11] and packet[-4] & 0x80)
    tail = [opt(do=do)] if packet[11] else []
    flags = QR | RD | RA | packet[3] & CD
    said = _answers(kind, name, type_of(packet), do=do)
    if said is None:
        negative = [] if kind == "nxbare" else [soa(ZONE)]
        rcode = {"nx": 3, "nxbare": 3, "servfail": 2, "refused": 5, "gone": 3}.get(kind, 0)
        call.send(response(packet, [], negative if rcode in (0, 3) else [], tail, rcode=rcode, flags=flags))
        return
    answers, rcode = said
    if kind == "signed":
        flags |= AD
    extra = [a("other.example", "203.0.113.9")] if kind == "extra" else []
    whole = response(packet, answers, [soa(ZONE)] if rcode else [], [*extra, *tail], rcode=rcode, flags=flags)
    if (kind in ("large", "cut") or len(whole) > 1232) and not call.stream:
        whole = response(packet, [], [], tail, flags=flags | TC)
    call.send(whole)


def _answers(kind: str, name: str, qtype: int, *, do: bool) -> tuple[list[bytes], int] | None:
    """The answer section and the rcode; None where there are no such records."""
    if kind in ("nx", "nodata", "nxbare", "servfail", "refused", "gone"):
        return None
    if "chain" in name:
        return _chain(name), 0
    if kind == "aliasnx":
        return [cname(OWN, f"gone-{name}")], 3
    if kind == "dname" and name.endswith(OLD):
        target = name.replace(OLD, NEW)
        return [record(OLD, 39, wire(NEW)), cname(OWN, target), a(target)], 0
    if kind == "any":
        found = [a(OWN), record(OWN, AAAA, ZOO[AAAA]), record(OWN, 15, ZOO[15])]
        return [one for one in found if qtype in (255, int.from_bytes(one[2:4], "big"))], 0
    if kind == "zoo":
        return ([record(OWN, qtype, ZOO[qtype])], 0) if qtype in ZOO else None
    if qtype not in (A, AAAA):
        return ([record(OWN, qtype, ZOO[qtype])], 0) if qtype in (15, 16, 33, 65, 257) else None
    return _addresses(kind, qtype, do=do), 0


def _addresses(kind: str, qtype: int, *, do: bool) -> list[bytes]:
    count = {"three": 3, "large": LARGE, "cut": 3}.get(kind, 1)
    ttl = 0 if kind == "ttl0" else 300
    if qtype == AAAA:
        return [record(OWN, AAAA, b"\x20\x01\x0d\xb8" + bytes(11) + bytes((n + 1,)), ttl) for n in range(count)]
    found = [a(OWN, f"192.0.2.{n + 1}", ttl) for n in range(count)]
    if do and kind == "signed":
        fields = struct.pack("!HBBIIIH", A, 13, 3, 300, 2**31, 1, 4711)
        found.append(record(OWN, RRSIG, fields + wire(ZONE) + bytes(64)))
    return found


def _chain(name: str) -> list[bytes]:
    """The rest of a chain of aliases, from the link that was asked for; names share the end of the question's."""
    first = name.partition(".")[0]
    zone = (0xC000 | 12 + 1 + len(first)).to_bytes(2, "big")
    here, _, base = first.rpartition("-of-")
    last = int(base.removeprefix("chain").partition("-")[0])
    owner, found = OWN, []
    for number in range(int(here[1:] or 0) + 1, last + 1):
        label = f"c{number}-of-{base}".encode()
        target = bytes((len(label),)) + label + zone
        found.append(record(owner, CNAME, target))
        owner = target
    return [*found, a(owner)]


def cut(reply: bytes) -> bool:
    """True for an answer that is to be fetched over TCP."""
    return bool(reply[2] & _TC)
