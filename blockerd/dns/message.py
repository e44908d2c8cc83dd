"""Builds answers that are ours: blocks, refusals, local data; the plain way that the hot path is held to. Pure.

The only module that uses dnslib. Nothing here reads a query: `gate` does.
"""

import struct
from collections.abc import Callable, Sequence

from dnslib import (
    AAAA,
    CNAME,
    EDNS0,
    MX,
    QTYPE,
    RD,
    RR,
    SOA,
    TXT,
    A,
    DNSError,
    DNSHeader,
    DNSLabel,
    DNSQuestion,
    DNSRecord,
    EDNSOption,
)  # fmt: skip
from dnslib.buffer import Buffer
from dnslib.buffer import BufferError as CutShort
from dnslib.label import DNSLabelError

from blockerd.dns import svcb
from blockerd.dns.gate import BADVERS, NXDOMAIN, Question
from blockerd.dns.private import is_private
from blockerd.dns.reply import Malformed
from blockerd.dns.special import Kind, Special
from blockerd.model import Action, Decision
from blockerd.policy.name import covers, labels_of

UDP_SIZE = 1232
"""What we offer in OPT, and the largest UDP answer we send (DNS flag day 2020)."""

SPECIAL_TTL = 3600
ALIAS_TTL = 300

EDE = 15
EDE_STALE, EDE_FORGED, EDE_CACHED, EDE_BLOCKED, EDE_FILTERED, EDE_NETWORK = 3, 4, 13, 15, 17, 23
"""Extended DNS Errors (RFC 8914 section 4): 17 where an answer is withheld as the person asked, 4 where an address is
made up, 15 where one from outside leads into the home, 3 and 13 where an answer or a failure is an old one."""

_MADE: dict[str, Callable[[str], RD]] = {
    "A": A,
    "AAAA": AAAA,
    "CNAME": CNAME,
    "TXT": TXT,
    "MX": lambda text: MX(text.split()[-1], int(text.split()[0]) if len(text.split()) == 2 else 10),
}
_ZONE = (QTYPE.SOA, QTYPE.NS)
_SERVICES = (64, 65)
_UNREADABLE = (DNSError, DNSLabelError, CutShort, ValueError, KeyError, IndexError, struct.error)

_MNAME, _RNAME = DNSLabel([b"localhost"]), DNSLabel([b"nobody", b"invalid"])
"""They share no label: dnslib would compress one against the other and the hot path could not cut the tail out."""


def blocked(question: Question, decision: Decision, *, zero: bool, ttl: int) -> bytes:
    """The answer that withholds: SOA for negative caching (RFC 2308 section 5) and, with EDNS, why (RFC 8914)."""
    record = _record(question)
    label = DNSLabel(labels_of(question.raw[:-4]))
    made_up = zero and question.qtype in (QTYPE.A, QTYPE.AAAA)
    if made_up:
        rdata = A("0.0.0.0") if question.qtype == QTYPE.A else AAAA("::")
        record.add_answer(RR(label, question.qtype, ttl=ttl, rdata=rdata))
    else:
        record.header.rcode = NXDOMAIN if decision.action is Action.NXDOMAIN else 0
        soa = SOA(_MNAME, _RNAME, (1, 3600, 1200, 604800, ttl))
        record.add_auth(RR(label, QTYPE.SOA, ttl=ttl, rdata=soa))
    _edns(record, question, EDE_FORGED if made_up else EDE_FILTERED)
    return bytes(record.pack())


def local(question: Question, data: Sequence[tuple[str, str]], *, ttl: int) -> bytes:
    """A rewrite (LOCAL_DATA): the records of `data` that fit the question's type, else NODATA.

    An alias is answered here only where it is what was asked for; else `engine` asks for its target.
    """
    record = _record(question)
    label = DNSLabel(labels_of(question.raw[:-4]))
    for kind, text in data:
        if kind in _MADE and getattr(QTYPE, kind) == question.qtype:
            record.add_answer(RR(label, question.qtype, ttl=ttl, rdata=_MADE[kind](text)))
    if not record.rr:
        record.add_auth(RR(label, QTYPE.SOA, ttl=ttl, rdata=SOA(_MNAME, _RNAME, (1, 3600, 1200, 604800, ttl))))
    _edns(record, question, EDE_FORGED)
    return bytes(record.pack())


