"""What happens to a page, and why: `policy.decide` for its host first, then the URL rules. Pure and deterministic.

Precedence, first match wins:

1. the host     blocked by name: so is every page of it; protected or never decrypted: every page is open
2. own rules    of the person's own file, allow and deny at one level: most specific wins, a tie goes to allow
3. own allow    a host on the own allow list: no other rule looks at its pages
4. important    rules marked `$important`
5. allow        `@@` rules: cancel the rules of their own source only
6. rules        of active categories: pages, search terms
7. target       a link inside the URL that is blocked by these same steps
8. set          parameters that are to be set; the page is open
9. passthru     everything else

Called by the proxy's gate and by `check`, so that both say the same.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from blockerd.model import Action, Channel, Decision, Query, RuleRef
from blockerd.policy.decide import Policy, decide
from blockerd.policy.name import site_of
from blockerd.proxy.never import NeverDecrypt
from blockerd.proxy.url import BadUrl, Url, read
from blockerd.proxy.urlrule import Does, RuleSet, UrlRule

_DEPTH = 3
"""Links inside links that are followed."""


@dataclass(frozen=True, slots=True)
class Pages:
    """What is known about pages: the rules, the hosts never decrypted, and the setting `dns.safe_search`."""

    rules: RuleSet
    never: NeverDecrypt
    safe_search: bool = True


class Verdict(NamedTuple):
    """The decision for a page; `sets` are query parameters to be given these values before the page is asked for."""

    decision: Decision
    sets: tuple[tuple[str, str], ...] = ()
    address: bool = False
    """True for a URL whose host is an address, which names say nothing about."""

    @property
    def blocked(self) -> bool:
        """True when the page is withheld."""
        return self.decision.blocked


def decide_host(policy: Policy, name: bytes, at: float, group: str = "") -> Decision:
    """The decision for a host by its name alone, as the resolver takes it."""
    return decide(policy, Query(name, 1, group, Channel.PROXY), at)


def decide_url(policy: Policy, pages: Pages, url: Url, at: float, group: str = "") -> Verdict:
    """The decision for `url` at Unix time `at` (seconds). Never raises for a URL that `url.read` made."""
    return _decide(policy, pages, url, at, group, _DEPTH)


def opens(policy: Policy, pages: Pages, name: bytes, at: float) -> bool:
    """True if the connection to the host `name` is worth decrypting at `at`: a rule there may speak now.

    Protected names and those of the never-decrypt list are not, nor is a host that is blocked whole.
    """
    if name not in pages.rules.by_host and not pages.rules.for_host(name):
        return False
    decision = decide_host(policy, name, at)
    if decision.blocked or _closed_to_rules(decision, pages, name):
        return False
    own_only = _source(decision) == "own-allow"
    return any(
        rule.own or (not own_only and _active(policy, pages, rule, at))
        for rule in pages.rules.for_host(name)
        if rule.decrypts
    )


def _decide(policy: Policy, pages: Pages, url: Url, at: float, group: str, depth: int) -> Verdict:
    if url.scheme == "tel":
        return _telephone(policy, pages, url, at)
    if not url.name:
        return Verdict(Decision(Action.PASSTHRU, "an address: no list names it"), (), True)
    named = decide_host(policy, url.name, at, group)
    if named.blocked or _closed_to_rules(named, pages, url.name):
        return Verdict(named)
    path = url.path
    held = pages.rules.for_host(url.name)
    rules = [rule for rule in held if (rule.path is None or path.startswith(rule.path.head)) and rule.covers(url)]
    if not rules:
        return Verdict(named)
    found = _own(rules, url)
    if found is None and _source(named) != "own-allow":
        live = [
            rule for rule in rules if not rule.own and (rule.does is Does.ALLOW or _active(policy, pages, rule, at))
        ]
        found = _listed(policy, live, url, at) or _target(policy, pages, live, url, at, group, depth) or _set(live, url)
    return found or Verdict(named)


def _closed_to_rules(named: Decision, pages: Pages, name: bytes) -> bool:
    return _source(named) == "protected" or pages.never.covers(name)


def _source(decision: Decision) -> str:
    return decision.rule.source if decision.rule else ""


def _active(policy: Policy, pages: Pages, rule: UrlRule, at: float) -> bool:
    """True if the rule may speak at `at`; one without category stands for the safe mode of search engines."""
    return policy.active(rule.category, at) if rule.category else pages.safe_search


def _own(rules: Iterable[UrlRule], url: Url) -> Verdict | None:
    own = [rule for rule in rules if rule.own and rule.does in (Does.BLOCK, Does.ALLOW)]
    if not own:
        return None
    best = max(own, key=lambda rule: (*rule.weight, rule.does is Does.ALLOW))
    if best.does is Does.ALLOW:
        return Verdict(Decision(Action.PASSTHRU, "own page rules", _ref(best)))
    return Verdict(_blocked(best, "own page rules", url, None))


def _listed(policy: Policy, rules: list[UrlRule], url: Url, at: float) -> Verdict | None:
    """Steps 4 to 6; None where no rule blocks and none allows."""
    blocks = [rule for rule in rules if rule.does is Does.BLOCK]
    silent = {rule.source: rule for rule in rules if rule.does is Does.ALLOW}
    for rule in sorted(blocks, key=lambda one: not one.important):
        if rule.important or rule.source not in silent:
            reason = "search term" if rule.terms else "page rule"
            return Verdict(_blocked(rule, reason, url, policy.state.schedules.until(rule.category, at)))
    if blocks:
        return Verdict(Decision(Action.PASSTHRU, "exception of the rules themselves", _ref(silent[blocks[0].source])))
    return None


def _target(
    policy: Policy, pages: Pages, rules: list[UrlRule], url: Url, at: float, group: str, depth: int
) -> Verdict | None:
    for rule in rules if depth else ():
        for text in rule.targets(url) if rule.does is Does.TARGET else ():
            try:
                found = _decide(policy, pages, read(text), at, group, depth - 1)
            except BadUrl:
                continue
            if found.blocked:
                return Verdict(found.decision._replace(reason=f"leads to a blocked page: {found.decision.reason}"))
    return None


def _set(rules: list[UrlRule], url: Url) -> Verdict | None:
    for rule in rules:
        if rule.does is Does.SET:
            missing = tuple((key, value) for key, value in rule.sets if url.values(key.lower()) != [value])
            data = tuple(("QUERY", f"{key}={value}") for key, value in missing)
            action = Action.LOCAL_DATA if missing else Action.PASSTHRU
            return Verdict(
                Decision(action, "safe mode of a search engine", _ref(rule), rule.category, None, data), missing
            )
    return None


def _telephone(policy: Policy, pages: Pages, url: Url, at: float) -> Verdict:
    for length in range(len(url.number), 1, -1):
        rule = pages.rules.tel.get(url.number[:length])
        if rule and policy.active(rule.category, at):
            return Verdict(_blocked(rule, "premium number", url, policy.state.schedules.until(rule.category, at)))
    return Verdict(Decision(Action.PASSTHRU, "not listed"))


def _blocked(rule: UrlRule, reason: str, url: Url, until: float | None) -> Decision:
    """The site exists and this page of it is withheld: NODATA in RPZ terms."""
    site = site_of(url.name) if url.name else b""
    return Decision(Action.NODATA, reason, _ref(rule), rule.category, until, (), site)


def _ref(rule: UrlRule) -> RuleRef:
    return RuleRef(rule.source, rule.line, rule.text, rule.category)
