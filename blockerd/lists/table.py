"""Fills the hash table of a snapshot from parsed lists, a block of names at a time.

Names are staged as they are read: the wire names in one blob, hash, line and depth of each in arrays, so that five
million names need no five million objects. `finish` sizes the table by the number of different rules and fills it.
A name that two lists of one category hold alike is stored once, for the first list; lists with exceptions (`@@`) keep
their own entries, because an exception cancels rules of its own list only. Protected names are left out, names above
them are marked.
"""

import ctypes
import hashlib
from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate

from xxhash import xxh3_64_intdigest

from blockerd.lists.formats import Parsed
from blockerd.lists.formats.suffixes import Reach, reach
from blockerd.lists.guard import Protected
from blockerd.lists.patterns import MAX_PATTERNS, PatternError, check, fit
from blockerd.lists.snapshot import Content
from blockerd.lists.sources import ListSource
from blockerd.model import CATEGORIES
from blockerd.policy.match import COMBO_MASK, HASH_MASK, STRIP_UNKNOWN, STRIP_UP, Combo, Source, Table, strip_of
from blockerd.policy.name import ROOT, labels_of
from blockerd.policy.rule import Rule, Scope

LOAD = 0.4
"""Share of slots in use: 20 bytes of resident table a name, 1.33 probes a hit, 1.9 a miss (linear probing)."""

_PAD = 4096
_BLOCK = 32768
_ELSEWHERE = 255
"""Staged depth of a name that is put in one by one: protected, above a protected one, exact by the suffix list."""

_Kind = tuple[int, int, bool]
"""Category, scope, allow: what must be equal for one rule to stand for another."""


@dataclass(slots=True)
class Staged:
    """One list on its way into the table. `names` counts its plain names, the first of which is rule number `first`."""

    source: ListSource
    first: int
    names: int = 0
    special: list[tuple[int, Rule]] = field(default_factory=list)
    rules: Sequence[Rule] = ()
    added: int = 0
    refused: list[tuple[int, str, str]] = field(default_factory=list)


