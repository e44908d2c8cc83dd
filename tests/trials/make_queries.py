"""Query seeds: every outcome that a forwarder's gate may have, by the RFC's own words, one family a function. Pure.

Outcomes come from the RFCs named beside the families, not from what any server does. Called by generate.
"""

from collections.abc import Iterator
from itertools import product

from tests.fakes.packets import RD, opt, option, query, question, record, wire
from tests.trials.seed import Chance, Kind, Seed

ANSWER, DROP, FORMERR, NOTIMP, REFUSED, BADVERS = "answer", "drop", "1", "4", "5", "16"
PLAIN = query("site.test", edns=opt())
COUNTS = (2, 3, 255, 256, 4096, 65535)
TYPES = (1, 2, 5, 6, 12, 15, 16, 28, 33, 35, 43, 48, 52, 64, 65, 255, 257, 65280, 65535)
NAMES: tuple[tuple[str, list[bytes]], ...] = (
    ("root", []),
    ("one label", [b"test"]),
    ("plain", [b"site", b"test"]),
    ("www", [b"www", b"site", b"test"]),
    ("mixed case", [b"SiTe", b"TeSt"]),
    ("the test name", [b"blocked", b"example"]),
    ("below the test name", [b"a", b"BLOCKED", b"example"]),
    ("a dot inside a label", [b"blocked.example", b"test"]),
    ("all octets", [bytes(range(63)), bytes(range(63, 126)), bytes(range(194, 256)), b"test"]),
    ("NUL in a label", [b"blocked\x00", b"example"]),
    ("markup", [b"<img/src=x onerror=alert(1)>", b"test"]),
    ("CRLF", [b"a\r\nSubject: b", b"test"]),
    ("quotes and formula", [b"=cmd|' /C calc'!A0", b"'\"`;--", b"test"]),
    ("not UTF-8", [b"\xc3\x28\xff\xfe", b"test"]),
    ("escape sequence", [b"\x1b[2J\x1b]0;x\x07", b"test"]),
    ("right to left", ["\u202etset".encode(), b"test"]),
    ("punycode", [b"xn--mnchen-3ya", b"test"]),
    ("bad punycode", [b"xn--\xff", b"xn--a", b"test"]),
    ("underscore", [b"_dmarc", b"_tcp", b"site", b"test"]),
    ("asterisk", [b"*", b"test"]),
    ("label of 63", [b"a" * 63, b"test"]),
    ("name of 255", [b"a" * 63, b"b" * 63, b"c" * 63, b"d" * 61]),
    ("127 labels", [b"a"] * 127),
    ("the test name, 255 long", [b"a" * 63, b"b" * 63, b"c" * 63, b"d" * 45, b"blocked", b"example"][:6]),
    ("reverse", [b"1", b"2", b"0", b"192", b"in-addr", b"arpa"]),
)


def queries(chance: Chance) -> Iterator[Seed]:
    """All query seeds, in a fixed order."""
    for family in (
        _plain, _flags, _short, _responses, _opcodes, _counts, _cut, _trailing, _types, _classes, _label_types,
        _pointers, _long_names, _opts, _opt_shapes, _options, _cookies, _subnets, _noise,
    ):  # fmt: skip
        for outcome, title, packet in family(chance):
            yield Seed(Kind.QUERY, outcome, f"{family.__name__[1:]}: {title}", packet)


Made = Iterator[tuple[str, str, bytes]]


def _plain(chance: Chance) -> Made:
    """RFC 1035 section 4.1, RFC 2181 section 11: a label is any octets."""
    forms = (b"", opt(), opt(do=True, size=4096))
    for (title, labels), qtype, form in product(NAMES, (*TYPES[:8:2], 65, 255), forms):
        edns = f"OPT of {len(form)}" if form else "no OPT"
        yield ANSWER, f"{title}, type {qtype}, {edns}", _numbered(chance, query(labels, qtype, edns=form))


def _flags(chance: Chance) -> Made:
    """AA, RA, Z, AD, CD and the RCODE of a query are not looked at (RFC 1035 section 4.1.1); TC is nonsense."""
    for high, low in product((0, 1, 4, 5), (0, 0x10, 0x20, 0x30, 0x40, 0x80, 0xF0, 0x05, 0xFF)):
        packet = query("site.test", flags=high << 8 | low)
        yield ANSWER, f"flags {high:02x}{low:02x}", _numbered(chance, packet)
        cut = query("site.test", flags=(high | 2) << 8 | low)
        yield FORMERR, f"TC with flags {high:02x}{low:02x}", _numbered(chance, cut)


