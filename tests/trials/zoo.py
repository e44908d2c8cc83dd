"""RDATA of most types that a home ever sees, in wire form without compression, and parameters of SVCB records. Pure.

Called by make_responses and by the stub that several resolvers are compared on.
"""

import struct

from tests.fakes.packets import wire

_HOST = wire("host.trial.test")
_SIG = struct.pack("!HBBIIIH", 1, 13, 3, 300, 2**31, 1, 4711) + wire("trial.test") + bytes(range(64))

RDATA: tuple[tuple[str, int, bytes], ...] = (
    ("A", 1, bytes((192, 0, 2, 1))),
    ("NS", 2, _HOST),
    ("SOA", 6, _HOST + wire("admin.test") + struct.pack("!IIIII", 1, 2, 3, 4, 5)),
    ("PTR", 12, _HOST),
    ("HINFO", 13, b"\x03cpu\x02os"),
    ("MX", 15, b"\x00\x0a" + _HOST),
    ("TXT", 16, b"\x05hello\x05world"),
    ("RP", 17, _HOST + wire("txt.test")),
    ("AFSDB", 18, b"\x00\x01" + _HOST),
    ("AAAA", 28, b"\x20\x01\x0d\xb8" + bytes(11) + b"\x01"),
    ("LOC", 29, bytes((0, 0x12, 0x16, 0x13)) + bytes(12)),
    ("SRV", 33, struct.pack("!HHH", 1, 2, 443) + _HOST),
    ("NAPTR", 35, struct.pack("!HH", 1, 2) + b"\x01s\x03sip\x00" + _HOST),
    ("KX", 36, b"\x00\x01" + _HOST),
    ("CERT", 37, struct.pack("!HHB", 1, 2, 3) + bytes(20)),
    ("DS", 43, struct.pack("!HBB", 4711, 13, 2) + bytes(range(32))),
    ("SSHFP", 44, b"\x04\x02" + bytes(range(32))),
    ("RRSIG", 46, _SIG),
    ("NSEC", 47, _HOST + b"\x00\x04\x40\x00\x00\x08"),
    ("DNSKEY", 48, b"\x01\x01\x03\x0d" + bytes(range(64))),
    ("NSEC3PARAM", 51, b"\x01\x00\x00\x0a\x04salt"),
    ("TLSA", 52, b"\x03\x01\x01" + bytes(range(32))),
    ("CDS", 59, struct.pack("!HBB", 4711, 13, 2) + bytes(range(32))),
    ("OPENPGPKEY", 61, bytes(range(100))),
    ("SVCB", 64, b"\x00\x01" + wire("svc.trial.test") + b"\x00\x03\x00\x02\x01\xbb"),
    ("HTTPS", 65, b"\x00\x01\x00\x00\x01\x00\x03\x02h2"),
    ("SPF", 99, b"\x06v=spf1"),
    ("URI", 256, struct.pack("!HH", 1, 1) + b"https://host.trial.test/"),
    ("CAA", 257, b"\x00\x05issueca.test"),
)

SVC: tuple[tuple[str, bytes], ...] = (
    ("no parameters", b""),
    ("alpn", b"\x00\x01\x00\x06\x02h2\x02h3"),
    ("port", b"\x00\x03\x00\x02\x01\xbb"),
    ("ipv4hint", b"\x00\x04\x00\x04\xc0\x00\x02\x01"),
    ("ipv6hint", b"\x00\x06\x00\x10\x20\x01\x0d\xb8" + bytes(12)),
    ("ech", b"\x00\x05\x00\x08" + bytes(8)),
    ("unknown key", b"\xff\x00\x00\x02ab"),
    ("alpn and port", b"\x00\x01\x00\x03\x02h2\x00\x03\x00\x02\x01\xbb"),
    ("mandatory", b"\x00\x00\x00\x02\x00\x01\x00\x01\x00\x03\x02h2"),
)
