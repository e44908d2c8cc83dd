"""The table of listed names: one open-addressing hash table over a flat buffer, and how it is read. Pure.

`lists.snapshot` writes the buffer and maps it; `decide` asks `Table.hits`; `dns.wire` walks `Table.slots` itself and
is held to the same answers by a property test. An entry is one u64: the high 44 bits of the XXH3-64 hash of the
canonical wire name (seeded once per install) and a 20-bit combination number. Home slot is `hash % size`; probing is
linear and never wraps, an empty slot is 0. The slot number leads to line and full name, which sit in parts of the
file that the resolver never touches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from xxhash import xxh3_64_intdigest

from blockerd.model import CATEGORIES
from blockerd.policy.name import labels_of, public_suffix, site_of
from blockerd.policy.rule import Rule, Scope

COMBO_BITS = 20
COMBO_MASK = (1 << COMBO_BITS) - 1
HASH_MASK = ((1 << 64) - 1) ^ COMBO_MASK

STRIP_UP = 14
"""`Combo.strip`: the site is one label longer than the rule's own name (the rule names a public suffix)."""
STRIP_UNKNOWN = 15
"""`Combo.strip`: more labels than fit; the site must be worked out from the name."""


def strip_of(name: bytes) -> int:
    """`Combo.strip` for a rule named `name`, from the public suffix list."""
    site, labels = site_of(name), len(labels_of(name))
    if site == name and public_suffix(name) == name:
        return STRIP_UP
    strip = labels - len(labels_of(site))
    return strip if strip < STRIP_UP else STRIP_UNKNOWN


@dataclass(frozen=True, slots=True)
class Combo:
    """What entries of one combination number share.

    `strip` is how many labels to take off the rule's name to reach the registrable domain. `extra` is True for rules
    whose meaning needs the full `Rule` (`Table.extras`); `guarded` for names that have a protected name below them.
    """

    source: int
    category: int
    scope: Scope = Scope.SUBTREE
    allow: bool = False
    important: bool = False
    extra: bool = False
    guarded: bool = False
    strip: int = 0

    @property
    def category_id(self) -> str:
        """The category as its id."""
        return CATEGORIES[self.category]


@dataclass(frozen=True, slots=True)
class Source:
    """A list as the snapshot knows it: `allows` is True when it has exceptions, which cancel only its own rules."""

    id: str
    title: str
    allows: bool


@dataclass(frozen=True, slots=True)
class Hit:
    """One rule that covers a name. `depth` is how many labels of the name stand before the rule's own name."""

    combo: Combo
    depth: int
    slot: int
    rule: Rule | None = None


class Patterns(Protocol):
    """A set of compiled patterns; implemented at the edge, where the regular expression engine is."""

    rules: Sequence[tuple[Rule, Combo]]

    def matching(self, text: str) -> Sequence[int]:
        """Indexes into `rules` of the patterns that match the text name, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Table:
    """All names of all lists, as mapped; replaced whole, never edited.

    `slots` (u64) is the hash table with `size` home slots; `rule_of` (u32, by slot), `lines` (u32, by rule),
    `names` (wire names one after another, by rule) and `marks` (u32 offset of every `MARK`-th name) are the cold part.
    `checksum` is that of its file, empty where it has none.
    """

    size: int
    seed: int
    slots: memoryview
    combos: tuple[Combo, ...]
    sources: tuple[Source, ...]
    rule_of: memoryview
    lines: memoryview
    names: memoryview
    marks: memoryview
    extras: Mapping[int, Rule]
    patterns: Patterns | None
    tld_rules: bool
    important: bool
    protected_digest: str
    checksum: bytes = b""

    MARK = 32

    def hits(self, name: bytes) -> list[Hit]:
        """Every rule of the table that covers `name`, most specific first, confirmed by full name."""
        found, at, depth = [], 0, 0
        while name[at]:
            entries = self._entries(name[at:])
            if entries:
                found += [
                    Hit(self.combos[v & COMBO_MASK], depth, s, r) for s, v, r in entries if self._covers(v, depth)
                ]
            at += 1 + name[at]
            depth += 1
        return found

    def _covers(self, entry: int, depth: int) -> bool:
        return self.combos[entry & COMBO_MASK].scope.covers(at_owner=depth == 0)

    def _entries(self, key: bytes) -> list[tuple[int, int, Rule | None]]:
        """Slot, entry and extra rule of every entry that is really for `key`."""
        digest = xxh3_64_intdigest(key, self.seed)
        slot, found = digest % self.size, []
        while entry := self.slots[slot]:
            if (entry ^ digest) <= COMBO_MASK and self.name_at(slot) == key:
                found.append((slot, entry, self.extras.get(self.rule_of[slot])))
            slot += 1
        return found

    def line_at(self, slot: int) -> int:
        """The list line of the rule in `slot`, 1-based."""
        return int(self.lines[self.rule_of[slot]])

    def name_at(self, slot: int) -> bytes:
        """The full wire name of the rule in `slot`."""
        rule = self.rule_of[slot]
        at = self.marks[rule // self.MARK]
        for _ in range(rule % self.MARK):
            at = self._end(at)
        return bytes(self.names[at : self._end(at)])

    def _end(self, at: int) -> int:
        while length := self.names[at]:
            at += 1 + length
        return at + 1
