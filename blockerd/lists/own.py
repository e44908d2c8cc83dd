"""Changes of the person's own allow and block lists: files that can as well be edited by hand.

Every change goes through `binding.submit`: recorded as stronger or weaker, applied at once until the delay queue comes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from blockerd.binding.submit import submit
from blockerd.journal.spool import Writer
from blockerd.lists import snapshot
from blockerd.lists.build import build_lock
from blockerd.lists.sources import own_folder
from blockerd.lists.state import write_state
from blockerd.model import Change
from blockerd.settings import Settings

_HEADERS = {
    "allow": "# Names that stay open, one a line; `*.site.test` for below only. Live within a second.\n",
    "block": "# Names that are blocked, one a line, perhaps with a category: `site.test chat`. Live within a second.\n",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one name; `message` is ready for a person."""

    name: str
    changed: bool
    message: str


def change(settings: Settings, verb: str, name: str, category: str, clock_us: Callable[[], int]) -> Outcome:
    """Puts `name` on the allow or block list, or with verb "unblock" takes it off both.

    Raises:
        OSError: a file cannot be written; nothing is changed.
    """
    before = {kind: _lines(settings, kind) for kind in _HEADERS}
    after = {kind: [line for line in lines if _name(line) != name] for kind, lines in before.items()}
    if verb in _HEADERS:
        after[verb].append(f"{name} {category}" if verb == "block" and category != "mixed" else name)
    old, new = _where(before, name), _where(after, name)
    if old == new:
        return Outcome(name, False, f"{name} is {old} already")
    change_ = Change(clock_us(), f"own lists: {name}", old, new, _direction(old, new), "user")
    return Outcome(name, True, f"{name}: {_apply(settings, change_, before, after, clock_us)}")


def _apply(
    settings: Settings,
    change_: Change,
    before: dict[str, list[str]],
    after: dict[str, list[str]],
    clock_us: Callable[[], int],
) -> str:
    """Writes the files and the state through the one road for changes; what the terminal says."""

    def apply() -> None:
        folder = own_folder(settings)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for kind, lines in after.items():
            if lines != before[kind]:
                _save(folder / f"{kind}.txt", kind, lines)
        with build_lock(settings.state.dir):
            pointer = snapshot.read_pointer(settings.state.dir)
            if pointer:
                write_state(settings, pointer)

    folder = settings.state.dir / "spool"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    writer = Writer(folder, "cli", clock_us, lambda: 0.0)
    try:
        return submit(change_, writer, apply)
    finally:
        writer.close()


def _lines(settings: Settings, kind: str) -> list[str]:
    try:
        return (own_folder(settings) / f"{kind}.txt").read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []


def _save(path: Path, kind: str, lines: list[str]) -> None:
    text = "\n".join(lines) + "\n"
    snapshot.replace(path, (text if path.exists() else _HEADERS[kind] + text).encode())


def _name(line: str) -> str:
    return line.partition("#")[0].strip().partition(" ")[0].lower().removesuffix(".")


def _where(lists: dict[str, list[str]], name: str) -> str:
    """How `name` stands on the own lists: allowed beats blocked."""
    for kind, word in (("allow", "allowed"), ("block", "blocked")):
        if any(_name(line) == name for line in lists[kind]):
            return word
    return "not on your own lists"


_RANK = {"allowed": 0, "not on your own lists": 1, "blocked": 2}


def _direction(old: str, new: str) -> str:
    return "stronger" if _RANK[new] > _RANK[old] else "weaker"
