"""Small real policies in memory, made from list texts by the same parsers and the same table as a build.

Refuses texts that the parser refuses as a whole. Called by tests of deciding and answering; nothing touches the disk.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from blockerd.lists.formats import parse
from blockerd.lists.guard import Protected
from blockerd.lists.snapshot import table_of
from blockerd.lists.sources import ListSource
from blockerd.lists.table import TableBuilder
from blockerd.model import CATEGORIES, TEST_NAME
from blockerd.policy.decide import OwnRule, Policy, State, own_key
from blockerd.policy.match import strip_of
from blockerd.policy.name import from_text, suffixes
from blockerd.policy.rule import Scope
from blockerd.policy.schedule import Weekly, compile_schedules

SEED = 0x5EED


@dataclass(frozen=True, slots=True)
class Listing:
    """One list: its text and what the configuration says of it."""

    text: str
    category: str = "adult"
    id: str = ""
    format: str = "auto"
    scope: str = "subtree"
    trust: str = "block"
    own: bool = False


def policy(
    *lists: Listing,
    allow: Iterable[str] = (),
    block: Iterable[str] = (),
    categories: Iterable[str] = CATEGORIES,
    schedules: Sequence[Weekly] = (),
    zone: str = "UTC",
    level: str = "name",
    block_answer: str = "nxdomain",
    block_ttl: int = 60,
    protected: Iterable[str] = (),
) -> Policy:
    """The policy of `lists` and of the test name, which is always there.

    `allow` and `block` are lines of the own files: `name`, `*.name`, for a block perhaps with a category behind.
    """
    guard = guard_of(protected)
    builder = TableBuilder(guard, SEED)
    every = (Listing(f"{TEST_NAME}\n", "demo", "test-name", "domains"), *lists)
    for number, one in enumerate(every):
        parsed = parse(one.text.encode(), one.format, scope=one.scope, trust=one.trust, own=one.own)
        assert parsed.refused is None, parsed.refused
        name = one.id or f"list-{number}"
        builder.add(ListSource(name, name, one.category, None, one.format, one.scope, one.trust, own=one.own), parsed)
    state = State(
        1, frozenset(categories), own_rules(allow, block), compile_schedules(schedules, zone), level, block_answer,
        block_ttl,
    )  # fmt: skip
    return Policy(1, table_of(builder.finish()), state, guard.names)


def guard_of(names: Iterable[str]) -> Protected:
    """A protected list of `names`; its digest tells it from others as the real one's does."""
    wires = frozenset(from_text(name) for name in names)
    above = frozenset(parent for wire in wires for parent in suffixes(wire)[1:])
    return Protected(wires, above, b"".join(sorted(wires)).hex())


def own_rules(allow: Iterable[str], block: Iterable[str]) -> dict[bytes, OwnRule]:
    """Own rules as the state holds them: a name on both lists is allowed."""
    rules: dict[bytes, OwnRule] = {}
    for allowed, lines in ((False, block), (True, allow)):
        for number, line in enumerate(lines, 1):
            text, _, category = line.partition(" ")
            scope = Scope.BELOW if text.startswith("*.") else Scope.SUBTREE
            name = from_text(text.removeprefix("*."))
            rules[own_key(name, scope)] = OwnRule(allowed, number, scope, category or "mixed", strip_of(name))
    return rules
