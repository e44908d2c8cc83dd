"""Holds an answer against what a scenario expects of it, and against the rules that all answers obey.

Answers are read by dnspython, which the resolver does not use. Called by `runner`.
"""

import struct
from functools import lru_cache

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset

from tests.fakes import packets
from tests.scenarios import octets
from tests.scenarios.script import Answered, Record, Silent, Takes
from tests.scenarios.world import Asked

UDP_SIZE = 1232
MOST_TTL = 86_400


class Differs(Exception):
    """What was expected and what came; `line` where that is not the line of the step itself."""

    def __init__(self, problem: str, line: int = 0) -> None:
        super().__init__(problem)
        self.line = line


def hold(step: Answered | Silent | Takes, asked: Asked) -> None:
    """Holds one answer against what is expected of all of its group.

    Raises:
        Differs: it is not as expected.
    """
    if isinstance(step, Answered):
        _answered(step, asked)
    elif isinstance(step, Takes):
        if not step.least <= asked.seconds <= step.most:
            raise Differs(f"expected after {step.least} to {step.most} s, came after {asked.seconds:.3f} s")
    elif asked.answer is not None:
        raise Differs(f"expected no answer, got\n{told(asked.answer)}")


@lru_cache(256)
def lawful(packet: bytes, answer: bytes, *, stream: bool) -> None:
    """What holds for every answer: RFC 1035 section 4.1.1, 6891 section 7, 8906, and this program's own limits.

    Raises:
        Differs: a rule that this answer does not obey.
    """
    message = _read(answer)
    first, second = answer[2], answer[3]
    laws = {
        "it has the query's ID": answer[:2] == packet[:2],
        "it is a response": bool(first & 0x80),
        "it has the query's opcode and RD": first & 0x79 == packet[2] & 0x79,
        "the bit that must be zero is zero": not second & 0x40,
        "no TTL is over a day": all(rrset.ttl <= MOST_TTL for part in message.sections[1:] for rrset in part),
        "no flag of EDNS but DO is set": message.edns < 0 or not message.ednsflags & 0x7FFF,
        "there is no OPT record where none was sent": packet[10:12] != b"\x00\x00" or message.edns < 0,
        "it is no larger than the client takes": stream or len(answer) <= _room(packet),
    }
    if answer[4:6] != b"\x00\x00":
        end = packets.question_end(packet)
        laws["the question comes back as it was sent"] = answer[12:end] == packet[12:end]
    if message.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.SERVFAIL):
        laws["a SOA record is of a zone that its chain leads into (RFC 2308 section 2)"] = _soa_fits(message)
        laws["recursion is available"] = bool(second & 0x80)
        laws["the question comes back"] = answer[4:6] == b"\x00\x01"
        laws["there is one OPT record where one was sent"] = packet[10:12] != b"\x00\x01" or message.edns == 0
    for law, holds in laws.items():
        if not holds:
            raise Differs(f"of every answer holds that {law}, not of\n{told(answer)}")


def _soa_fits(message: dns.message.Message) -> bool:
    names = [rrset.name for rrset in message.question]
    names += [rrset[0].target for rrset in message.answer if rrset.rdtype == dns.rdatatype.CNAME]
    owners = [rrset.name for rrset in message.authority if rrset.rdtype == dns.rdatatype.SOA]
    return all(any(name.is_subdomain(owner) for name in names) for owner in owners)


def _room(packet: bytes) -> int:
    """Octets that the client takes over UDP, and we send at most (RFC 6891 section 6.2.3, RFC 9715)."""
    if packet[10:12] == b"\x00\x00":
        return 512
    try:
        end = packets.question_end(packet)
    except IndexError:
        return 512
    size = int.from_bytes(packet[end + 3 : end + 5], "big")
    return min(max(512, size), UDP_SIZE)


def _answered(step: Answered, asked: Asked) -> None:
    if asked.answer is None:
        raise Differs(f"expected {'|'.join(step.rcodes)}, got no answer to\n{told(asked.packet)}")
    message = _read(asked.answer)
    if message.errors and "unreadable" not in step.flags:
        raise Differs(f"no message: {message.errors[0].exception}\n  {asked.answer.hex()}")
    for problem in (_rcode(step, message), _flags(step, message), _numbers(step, asked.answer, message)):
        if problem:
            raise Differs(f"{problem}, in\n{_shown(message)}")
    _sections(step, message)


