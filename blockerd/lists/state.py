"""The small half of a policy: categories, own allow and block rules, schedules, privacy level (`policy.state`).

Written whenever one of them changes, without touching the snapshot; the resolver takes it up within a quarter of a
second. Own files are `<state.dir>/own/allow.txt` and `block.txt`: a name a line, `#` comments, `*.x` for below only.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from blockerd.lists import snapshot
from blockerd.lists.guard import Protected
from blockerd.lists.sources import own_folder
from blockerd.model import CATEGORIES
from blockerd.policy.decide import OwnRule, Policy, State
from blockerd.policy.match import Table, strip_of
from blockerd.policy.name import BadName, from_text, to_text
from blockerd.policy.rule import Scope
from blockerd.policy.schedule import compile_schedules
from blockerd.settings import Settings


@dataclass(frozen=True, slots=True)
class OwnIssue:
    """A line of an own file that is no name."""

    path: Path
    line: int
    text: str
    reason: str


def own_rules(settings: Settings) -> tuple[dict[bytes, OwnRule], list[OwnIssue]]:
    """The own rules by wire name, and the lines that could not be read. A name in both files is allowed."""
    rules: dict[bytes, OwnRule] = {}
    issues: list[OwnIssue] = []
    for allow in (False, True):
        path = own_folder(settings) / ("allow.txt" if allow else "block.txt")
        try:
            text = path.read_text("utf-8", errors="replace")
        except OSError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            body = line.partition("#")[0].strip()
            if not body:
                continue
            try:
                name, rule = _own_rule(body, number, allow=allow)
                rules[name] = rule
            except BadName as error:
                issues.append(OwnIssue(path, number, body, str(error)))
    return rules, issues


def _own_rule(body: str, line: int, *, allow: bool) -> tuple[bytes, OwnRule]:
    """One line of an own file: a name, and for a block optionally the category it counts as.

    Raises:
        BadName: no name, or a category that does not exist.
    """
    text, _, category = body.partition(" ")
    category = category.strip() or "mixed"
    if category not in CATEGORIES:
        raise BadName(f"no category {category}")
    scope = Scope.BELOW if text.startswith("*.") else Scope.SUBTREE
    name = from_text(text.removeprefix("*."))
    return name, OwnRule(allow, line, scope, category, strip_of(name))


def write_state(settings: Settings, pointer: snapshot.Pointer, *, moved: bool = False) -> snapshot.Pointer:
    """Writes `policy.state` and moves the pointer if the state changed or the snapshot `moved`.

    Raises:
        OSError: it cannot be written; the old state stays live.
    """
    rules, _ = own_rules(settings)
    body: dict[str, Any] = {
        "categories": sorted(settings.lists.categories),
        "own": [[to_text(n), r.allow, r.line, int(r.scope), r.category, r.strip] for n, r in sorted(rules.items())],
        "schedules": [[s.category, list(s.days), list(s.windows)] for s in settings.schedule],
        "zone": settings.time.zone,
        "level": settings.privacy.level,
        "block_answer": settings.dns.block_answer,
        "block_ttl": settings.dns.block_ttl,
    }
    path = settings.state.dir / "policy.state"
    old = _read(path)
    if not moved and old is not None and {**old, "number": 0} == {**body, "number": 0}:
        return pointer
    number = pointer.number + 1
    data = json.dumps({**body, "number": number}, ensure_ascii=False).encode()
    snapshot.replace(path, data)
    fresh = replace(pointer, number=number, state_digest=snapshot.digest_of(data))
    snapshot.write_pointer(settings.state.dir, fresh)
    return fresh


def _read(path: Path) -> dict[str, Any] | None:
    try:
        got = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return got if isinstance(got, dict) else None


def read_state(folder: Path, pointer: snapshot.Pointer) -> State:
    """The state that `pointer` names.

    Raises:
        SnapshotError: missing, damaged, or not the one the pointer names (a change is being written: look again).
    """
    try:
        data = (folder / "policy.state").read_bytes()
    except OSError as error:
        raise snapshot.SnapshotError(f"policy.state: {error.strerror}; run: blockerd lists build") from None
    if snapshot.digest_of(data) != pointer.state_digest:
        raise snapshot.SnapshotError("policy.state: not the one that policy.current names; run: blockerd lists build")
    return state_from(json.loads(data))


def state_from(got: Mapping[str, Any]) -> State:
    """The state for its JSON form."""
    own = {from_text(n): OwnRule(allow, line, Scope(scope), c, strip) for n, allow, line, scope, c, strip in got["own"]}
    schedules = compile_schedules([(c, tuple(d), tuple(w)) for c, d, w in got["schedules"]], got["zone"])
    return State(
        got["number"], frozenset(got["categories"]), own, schedules, got["level"], got["block_answer"], got["block_ttl"]
    )


def open_policy(folder: Path, guard: Protected, table: Table | None = None) -> Policy:
    """The live policy of the state folder; `table` is reused where it is still the live one.

    Raises:
        SnapshotError: there is no good policy.
    """
    pointer = snapshot.read_pointer(folder)
    if pointer is None:
        raise snapshot.SnapshotError("no policy yet; run: blockerd lists build")
    state = read_state(folder, pointer)
    return Policy(pointer.generation, table or snapshot.open_table(folder / pointer.snapshot), state, guard.names)
