"""Response seeds, first part: answers of every kind that upstreams send, one family a function. Pure.

`good` ones must reach the client record by record; the few `odd` ones among them may also end in the truth or SERVFAIL.
Called by generate.
"""

import struct
from itertools import product

from tests.fakes.packets import AA, AD, QR, RA, RD, TC, opt, option, record, wire
from tests.trials.saying import (
    AAAA,
    CNAME,
    FOREIGN,
    GOOD,
    HTTPS,
    NS,
    NSEC,
    ODD,
    OWN,
    RRSIG,
    SOA,
    TXT,
    A,
    Made,
    address,
    lie,
    link,
    said,
    soa,
)
from tests.trials.seed import PLACE, Chance
from tests.trials.zoo import RDATA, SVC


def _types(chance: Chance) -> Made:
    """RDATA of every kind passes as it stands (RFC 3597 section 4)."""
    for (title, qtype, rdata), owner in product(RDATA, (OWN, PLACE)):
        for count in (1, 3):
            ttl = 1 + chance.below(86400)
            several = [record(owner, qtype, rdata[:-1] + bytes((rdata[-1] ^ n,)), ttl) for n in range(count)]
            several = several if qtype in (A, AAAA, TXT) or count == 1 else several[:1]
            yield GOOD, f"{title}, {len(several)} records, owner of {len(owner)}", said(several, qtype=qtype)
    for qtype in range(65280, 65380):
        yield GOOD, f"unknown type {qtype}", said([record(OWN, qtype, chance.octets(chance.below(60)))], qtype=qtype)


def _addresses(chance: Chance) -> Made:
    """RRsets of many sizes, over and under what UDP takes."""
    for count in (1, 2, 3, 5, 8, 13, 26, 27, 28, 50, 68, 70, 75, 100, 150, 200, 255):
        yield GOOD, f"{count} A records", said([address(OWN, n) for n in range(count)])
        packets = [record(OWN, AAAA, b"\x20\x01\x0d\xb8" + bytes(11) + bytes((n,))) for n in range(count)]
        yield GOOD, f"{count} AAAA records", said(packets, qtype=AAAA)
    for length in (0, 1, 100, 255):
        rdata = bytes((length,)) + b"t" * length
        yield GOOD, f"TXT of {length}", said([record(OWN, TXT, rdata)], qtype=TXT)
    for strings in (1, 2, 4, 8, 15):
        rdata = (b"\xff" + b"t" * 255) * strings
        yield GOOD, f"TXT of {strings} strings of 255", said([record(OWN, TXT, rdata)], qtype=TXT)


def _chain(links: int, *, reverse: bool = False) -> list[bytes]:
    owners = [PLACE, *(wire(link(n)) for n in range(1, links + 1))]
    made = [record(owners[n], CNAME, owners[n + 1]) for n in range(links)]
    made.append(address(owners[-1]))
    return made[::-1] if reverse else made


def _chains(chance: Chance) -> Made:
    """CNAME chains: 16 links are followed, in any order; more are refused."""
    for links, reverse in product(range(1, 33), (False, True)):
        order = "backwards" if reverse else "in order"
        yield (GOOD if links <= 16 else ODD), f"{links} links, {order}", said(_chain(links, reverse=reverse))
    for links in range(1, 17):
        yield ODD, f"{links} links to nothing", said(_chain(links)[:-1], [soa()])
        yield ODD, f"{links} links to NXDOMAIN", said(_chain(links)[:-1], [soa()], rcode=3)
        yield (
            ODD,
            f"{links} links to a listed name",
            said(
                [
                    *_chain(links)[:-1],
                    record(link(links), CNAME, wire("blocked.example")),
                    lie(wire("blocked.example")),
                ]
            ),
        )
    for target in FOREIGN[:2]:
        chain = [record(OWN, CNAME, wire(target)), lie(wire(target))]
        yield ODD, f"alias to {target}", said(chain)


def _negative(chance: Chance) -> Made:
    """NXDOMAIN and NODATA with and without SOA (RFC 2308)."""
    for rcode, ttl, minimum in product((0, 3), (0, 1, 60, 86400, 2**31 - 1, 2**31, 2**32 - 1), (0, 1, 300, 2**32 - 1)):
        yield (
            GOOD,
            f"rcode {rcode}, SOA TTL {ttl}, minimum {minimum}",
            said([], [soa("trial.test", ttl, minimum)], rcode=rcode),
        )
    for rcode, owner in product((0, 3), ("", "test", "seedname.trial.test", "victim.test")):
        yield GOOD, f"rcode {rcode}, SOA of {owner or '.'}", said([], [soa(owner)], rcode=rcode)
    for rcode in (0, 3):
        yield GOOD, f"rcode {rcode}, nothing else", said(rcode=rcode)
        yield ODD, f"rcode {rcode}, NS alone", said([], [record("trial.test", NS, wire("ns.victim.test"))], rcode=rcode)
        yield (
            ODD,
            f"rcode {rcode}, NS with glue",
            said([], [record("test", NS, wire("ns.victim.test"))], [lie(wire("ns.victim.test"))], rcode=rcode),
        )
        for cut in range(1, 20):
            short = record("trial.test", SOA, soa()[-40 - cut : -cut])
            yield ODD, f"rcode {rcode}, SOA rdata displaced by {cut}", said([], [short], rcode=rcode)


