"""The one place where "is it blocked, and why" is answered. Pure, total and deterministic.

Precedence, first match wins (`STEPS` is this table as data):

1. protected     crisis, emergency, health, recovery, the machine's own lifelines: open, whatever else says
2. lock          the person's own lock; comes with the binding queue and will stand here
3. own           own rules, allow and deny at one level: most specific wins, a tie goes to allow
4. important     list rules marked `$important`
5. list allow    `@@` rules: cancel the rules of their own source only
6. list          rules of active categories (always active: the test name's category `demo`)
7. passthru      everything else

Called by the DNS engine, the proxy addon, the command line and the pages; `dns.wire` answers the plainest case of
step 6 by itself and is bound to this function by a property test.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from blockerd.model import Action, Decision, Query, RuleRef
from blockerd.policy.match import STRIP_UNKNOWN, STRIP_UP, Combo, Hit, Table
from blockerd.policy.name import labels_of, suffixes, to_text
from blockerd.policy.rule import Rule, Scope
from blockerd.policy.schedule import Schedules

WILDCARD = b"\x01*"
"""The first label of a wildcard name in wire form."""

ALWAYS = "demo"
"""The category that no setting turns off."""


@dataclass(frozen=True, slots=True)
class OwnRule:
    """A line of the person's own allow or block list; `strip` as in `match.Combo`."""

    allow: bool
    line: int
    scope: Scope = Scope.SUBTREE
    category: str = "mixed"
    strip: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """The small, quickly replaced half of a policy (`policy.state`).

    `own` maps `own_key`s to own rules; `number` grows with each change.
    """

    number: int
    categories: frozenset[str]
    own: Mapping[bytes, OwnRule]
    schedules: Schedules
    level: str
    block_answer: str
    block_ttl: int


@dataclass(frozen=True, slots=True)
class Policy:
    """An immutable policy: the mapped table, the state, and the protected names (canonical wire form)."""

    generation: int
    table: Table
    state: State
    protected: frozenset[bytes]

    def active(self, category: str, at: float) -> bool:
        """True if rules of `category` block at Unix time `at`."""
        if category == ALWAYS:
            return True
        return category in self.state.categories and self.state.schedules.active(category, at)


def decide(policy: Policy, query: Query, at: float) -> Decision:
    """What happens to `query` at Unix time `at` (seconds), and why. Never raises for a canonical name."""
    chain = suffixes(query.name)
    for step in OWN_STEPS:
        decision = step(policy, chain)
        if decision:
            return decision
    hits = policy.table.hits(query.name) + _pattern_hits(policy.table, query.name)
    for rule_step in LIST_STEPS if hits else ():
        decision = rule_step(policy, query, hits, at)
        if decision:
            return decision
    return Decision(Action.PASSTHRU, "not listed", until=policy.state.schedules.next_change(at))


def _protected(policy: Policy, chain: list[bytes]) -> Decision | None:
    if policy.protected.isdisjoint(chain):
        return None
    for name in chain:
        if name in policy.protected:
            ref = RuleRef("protected", 0, to_text(name), "")
            return Decision(Action.PASSTHRU, "protected: always open", ref)
    return None


def own_key(name: bytes, scope: Scope) -> bytes:
    """The key of an own rule in `State.own`: a rule for below only stands under its wildcard name (RFC 4592)."""
    return WILDCARD + name if scope is Scope.BELOW else name


def _own(policy: Policy, chain: list[bytes]) -> Decision | None:
    own = policy.state.own
    if not own:
        return None
    for depth, name in enumerate(chain):
        here, below = own.get(name), own.get(WILDCARD + name) if depth else None
        rule = below if below and (below.allow or here is None) else here
        if rule is None:
            continue
        if rule.allow:
            return Decision(Action.PASSTHRU, "own allow list", RuleRef("own-allow", rule.line, to_text(name), ""))
        ref = RuleRef("own-block", rule.line, to_text(name), rule.category)
        site = site_at(chain, depth, rule.strip)
        return Decision(_answer(policy), "own block list", ref, rule.category, site=site)
    return None


