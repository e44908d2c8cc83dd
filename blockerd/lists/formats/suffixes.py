"""Public suffixes for list parsers: may a list name this one, and how far does it reach. Pure.

A list that names `co.uk` or a stray single label would close a country, one that names `blogspot.com` would close
every blog. Called for each name by the slow path, for whole blocks of names by the fast one.
"""

from enum import IntEnum
from functools import lru_cache

from blockerd.policy.name import from_ascii, suffix_rules

TLDS = frozenset(from_ascii(tld) for tld in (b"adult", b"cam", b"dating", b"porn", b"sex", b"sexy", b"webcam", b"xxx"))
"""The top-level domains that a list may close in a syntax that means it (DESIGN section 3)."""


class Reach(IntEnum):
    """What a name is to the public suffix list."""

    ORDINARY = 0
    LABEL = 1
    PUBLIC = 2
    PRIVATE = 3


def reach(wire: bytes) -> Reach:
    """LABEL for one label, PUBLIC for an ICANN suffix, PRIVATE for one of the private section."""
    parent = wire[wire[0] + 1 :]
    if len(parent) == 1:
        return Reach.LABEL
    icann, private = suffix_rules()
    if wire in icann.rules or (parent in icann.wild and wire not in icann.exceptions):
        return Reach.PUBLIC
    if wire in private.rules or (parent in private.wild and wire not in private.exceptions):
        return Reach.PRIVATE
    return Reach.ORDINARY


@lru_cache(1)
def special_names() -> tuple[frozenset[bytes], frozenset[bytes]]:
    """Names that need `reach`, and the parents of names that do, in one set each for whole blocks of names."""
    icann, private = suffix_rules()
    return icann.rules | private.rules, icann.wild | private.wild