def _edns(chance: Chance) -> Made:
    """OPT in a reply, with options of many kinds."""
    for size, do in product((0, 512, 1232, 4096, 65535), (False, True)):
        yield GOOD, f"size {size}, DO {do:d}", said([address(OWN)], [], [opt(size=size, do=do)])
    for code, length in product((3, 8, 10, 11, 12, 15, 18, 65001), (0, 2, 8, 40, 200)):
        form = opt(options=option(code, chance.octets(length)))
        yield GOOD, f"option {code} of {length}", said([address(OWN)], [], [form])
        lie = opt(options=option(code, chance.octets(length))[:-1] + b"\xff\xff")
        yield ODD, f"option {code} of {length}, badly cut", said([address(OWN)], [], [lie])
    for rcode in (1, 16, 23, 255):
        yield ODD, f"extended rcode {rcode}", said([address(OWN)], [], [opt(rcode=rcode)])


def _flags(chance: Chance) -> Made:
    """AA, AD, RA and Z as an upstream likes; opcode and QR only as asked."""
    for flags in (QR, QR | RD, QR | RA, QR | RD | RA | AA, QR | RD | RA | AD, QR | RD | RA | 0x40, QR | RD | RA | 0x10):
        yield GOOD, f"flags {flags:04x}", said([address(OWN)], flags=flags)
    for opcode in range(1, 16):
        yield ODD, f"opcode {opcode}", said([address(OWN, 66)], flags=QR | RD | RA | opcode << 11)
    for flags in (0, RD, RD | RA, TC | RD):
        yield ODD, f"no QR, flags {flags:04x}", said([address(OWN, 66)], flags=flags)
    for count in (0, 1, 30):
        yield ODD, f"TC with {count} records", said([address(OWN, n) for n in range(count)], flags=QR | RD | RA | TC)


def _signed(chance: Chance) -> Made:
    """Signatures and proofs pass through; nobody here looks into them."""
    for covered, length in product((A, AAAA, CNAME, 65), (64, 128, 256, 512)):
        rdata = (
            struct.pack("!HBBIIIH", covered, 13, 3, 300, 2**31, 1, 4711) + wire("trial.test") + chance.octets(length)
        )
        yield GOOD, f"RRSIG of {length} over type {covered}", said([address(OWN), record(OWN, RRSIG, rdata)])
    for count in range(1, 9):
        proofs = [record(f"{n}.trial.test", NSEC, wire(f"{n}z.trial.test") + b"\x00\x01\x40") for n in range(count)]
        yield GOOD, f"{count} NSEC records", said([], [soa(), *proofs], rcode=3)
    for count in range(1, 9):
        hashed = b"\x01\x00\x00\x0a\x04salt\x14" + chance.octets(20) + b"\x00\x01\x40"
        proofs = [record(f"{n:032}.trial.test", 50, hashed) for n in range(count)]
        yield GOOD, f"{count} NSEC3 records", said([], [soa(), *proofs])


def _services(chance: Chance) -> Made:
    """SVCB and HTTPS with sound and broken parameters (RFC 9460 section 2.2)."""
    for (title, params), qtype in product(SVC, (64, 65)):
        yield GOOD, f"{title}, type {qtype}", said([record(OWN, qtype, b"\x00\x01\x00" + params)], qtype=qtype)
    for target in ("blocked.example", "www.blocked.example", "victim.test", "seedname.trial.test"):
        for priority in (0, 1, 65535):
            rdata = priority.to_bytes(2, "big") + wire(target)
            yield ODD, f"priority {priority}, {target}", said([record(OWN, HTTPS, rdata)], qtype=HTTPS)
    for cut in range(14):
        rdata = (b"\x00\x01" + wire("a.test") + b"\x00\x03\x00\x02")[:cut]
        yield ODD, f"first {cut} octets", said([record(OWN, HTTPS, rdata)], qtype=HTTPS)
    yield ODD, "target is a pointer", said([record(OWN, HTTPS, b"\x00\x01\xc0\x0c")], qtype=HTTPS)


SOUND = (_types, _addresses, _chains, _negative, _edns, _flags, _signed, _services)