def _rcode(step: Answered, message: dns.message.Message) -> str:
    got = dns.rcode.to_text(message.rcode())
    return "" if got in step.rcodes else f"expected {'|'.join(step.rcodes)}, got {got}"


def _flags(step: Answered, message: dns.message.Message) -> str:
    has = set(dns.flags.to_text(message.flags).lower().split())
    has |= {"edns"} if message.edns >= 0 else set()
    has |= {"do"} if message.ednsflags & dns.flags.DO else set()
    has |= set() if message.question else {"no-question"}
    for flag in sorted(step.flags - {"any-answer", "unreadable"}):
        if (flag.removeprefix("-") in has) == flag.startswith("-"):
            return f"expected {flag}"
    return ""


def _numbers(step: Answered, answer: bytes, message: dns.message.Message) -> str:
    """EDE codes, other options, sizes and counts."""
    codes = [str(int(option.code)) for option in message.options if isinstance(option, dns.edns.EDEOption)]
    others = [str(int(option.otype)) for option in message.options if not isinstance(option, dns.edns.EDEOption)]
    given = {"ede": ",".join(codes) or "none", "option": ",".join(others) or "none"}
    given |= {"answers": str(sum(len(rrset) for rrset in message.answer))}
    for key, expected in step.options.items():
        if key == "size":
            if len(answer) > int(expected):
                return f"expected at most {expected} octets, got {len(answer)}"
        elif given[key] not in expected.split("|"):
            return f"expected {key}={expected}, got {given[key]}"
    return ""


def _sections(step: Answered, message: dns.message.Message) -> None:
    """What a file does not write of the answer section is not there; other sections are looked at where it does."""
    for index, section in enumerate(("answer", "authority", "additional"), 1):
        wanted = [row for row in step.records if row.section == section]
        counted = section == "answer" and ({"answers"} & set(step.options) or "any-answer" in step.flags)
        if not wanted and (section != "answer" or counted):
            continue
        _section(section, [row for row in wanted if row.owner], list(message.sections[index]), message)


def _section(name: str, wanted: list[Record], rrsets: list[dns.rrset.RRset], message: dns.message.Message) -> None:
    got = [(rrset.name, rrset.ttl, rrset.rdtype, data) for rrset in rrsets for data in rrset]
    for row in wanted:
        at_question = row.owner == "@" and bool(message.question)
        owner = message.question[0].name if at_question else dns.name.from_text(row.owner)
        found = next((one for one in got if (row.owner == "*" or one[0] == owner) and _same(row, one[1:])), None)
        if found is None:
            raise Differs(f"not in the {name} section of\n{_shown(message)}", row.line)
        got.remove(found)
    if got:
        extra = ", ".join(f"{one[0]} {one[1]} {dns.rdatatype.to_text(one[2])} {one[3]}" for one in got)
        raise Differs(f"the {name} section has more than expected: {extra}, in\n{_shown(message)}")


def _same(row: Record, got: tuple[int, int, dns.rdata.Rdata]) -> bool:
    ttl, rtype, data = got
    if row.ttl not in ("*", str(ttl)) or octets.rdatatype(row.type) != rtype:
        return False
    return row.data == "*" or octets.rdata(row.type, row.data) == data


@lru_cache(256)
def _read(answer: bytes) -> dns.message.Message:
    """The answer as dnspython reads it, one record a set; `errors` tells of records that it cannot read."""
    try:
        return dns.message.from_wire(answer, one_rr_per_rrset=True, continue_on_error=True)
    except (dns.exception.DNSException, struct.error, ValueError) as error:
        raise Differs(f"no message: {type(error).__name__} {error}\n  {answer.hex()}") from None


def told(packet: bytes) -> str:
    """A packet as dig would show it, in octets where nobody can read it."""
    try:
        return _shown(dns.message.from_wire(packet))
    except (dns.exception.DNSException, struct.error, ValueError):
        return f"  {packet.hex()}"


def _shown(message: dns.message.Message) -> str:
    return "\n".join(f"  {line}" for line in message.to_text().splitlines())
