"""Makes packets of what a scenario says: clients' queries, upstreams' replies, good ones and forged ones.

Pure. Records are read by dnspython, which the resolver does not use, so that neither can share a mistake. Refuses
texts that are no record or no octets with ValueError. Called by `world` and `runner`.
"""

import re
import struct
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_network

import dns.exception
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from tests.fakes import packets
from tests.scenarios.script import Ask, Record, Send

QUERY_ID = 0x2A5B
COOKIE, ECS, EDE = 10, 8, 15
_FLAG_BITS = {"+ad": 0x0020, "+cd": 0x0010, "+tc": 0x0200, "+qr": 0x8000, "+aa": 0x0400, "+z": 0x0040}
_TOKEN = re.compile(r"<(?P<fill>[^>]*)>|(?P<octet>[0-9a-fA-F]{2})\*(?P<times>\d+)|(?P<hex>[0-9a-fA-F]+)")


def query(ask: Ask) -> bytes:
    """The packet of `ask`. RD is set and there is no EDNS unless it says otherwise."""
    if ask.packet:
        return from_hex(ask.packet, {})
    options = ask.options
    flags = 0 if "-rd" in ask.flags else packets.RD
    for word, bit in _FLAG_BITS.items():
        flags |= bit if word in ask.flags else 0
    flags |= int(options.get("opcode", "0")) << 11
    qtype, qclass = rdatatype(ask.type), int(dns.rdataclass.from_text(options.get("class", "IN")))
    opt = _opt(ask)
    count = 2 if "two-opts" in ask.flags else bool(opt)
    head = struct.pack("!HHHHHH", int(options.get("id", str(QUERY_ID)), 0), flags, 1, 0, 0, count)
    question = name(ask.name) + struct.pack("!HH", qtype, qclass)
    return head + question + opt * count + from_hex(options.get("trailing", ""), {})


def _opt(ask: Ask) -> bytes:
    """The OPT record, where a word asks for one."""
    words = {"edns", "+do", "two-opts"} & ask.flags or {"size", "version", "option", "cookie", "ecs", "eflags"} & set(
        ask.options
    )
    if not words:
        return b""
    data = b"".join(_option(key, value) for key, value in ask.pairs)
    size, version = int(ask.options.get("size", "1232")), int(ask.options.get("version", "0"))
    flags = (0x8000 if "+do" in ask.flags else 0) | int(ask.options.get("eflags", "0"), 16)
    return b"\x00" + struct.pack("!HHBBHH", 41, size, 0, version, flags, len(data)) + data


