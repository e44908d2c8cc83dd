"""The person's own allow and block lists: plans a change of them; files that can as well be edited by hand.

A plan changes nothing by itself: the command hands it to `binding.submit`, which records it and then applies it.
"""

from dataclasses import dataclass
from pathlib import Path

from blockerd.lists import snapshot
from blockerd.lists.sources import own_folder
from blockerd.lists.state import state_lock, write_state
from blockerd.policy.name import BadName, from_text, to_text
from blockerd.settings import Settings

_LIVE = "# Edited by hand? `blockerd lists build` makes it live.\n"

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


def plan(settings: Settings, verb: str, name: str, category: str) -> Plan:
    """What `verb` ("allow", "block" or "unblock", which takes it off both) would do to `name`.

    Raises:
        OSError: a file cannot be read.
    """
    before = {kind: _lines(settings, kind) for kind in _HEADERS}
    return Plan(verb, name, category, _where(before, name), _where(_after(before, verb, name, category), name))


def _after(before: dict[str, list[str]], verb: str, name: str, category: str) -> dict[str, list[str]]:
    """The lines of both files once `verb` is done to `name`."""
    after = {kind: [line for line in lines if _name(line) != name] for kind, lines in before.items()}
    if verb in _HEADERS:
        after[verb].append(f"{name} {category}" if verb == "block" and category != "mixed" else name)
    return after


def apply(settings: Settings, planned: Plan) -> None:
    """Writes the files and the state; where the state cannot be written the files are put back.

    Raises:
        OSError: nothing is changed.
    """
    folder = own_folder(settings)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with state_lock(settings.state.dir):
        # Read again: another command may have changed the files since the plan was made.
        before = {kind: _lines(settings, kind) for kind in _HEADERS}
        after = _after(before, planned.verb, planned.name, planned.category)
        try:
            for kind, lines in after.items():
                if lines != before[kind]:
                    _save(folder / f"{kind}.txt", kind, lines)
            if pointer := snapshot.read_pointer(settings.state.dir):
                write_state(settings, pointer)
        except OSError:
            for kind, lines in before.items():
                if _lines(settings, kind) != lines:
                    _save(folder / f"{kind}.txt", kind, lines)
            raise


def _lines(settings: Settings, kind: str) -> list[str]:
    try:
        return (own_folder(settings) / f"{kind}.txt").read_text("utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return []


def _save(path: Path, kind: str, lines: list[str]) -> None:
    text = "\n".join(lines) + "\n"
    snapshot.replace(path, (text if path.exists() else _HEADERS[kind] + text).encode("utf-8", "surrogateescape"))


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
