# ruff: noqa: RUF009  (`setting`, `table` and `tables` are dataclasses.field with more to say; their values are immutable)
"""Lists added by command, and lists switched off: `<state.dir>/own/sources.toml`, as good to edit by hand.

Read by the readers of the settings, as strictly. A file that does not load changes nothing: the last one that did
stays in force and the problem is told. Called by `sources.list_sources`, the commands and the watch.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from blockerd.settings import Settings, Source
from blockerd.settings.declare import declared, setting, table, tables
from blockerd.settings.fill import At, Filling, Problem, line_of
from blockerd.settings.value import many, text, toml

FILE = "sources.toml"
RECORDED = ".recorded"
"""Folder in the own folder: each own file as it was at the last recorded change."""

_HEAD = """\
# Lists added by `blockerd lists add`, with the keys of [[lists.source]] in the settings; relative paths start here.
# Edited by hand it is live within two seconds while blockerd runs; a mistake in it leaves everything as it was.
"""
_TABLE = re.compile(r"(?m)^[ \t]*\[")
_ABOVE = re.compile(r"(?:^[ \t]*#[^\n]*\n)+\Z", re.MULTILINE)


class AddedError(Exception):
    """A sources.toml that does not load; one line for each reason."""


@dataclass(frozen=True, slots=True)
class Disabled:
    """[disabled]"""

    ids: tuple[str, ...] = setting([], many(text("list id", r"[a-z0-9][a-z0-9-]{0,79}")), "lists that are left out")


@dataclass(frozen=True, slots=True)
class Added:
    """What the file says; paths are absolute."""

    source: tuple[Source, ...] = tables(Source, label="id")
    disabled: Disabled = table(Disabled)

    def enabled(self, source_id: str) -> bool:
        """False for a list that is switched off here."""
        return source_id not in self.disabled.ids


@dataclass(frozen=True, slots=True)
class Difference:
    """One list that changed: `old` and `new` as told to people, "" for none; `direction` as `model.Change` has it."""

    what: str
    old: str
    new: str
    direction: str


_KEYS = [item.name for item in declared(Added)]


def parse(data: bytes, file: Path) -> Added:
    """What `data` says; `file` names it in messages and is where relative paths start.

    Raises:
        AddedError: not TOML, an unknown key, or a value that does not fit; all reasons at once.
    """
    try:
        body = data.decode("utf-8-sig")
        raw = tomllib.loads(body)
    except (ValueError, RecursionError) as error:
        raise AddedError(f"{file}: not TOML: {' '.join(str(error).split())}") from None
    filling = Filling([*_KEYS, "source", "disabled"])
    made: Added = filling.fill(Added, raw, At())
    problems = filling.problems or _together(made)
    if problems:
        lines = sorted((line_of(body, problem.place), f"{problem.key}: {problem.text}") for problem in problems)
        raise AddedError("\n".join(f"{file}:{line}: {said}" if line else f"{file}: {said}" for line, said in lines))
    sources = (replace(s, path=file.parent / s.path) if s.path else s for s in made.source)
    return replace(made, source=tuple(sources))


def _together(made: Added) -> list[Problem]:
    """What shows only when several keys are seen together."""
    found, seen = [], set[str]()
    for index, source in enumerate(made.source):
        at = f"source[{source.id}]"
        if (source.path is None) == (source.url is None):
            found.append(Problem(at, ("source", index), "write either path or url"))
        if source.id in seen:
            found.append(Problem(f"{at}.id", ("source", index, "id"), f'"{source.id}" is used twice; rename one'))
        seen.add(source.id)
    return found


def load(folder: Path) -> Added:
    """What the file in the own folder `folder` says; nothing where there is none.

    Raises:
        AddedError: as `parse`; or it cannot be read.
    """
    path = folder / FILE
    try:
        return parse(path.read_bytes(), path)
    except FileNotFoundError:
        return Added()
    except OSError as error:
        raise AddedError(f"{path}: {error.strerror or error}; check its permissions") from None


def current(folder: Path) -> tuple[Added, str]:
    """What is in force, and what is wrong with the file ("" for nothing): the last good one while it does not load."""
    try:
        return load(folder), ""
    except AddedError as error:
        problem = str(error)
    try:
        return parse((folder / RECORDED / FILE).read_bytes(), folder / FILE), problem
    except (OSError, AddedError):
        return Added(), problem


def merged(settings: Settings) -> Settings:
    """`settings` with the added lists among its sources, and those switched off marked so. Twice is as good as once."""
    added, _ = current(settings.state.dir / "own")
    known = {source.id for source in settings.lists.source}
    every = (*settings.lists.source, *(source for source in added.source if source.id not in known))
    sources = tuple(source if added.enabled(source.id) else replace(source, enabled=False) for source in every)
    return replace(settings, lists=replace(settings.lists, source=sources))


def with_source(data: bytes | None, source: Source) -> bytes:
    """The file `data` with `source` at its end; all that people wrote stays as it is."""
    body = data.decode("utf-8-sig") if data else _HEAD
    return f"{body.rstrip()}\n\n[[source]]\n{_keys(source)}".encode()


def without_source(data: bytes, source_id: str) -> bytes:
    """The file `data` without the source `source_id` and the comment right above it."""
    kept = [block for block in _blocks(data) if _id_in(block) != source_id]
    return switched("".join(kept).encode(), (source_id,), on=True)


def switched(data: bytes | None, ids: Sequence[str], *, on: bool) -> bytes:
    """The file `data` with the lists `ids` switched on or off."""
    blocks = _blocks(data or _HEAD.encode())
    off = dict.fromkeys(parse("".join(blocks).encode(), Path(FILE)).disabled.ids)
    for source_id in ids:
        off.pop(source_id, None)
        if not on:
            off[source_id] = None
    if on:
        blocks = [_opened(block) if _id_in(block) in ids else block for block in blocks]
    kept = "".join(block for block in blocks if "disabled" not in _header(block)).rstrip()
    return (kept + (f"\n\n[disabled]\nids = {toml(list(off))}\n" if off else "\n")).encode()


def differences(old: Added, new: Added) -> list[Difference]:
    """What changed for each list. A list that was added can only block more; of a changed one all counts."""
    had, has = ({source.id: source for source in added.source} for added in (old, new))
    ids = dict.fromkeys((*had, *has, *old.disabled.ids, *new.disabled.ids))
    found = []
    for source_id in ids:
        was, now = had.get(source_id), has.get(source_id)
        on = (
            old.enabled(source_id) and (was is None or was.enabled),
            new.enabled(source_id) and (now is None or now.enabled),
        )
        if was == now and on[0] == on[1]:
            continue
        told = _told(was, on=on[0], known=source_id not in has), _told(now, on=on[1], known=source_id not in had)
        found.append(Difference(f"list {source_id}", *told, _way(was, now, *on)))
    return found


def _way(was: Source | None, now: Source | None, on_before: bool, on_after: bool) -> str:
    """The direction of a change of one list; `None` twice is a list that is not of this file."""
    gone, came = was is not None and now is None, was is None and now is not None
    before, after = on_before and not came, on_after and not gone
    if came and now is not None and now.trust != "block" and after:
        return "weaker"
    if before == after:
        return "neutral" if not before else _changed(was, now)
    return "stronger" if after else "weaker"


def _changed(was: Source | None, now: Source | None) -> str:
    if was is None or now is None:
        return "neutral"
    wider = replace(was, scope=now.scope, trust=now.trust, max_bytes=now.max_bytes, enabled=now.enabled) == now
    order = (now.scope == "subtree", now.trust == "block", now.max_bytes)
    before = (was.scope == "subtree", was.trust == "block", was.max_bytes)
    return "stronger" if wider and all(a >= b for a, b in zip(order, before, strict=True)) else "weaker"


def _told(source: Source | None, *, on: bool, known: bool) -> str:
    if source is None:
        return ("on" if on else "off") if known else ""
    return f"{source.category}, {source.url or source.path}{'' if on else ', off'}"


def _keys(source: Source) -> str:
    lines = []
    for item in declared(Source):
        value = item.reader.plain(getattr(source, item.key))
        if value is not None and value != item.default:
            lines.append(f"{item.key} = {toml(value)}\n")
    return "".join(lines)


def _blocks(data: bytes) -> list[str]:
    """The head of the file and each of its tables, with the comment right above; joined they are the file."""
    body = data.decode("utf-8-sig")
    starts = [found.start() for found in _TABLE.finditer(body)]
    cuts = [0]
    for start in starts:
        above = _ABOVE.search(body, cuts[-1], start)
        cuts.append(above.start() if above and above.start() > cuts[-1] and cuts[-1] else start)
    return [body[a:b] for a, b in zip(cuts, [*cuts[1:], len(body)], strict=True)]


def _header(block: str) -> str:
    return next((line for line in block.splitlines() if line.lstrip().startswith("[")), "")


def _id_in(block: str) -> str:
    if "source" not in _header(block):
        return ""
    try:
        return str(tomllib.loads(block)["source"][0]["id"])
    except (ValueError, KeyError, IndexError, TypeError):
        return ""


def _opened(block: str) -> str:
    return re.sub(r"(?m)^[ \t]*enabled[ \t]*=[ \t]*false[^\n]*\n?", "", block)
