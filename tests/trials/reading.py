"""Reads messages record by record, names unfolded, RDATA left as it is: a judge that shares no code with the resolver.

Refuses what is no whole message. Pure; called by the trials that look into answers.
"""

from dataclasses import dataclass

CNAME, OPT, TC = 5, 41, 0x02


class Unreadable(Exception):
    """The octets are no whole message."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record; `section` is 0 answer, 1 authority, 2 additional; `owner` canonical wire form; `at` of its RDATA."""

    section: int
    owner: bytes
    type: int
    rclass: int
    ttl: int
    rdata: bytes
    at: int


def records(packet: bytes) -> list[Record]:
    """All records of a message of one question.

    Raises:
        Unreadable: cut short, octets left over, or names that do not end.
    """
    try:
        return _records(packet)
    except IndexError:
        raise Unreadable("cut short") from None


def chain(packet: bytes) -> set[bytes]:
    """The question's name and all that its aliases in the answer lead to."""
    names = {name_at(packet, 12)[0]}
    links = [
        (one.owner, name_at(packet, one.at)[0]) for one in records(packet) if (one.section, one.type) == (0, CNAME)
    ]
    for _ in links:
        names |= {target for owner, target in links if owner in names}
    return names


def name_at(packet: bytes, at: int) -> tuple[bytes, int]:
    """The canonical name at `at`, and where what follows begins."""
    name, after, jumps = b"", 0, 0
    while length := packet[at]:
        if length >= 0xC0:
            after, jumps = after or at + 2, jumps + 1
            at = (length & 0x3F) << 8 | packet[at + 1]
        elif length > 63:
            raise Unreadable("label type")
        else:
            name += packet[at : at + 1 + length].lower()
            at += 1 + length
        if jumps > 126 or len(name) > 254:
            raise Unreadable("endless name")
    return name + b"\x00", after or at + 1


def _records(packet: bytes) -> list[Record]:
    counts = [int.from_bytes(packet[at : at + 2], "big") for at in (4, 6, 8, 10)]
    if counts[0] != 1:
        raise Unreadable("not one question")
    at, found = name_at(packet, 12)[1] + 4, []
    for section, count in enumerate(counts[1:]):
        for _ in range(count):
            owner, at = name_at(packet, at)
            length = packet[at + 8] << 8 | packet[at + 9]
            rtype, rclass, ttl = (int.from_bytes(packet[at + a : at + b], "big") for a, b in ((0, 2), (2, 4), (4, 8)))
            rdata = packet[at + 10 : at + 10 + length]
            found.append(Record(section, owner, rtype, rclass, ttl, rdata, at + 10))
            at += 10 + length
    if at != len(packet):
        raise Unreadable(f"{at} of {len(packet)} octets")
    return found