def _short(chance: Chance) -> Made:
    """Under 12 octets nothing can be answered."""
    for length, what in product(range(12), ("start of a query", "zeros", "noise")):
        packet = {"zeros": bytes(length), "noise": chance.octets(length)}.get(what, PLAIN[:length])
        yield DROP, f"{length} octets, {what}", packet


def _responses(chance: Chance) -> Made:
    """QR=1 is never answered: two servers could talk for ever."""
    for opcode, low in product(range(16), (0, 0x80, 0x83, 0xFF)):
        packet = query("site.test", flags=0x8000 | opcode << 11 | RD | low, edns=opt() if low else b"")
        yield DROP, f"QR=1, opcode {opcode}, {low:02x}", _numbered(chance, packet)
    for length in range(12, len(PLAIN)):
        yield DROP, f"QR=1, {length} octets", PLAIN[:2] + b"\x81" + PLAIN[3:length]


def _opcodes(chance: Chance) -> Made:
    """Only QUERY is known here, whatever follows the header (RFC 1035 section 4.1.1, RFC 8490 section 5.1.1)."""
    for opcode in range(1, 16):
        head = bytes((opcode << 3 | 1, 0))
        for title, rest in (
            ("a question", query("site.test")[4:]), ("the test name", query("blocked.example", edns=opt())[4:]),
            ("no question", bytes(8)), ("all counts 65535", b"\xff" * 8), ("noise", chance.octets(30)),
        ):  # fmt: skip
            yield NOTIMP, f"opcode {opcode}, {title}", chance.octets(2) + head + rest


def _counts(chance: Chance) -> Made:
    """One question and at most one OPT record; a QDCOUNT over one is a format error (RFC 9619 section 4)."""
    for at, title in ((4, "QDCOUNT"), (6, "ANCOUNT"), (8, "NSCOUNT"), (10, "ARCOUNT")):
        for count in ((0,) if at == 4 else (1,)) + COUNTS:
            for form in (b"", opt()):
                if (at, count) == (10, 1) and form:
                    continue
                packet = bytearray(query("site.test", edns=form))
                packet[at : at + 2] = count.to_bytes(2, "big")
                yield FORMERR, f"{title} {count}, {'OPT' if form else 'no OPT'}", _numbered(chance, bytes(packet))
    for count in (2, 3, 9):
        body = question("site.test") + question("blocked.example") * (count - 1)
        yield FORMERR, f"{count} questions that are there", chance.octets(2) + _head(count) + body
    for at, what in product((6, 8), ("site.test", "blocked.example")):
        packet = bytearray(query(what) + record(b"\xc0\x0c", 1, bytes(4)))
        packet[at + 1] = 1
        yield FORMERR, f"a record of {what} in section {at}", _numbered(chance, bytes(packet))
    yield FORMERR, "OPT said but missing", query("site.test")[:10] + b"\x00\x01" + query("site.test")[12:]


def _cut(chance: Chance) -> Made:
    """A message that ends in its middle, at each octet."""
    options = option(10, b"c" * 8) + option(12, bytes(5))
    for name in ("site.test", "blocked.example"):
        whole = _numbered(chance, query(name, edns=opt(options=options)))
        for length in range(12, len(whole)):
            yield FORMERR, f"{name} with options, first {length} octets", whole[:length]


def _trailing(chance: Chance) -> Made:
    """Octets after the end of the message: nothing that a query can mean."""
    for length, form in product((1, 2, 3, 4, 11, 12, 28, 100, 400), (b"", opt(), opt(do=True))):
        for name in ("site.test", "blocked.example"):
            packet = _numbered(chance, query(name, edns=form))
            yield FORMERR, f"{name} and {length} octets more", packet + chance.octets(length)


def _types(chance: Chance) -> Made:
    """Meta types that no forwarder answers; every other is forwarded as it stands (RFC 3597 section 3)."""
    special = {0: REFUSED, 41: REFUSED, 128: FORMERR, 249: REFUSED, 250: REFUSED, 251: REFUSED, 252: REFUSED}
    for qtype in [*range(0, 300), *range(300, 65536, 1021)]:
        outcome = special.get(qtype, ANSWER)
        form = opt() if qtype % 2 else b""
        yield outcome, f"type {qtype}", _numbered(chance, query("site.test", qtype, edns=form))