class TableBuilder:
    """Takes lists in order (`begin`, `take` for each block of names, `end`) and makes the snapshot (`finish`)."""

    def __init__(self, guard: Protected, seed: int) -> None:
        self._guard = guard
        self._seed = seed
        self._lists: list[Staged] = []
        self._hashes = array("Q")
        self._lines = array("I")
        self._depths = bytearray()
        self._blob = bytearray()
        self._marks = array("I")
        self._sorted: dict[tuple[_Kind, bytes], bytearray] = {}
        self._tails: dict[bytes, int] = {}
        self._touchy = guard.names | guard.above

    def add(self, source: ListSource, parsed: Parsed) -> Staged:
        """Takes a list that was parsed as a whole."""
        self.begin(source)
        exact = set(parsed.exact)
        for start in range(0, len(parsed.names), _BLOCK):
            end = min(start + _BLOCK, len(parsed.names))
            here = [index - start for index in range(start, end) if index in exact] if exact else []
            self.take(parsed.names[start:end], parsed.lines[start:end], here)
        return self.end(parsed)

    def begin(self, source: ListSource) -> Staged:
        """Starts a list."""
        self._lists.append(Staged(source, len(self._lines)))
        return self._lists[-1]

    def take(self, names: Sequence[bytes], lines: "array[int]", exact: Sequence[int]) -> None:
        """Takes a block of plain names of the list begun last; `exact` holds indexes of those meant for themselves."""
        staged = self._lists[-1]
        depths = [self._tails.get(name[name[0] + 1 :], _ELSEWHERE) for name in names]
        unknown = [index for index, depth in enumerate(depths) if depth == _ELSEWHERE]
        for index in unknown:
            depths[index] = self._depth(names[index])
        scope = _scope(staged.source)
        for index in self._closer(names, [i for i in unknown if depths[i] == _ELSEWHERE], exact):
            depths[index] = _ELSEWHERE
            meant = Scope.EXACT if index in exact else scope
            staged.special.append((len(self._lines) + index, Rule(names[index], lines[index], meant)))
        seed, digest = self._seed, xxh3_64_intdigest
        self._hashes.extend([digest(name, seed) for name in names])
        self._depths += bytes(depths)
        self._sort(staged.source, [n for n, d in zip(names, depths, strict=True) if d != _ELSEWHERE])
        self._store(names)
        self._lines.extend(lines)
        staged.names += len(names)

    def end(self, parsed: Parsed) -> Staged:
        """Ends the list begun last; `parsed` has its other rules."""
        staged = self._lists[-1]
        staged.rules = parsed.rules
        return staged

    def finish(self) -> Content:
        """The parts of the snapshot; the builder is of no more use."""
        for staged in self._lists:
            self._admit(staged)
        self._fit_patterns()
        digest, unique = self._digest()
        _give_back()
        keeping = sum(staged.names for staged in self._lists if _allows(staged))
        fill = _Fill(unique + keeping, self._guard.above, self._hashes, self._depths)
        for number, staged in enumerate(self._lists):
            fill.take(number, staged)
        sources = [Source(s.source.id, s.source.title, _allows(s)) for s in self._lists]
        return Content(
            fill.size, self._seed, fill.slots, fill.rule_of, self._lines, self._marks, self._blob, fill.combos, sources,
            fill.extras, fill.patterns, fill.tld_rules, self._guard.digest, digest,
        )  # fmt: skip

    def _depth(self, name: bytes) -> int:
        """Labels to strip from `name` to reach its site; 255 below the root or a protected name."""
        tail = name[name[0] + 1 :]
        if tail == ROOT or self._guard.covers(tail):
            depth = _ELSEWHERE
        elif reach(tail) is not Reach.ORDINARY:
            depth = 0
        else:
            depth = self._tails.get(tail[tail[0] + 1 :], _ELSEWHERE)
            depth = (self._depth(tail) if depth == _ELSEWHERE else depth) + 1
            depth = depth if depth < STRIP_UP else STRIP_UNKNOWN
        self._tails[tail] = depth
        return depth

    def _closer(self, names: Sequence[bytes], elsewhere: Sequence[int], exact: Sequence[int]) -> list[int]:
        """Indexes of names that need a closer look."""
        found = {*exact, *elsewhere}
        if not self._touchy.isdisjoint(names):
            found.update(index for index, name in enumerate(names) if name in self._touchy)
        return sorted(found)

    def _store(self, names: Sequence[bytes]) -> None:
        starts = list(accumulate(map(len, names), initial=len(self._blob)))
        self._marks.extend(starts[-len(self._lines) % Table.MARK : -1 : Table.MARK])
        self._blob += b"".join(names)

    def _sort(self, source: ListSource, names: list[bytes]) -> None:
        """Puts names aside by their first octets, for the rules digest."""
        kind = (CATEGORIES.index(source.category), int(_scope(source)), False)
        heads: dict[bytes, list[bytes]] = defaultdict(list)
        for name in names:
            heads[name[:2]].append(name)
        for head, group in heads.items():
            bucket = self._sorted.get((kind, head))
            if bucket is None:
                bucket = self._sorted[kind, head] = bytearray()
            bucket += b"\xff".join(group) + b"\xff"

    def _admit(self, staged: Staged) -> None:
        """Numbers the rules that the lists may put in one by one, leaving out what the guards and the engine refuse."""
        category = CATEGORIES.index(staged.source.category)
        admitted = [(number, rule) for number, rule in staged.special if not self._guard.covers(rule.name)]
        for rule in staged.rules:
            if rule.pattern:
                try:
                    check(rule.pattern)
                except PatternError as error:
                    staged.refused.append((rule.line, rule.text, f"pattern refused: {error}"))
                    continue
                admitted.append((-1, rule))
            elif rule.allow or not self._guard.covers(rule.name):
                admitted.append((len(self._lines), rule))
                self._hashes.append(xxh3_64_intdigest(rule.name, self._seed))
                self._depths.append(_ELSEWHERE)
                self._store([rule.name])
                self._lines.append(rule.line)
        for _, rule in admitted:
            if rule.plain:
                key = ((category, int(rule.scope), rule.allow), rule.name[:2])
                self._sorted.setdefault(key, bytearray()).extend(rule.name + b"\xff")
        staged.special = admitted

    def _fit_patterns(self) -> None:
        """Leaves out the patterns of each list with which the set of all would not work any more."""
        patterns = _patterns(self._lists)
        if not patterns or fit(patterns):
            return
        kept: list[Staged] = []
        for staged in self._lists:
            kept.append(staged)
            left_out = [rule for _, rule in staged.special if rule.pattern]
            if left_out and not fit(_patterns(kept)):
                staged.special = [(number, rule) for number, rule in staged.special if not rule.pattern]
                why = "pattern refused: with those of all lists together it is too large"
                staged.refused += [(rule.line, rule.text, why) for rule in left_out]

    def _digest(self) -> tuple[bytes, int]:
        """SHA-256 over the sorted canonical rules, whatever list they came from, and how many there are."""
        total, unique = hashlib.sha256(), 0
        for key in sorted(self._sorted):
            rules = sorted(set(bytes(self._sorted.pop(key)).split(b"\xff")))
            unique += len(rules) - 1
            total.update(repr(key[0]).encode() + b"\xff".join(rules))
        others = [rule for staged in self._lists for _, rule in staged.special if not rule.plain]
        _add_rules(total, others)
        return total.digest(), unique + len(others)


