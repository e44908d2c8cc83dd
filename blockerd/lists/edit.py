"""Changes of the person's own files: what they do, made at once or not at all, and taken back.

A change is planned as bytes before and after, told by `deltas`, and made by `make`, which keeps what was there in
`own/history/` for `undo` and a copy of every own file in `own/.recorded/`, by which a change made by hand is known.
Refuses a change of a file that someone else changed meanwhile. Called by the commands and the watch.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from blockerd.lists import added, formats, snapshot
from blockerd.lists.sources import own_folder
from blockerd.lists.state import own_rules, state_lock, write_state
from blockerd.model import CATEGORIES, Action
from blockerd.policy.decide import WILDCARD
from blockerd.policy.name import to_text
from blockerd.policy.rule import Rule, Scope
from blockerd.settings import Settings, State

Files = Mapping[str, bytes | None]
"""Own files by name; None for one that is not there."""

OWN_FILES = ("allow.txt", "block.txt", added.FILE, *(f"{category}.txt" for category in CATEGORIES))
KEPT = 50
"""Changes that can be taken back."""

_MOST_BYTES = 64 * 1024 * 1024


class EditError(Exception):
    """A change that was not made; one line with what and what to do."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What a change of one file does: rules (or lists) added and removed as text, lines that are none (`unread`:
    line, text, reason), and "stronger", "weaker" or "neutral"."""

    file: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    direction: str = "neutral"
    unread: tuple[tuple[int, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One change that can be taken back: `before` as it was, `after` the digests of what it left."""

    number: int
    at: int
    what: str
    before: Files
    after: Mapping[str, str] = field(default_factory=dict)


def read(settings: Settings, names: Sequence[str] = OWN_FILES) -> dict[str, bytes | None]:
    """The own files `names`.

    Raises:
        OSError: one cannot be read.
    """
    return {name: _bytes(own_folder(settings) / name) for name in names}


def deltas(before: Files, after: Files, folder: Path) -> list[Delta]:
    """What changing the own files of `folder` from `before` to `after` does, for each file that differs.

    Raises:
        AddedError: sources.toml would not load.
    """
    return [delta(name, before.get(name), data, folder) for name, data in after.items() if before.get(name) != data]


def delta(name: str, before: bytes | None, after: bytes | None, folder: Path) -> Delta:
    """As `deltas`, for one file."""
    if name == added.FILE:
        old, new = (added.parse(data or b"", folder / name) for data in (before, after))
        found = added.differences(old, new)
        more = tuple(d.what for d in found if d.direction == "stronger")
        less = tuple(d.what for d in found if d.direction == "weaker")
        return Delta(name, more, less, together(d.direction for d in found))
    (had, _), (has, unread) = _rules(name, before or b""), _rules(name, after or b"")
    came, went = tuple(rule for rule in has if rule not in had), tuple(rule for rule in had if rule not in has)
    ways = [_way(name, rule) for rule in came] + [_way(name, rule, gone=True) for rule in went]
    return Delta(name, came, went, together(ways), unread)


def together(ways: "Iterator[str] | Sequence[str]") -> str:
    """The direction of several changes made as one."""
    every = set(ways)
    return "weaker" if "weaker" in every else "stronger" if "stronger" in every else "neutral"


def make(settings: Settings, names: Sequence[str], plan: Callable[[Files], Files], *, what: str, at: int) -> None:
    """Reads the own files `names` under the lock and makes of them what `plan` says; live at once but for lists.

    `what` and `at` (Unix µs) are kept for `undo`.

    Raises:
        OSError: nothing is changed.
        EditError: `plan` raised it; nothing is changed.
    """
    folder = own_folder(settings)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with state_lock(settings.state.dir):
        begin(folder)
        before = read(settings, names)
        after = {name: data for name, data in plan(before).items() if data != before[name]}
        if not after:
            _live(settings)
            return
        entry = keep(folder, what, at, {name: before[name] for name in after}, after)
        try:
            _put(folder, after)
            _live(settings)
        except OSError:
            _put(folder, {name: before[name] for name in after})
            entry.unlink(missing_ok=True)
            raise
        remember(folder, after)


def exactly(before: Files, after: Files) -> Callable[[Files], Files]:
    """A plan for `make`: `after`, where the files are still `before`."""

    def plan(now: Files) -> Files:
        for name in after:
            if now[name] != before[name]:
                raise EditError(f"{name}: changed by someone else meanwhile; try again")
        return after

    return plan


def last(settings: Settings) -> Entry | None:
    """The change that `undo` would take back; None where there is none."""
    path = next(reversed(_entries(own_folder(settings))), None)
    if path is None:
        return None
    got = json.loads(path.read_bytes())
    before = {name: None if text is None else _encoded(text) for name, text in got["before"].items()}
    return Entry(int(path.stem), got["at"], got["what"], before, got["after"])


