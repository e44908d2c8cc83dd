"""The commonest answer read at a glance: the addresses of the name that was asked for, and nothing else. Pure.

Everything that is not exactly that is passed on (None). What is read equals what `reply.scan_for` reads
(tests/dns/test_glance.py): this file can be deleted without a change of behaviour. It is here because a full look at
each answer was a tenth of what a forwarded question costs (2026-11, `python -m bench.forwarded`).
"""

import struct

from blockerd.dns.private import FIRST, is_private
from blockerd.dns.reply import MAX_RECORDS, MAX_TTL, Scan

_OPT_LENGTH = 11
_WIDTH = {1: 4, 28: 16}
"""Octets of an address by type."""

_HEAD, _RECORD = struct.Struct(">BBHHHH"), struct.Struct(">HHHIHB")
_TO_QUESTION = 0xC00C


def answer(packet: bytes, name: bytes, qtype: int) -> Scan | None:
    """What `packet`, whose question is known to be `name` and `qtype`, says, where it gives nothing but addresses of
    that very name."""
    width = _WIDTH.get(qtype)
    if width is None:
        return None
    flags, more, _, count, authorities, rest = _HEAD.unpack_from(packet, 2)
    if flags & 0x02 or more & 0x0F or authorities or rest > 1 or not 0 < count <= MAX_RECORDS:
        return None
    at = 16 + len(name)
    end = at + count * (12 + width)
    if len(packet) < end or (rest and not _adds_nothing(packet, end)):
        return None
    ttls, least, private = [], MAX_TTL, False
    while at < end:
        pointer, rtype, rclass, ttl, length, first = _RECORD.unpack_from(packet, at)
        if pointer != _TO_QUESTION or rtype != qtype or rclass != 1 or length != width or ttl > MAX_TTL:
            return None
        ttls.append((at + 6, ttl))
        if ttl < least:
            least = ttl
        if first in FIRST and is_private(packet[at + 12 : at + 12 + width]):
            private = True
        at += 12 + width
    authentic = more & 0x20 > 0
    return Scan(0, authentic, count, 0, end, tuple(ttls), least, (), False, private)


def _adds_nothing(packet: bytes, at: int) -> bool:
    """True for an OPT record at `at` that ends within `packet` and has nothing to add to the rcode."""
    opt = packet[at : at + _OPT_LENGTH]
    return (
        len(opt) == _OPT_LENGTH
        and opt[:3] == b"\x00\x00\x29"
        and not opt[5]
        and len(packet) >= at + _OPT_LENGTH + (opt[9] << 8 | opt[10])
    )