def _classes(chance: Chance) -> Made:
    """Class IN alone is served; ANY is a question about more than that."""
    for qclass in (0, 2, 3, 4, 5, 16, 127, 253, 254, 256, 257, 4096, 32769, 65280, 65535):
        for form in (b"", opt()):
            packet = query("site.test", 16, qclass=qclass, edns=form)
            yield REFUSED, f"class {qclass}", _numbered(chance, packet)
    for qtype in (1, 16, 255):
        yield NOTIMP, f"class ANY, type {qtype}", _numbered(chance, query("site.test", qtype, qclass=255))


def _label_types(chance: Chance) -> Made:
    """0x40 and 0x80 label types do not exist any more (RFC 6891 section 5)."""
    for octet in range(0x40, 0xC0, 2):
        for title, before in (("first", b""), ("after a label", b"\x03www")):
            body = before + bytes((octet,)) + b"a" * (octet & 0x3F) + b"\x04test\x00" + b"\x00\x01\x00\x01"
            yield FORMERR, f"label type {octet:02x}, {title}", chance.octets(2) + _head(1) + body


def _pointers(chance: Chance) -> Made:
    """A question has nothing before it that it could point to (RFC 1035 section 4.1.4, RFC 9267 section 2)."""
    for high, low in product((0xC0, 0xC1, 0xE0, 0xFF), (0, 2, 4, 11, 12, 13, 14, 16, 20, 255)):
        for title, before in (("alone", b""), ("after a label", b"\x04site"), ("after 63", b"\x3f" + b"a" * 63)):
            body = before + bytes((high, low)) + b"\x00\x01\x00\x01" + wire("blocked.example")
            yield FORMERR, f"pointer {high:02x}{low:02x} {title}", chance.octets(2) + _head(1) + body
    for cut in range(1, 4):
        yield FORMERR, f"pointer and {cut} octets", chance.octets(2) + _head(1) + b"\xc0\x0c\x00"[:cut]


def _long_names(chance: Chance) -> Made:
    """Over 255 octets (RFC 1035 section 2.3.4), also where the end is a listed name."""
    for labels, size in ((5, 63), (128, 1), (200, 1), (64, 3), (86, 2), (10, 63), (16, 63), (33, 7)):
        for tail in ("test", "blocked.example"):
            body = (bytes((size,)) + b"a" * size) * labels + wire(tail) + b"\x00\x01\x00\x01"
            yield FORMERR, f"{labels} labels of {size} over {tail}", chance.octets(2) + _head(1) + body
    for over in range(1, 40):
        body = (b"\x3f" + b"a" * 63) * 3 + bytes((min(63, 61 + over),)) + b"b" * min(63, 61 + over)
        body += (bytes((over - 2,)) + b"c" * (over - 2) if over > 2 else b"") + b"\x00" + b"\x00\x01\x00\x01"
        yield FORMERR, f"{over} octets or so over the 255", chance.octets(2) + _head(1) + body
    for length in range(1, 64):
        body = bytes((length,)) + b"a" * (length - 1)
        yield FORMERR, f"label of {length} with an octet missing", chance.octets(2) + _head(1) + body


def _opts(chance: Chance) -> Made:
    """Every version but 0 is BADVERS (RFC 6891 section 6.1.3); every size is taken, less than 512 as 512."""
    for version in range(1, 256, 2):
        yield BADVERS, f"version {version}", _numbered(chance, query("site.test", edns=opt(version=version)))
    for size in (0, 1, 256, 511, 512, 513, 1220, 1231, 1232, 1233, 1400, 1452, 4096, 8192, 65535):
        for do in (False, True):
            yield ANSWER, f"size {size}, DO {do:d}", _numbered(chance, query("site.test", edns=opt(size=size, do=do)))
    for flags in (0x0001, 0x4000, 0x7FFF, 0xFFFF):
        form = bytearray(opt())
        form[7:9] = flags.to_bytes(2, "big")
        yield ANSWER, f"flags {flags:04x}", _numbered(chance, query("site.test", edns=bytes(form)))
    for rcode in (1, 16, 255):
        yield ANSWER, f"extended rcode {rcode}", _numbered(chance, query("site.test", edns=opt(rcode=rcode)))


def _opt_shapes(chance: Chance) -> Made:
    """One OPT at most, owned by the root, as long as it says (RFC 6891 sections 6.1.1 and 6.1.2)."""
    bare = query("site.test")
    for count in (2, 3, 4):
        packet = bare[:10] + count.to_bytes(2, "big") + bare[12:] + opt() * count
        yield FORMERR, f"{count} OPT records", _numbered(chance, packet)
    for title, owner in (("a label", b"\x01a\x00"), ("a pointer", b"\xc0\x0c"), ("label type", b"\x41a\x00")):
        yield FORMERR, f"owner is {title}", _numbered(chance, query("site.test", edns=owner + opt()[1:]))
    for rtype in (1, 2, 6, 16, 249, 250, 255):
        extra = record("", rtype, bytes(4))
        yield FORMERR, f"type {rtype} in its place", _numbered(chance, query("site.test", edns=extra))
    for length in (1, 2, 3, 4, 5, 11, 255, 65535):
        form = opt()[:9] + length.to_bytes(2, "big")
        yield FORMERR, f"rdata of {length} missing", _numbered(chance, query("site.test", edns=form))