def _give_back() -> None:
    """Hands freed memory back before the table is laid out: 70 MB less at the peak with 4.3 million names (glibc)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _scope(source: ListSource) -> Scope:
    return Scope.EXACT if source.scope == "exact" else Scope.SUBTREE


def _allows(staged: Staged) -> bool:
    return any(rule.allow for rule in staged.rules)


def _patterns(lists: Iterable[Staged]) -> list[str]:
    return [rule.pattern for staged in lists for _, rule in staged.special if rule.pattern]


def _add_rules(total: "hashlib._Hash", rules: Iterable[Rule]) -> None:
    for text in sorted(f"{rule.text} {rule.pattern} {rule.action}" for rule in rules):
        total.update(text.encode("utf-8", "backslashreplace"))


class _Fill:
    """The table itself: slots, the rule of each slot, and the combinations that entries name."""

    def __init__(self, rules: int, above: frozenset[bytes], hashes: "array[int]", depths: bytearray) -> None:
        self.size = max(1024, int(rules / LOAD))
        self.slots = array("Q", bytes(8 * (self.size + _PAD)))
        self.rule_of = array("I", bytes(4 * (self.size + _PAD)))
        self.combos: list[Combo] = [Combo(0, 0)]
        self.extras: dict[int, Rule] = {}
        self.patterns: list[tuple[Rule, Combo]] = []
        self.tld_rules = False
        self._above = above
        self._hashes = hashes
        self._depths = depths
        self._numbers: dict[Combo, int] = {}
        self._kinds: list[tuple[int, ...]] = [()]

    def take(self, number: int, staged: Staged) -> None:
        """Puts one list in; `staged.added` is then the number of its rules that no earlier list stands for."""
        allows = _allows(staged)
        self._columns(number, staged, allows)
        for rule_number, rule in staged.special:
            if self._rule(number, staged.source, rule_number, rule, allows):
                staged.added += 1

    def _columns(self, number: int, staged: Staged, allows: bool) -> None:
        """The plain names of one list. The loop is the build's hot path; see `bench/`."""
        category = CATEGORIES.index(staged.source.category)
        scope = _scope(staged.source)
        numbers = [self._combo(Combo(number, category, scope, strip=n), allows) for n in range(STRIP_UNKNOWN + 1)]
        kinds, kind, mask = self._kinds, self._kinds[numbers[0]], COMBO_MASK
        slots, rule_of, size, added = self.slots, self.rule_of, self.size, 0
        last = staged.first + staged.names
        hashes, depths = self._hashes[staged.first : last], self._depths[staged.first : last]
        for rule, (h, depth) in enumerate(zip(hashes, depths, strict=True), staged.first):
            if depth == _ELSEWHERE:
                continue
            slot = h % size
            entry = slots[slot]
            while entry:
                if (entry ^ h) <= mask and kinds[entry & mask] == kind:
                    break
                slot += 1
                entry = slots[slot]
            else:
                slots[slot] = (h & HASH_MASK) | numbers[depth]
                rule_of[slot] = rule
                added += 1
        staged.added += added

    def _rule(self, number: int, source: ListSource, rule_number: int, rule: Rule, allows: bool) -> bool:
        """Puts one rule in; False where another one stands for it."""
        category = CATEGORIES.index(source.category)
        if rule.pattern:
            if len(self.patterns) < MAX_PATTERNS:
                combo = Combo(number, category, rule.scope, rule.allow, rule.important, True)
                self.patterns.append((rule, combo))
            return len(self.patterns) < MAX_PATTERNS
        strip = min(strip_of(rule.name), STRIP_UNKNOWN)
        guarded = not rule.allow and rule.name in self._above
        combo = Combo(number, category, rule.scope, rule.allow, rule.important, not rule.plain, guarded, strip)
        self.tld_rules |= len(labels_of(rule.name)) == 1
        return self._put(rule_number, rule, self._combo(combo, allows))

    def _put(self, rule_number: int, rule: Rule, combo: int) -> bool:
        h = self._hashes[rule_number]
        slot = h % self.size
        while entry := self.slots[slot]:
            same = (entry ^ h) <= COMBO_MASK and self._kinds[entry & COMBO_MASK] == self._kinds[combo]
            if same and not self.combos[combo].extra:
                return False
            slot += 1
        self.slots[slot] = (h & HASH_MASK) | combo
        self.rule_of[slot] = rule_number
        if self.combos[combo].extra:
            self.extras[rule_number] = rule
        return True

    def _combo(self, combo: Combo, allows: bool) -> int:
        """The number of `combo`; entries of one kind stand for each other when a name comes twice."""
        number = self._numbers.get(combo)
        if number is None:
            number = self._numbers[combo] = len(self.combos)
            self.combos.append(combo)
            own = combo.source + 1 if allows or combo.important or combo.extra else 0
            self._kinds.append((combo.category, combo.scope, combo.allow, own))
        return number
