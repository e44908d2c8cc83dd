"""The person's own allow and block lists: plans a change of them; files that can as well be edited by hand.

A plan changes nothing by itself: the command hands it to `binding.submit`, which records it and then applies it.
`altered` says what a plan would have changed of what is on record.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from blockerd.lists import edit
from blockerd.lists.sources import own_folder
from blockerd.model import Attempt, Decision, Query
from blockerd.policy.decide import OwnRule, Policy, decide, own_key
from blockerd.policy.match import strip_of
from blockerd.policy.name import BadName, from_text, suffixes, to_text
from blockerd.policy.rule import Scope
from blockerd.settings import Settings

_LIVE = "# Edited by hand it is live within two seconds while blockerd runs, else after `blockerd lists build`.\n"

_HEADERS = {
    "allow": "# Names that stay open, one a line; `*.site.test` for below only.\n" + _LIVE,
    "block": "# Names that are blocked, one a line, perhaps with a category: `site.test chat`.\n" + _LIVE,
}
_RANK = {"allowed": 0, "not on your own lists": 1, "blocked": 2}


@dataclass(frozen=True, slots=True)
class Plan:
    """A change of the own lists for one name: how it stands now and how it would stand."""

    verb: str
    name: str
    category: str
    old: str
    new: str

    @property
    def direction(self) -> str:
        """ "stronger" or "weaker"."""
        return "stronger" if _RANK[self.new] > _RANK[self.old] else "weaker"

    @property
    def added(self) -> tuple[str, ...]:
        """Lines that come, as `list: name`."""
        return () if self.new == "not on your own lists" else (f"{_FILE[self.new]}: {self.name}",)

    @property
    def removed(self) -> tuple[str, ...]:
        """Lines that go."""
        return () if self.old == "not on your own lists" else (f"{_FILE[self.old]}: {self.name}",)


_FILE = {"allowed": "own allow list", "blocked": "own block list"}


@dataclass(frozen=True, slots=True)
class Altered:
    """Recorded attempts that would have been open, and their sites; `perhaps` counts attempts of which only the site
    is on record, so that nobody can say; `known` is False where not even sites are kept."""

    attempts: int = 0
    sites: int = 0
    perhaps: int = 0
    known: bool = True


def plan(settings: Settings, verb: str, name: str, category: str) -> Plan:
    """What `verb` ("allow", "block" or "unblock", which takes it off both) would do to `name`.

    Raises:
        OSError: a file cannot be read.
    """
    before = _lists(edit.read(settings, ("allow.txt", "block.txt")))
    return Plan(verb, name, category, _where(before, name), _where(_after(before, verb, name, category), name))


def _after(before: dict[str, list[str]], verb: str, name: str, category: str) -> dict[str, list[str]]:
    """The lines of both files once `verb` is done to `name`."""
    after = {kind: [line for line in lines if _name(line) != name] for kind, lines in before.items()}
    if verb in _HEADERS:
        after[verb].append(f"{name} {category}" if verb == "block" and category != "mixed" else name)
    return after


def apply(settings: Settings, planned: Plan, at: int = 0) -> None:
    """Writes the files and the state; where the state cannot be written the files are put back. `at` is Unix µs.

    Raises:
        OSError: nothing is changed.
    """

    def files(now: edit.Files) -> edit.Files:
        # Read again under the lock: another command may have changed the files since the plan was made.
        before = _lists(now)
        after = _after(before, planned.verb, planned.name, planned.category)
        return {f"{kind}.txt": _body(now, kind, after[kind]) for kind in after if after[kind] != before[kind]}

    edit.make(settings, ("allow.txt", "block.txt"), files, what=f"{planned.verb} {planned.name}", at=at)


def with_plan(policy: Policy, planned: Plan) -> Policy:
    """`policy` as it would be after `planned`."""
    scope = Scope.BELOW if planned.name.startswith("*.") else Scope.SUBTREE
    wire = from_text(planned.name.removeprefix("*."))
    rules = dict(policy.state.own)
    rules.pop(own_key(wire, scope), None)
    if planned.new != "not on your own lists":
        rule = OwnRule(planned.new == "allowed", 0, scope, planned.category, strip_of(wire))
        rules[own_key(wire, scope)] = rule
    return replace(policy, state=replace(policy.state, own=rules))


def altered(
    policy: Policy,
    after: Policy,
    attempts: Iterable[Attempt],
    *,
    gone: Callable[[Decision], bool] = lambda _: False,
    about: bytes = b"",
) -> Altered:
    """Which of `attempts` would have been open under `after`, or if rules were not there of which `gone` is true.

    `about` is the name of the change in wire form: of an attempt at a site above it, where only the site is kept,
    nobody can say.
    """
    sites, count, perhaps, known = set[str](), 0, 0, True
    for attempt in attempts:
        wires = [from_text(name) for name in attempt.names or (attempt.site,) if name]
        known = known and bool(wires)
        if any(_opens(policy, after, wire, attempt.time / 1e6, gone) for wire in wires):
            sites.add(attempt.site)
            count += attempt.count
        elif about and not attempt.names and any(wire in suffixes(about)[1:] for wire in wires):
            perhaps += attempt.count
    return Altered(count, len(sites), perhaps, known)


def _opens(policy: Policy, after: Policy, wire: bytes, at: float, gone: Callable[[Decision], bool]) -> bool:
    query = Query(wire)
    before = decide(policy, query, at)
    return before.blocked and (gone(before) or not decide(after, query, at).blocked)


def _lists(files: edit.Files) -> dict[str, list[str]]:
    return {kind: (files[f"{kind}.txt"] or b"").decode("utf-8", "surrogateescape").splitlines() for kind in _HEADERS}


def _body(now: edit.Files, kind: str, lines: list[str]) -> bytes:
    text = "\n".join(lines) + "\n"
    return (text if now[f"{kind}.txt"] is not None else _HEADERS[kind] + text).encode("utf-8", "surrogateescape")


def header(settings: Settings, kind: str) -> bytes:
    """What an own file holds before anything is in it: `kind` is "allow", "block" or a category."""
    if (own_folder(settings) / f"{kind}.txt").exists():
        return b""
    own = f"# Your own {kind} list: a name a line covers that name and all below it; any list format is read.\n"
    return _HEADERS.get(kind, own + _LIVE).encode()


def _name(line: str) -> str:
    """The name in a line as `to_text` writes it, so that one written otherwise by hand is found too; "" for none."""
    written = (line.partition("#")[0].split() or [""])[0]
    below = "*." if written.startswith("*.") else ""
    try:
        return below + to_text(from_text(written.removeprefix("*.")))
    except BadName:
        return ""


def _where(lists: dict[str, list[str]], name: str) -> str:
    """How `name` stands on the own lists: allowed beats blocked."""
    for kind, word in (("allow", "allowed"), ("block", "blocked")):
        if any(_name(line) == name for line in lists[kind]):
            return word
    return "not on your own lists"
