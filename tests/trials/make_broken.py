"""Response seeds, second part: broken, looping, huge and lying ones, one family a function. Pure.

They may be read, dropped or refused, but never crash anything and never speak for another name: records about other
owners carry the address LIE. Called by generate.
"""

import struct
from itertools import product

from tests.fakes.packets import opt, record, wire
from tests.trials.saying import (
    AAAA,
    CNAME,
    DNAME,
    FOREIGN,
    GOOD,
    NS,
    ODD,
    OWN,
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
from tests.trials.seed import LIE, PLACE, Chance
from tests.trials.zoo import RDATA


def _cut(chance: Chance) -> Made:
    """Replies that end in their middle, at each octet behind the question."""
    whole = said([record(PLACE, CNAME, wire("b.trial.test")), address(wire("b.trial.test"))], [soa()], [opt()])
    for length in range(12 + len(PLACE) + 4, len(whole)):
        yield ODD, f"first {length} octets of {len(whole)}", whole[:length]
    for length in range(2, 12 + len(PLACE) + 4, 3):
        yield ODD, f"first {length} octets", whole[:length]


def _counts(chance: Chance) -> Made:
    """Sections that are said to hold more or less than they do."""
    whole = said([address(OWN), address(OWN, 2)], [soa()], [opt()])
    for at, count in product((6, 8, 10), (0, 1, 2, 3, 4, 5, 64, 255, 256, 257, 4096, 65535)):
        packet = whole[:at] + count.to_bytes(2, "big") + whole[at + 2 :]
        yield ODD, f"count at {at} says {count}", packet
    for count in (0, 2, 65535):
        yield ODD, f"QDCOUNT {count}", whole[:4] + count.to_bytes(2, "big") + whole[6:]


def _pointers(chance: Chance) -> Made:
    """Compression pointers: back is fine, forwards, to itself, out of the packet and round and round are not."""
    at = 12 + len(PLACE) + 4
    for target in (0, 1, 2, 4, 11, 13, 20, 21, 26, at, at + 1, at + 2, at + 12, 200, 511, 1000, 16383):
        pointer = (0xC000 | target).to_bytes(2, "big")
        yield ODD, f"owner at {target}", said([lie(pointer)])
        yield ODD, f"label and owner at {target}", said([lie(b"\x01x" + pointer)])
        yield ODD, f"alias to {target}", said([record(OWN, CNAME, pointer)])
        yield ODD, f"alias to a label and {target}", said([record(OWN, CNAME, b"\x01x" + pointer)])
        yield ODD, f"SOA with {target}", said([], [record(OWN, SOA, pointer * 2 + bytes(20))], rcode=3)
    for hops in (2, 3, 10, 50, 100, 120):
        body, here = b"", at + 12
        for number in range(hops):
            back = OWN if not number else (0xC000 | here + 2 * (number - 1)).to_bytes(2, "big")
            body += back
        yield (
            ODD,
            f"{hops} pointers in a row",
            said([record(OWN, 65400, body), lie((0xC000 | here + 2 * (hops - 1)).to_bytes(2, "big"))]),
        )
    ring = said([record(OWN, 65400, (0xC000 | at + 14).to_bytes(2, "big") + (0xC000 | at + 12).to_bytes(2, "big"))])
    yield ODD, "two pointers in a ring", ring + lie((0xC000 | at + 12).to_bytes(2, "big"))


def _names(chance: Chance) -> Made:
    """Names over 255 octets, by labels or by compression, and label types that do not exist."""
    for octet in range(0x40, 0xC0, 3):
        yield ODD, f"owner with label type {octet:02x}", said([lie(bytes((octet,)) + b"a" * 63 + b"\x00")])
        alias = record(OWN, CNAME, bytes((octet,)) + b"a" * (octet & 0x3F) + b"\x00")
        yield ODD, f"alias with label type {octet:02x}", said([alias])
    for labels in (3, 4, 5, 8, 30):
        long = (b"\x3f" + b"a" * 63) * labels + b"\x00"
        yield ODD, f"owner of {labels} labels of 63", said([lie(long)])
        yield ODD, f"alias of {labels} labels of 63", said([record(OWN, CNAME, long), lie(long)])
    for labels in range(118, 140):
        yield ODD, f"alias of {labels} labels of 1", said([record(OWN, CNAME, b"\x01a" * labels + OWN)])


def _lengths(chance: Chance) -> Made:
    """RDLENGTH that does not fit the type or the packet."""
    for length in (0, 1, 3, 5, 15, 16, 17, 255, 256, 65535):
        yield ODD, f"A of {length}", said([record(OWN, A, chance.octets(min(length, 300)))])
        claim = OWN + struct.pack("!HHIH", A, 1, 300, length) + bytes((192, 0, 2, 1))
        yield ODD, f"A that says {length}", said([claim])
        yield ODD, f"AAAA of {length}", said([record(OWN, AAAA, chance.octets(min(length, 300)))], qtype=AAAA)
        yield (
            ODD,
            f"CNAME with {length} octets more",
            said([record(OWN, CNAME, wire("b.trial.test") + bytes(min(length, 300)))]),
        )
        yield ODD, f"SOA of {length}", said([], [record(OWN, SOA, bytes(min(length, 300)))], rcode=3)
        yield (
            ODD,
            f"TXT whose string says {length % 256}",
            said([record(OWN, TXT, bytes((length % 256,)) + b"abc")], qtype=TXT),
        )
    for (title, qtype, rdata), cut in product(RDATA, (0, 1, -1)):
        changed = rdata[:cut] if cut else b""
        yield ODD, f"{title} cut at {cut}", said([record(OWN, qtype, changed)], qtype=qtype)
        yield ODD, f"{title} and an octet, cut at {cut}", said([record(OWN, qtype, rdata + b"\x00")], qtype=qtype)


def _foreign(chance: Chance) -> Made:
    """Records that nobody asked for, in each section, beside a sound answer and instead of one."""
    for name, section, beside in product(FOREIGN, range(3), (False, True)):
        for rtype, rdata in (
            (A, LIE),
            (CNAME, wire("evil.test")),
            (NS, wire("ns.evil.test")),
            (DNAME, wire("evil.test")),
            (TXT, b"\x03lie"),
        ):
            sections: list[list[bytes]] = [[address(OWN)] if beside else [], [], []]
            sections[section].append(record(name, rtype, rdata))
            where = ("answer", "authority", "additional")[section]
            yield ODD, f"type {rtype} of {name or '.'} in {where}, answer {beside:d}", said(*sections)
    for count in (2, 10, 100):
        many = [lie(wire(f"v{n}.victim.test")) for n in range(count)]
        yield ODD, f"{count} other names in the answer", said([address(OWN), *many])
        yield (
            ODD,
            f"{count} other names as glue",
            said([address(OWN)], [record("test", NS, wire("v1.victim.test"))], many),
        )


def _loops(chance: Chance) -> Made:
    """Aliases in a ring, two aliases of one name, DNAMEs that double."""
    for size in range(1, 18):
        owners = [PLACE, *(wire(link(n)) for n in range(1, size))]
        ring = [record(owners[n], CNAME, owners[(n + 1) % size]) for n in range(size)]
        yield ODD, f"ring of {size}", said(ring)
        yield ODD, f"ring of {size} with an address", said([*ring, address(owners[-1])])
    for first, second in (
        ("b.trial.test", "c.trial.test"),
        ("b.trial.test", "b.trial.test"),
        ("blocked.example", "b.trial.test"),
    ):
        yield (
            ODD,
            f"two aliases, {first} and {second}",
            said([record(OWN, CNAME, wire(first)), record(OWN, CNAME, wire(second)), address(wire(second))]),
        )
    for owner, target in product(
        ("trial.test", "test", "", "seedname.trial.test"), ("victim.test", "a.trial.test", "", "blocked.example")
    ):
        made = (
            wire("seedname.trial.test")[: -len(wire(owner))] + wire(target)
            if len(wire(owner)) <= len(PLACE)
            else b"\x00"
        )
        chain = [record(owner, DNAME, wire(target)), record(OWN, CNAME, made), lie(made)]
        yield ODD, f"DNAME of {owner or '.'} to {target or '.'}", said(chain)


def _rcodes(chance: Chance) -> Made:
    """Every rcode, with and without records."""
    for rcode, full in product(range(16), (False, True)):
        yield (
            ODD,
            f"rcode {rcode}, {'records' if full else 'no records'}",
            said([address(OWN)] * full, [soa()], rcode=rcode),
        )


def _ttls(chance: Chance) -> Made:
    """TTLs at their ends; the top bit makes it zero (RFC 2181 section 8)."""
    for ttl in (0, 1, 2, 59, 60, 3600, 86399, 86400, 86401, 604800, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1):
        yield GOOD, f"TTL {ttl}", said([address(OWN, 1, ttl)])
        yield GOOD, f"TTL {ttl} and 300", said([address(OWN, 1, ttl), address(OWN, 2)])


def _classes(chance: Chance) -> Made:
    """Records of another class than the question's."""
    for rclass in (0, 2, 3, 4, 254, 255, 32769, 65535):
        yield ODD, f"answer of class {rclass}", said([record(OWN, A, bytes((192, 0, 2, 1)), rclass=rclass)])
        yield ODD, f"alias of class {rclass}", said([record(OWN, CNAME, wire("b.trial.test"), rclass=rclass)])


def _opts(chance: Chance) -> Made:
    """OPT twice, in the wrong section, of another version, with an owner; TSIG and TKEY that nobody can check."""
    for count in (2, 3, 10):
        yield ODD, f"{count} OPT records", said([address(OWN)], [], [opt()] * count)
    yield ODD, "OPT in the answer", said([opt(), address(OWN)])
    yield ODD, "OPT in the authority section", said([address(OWN)], [opt()])
    yield ODD, "OPT as the only answer", said([opt()])
    for version in (1, 2, 255):
        yield ODD, f"version {version}", said([address(OWN)], [], [opt(version=version)])
    yield ODD, "OPT with an owner", said([address(OWN)], [], [b"\x01a" + opt()])
    for rtype in (249, 250, 251, 252):
        yield (
            ODD,
            f"type {rtype} behind the answer",
            said([address(OWN)], [], [record("", rtype, chance.octets(40), rclass=255)]),
        )
        yield ODD, f"type {rtype} in the answer", said([record(OWN, rtype, chance.octets(40))])


def _large(chance: Chance) -> Made:
    """Far more than anybody needs: thousands of records, 65,535 octets, names that unfold."""
    for count in (256, 257, 300, 1000, 4000):
        yield (GOOD if count <= 256 else ODD), f"{count} A records", said([address(OWN, n % 256) for n in range(count)])
    for count in (500, 2000, 5000):
        yield (
            ODD,
            f"{count} SOA records",
            said([], [record(OWN, SOA, b"\x00\x00" + bytes(20))] * min(count, 1900), rcode=3),
        )
    for size in (4096, 16384, 65400):
        yield ODD, f"one record of {size}", said([record(OWN, 65300, b"x" * size)], qtype=65300)
    at = 12 + len(PLACE) + 4 + 12
    long = (b"\x3f" + b"a" * 63) * 3 + b"\x30" + b"b" * 48 + b"\x00"
    for count in (100, 1000, 4000):
        back = (0xC000 | at).to_bytes(2, "big")
        many = [record(back, 65401, b"") for _ in range(count)]
        yield ODD, f"{count} owners that unfold to 242 octets each", said([record(OWN, 65400, long), *many])
    for count in (250, 5000):
        alias = [record(OWN, CNAME, b"\x01" + bytes((97 + n % 26,)) + OWN) for n in range(min(count, 4300))]
        yield ODD, f"{len(alias)} aliases of one name", said(alias)
    yield ODD, "3,000 empty records", said([b"\x00" + bytes(10)] * 3000)
    ladder = b"".join((0xC000 | 12).to_bytes(2, "big") for _ in range(8000))
    yield ODD, "16 kB of pointers", said([record(OWN, 65400, ladder), lie((0xC000 | at + 15998).to_bytes(2, "big"))])


def _trailing(chance: Chance) -> Made:
    """Octets behind the last record."""
    for length in (1, 2, 11, 12, 100, 500):
        yield ODD, f"{length} octets", said([address(OWN)]) + chance.octets(length)
        yield ODD, f"{length} octets behind OPT", said([address(OWN)], [], [opt()]) + chance.octets(length)
    yield ODD, "a second message", said([address(OWN)]) + said([lie(wire("victim.test"))])


def _noise(chance: Chance) -> Made:
    """A right header and question with noise behind, the counts saying that it means something."""
    head = PLACE + struct.pack("!HH", A, 1)
    for number in range(150):
        counts = struct.pack("!HHHH", 1, chance.below(3), chance.below(3), chance.below(2))
        yield ODD, f"{number}", b"\x00\x00\x81\x80" + counts + head + chance.octets(chance.below(200))
    for number in range(100):
        yield (
            ODD,
            f"records of noise, {number}",
            said(
                [
                    record(OWN, 1 + chance.below(70), chance.octets(chance.below(40)))
                    for _ in range(1 + chance.below(6))
                ],
                [record(OWN, 1 + chance.below(70), chance.octets(chance.below(40))) for _ in range(chance.below(3))],
            ),
        )


BROKEN = (
    _cut,
    _counts,
    _pointers,
    _names,
    _lengths,
    _foreign,
    _loops,
    _rcodes,
    _ttls,
    _classes,
    _opts,
    _large,
    _trailing,
    _noise,
)