def _important(policy: Policy, query: Query, hits: list[Hit], at: float) -> Decision | None:
    live = [hit for hit in hits if hit.combo.important and not hit.combo.allow]
    return _first(policy, query, live, at, "list rule marked important")


def _list(policy: Policy, query: Query, hits: list[Hit], at: float) -> Decision | None:
    """Steps 5 and 6: a source whose own exception covers the name is silent."""
    silent = {hit.combo.source for hit in hits if hit.combo.allow and _applies(hit, query)}
    live = [hit for hit in hits if not hit.combo.allow and hit.combo.source not in silent]
    found = _first(policy, query, live, at, "listed")
    if found or not silent:
        return found
    allowing = next(hit for hit in hits if hit.combo.source in silent and hit.combo.allow)
    return Decision(Action.PASSTHRU, "exception of the list itself", _ref(policy.table, allowing))


def _first(policy: Policy, query: Query, hits: list[Hit], at: float, reason: str) -> Decision | None:
    for hit in hits:
        if _applies(hit, query) and policy.active(hit.combo.category_id, at):
            return _hit_decision(policy, hit, suffixes(query.name), at, reason)
    return None


def _applies(hit: Hit, query: Query) -> bool:
    """True if the modifiers of the hit's rule let it speak for this question."""
    rule = hit.rule
    if rule is None:
        return True
    return rule.fits(query.qtype) and not any(name in rule.denyallow for name in suffixes(query.name))


def _hit_decision(policy: Policy, hit: Hit, chain: list[bytes], at: float, reason: str) -> Decision:
    category = hit.combo.category_id
    action = hit.rule.action if hit.rule else Action.NXDOMAIN
    if action is Action.NXDOMAIN:
        action = _answer(policy)
    until = policy.state.schedules.until(category, at)
    data = hit.rule.data if hit.rule else ()
    site = b"" if hit.slot < 0 else site_at(chain, hit.depth, hit.combo.strip)
    return Decision(action, reason, _ref(policy.table, hit), category, until, data, site)


def site_at(chain: list[bytes], depth: int, strip: int) -> bytes:
    """The registrable domain of the name with suffixes `chain`, hit `depth` labels down; b"" where unknown here."""
    if strip == STRIP_UNKNOWN:
        return b""
    at = max(0, depth - 1) if strip == STRIP_UP else depth + strip
    return chain[at] if at < len(chain) else b""


def _answer(policy: Policy) -> Action:
    """How this install withholds an answer (setting `dns.block_answer`); `zero` is NODATA but for addresses."""
    return Action.NXDOMAIN if policy.state.block_answer == "nxdomain" else Action.NODATA


def _ref(table: Table, hit: Hit) -> RuleRef:
    source = table.sources[hit.combo.source]
    if hit.rule:
        return RuleRef(source.id, hit.rule.line, hit.rule.text or hit.rule.pattern, hit.combo.category_id)
    text = _scope_text(to_text(table.name_at(hit.slot)), hit.combo)
    return RuleRef(source.id, table.line_at(hit.slot), text, hit.combo.category_id)


def _scope_text(name: str, combo: Combo) -> str:
    """The rule in our own words: `name`, `=name` exact, `*.name` below only, `@@` before an exception."""
    text = {Scope.SUBTREE: name, Scope.EXACT: f"={name}", Scope.BELOW: f"*.{name}"}[combo.scope]
    return f"@@{text}" if combo.allow else text


def _pattern_hits(table: Table, name: bytes) -> list[Hit]:
    """Hits of patterns; they stand behind all hits by name, in list order."""
    if table.patterns is None or not table.patterns.rules:
        return []
    depth = len(labels_of(name))
    return [
        Hit(table.patterns.rules[index][1], depth, -1, table.patterns.rules[index][0])
        for index in table.patterns.matching(to_text(name))
    ]


OWN_STEPS: tuple[Callable[[Policy, list[bytes]], Decision | None], ...] = (_protected, _own)
LIST_STEPS: tuple[Callable[[Policy, Query, list[Hit], float], Decision | None], ...] = (_important, _list)
"""The table at the top of this file, in its order."""

__all__ = ["ALWAYS", "LIST_STEPS", "OWN_STEPS", "WILDCARD", "OwnRule", "Policy", "Rule", "State", "decide", "own_key"]
