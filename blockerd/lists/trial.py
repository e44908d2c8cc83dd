"""One list alone, for `lists test`: its syntax and its matching, by the same table and the same decision as ever.

No protected names, no category switch, no schedule: what guards would do is told as issues, not applied.
"""

from typing import Any

from blockerd.lists.formats import Parsed
from blockerd.lists.guard import Protected, protected
from blockerd.lists.snapshot import table_of
from blockerd.lists.sources import ListSource
from blockerd.lists.table import TableBuilder
from blockerd.model import Decision, Query
from blockerd.policy.decide import Policy, State, decide
from blockerd.policy.name import to_text
from blockerd.policy.schedule import compile_schedules

_CATEGORY = "adult"
_TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "NAPTR": 35,
          "DS": 43, "SVCB": 64, "HTTPS": 65, "CAA": 257, "ANY": 255}  # fmt: skip


def qtype_of(text: str) -> int | None:
    """The number of a question type written as mnemonic, number or TYPEn; None where it is none."""
    text = text.upper().removeprefix("TYPE")
    if text.isdecimal() and int(text) < 65536:
        return int(text)
    return _TYPES.get(text)


class Trial:
    """A policy of one parsed list."""

    def __init__(self, parsed: Parsed) -> None:
        source = ListSource("list", "this list", _CATEGORY, None)
        nothing = Protected(frozenset(), frozenset(), "")
        builder = TableBuilder(nothing, 0)
        staged = builder.add(source, parsed)
        state = State(0, frozenset((_CATEGORY,)), {}, compile_schedules([], "UTC"), "name", "nxdomain", 60)
        self._policy = Policy(0, table_of(builder.finish()), state, frozenset())
        refused = [{"line": line, "text": text[:120], "reason": why} for line, text, why in staged.refused]
        self.issues = [*_guarded(parsed), *refused]

    def decide(self, name: bytes, qtype: int, at: float) -> Decision:
        """What this list alone says of `name`."""
        return decide(self._policy, Query(name, qtype), at)


def _guarded(parsed: Parsed) -> list[dict[str, Any]]:
    """Names that the product would leave open whatever this list says."""
    guard, above = protected(), dict[bytes, bool]()
    rows: list[tuple[bytes, int]] = []
    for name, line in zip(parsed.names, parsed.lines, strict=True):
        parent = name[name[0] + 1 :]
        if parent not in above:
            above[parent] = guard.covers(parent)
        if above[parent] or name in guard.names:
            rows.append((name, line))
    named = (rule for rule in parsed.rules if rule.name and not rule.allow)
    rows += [(rule.name, rule.line) for rule in named if guard.covers(rule.name)]
    return [{"line": line, "text": to_text(name), "reason": "protected name: stays open"} for name, line in rows]
