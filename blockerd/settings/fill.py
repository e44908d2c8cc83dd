"""Fills declared classes from parsed TOML, strictly: unknown keys and unfit values become problems, all at once.

Knows no setting by name. Each problem says where, what, and what to do. Called by `settings.load` alone. Pure.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from blockerd.settings.declare import Setting
from blockerd.settings.value import Bad, nearest, printable, toml

Place = tuple[str | int, ...]
"""The keys that lead to a value; a number stands for one table of an array, from 0."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why a file is refused: the key as people read it, the `place` to find it by, what is wrong."""

    key: str
    place: Place
    text: str


@dataclass(frozen=True, slots=True)
class At:
    """Where in the file we are: the `name` of the declaration, its `place`, and how a person would `show` it."""

    name: str = ""
    place: Place = ()
    show: str = ""

    def key(self, key: str) -> "At":
        """One key further down."""
        dot = "." if self.name else ""
        return At(f"{self.name}{dot}{key}", (*self.place, key), f"{self.show}{dot}{printable(key)}")

    def item(self, index: int, label: object) -> "At":
        """One table of the array here; `label` tells people which."""
        short = label if isinstance(label, str) and re.fullmatch(r"[\w. -]{1,40}", label) else index + 1
        return At(self.name, (*self.place, index), f"{self.show}[{short}]")


@dataclass(slots=True)
class Filling:
    """One reading of one file: what is wrong (`problems`), which keys it sets (`given`), what to remark (`notes`).

    `known` are the names of all keys and tables.
    """

    known: Sequence[str]
    problems: list[Problem] = field(default_factory=list)
    given: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    def fill(self, kind: Any, raw: object, at: At) -> Any:  # noqa: ANN401  (any declared class, and one of it)
        """A `kind` from the table `raw`; what cannot be read gets its default and becomes a problem."""
        if not isinstance(raw, dict):
            self._refuse(at, f"is not a table; write [{at.name}] and its keys below")
            raw = {}
        parts = {part.name.rstrip("_"): part for part in fields(kind) if part.metadata}
        for key in raw:
            if key not in parts:
                self._refuse(at.key(key), self._unknown(at.name, key))
        values = {part.name: self._part(part.metadata, raw, at.key(key)) for key, part in parts.items()}
        return kind(**values)

    def _part(self, declared: Mapping[str, Any], raw: Mapping[str, object], at: At) -> object:
        key = str(at.place[-1])
        if "table" in declared:
            return self.fill(declared["table"], raw.get(key, {}), at)
        if "tables" in declared:
            return self._array(declared, raw.get(key, []), at)
        own: Setting = declared["setting"]
        if key in raw:
            return self._value(own, raw[key], at)
        if own.required:
            self._refuse(at, f"is missing; add e.g. {key} = {toml(own.sample)}")
        return _fallback(own)

    def _value(self, own: Setting, raw: object, at: At) -> object:
        self.given.add(at.name)
        try:
            value = own.reader.read(raw)
        except Bad as error:
            for reason in error.args:
                self._refuse(at, str(reason))
            return _fallback(own)
        for item in value if isinstance(value, tuple) else (value,):
            if str(item) in own.reader.later:
                self.notes.append(f'{at.show}: "{item}" has no effect yet, its part is not built')
        return value

    def _array(self, declared: Mapping[str, Any], raw: object, at: At) -> tuple[object, ...]:
        if not isinstance(raw, list):
            self._refuse(at, f"is one table where a list of them belongs; write [[{at.name}]]")
            return ()
        if raw:
            self.given.add(at.name)
        labels = [item.get(declared["label"]) if isinstance(item, dict) else None for item in raw]
        return tuple(
            self.fill(declared["tables"], item, at.item(index, label))
            for index, (item, label) in enumerate(zip(raw, labels, strict=True))
        )

    def _refuse(self, at: At, text: str) -> None:
        self.problems.append(Problem(at.show, at.place, text))

    def _unknown(self, above: str, key: str) -> str:
        """What to say of `key` in table `above`: the nearest name there, the same key elsewhere, or any near one."""
        siblings = {name.rpartition(".")[2]: name for name in self.known if name.rpartition(".")[0] == above}
        elsewhere = [name for name in self.known if name.rpartition(".")[2] == key.lower()]
        near = siblings.get(nearest(key, siblings) or "") or next(iter(elsewhere), None)
        near = near or nearest(f"{above}.{key}".strip("."), self.known)
        return f"unknown key; did you mean {near}?" if near else "unknown key; `blockerd config example` shows all keys"


def _fallback(own: Setting) -> object:
    raw = own.sample if own.required else own.default
    return None if raw is None else own.reader.read(raw)


def line_of(text: str, place: Place) -> int:
    """The 1-based line of the TOML `text` where the key or table at `place` stands; 0 where it is not plain to see."""
    here: Place = ()
    counts: dict[Place, int] = {}
    above = 0
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*(\[{1,2})([^\[\]]+)\]{1,2}\s*(#.*)?$", line)
        if header:
            here = _opened(_keys(header[2]), counts, array=header[1] == "[[")
            if here == place:
                return number
            if place and here == place[: len(here)]:
                above = number
            continue
        key = re.match(r"\s*([^=#\[\]{}]+?)\s*=", line)
        if key and (*here, *_keys(key[1])) == place:
            return number
        if key and (*here, *_keys(key[1])) == place[: len(here) + 1]:
            above = number
    return above


def _opened(keys: Place, counts: dict[Place, int], *, array: bool) -> Place:
    """The place that a table header opens; `counts` holds the number of the last table of each array."""
    here: Place = ()
    for depth, key in enumerate(keys, 1):
        here = (*here, key)
        if array and depth == len(keys):
            counts[here] = counts.get(here, -1) + 1
        if here in counts:
            here = (*here, counts[here])
    return here


def _keys(dotted: str) -> Place:
    return tuple(key.strip().strip("\"'") for key in re.findall(r"\"[^\"]*\"|'[^']*'|[^.]+", dotted))