def _options(chance: Chance) -> Made:
    """Options that add up are read over; those that do not are a format error."""
    for code, length in product((0, 3, 5, 9, 11, 12, 14, 15, 16, 100, 65001, 65535), (0, 1, 2, 16, 200)):
        form = opt(options=option(code, chance.octets(length)))
        yield ANSWER, f"option {code} of {length}", _numbered(chance, query("site.test", edns=form))
        lie = opt(options=code.to_bytes(2, "big") + (length + 1).to_bytes(2, "big") + chance.octets(length))
        yield FORMERR, f"option {code} of {length}, one too few", _numbered(chance, query("site.test", edns=lie))
    for length in (1, 2, 3):
        form = opt(options=option(12, b"") + bytes(length))
        yield FORMERR, f"{length} octets after an option", _numbered(chance, query("site.test", edns=form))
    many = opt(options=option(65001, b"") * 80)
    yield ANSWER, "80 empty options", _numbered(chance, query("site.test", edns=many))


def _cookies(chance: Chance) -> Made:
    """8 octets, or 16 to 40 (RFC 7873 section 5.2.2)."""
    for length in range(65):
        outcome = ANSWER if length == 8 or 16 <= length <= 40 else FORMERR
        form = opt(options=option(10, chance.octets(length)))
        yield outcome, f"cookie of {length}", _numbered(chance, query("site.test", edns=form))


def _subnets(chance: Chance) -> Made:
    """As many address octets as the prefix needs, of family 1 or 2 (RFC 7871 section 6)."""
    for family, most in ((1, 32), (2, 128)):
        for bits in (0, 1, 8, 20, 24, 25, 32, 56, 64, 128):
            if bits > most:
                continue
            octets = _prefix(chance, bits)
            data = family.to_bytes(2, "big") + bytes((bits, 0))
            good = opt(options=option(8, data + octets))
            yield ANSWER, f"family {family}, /{bits}", _numbered(chance, query("site.test", edns=good))
            for title, wrong in (("one too many", octets + b"\x00"), ("one too few", octets[:-1])):
                if wrong != octets:
                    form = opt(options=option(8, data + wrong))
                    yield (
                        FORMERR,
                        f"family {family}, /{bits}, {title}",
                        _numbered(chance, query("site.test", edns=form)),
                    )
    for length in range(4):
        form = opt(options=option(8, b"\x00\x01\x18\x00"[:length]))
        yield FORMERR, f"subnet of {length}", _numbered(chance, query("site.test", edns=form))


def _prefix(chance: Chance, bits: int) -> bytes:
    """A prefix of so many bits, those behind it zero."""
    octets = bytearray(chance.octets((bits + 7) // 8))
    if bits % 8:
        octets[-1] &= 0xFF << (8 - bits % 8) & 0xFF
    return bytes(octets)


def _noise(chance: Chance) -> Made:
    """Octets that were never meant as DNS; the opcode and QR decide before all else."""
    for number in range(150):
        packet = bytearray(chance.octets(12 + chance.below(150)))
        packet[2] = (packet[2] & 0x87 | 0x08 << number % 3) & 0x7F
        yield NOTIMP, f"{len(packet)} octets, opcode {packet[2] >> 3}", bytes(packet)
    for _ in range(100):
        packet = bytearray(chance.octets(12 + chance.below(150)))
        packet[2] |= 0x80
        yield DROP, f"{len(packet)} octets, a response", bytes(packet)
    for text in (
        b"GET / HTTP/1.1\r\nHost: site.test\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60),
    ):
        yield (DROP if text[2] & 0x80 else NOTIMP if text[2] & 0x78 else FORMERR), f"starts with {text[:3].hex()}", text


def _head(questions: int) -> bytes:
    """Flags and counts behind the ID."""
    return b"\x01\x00" + questions.to_bytes(2, "big") + bytes(6)


def _numbered(chance: Chance, packet: bytes) -> bytes:
    """The same with an ID by chance."""
    return chance.octets(2) + packet[2:]
