"""The small half of a policy: categories, own allow and block rules, schedules, privacy level (`policy.state`).

Written whenever one of them changes, without touching the snapshot; the resolver takes it up within a quarter of a
second. Own files are `<state.dir>/own/allow.txt` and `block.txt`: a name a line, `#` comments, `*.x` for below only.
"""

import json
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from blockerd.lists import snapshot
from blockerd.lists.guard import Protected
from blockerd.lists.sources import own_folder
from blockerd.model import CATEGORIES
from blockerd.policy.decide import WILDCARD, OwnRule, Policy, State, own_key
from blockerd.policy.match import Table, strip_of
from blockerd.policy.name import BadName, from_text, to_text
from blockerd.policy.rule import Scope
from blockerd.policy.schedule import compile_schedules
from blockerd.settings import Settings

log = logging.getLogger(__name__)

_NOW, _BEFORE = "policy.state", "policy.state.before"
"""The state, and the one before it: whichever of them the pointer names is live, so a kill in between harms nothing."""


@dataclass(frozen=True, slots=True)
class OwnIssue:
    """A line of an own file that is no name."""

    path: Path
    line: int
    text: str
    reason: str


def state_lock(folder: Path) -> AbstractContextManager[None]:
    """Keeps two changes of the state apart; held for moments only, unlike the lock of a build."""
    return snapshot.folder_lock(folder, "state")


def own_rules(settings: Settings) -> tuple[dict[bytes, OwnRule], list[OwnIssue]]:
    """The own rules by `own_key`, and the lines that could not be read. A name in both files is allowed."""
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
    text, *rest = body.split(None, 1)
    category = rest[0] if rest else "mixed"
    if category not in CATEGORIES:
        raise BadName(f"no category {category}")
    scope = Scope.BELOW if text.startswith("*.") else Scope.SUBTREE
    name = from_text(text.removeprefix("*."))
    return own_key(name, scope), OwnRule(allow, line, scope, category, strip_of(name))


def write_state(settings: Settings, pointer: snapshot.Pointer, *, moved: bool = False) -> snapshot.Pointer:
    """Writes `policy.state` and moves the pointer if the state changed or the snapshot `moved`; call in `state_lock`.

    `pointer` holds number and digest of the live state. A state that is not the one the pointer names is written again.

    Raises:
        OSError: it cannot be written; the old state stays live.
    """
    rules, _ = own_rules(settings)
    body: dict[str, Any] = {
        "categories": sorted(settings.lists.categories),
        "own": [
            [to_text(key.removeprefix(WILDCARD)), r.allow, r.line, int(r.scope), r.category, r.strip]
            for key, r in sorted(rules.items())
        ],
        "schedules": [[s.category, list(s.days), list(s.windows)] for s in settings.schedule],
        "zone": settings.time.zone,
        "level": settings.privacy.level,
        "block_answer": settings.dns.block_answer,
        "block_ttl": settings.dns.block_ttl,
    }
    folder = settings.state.dir
    old = _live(folder / _NOW, pointer)
    if not moved and old is not None and {**json.loads(old), "number": 0} == {**body, "number": 0}:
        return pointer
    number = pointer.number + 1
    data = json.dumps({**body, "number": number}, ensure_ascii=False).encode()
    if old is not None:
        snapshot.replace(folder / _BEFORE, old)
    snapshot.replace(folder / _NOW, data)
    fresh = replace(pointer, number=number, state_digest=snapshot.digest_of(data))
    snapshot.write_pointer(folder, fresh)
    return fresh


def _live(path: Path, pointer: snapshot.Pointer) -> bytes | None:
    """What is in `path` where it is the state that `pointer` names."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data if snapshot.digest_of(data) == pointer.state_digest else None


def read_state(folder: Path, pointer: snapshot.Pointer) -> State:
    """The state that `pointer` names.

    Raises:
        SnapshotError: missing, damaged, or not the one the pointer names.
    """
    data = _live(folder / _NOW, pointer) or _live(folder / _BEFORE, pointer)
    if data is None:
        raise snapshot.SnapshotError("policy.state: not the one that policy.current names; run: blockerd lists build")
    return state_from(json.loads(data))


def state_from(got: Mapping[str, Any]) -> State:
    """The state for its JSON form."""
    rules = [
        (from_text(n), OwnRule(allow, line, Scope(scope), c, strip)) for n, allow, line, scope, c, strip in got["own"]
    ]
    own = {own_key(name, rule.scope): rule for name, rule in rules}
    schedules = compile_schedules([(c, tuple(d), tuple(w)) for c, d, w in got["schedules"]], got["zone"])
    return State(
        got["number"], frozenset(got["categories"]), own, schedules, got["level"], got["block_answer"], got["block_ttl"]
    )


def open_policy(
    folder: Path, guard: Protected, live: Policy | None = None, *, tell: Callable[[str], None] = log.warning
) -> Policy:
    """The live policy of the state folder; the table of `live`, the one in use, is used again where it is the same.

    Where the newest snapshot is missing or damaged the one before it is taken, which is kept for that, and `tell` is
    given the reason in one line.

    Raises:
        SnapshotError: there is no good policy.
    """
    pointer = snapshot.read_pointer(folder)
    if pointer is None:
        raise snapshot.SnapshotError("no policy yet; run: blockerd lists build")
    state = read_state(folder, pointer)
    generation = pointer.generation
    try:
        table = _table(folder, generation, live, tell)
    except snapshot.SnapshotError as error:
        generation -= 1
        try:
            table = _table(folder, generation, live, tell)
        except snapshot.SnapshotError:
            raise error from None
        tell(f"{error}; until then policy {generation}, the one before it, is used")
    return Policy(generation, table, state, guard.names)


def _table(folder: Path, generation: int, live: Policy | None, tell: Callable[[str], None]) -> Table:
    """That of `live` where it is the one on disk, or where that has become unreadable since.

    The number alone does not tell: it begins again at 1 in a folder that was emptied under a running resolver.
    """
    path = folder / f"policy-{generation}.snapshot"
    same = live.table if live and live.generation == generation else None
    if same and snapshot.checksum_in(path) == same.checksum:
        return same
    try:
        return snapshot.open_table(path)
    except snapshot.SnapshotError as error:
        if same is None:
            raise
        tell(f"{error}; until then the names in memory are used")
        return same
