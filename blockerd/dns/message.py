"""Builds answers that are ours: blocks, refusals, local data; the plain way that the hot path is held to. Pure.

The only module that uses dnslib. Nothing here reads a query: `gate` does.
"""

import struct
from collections.abc import Sequence

from dnslib import (
    AAAA,
    CNAME,
    EDNS0,
    MX,
    QTYPE,
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
from dnslib.buffer import BufferError as CutShort
from dnslib.label import DNSLabelError

from blockerd.dns.gate import BADVERS, NXDOMAIN, Question
from blockerd.dns.reply import Malformed
from blockerd.dns.special import Kind, Special
from blockerd.model import Action, Decision
from blockerd.policy.name import labels_of

UDP_SIZE = 1232
"""What we offer in OPT, and the largest UDP answer we send (DNS flag day 2020)."""

SPECIAL_TTL = 3600
ALIAS_TTL = 300

EDE = 15
EDE_FORGED, EDE_FILTERED, EDE_NETWORK = 4, 17, 23
"""Extended DNS Errors (RFC 8914 section 4): 17 where an answer is withheld, 4 where an address is made up."""

_MNAME, _RNAME = DNSLabel("localhost"), DNSLabel("nobody.invalid")
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
    """A rewrite (LOCAL_DATA): the records of `data` that fit the question's type, else NODATA."""
    record = _record(question)
    label = DNSLabel(labels_of(question.raw[:-4]))
    made = {"A": A, "AAAA": AAAA, "CNAME": CNAME, "TXT": TXT, "MX": MX}
    for kind, text in data:
        number = getattr(QTYPE, kind, 0)
        if kind in made and (number == question.qtype or kind == "CNAME"):
            record.add_answer(RR(label, number, ttl=ttl, rdata=made[kind](text)))
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


def by_alias(question: Question, target: bytes, packet: bytes) -> bytes:
    """`packet`, the answer about `target`, as the answer to `question`: an alias to it and then what it says.

    Raises:
        Malformed: dnslib cannot read it.
    """
    try:
        got = DNSRecord.parse(packet)
        record = _record(question)
        record.header.rcode = got.header.rcode
        alias = CNAME(DNSLabel(labels_of(target)))
        record.add_answer(RR(DNSLabel(labels_of(question.name)), QTYPE.CNAME, ttl=ALIAS_TTL, rdata=alias))
        for rr in got.rr:
            record.add_answer(rr)
        for rr in got.auth:
            record.add_auth(rr)
        return bytes(record.pack())
    except (DNSError, DNSLabelError, CutShort, ValueError, KeyError, IndexError, struct.error) as error:
        raise Malformed(str(error)) from None


def failure(question: Question, rcode: int) -> bytes:
    """An answer of `rcode` and nothing else; SERVFAIL says that no upstream was reached (EDE 23)."""
    record = _record(question)
    record.header.rcode = rcode
    _edns(record, question, EDE_NETWORK if rcode == 2 else None)
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


def opt_record(question: Question) -> bytes:
    """The OPT record for an answer to `question`; empty where the client sent none (RFC 6891 section 7)."""
    if not question.edns:
        return b""
    return (
        b"\x00\x00\x29" + UDP_SIZE.to_bytes(2, "big") + (b"\x00\x00\x80\x00" if question.do else bytes(4)) + b"\x00\x00"
    )


def _record(question: Question) -> DNSRecord:
    header = DNSHeader(id=question.id, bitmap=0, qr=1, rd=int(question.rd), ra=1, cd=int(question.cd), ad=0, aa=0)
    asked = DNSQuestion(DNSLabel(labels_of(question.raw[:-4])), question.qtype)
    return DNSRecord(header, q=asked)


def _edns(record: DNSRecord, question: Question, code: int | None) -> None:
    if question.edns:
        options = [EDNSOption(EDE, code.to_bytes(2, "big"))] if code is not None else []
        record.add_ar(EDNS0(flags="do" if question.do else "", udp_len=UDP_SIZE, opts=options))


def only(packet: bytes, names: Sequence[bytes]) -> bytes:
    """`packet` rebuilt with nothing in its answer section but records of `names`, and no additional records.

    Raises:
        Malformed: dnslib cannot read it.
    """
    try:
        record = DNSRecord.parse(packet)
        record.rr = [rr for rr in record.rr if _wire(rr.rname) in names]
        record.ar = []
        return bytes(record.pack())
    except (DNSError, DNSLabelError, CutShort, ValueError, KeyError, IndexError, struct.error) as error:
        raise Malformed(str(error)) from None


def _wire(label: DNSLabel) -> bytes:
    return b"".join(bytes((len(part),)) + part.lower() for part in label.label) + b"\x00"