def special(question: Question, found: Special) -> bytes:
    """What is said of a special name: nothing of the kind, or the machine's own addresses (RFC 6761 section 6.3)."""
    record = _record(question)
    label = DNSLabel(labels_of(question.raw[:-4]))
    loopback = found.kind is Kind.LOOPBACK and question.qtype in (QTYPE.A, QTYPE.AAAA)
    if loopback:
        rdata = A("127.0.0.1") if question.qtype == QTYPE.A else AAAA("::1")
        record.add_answer(RR(label, question.qtype, ttl=SPECIAL_TTL, rdata=rdata))
    else:
        at_zone = question.name == found.zone
        record.header.rcode = NXDOMAIN if found.kind is Kind.NXDOMAIN and not (at_zone and found.empty_apex) else 0
        zone = DNSLabel(labels_of(found.zone))
        soa = SOA(_MNAME, _RNAME, (1, 3600, 1200, 604800, SPECIAL_TTL))
        record.add_auth(RR(zone, QTYPE.SOA, ttl=SPECIAL_TTL, rdata=soa))
    _edns(record, question, None)
    return bytes(record.pack())


def minimal_any(question: Question) -> bytes:
    """The answer to ANY: one HINFO record that says so (RFC 8482 section 4.2), whatever the name has."""
    record = _record(question)
    label = DNSLabel(labels_of(question.raw[:-4]))
    record.add_answer(RR(label, QTYPE.HINFO, ttl=SPECIAL_TTL, rdata=RD(b"\x07RFC8482\x00")))
    _edns(record, question, None)
    return bytes(record.pack())


def rebound(question: Question, *, ttl: int) -> bytes:
    """The answer in place of one from outside that leads nowhere but into the home: there is nothing of the kind."""
    record = _record(question)
    label = DNSLabel(labels_of(question.raw[:-4]))
    record.add_auth(RR(label, QTYPE.SOA, ttl=ttl, rdata=SOA(_MNAME, _RNAME, (1, 3600, 1200, 604800, ttl))))
    _edns(record, question, EDE_BLOCKED)
    return bytes(record.pack())


def purged(packet: bytes, *, private: bool, ech: bool) -> bytes:
    """`packet` without answers that lead to private addresses, and without keys for an encrypted hello.

    Raises:
        Malformed: dnslib cannot read it.
    """
    try:
        record = DNSRecord.parse(packet)
        if private:
            record.rr = [rr for rr in record.rr if not _leads_home(rr)]
        if ech:
            for rr in record.rr:
                if rr.rtype in _SERVICES:
                    head, params = svcb.split(_rdata(rr))
                    rr.rdata = RD(head + svcb.without_ech(params))
        return bytes(record.pack())
    except _UNREADABLE as error:
        raise Malformed(str(error)) from None


def _leads_home(rr: RR) -> bool:
    if rr.rtype in (QTYPE.A, QTYPE.AAAA):
        return is_private(_rdata(rr))
    return rr.rtype in _SERVICES and any(map(is_private, svcb.hints(svcb.split(_rdata(rr))[1])))


def _rdata(rr: RR) -> bytes:
    """The octets of a record's data; only for types that hold no compressed name."""
    buffer = Buffer()
    rr.rdata.pack(buffer)
    return bytes(buffer.data)


def by_alias(question: Question, target: bytes, packet: bytes) -> bytes:
    """`packet`, the answer about `target`, as the answer to `question`: an alias to it and then what it says.

    It must hold the target's own chain and nothing else (see `only`).

    Raises:
        Malformed: dnslib cannot read it.
    """
    try:
        got = DNSRecord.parse(packet[:12] + target + packet[12 + len(target) :])  # asked in a mixture of cases
        record = _record(question)
        record.header.rcode = got.header.rcode
        alias = CNAME(DNSLabel(labels_of(target)))
        record.add_answer(RR(DNSLabel(labels_of(question.name)), QTYPE.CNAME, ttl=ALIAS_TTL, rdata=alias))
        for rr in got.rr:
            record.add_answer(rr)
        for rr in got.auth:
            record.add_auth(rr)
        return bytes(record.pack())
    except _UNREADABLE as error:
        raise Malformed(str(error)) from None


