"""Fills the hash table of a snapshot from parsed lists.

Plain names come as columns and go through one tight loop; rules with modifiers one by one. A name that two lists of
one category hold alike is stored once, for the first list; lists with exceptions (`@@`) keep their own entries,
because an exception cancels rules of its own list only. Protected names are left out, names above them are marked.
"""

import hashlib
from array import array
from collections.abc import Iterable

from xxhash import xxh3_64_intdigest

from blockerd.lists.formats import Parsed
from blockerd.lists.guard import Protected
from blockerd.lists.patterns import MAX_PATTERNS, PatternError, check
from blockerd.lists.snapshot import Content
from blockerd.lists.sources import ListSource
from blockerd.lists.suffixes import Reach, reach
from blockerd.model import CATEGORIES
from blockerd.policy.match import COMBO_MASK, HASH_MASK, STRIP_UNKNOWN, STRIP_UP, Combo, Source, Table, strip_of
from blockerd.policy.name import ROOT, labels_of
from blockerd.policy.rule import Rule, Scope

LOAD = 0.4
"""Share of slots in use: 20 bytes of resident table a name, 1.33 probes a hit, 1.9 a miss (linear probing)."""


class TableBuilder:
    """Collects parsed lists with `add`, in order, and makes the parts of the snapshot with `finish`."""

    def __init__(self, guard: Protected, seed: int) -> None:
        self._guard = guard
        self._seed = seed
        self._lists: list[tuple[ListSource, Parsed]] = []
        self._issues: dict[str, int] = {}
        self._held: dict[tuple[str, str], set[bytes]] = {}

    def add(self, source: ListSource, parsed: Parsed) -> int:
        """Takes a list; returns how many of its names no earlier list of its category held."""
        self._lists.append((source, parsed))
        self._issues[source.id] = 0
        held = self._held.setdefault((source.category, source.scope), set())
        before = len(held)
        held.update(parsed.names)
        return len(held) - before + len(parsed.rules)

    def issues_of(self, source_id: str) -> int:
        """Rules of a list that only the table could refuse."""
        return self._issues[source_id]

    def finish(self) -> Content:
        """The parts of the snapshot."""
        unique = sum(len(held) for held in self._held.values())
        self._held.clear()
        keeping = sum(len(p.names) for _, p in self._lists if _allows(p))
        rules = sum(len(parsed.rules) for _, parsed in self._lists)
        return _Fill(self._guard, self._seed, unique + keeping + rules, self._lists).run()


def _allows(parsed: Parsed) -> bool:
    return any(rule.allow for rule in parsed.rules)


