"""What one list line means: the rule record that parsers make and the builder stores. Pure.

Plain block rules (99 % of real lists) never become records one by one: `lists.formats` hands them over as columns.
A `Rule` is for everything else.
"""

from dataclasses import dataclass
from enum import IntEnum

from blockerd.model import Action


class Scope(IntEnum):
    """Which names a rule covers, counted from its own name."""

    SUBTREE = 0
    EXACT = 1
    BELOW = 2

    def covers(self, *, at_owner: bool) -> bool:
        """True if the rule applies at its own name (`at_owner`) or below it."""
        return self != (Scope.BELOW if at_owner else Scope.EXACT)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    `name` is canonical wire form, or b"" for a rule that has only a `pattern` (RE2 syntax, matched anywhere in the
    lower-case text name without trailing dot). `types` holds the question types it is for (empty: all), turned round
    by `types_except`. `denyallow` holds names (and all below) that it spares. `action` is what a hit does;
    LOCAL_DATA carries `data` as (record type, text) pairs. `text` is the rule as a person wrote it.
    """

    name: bytes
    line: int
    scope: Scope = Scope.SUBTREE
    allow: bool = False
    important: bool = False
    pattern: str = ""
    types: frozenset[int] = frozenset()
    types_except: bool = False
    denyallow: tuple[bytes, ...] = ()
    action: Action = Action.NXDOMAIN
    data: tuple[tuple[str, str], ...] = ()
    text: str = ""

    @property
    def plain(self) -> bool:
        """True when name, scope, allow and important say everything, so that no extra record is needed."""
        return (
            not (self.pattern or self.types or self.denyallow or self.data)
            and self.action is Action.NXDOMAIN
            and bool(self.name)
        )

    def fits(self, qtype: int) -> bool:
        """True if the rule is for question type `qtype`."""
        return not self.types or (qtype in self.types) != self.types_except