def failure(question: Question, rcode: int, *, cached: bool = False) -> bytes:
    """An answer of `rcode` and nothing else; SERVFAIL says that no upstream was reached, now or a moment ago."""
    record = _record(question)
    record.header.rcode = rcode
    _edns(record, question, (EDE_CACHED if cached else EDE_NETWORK) if rcode == 2 else None)
    return bytes(record.pack())


def refusal(packet: bytes, rcode: int, *, edns: bool) -> bytes:
    """The answer to a query that did not pass the gate: header alone (RFC 1035 section 4.1.1), OPT where one came."""
    header = packet[:2] + bytes((0x80 | (packet[2] & 0x79), 0x80 | (packet[3] & 0x10) | (rcode & 0x0F)))
    opt = b"\x00\x00\x29" + UDP_SIZE.to_bytes(2, "big") + bytes((rcode >> 4, 0, 0, 0, 0, 0))
    with_opt = edns or rcode == BADVERS
    return header + b"\x00" * 7 + (b"\x01" + opt if with_opt else b"\x00")


def truncated(answer: bytes, question: Question) -> bytes:
    """`answer` cut to its question with TC=1, so that the client asks again over TCP (RFC 2181 section 9)."""
    head = answer[:2] + bytes((answer[2] | 2, answer[3])) + b"\x00\x01\x00\x00\x00\x00"
    opt = opt_record(question)
    return head + (b"\x00\x01" if opt else b"\x00\x00") + question.raw + opt


def opt_record(question: Question, error: int | None = None) -> bytes:
    """The OPT record for an answer to `question`, with an extended error where one is given; empty where the client
    sent none (RFC 6891 section 7)."""
    if not question.edns:
        return b""
    options = b"" if error is None else struct.pack(">HHH", EDE, 2, error)
    flags = b"\x00\x00\x80\x00" if question.do else bytes(4)
    return b"\x00\x00\x29" + struct.pack(">H", UDP_SIZE) + flags + struct.pack(">H", len(options)) + options


def _record(question: Question) -> DNSRecord:
    header = DNSHeader(id=question.id, bitmap=0, qr=1, rd=int(question.rd), ra=1, cd=int(question.cd), ad=0, aa=0)
    asked = DNSQuestion(DNSLabel(labels_of(question.raw[:-4])), question.qtype)
    return DNSRecord(header, q=asked)


def _edns(record: DNSRecord, question: Question, code: int | None) -> None:
    if question.edns:
        options = [EDNSOption(EDE, code.to_bytes(2, "big"))] if code is not None else []
        record.add_ar(EDNS0(flags="do" if question.do else "", udp_len=UDP_SIZE, opts=options))


def only(packet: bytes, names: Sequence[bytes]) -> bytes:
    """`packet` rebuilt with nothing in its answer section but records of `names`, no word of zones that none of them
    is in, and no additional records.

    Raises:
        Malformed: dnslib cannot read it.
    """
    try:
        record = DNSRecord.parse(packet)
        record.rr = [rr for rr in record.rr if _wire(rr.rname) in names]
        record.auth = [rr for rr in record.auth if rr.rtype not in _ZONE or _covers_one(_wire(rr.rname), names)]
        record.ar = []
        return bytes(record.pack())
    except _UNREADABLE as error:
        raise Malformed(str(error)) from None


def _covers_one(zone: bytes, names: Sequence[bytes]) -> bool:
    return any(covers(zone, name) for name in names)


def _wire(label: DNSLabel) -> bytes:
    return b"".join(bytes((len(part),)) + part.lower() for part in label.label) + b"\x00"