class _Fill:
    """One filling of the table; its attributes are the parts that `Content` takes."""

    def __init__(self, guard: Protected, seed: int, names: int, lists: list[tuple[ListSource, Parsed]]) -> None:
        self.guard = guard
        self.seed = seed
        self.lists = lists
        self.size = max(1024, int(names / LOAD))
        pad = 4096
        self.slots = array("Q", bytes(8 * (self.size + pad)))
        self.rule_of = array("I", bytes(4 * (self.size + pad)))
        self.lines = array("I")
        self.names: list[bytes] = []
        self.combos: list[Combo] = [Combo(0, 0)]
        self.numbers: dict[Combo, int] = {}
        self.kinds: list[tuple[int, ...]] = [()]
        self.extras: dict[int, Rule] = {}
        self.patterns: list[tuple[Rule, Combo]] = []
        self.tails: dict[bytes, int] = {}
        self.groups: dict[tuple[int, ...], list[bytes]] = {}
        self.tld_rules = False

    def run(self) -> Content:
        sources = []
        for number, (source, parsed) in enumerate(self.lists):
            allows = _allows(parsed)
            sources.append(Source(source.id, source.title, allows))
            self._columns(number, source, parsed, allows)
            for rule in parsed.rules:
                self._rule(number, source, rule, allows)
        blob = b"".join(self.names)
        return Content(
            self.size, self.seed, self.slots, self.rule_of, self.lines, self._marks(), blob, self.combos, sources,
            self.extras, self.patterns, self.tld_rules, self.guard.digest, self._digest(),
        )  # fmt: skip

    def _columns(self, number: int, source: ListSource, parsed: Parsed, allows: bool) -> None:
        """The plain names of one list. The loop is the build's hot path; see `bench/`."""
        category = CATEGORIES.index(source.category)
        scope = Scope.EXACT if source.scope == "exact" else Scope.SUBTREE
        by_strip = [self._combo(Combo(number, category, scope, strip=n), allows) for n in range(STRIP_UNKNOWN + 1)]
        kinds, kind = self.kinds, self.kinds[by_strip[0]]
        exact = {parsed.names[index] for index in parsed.exact}
        special = self.guard.names | self.guard.above | exact
        digest, seed, size, slots, rule_of = xxh3_64_intdigest, self.seed, self.size, self.slots, self.rule_of
        names, lines, tails, mask = self.names, self.lines, self.tails, COMBO_MASK
        count = before = len(names)
        closer: list[Rule] = []
        for name, line in zip(parsed.names, parsed.lines, strict=True):
            tail = name[name[0] + 1 :]
            strip = tails.get(tail)
            if strip is None:
                strip = self._tail(tail)
            if strip < 0 or name in special:
                closer.append(Rule(name, line, Scope.EXACT if name in exact else scope))
                continue
            h = digest(name, seed)
            slot = h % size
            entry = slots[slot]
            while entry:
                if (entry ^ h) <= mask and kinds[entry & mask] == kind:
                    break
                slot += 1
                entry = slots[slot]
            else:
                slots[slot] = (h & HASH_MASK) | by_strip[strip]
                rule_of[slot] = count
                names.append(name)
                lines.append(line)
                count += 1
        self.groups.setdefault(kind[:3], []).extend(names[before:])
        for rule in closer:
            self._rule(number, source, rule, allows)

    def _tail(self, tail: bytes) -> int:
        """For names one label below `tail`: labels to strip to reach their site; -1 where they need a closer look."""
        if tail == ROOT or self.guard.covers(tail):
            result = -1
        elif reach(tail) is not Reach.ORDINARY:
            result = 0
        else:
            above = self._tail(tail[tail[0] + 1 :])
            result = min(above + 1, STRIP_UNKNOWN) if above + 1 != STRIP_UP else STRIP_UNKNOWN
        self.tails[tail] = result
        return result

    def _rule(self, number: int, source: ListSource, rule: Rule, allows: bool) -> None:
        category = CATEGORIES.index(source.category)
        if rule.pattern:
            self._pattern(source, rule, Combo(number, category, rule.scope, rule.allow, rule.important, True))
            return
        if not rule.allow and self.guard.covers(rule.name):
            return
        above = rule.name in self.guard.above and not rule.allow
        extra = not rule.plain
        strip = strip_of(rule.name)
        combo = Combo(number, category, rule.scope, rule.allow, rule.important, extra, above, strip)
        self.tld_rules |= len(labels_of(rule.name)) == 1
        self._put(rule, self._combo(combo, allows))

    def _put(self, rule: Rule, combo: int) -> None:
        h = xxh3_64_intdigest(rule.name, self.seed)
        slot = h % self.size
        while entry := self.slots[slot]:
            same = (entry ^ h) <= COMBO_MASK and self.kinds[entry & COMBO_MASK] == self.kinds[combo]
            if same and not self.combos[combo].extra:
                return
            slot += 1
        if slot + 2 >= len(self.slots):
            self.slots.extend([0] * 4096)
            self.rule_of.extend([0] * 4096)
        self.slots[slot] = (h & HASH_MASK) | combo
        self.rule_of[slot] = len(self.names)
        self.groups.setdefault(self.kinds[combo][:3], []).append(rule.name)
        if self.combos[combo].extra:
            self.extras[len(self.names)] = rule
        self.names.append(rule.name)
        self.lines.append(rule.line)

    def _pattern(self, source: ListSource, rule: Rule, combo: Combo) -> None:
        if len(self.patterns) >= MAX_PATTERNS:
            return
        try:
            check(rule.pattern)
        except PatternError:
            return
        self.patterns.append((rule, combo))

    def _combo(self, combo: Combo, allows: bool) -> int:
        """The number of `combo`; entries of one kind stand for each other when a name comes twice."""
        number = self.numbers.get(combo)
        if number is None:
            number = self.numbers[combo] = len(self.combos)
            self.combos.append(combo)
            own = combo.source + 1 if allows or combo.important or combo.extra else 0
            self.kinds.append((combo.category, combo.scope, combo.allow, own))
        return number

    def _marks(self) -> "array[int]":
        marks, at = array("I"), 0
        for index, name in enumerate(self.names):
            if index % Table.MARK == 0:
                marks.append(at)
            at += len(name)
        return marks

    def _digest(self) -> bytes:
        """SHA-256 over the sorted canonical rules: kind and name, whatever list they came from."""
        total = hashlib.sha256()
        for key in sorted(self.groups):
            total.update(repr(tuple(map(int, key))).encode())
            total.update(b"".join(sorted(self.groups[key])))
        _add_rules(total, (rule for rule in [*self.extras.values(), *(rule for rule, _ in self.patterns)]))
        return total.digest()


def _add_rules(total: "hashlib._Hash", rules: Iterable[Rule]) -> None:
    for text in sorted(f"{rule.text} {rule.pattern} {rule.action}" for rule in rules):
        total.update(text.encode())