def _option(key: str, value: str) -> bytes:
    if key == "cookie":
        return packets.option(COOKIE, from_hex(value, {}))
    if key == "ecs":
        network = ip_network(value)
        octets = network.network_address.packed[: (network.prefixlen + 7) // 8]
        head = struct.pack("!HBB", 1 if network.version == 4 else 2, network.prefixlen, 0)
        return packets.option(ECS, head + octets)
    if key == "option":
        code, _, data = value.partition(":")
        return packets.option(int(code), from_hex(data, {}))
    return b""


def reply(send: Send, asked: bytes) -> bytes:
    """The packet that an upstream sends to the query `asked`."""
    end = packets.question_end(asked)
    echo = asked[12:end]
    if send.kind == "packet":
        return from_hex(send.packet, {"id": asked[:2], "question": echo, "name": echo[:-4], "type": echo[-4:-2]})
    options, flags = send.options, send.flags
    rcode = int(dns.rcode.from_text(send.rcode))
    question, has = _echo(send, echo), "no-question" not in flags
    sections = {"answer": [_record(row, echo, has) for row in send.records if row.section == "answer"]}
    sections |= {
        part: [_record(row, echo, has) for row in send.records if row.section == part]
        for part in ("authority", "additional")
    }
    if asked[11] and "no-edns" not in flags:
        ede = packets.option(EDE, int(options["ede"]).to_bytes(2, "big")) if "ede" in options else b""
        do = bool(asked[end + 7] & 0x80)
        sections["additional"].append(packets.opt(do=do, rcode=rcode >> 4, options=ede))
    counts = [int(has), *(len(rows) for rows in sections.values())]
    if "counts" in options:
        counts = [int(part) for part in options["counts"].split(",")]
    head = _head(send, asked, rcode & 0x0F) + struct.pack("!HHHH", *counts)
    whole = head + question + b"".join(row for rows in sections.values() for row in rows)
    if "cut" in options:
        whole = whole[: int(options["cut"])]
    return whole + from_hex(options.get("append", ""), {})


def _head(send: Send, asked: bytes, rcode: int) -> bytes:
    """ID and flags; RD and CD are the query's."""
    flags, bits = send.flags, int.from_bytes(asked[2:4], "big") & (packets.RD | packets.CD) | rcode
    bits |= 0 if "query" in flags else packets.QR
    bits |= 0 if "-ra" in flags else packets.RA
    for word, bit in (("aa", packets.AA), ("tc", packets.TC), ("ad", packets.AD)):
        bits |= bit if word in flags else 0
    bits |= int(send.options.get("opcode", "0")) << 11
    number = int.from_bytes(asked[:2], "big") ^ (0x5555 if "wrong-id" in flags else 0)
    return struct.pack("!HH", number, bits)


def _echo(send: Send, echo: bytes) -> bytes:
    """The question section as the upstream repeats it."""
    if "no-question" in send.flags:
        return b""
    if "question" in send.options:
        text, _, rtype = send.options["question"].partition("/")
        return name(text) + (struct.pack("!HH", rdatatype(rtype), 1) if rtype else echo[-4:])
    if "lower-case" in send.flags:
        return echo[:-4].lower() + echo[-4:]
    if "wrong-case" in send.flags:
        return echo[:-4].swapcase() + echo[-4:]
    return echo


def _record(row: Record, echo: bytes, has_question: bool) -> bytes:
    if not row.owner:
        return from_hex(row.data, {"name": echo[:-4]})
    at_question = b"\xc0\x0c" if has_question else echo[:-4]
    owner = at_question if row.owner == "@" else name(row.owner)
    data = rdata(row.type, row.data).to_wire()
    assert data is not None
    return packets.record(owner, rdatatype(row.type), data, int(row.ttl))


def from_hex(text: str, fill: Mapping[str, bytes]) -> bytes:
    """Octets: hex digits, `61*63` for so many of one, `<www.site.test>` for a name, `<id>` and others from `fill`.

    Raises:
        ValueError: anything else.
    """
    found = b""
    for word in text.split():
        at = 0
        while at < len(word):
            token = _TOKEN.match(word, at)
            if not token:
                raise ValueError(f'"{word}" is neither hex digits nor <…>')
            at = token.end()
            if token["hex"]:
                found += bytes.fromhex(token["hex"])
            elif token["octet"]:
                found += bytes.fromhex(token["octet"]) * int(token["times"])
            else:
                known = fill.get(token["fill"])
                found += name(token["fill"]) if known is None else known
    return found


@lru_cache(4096)
def name(text: str) -> bytes:
    """Wire form of `text`, case kept; master file escapes (RFC 1035 section 5.1) stand for odd octets."""
    try:
        return dns.name.from_text(text).to_wire()  # type: ignore[return-value]
    except dns.exception.DNSException as error:
        raise ValueError(f'"{text}" is no name: {error}') from None


@lru_cache(4096)
def rdata(rtype: str, text: str) -> dns.rdata.Rdata:
    """The data of a record in master file form."""
    try:
        return dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(rtype), text)
    except (dns.exception.DNSException, ValueError) as error:
        raise ValueError(f'"{rtype} {text}" is no record: {error}') from None


def rdatatype(text: str) -> int:
    """The number of a type."""
    try:
        return int(dns.rdatatype.from_text(text))
    except (dns.rdatatype.UnknownRdatatype, ValueError):
        raise ValueError(f'"{text}" is no type') from None