def undo(settings: Settings, entry: Entry, *, at: int) -> None:
    """Puts the files back as they were before `entry`, the last change, and forgets it.

    Raises:
        EditError: a file has been changed since; nothing is changed.
        OSError: nothing is changed.
    """

    def plan(now: Files) -> Files:
        for name, digest in entry.after.items():
            if digest_of(now[name]) != digest:
                raise EditError(f"{name}: changed by hand since; to undo would lose that, so edit the file itself")
        return entry.before

    make(settings, list(entry.before), plan, what=f"undo: {entry.what}", at=at)
    for path in _entries(own_folder(settings)):
        if int(path.stem) >= entry.number:
            path.unlink(missing_ok=True)


def take_back(settings: Settings, *, at: int) -> None:
    """Undoes the change just made, because what had to follow it could not be done."""
    if entry := last(settings):
        undo(settings, entry, at=at)


def begin(folder: Path) -> None:
    """Takes the own files as they are for recorded, where no change was recorded yet."""
    if not (folder / added.RECORDED).is_dir():
        remember(folder, {name: _bytes(folder / name) for name in OWN_FILES})


def remember(folder: Path, files: Files) -> None:
    """Notes that `files` stand on record as they are."""
    recorded = folder / added.RECORDED
    recorded.mkdir(mode=0o700, parents=True, exist_ok=True)
    _put(recorded, files)


def recorded(settings: Settings) -> dict[str, bytes | None]:
    """The own files as they were when a change was last recorded."""
    return {name: _bytes(own_folder(settings) / added.RECORDED / name) for name in OWN_FILES}


def keep(folder: Path, what: str, at: int, before: Files, after: Files) -> Path:
    """Writes an entry of the history and drops the oldest: at most KEPT of them, 64 MB in all."""
    history = folder / "history"
    history.mkdir(mode=0o700, parents=True, exist_ok=True)
    entries = _entries(folder)
    path = history / f"{int(entries[-1].stem) + 1 if entries else 1:06d}.json"
    body = {
        "at": at,
        "what": what,
        "before": {name: None if data is None else _decoded(data) for name, data in before.items()},
        "after": {name: digest_of(data) for name, data in after.items()},
    }
    snapshot.replace(path, json.dumps(body).encode("ascii"))
    total = 0
    for count, old in enumerate(reversed(_entries(folder))):
        total += old.stat().st_size
        if count and (count >= KEPT or total > _MOST_BYTES):
            old.unlink(missing_ok=True)
    return path


def digest_of(data: bytes | None) -> str:
    """SHA-256 of a file as hex; "" for none."""
    return "" if data is None else hashlib.sha256(data).hexdigest()


def text_of(rule: Rule) -> str:
    """A rule as previews show it and as changes are told apart."""
    if rule.pattern or rule.types or rule.denyallow or rule.action is not Action.NXDOMAIN:
        return f"{'@@' if rule.allow else ''}{rule.text or rule.pattern}"
    name = to_text(rule.name)
    scoped = {Scope.SUBTREE: name, Scope.EXACT: f"={name}", Scope.BELOW: f"*.{name}"}[rule.scope]
    return f"@@{scoped}" if rule.allow else scoped


def _rules(name: str, data: bytes) -> tuple[dict[str, bool], tuple[tuple[int, str, str], ...]]:
    """The rules of an own file as text, True for those that open, and the lines that are none."""
    if name in ("allow.txt", "block.txt"):
        return _own(name, data)
    parsed = formats.parse(data, own=True)
    if parsed.refused:
        return {}, ((1, "", parsed.refused),)
    found = dict.fromkeys(map(to_text, parsed.names), False)
    found.update((text_of(rule), rule.allow or rule.action is Action.LOCAL_DATA) for rule in parsed.rules)
    return found, tuple((issue.line, issue.text, issue.reason) for issue in parsed.issues)


def _own(name: str, data: bytes) -> tuple[dict[str, bool], tuple[tuple[int, str, str], ...]]:
    """As `_rules`, read by the very code that reads the live file."""
    with TemporaryDirectory() as scratch:
        settings = Settings(state=State(Path(scratch)))
        own_folder(settings).mkdir()
        (own_folder(settings) / name).write_bytes(data)
        rules, issues = own_rules(settings)
    texts = {
        ("*." if rule.scope is Scope.BELOW else "") + to_text(key.removeprefix(WILDCARD)): rule.allow
        for key, rule in rules.items()
    }
    return texts, tuple((issue.line, issue.text, issue.reason) for issue in issues)


def _way(name: str, rule: str, *, gone: bool = False) -> str:
    """The direction of a rule that came, or is gone."""
    opens = name == "allow.txt" or rule.startswith("@@") or "dnsrewrite" in rule
    return "weaker" if opens != gone else "stronger"


def _live(settings: Settings) -> None:
    """Writes the state; call in `state_lock`."""
    if pointer := snapshot.read_pointer(settings.state.dir):
        write_state(settings, pointer)


def go_live(settings: Settings) -> None:
    """Makes changes of the own allow and block list live, those of other lists need a build.

    Raises:
        OSError: the state cannot be written; the old one stays live.
    """
    with state_lock(settings.state.dir):
        _live(settings)


def _put(folder: Path, files: Files) -> None:
    for name, data in files.items():
        if data is None:
            (folder / name).unlink(missing_ok=True)
        elif _bytes(folder / name) != data:
            snapshot.replace(folder / name, data)


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "history").glob("*.json") if path.stem.isdecimal())


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
