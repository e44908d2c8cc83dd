"""Why a name is decided as it is, for people: the list by its title, the line as it stands in the file, the hours.

Also which lists hold a name. Reads list files, opens no connection. Called by `check` and by `allow`.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from ipaddress import ip_address, ip_network
from itertools import chain

from blockerd.lists import formats, formats_files
from blockerd.lists.edit import text_of
from blockerd.lists.formats.base import MAX_LINE, decode, printable
from blockerd.lists.sources import ListSource, copy_of, every_source, own_folder
from blockerd.model import Decision
from blockerd.policy.match import Table
from blockerd.policy.name import from_text, suffixes, to_text
from blockerd.settings import Settings

HELD = ("adult", "cam", "chat")
"""A name that no source of these categories holds opens at once (DESIGN section 7)."""

_ENOUGH = 1000
"""Names below that are looked at once a list is found: nobody wants to wait for all that `allow com` would open."""


@dataclass(frozen=True, slots=True)
class Why:
    """What stands behind a decision. `written` is the line as it stands in the list, "" where the list has changed
    since; `confirmed` is True where the table's rule was compared by full name, None where no table rule decided;
    `schedule` holds the windows of the category, empty for always; `client` is the name of who asked, "" unknown."""

    title: str = ""
    written: str = ""
    confirmed: bool | None = None
    schedule: tuple[str, ...] = ()
    client: str = ""


@dataclass(frozen=True, slots=True)
class Holder:
    """A list that holds a name, or one above or below it."""

    source: str
    title: str
    category: str
    rule: str


def why(settings: Settings, table: Table, name: bytes, decision: Decision, client: str = "") -> Why:
    """What stands behind `decision` about `name`; `client` as `client_of` gives it."""
    rule = decision.rule
    if rule is None:
        return Why(client=client)
    hours = tuple(f"{' '.join(s.days)} {' '.join(s.windows)}" for s in settings.schedule
                  if s.category == decision.category)  # fmt: skip
    if rule.source == "protected":
        return Why("protected names", _heading(rule.text), None, (), client)
    if rule.source in ("own-allow", "own-block"):
        kind = rule.source.removeprefix("own-")
        return Why(f"own {kind} list", _own_line(settings, kind, rule.line, rule.text), None, (), client)
    slots = [hit for hit in table.hits(name) if table.sources[hit.combo.source].id == rule.source]
    title = next((source.title for source in table.sources if source.id == rule.source), rule.source)
    source = next((source for source in every_source(settings) if source.id == rule.source), None)
    written = _line_of(settings, source, rule.line, rule.text) if source else ""
    return Why(title, written, True if slots else None, hours, client)


def client_of(settings: Settings, address: str) -> str:
    """The name of the client at `address`, "" for none of the configured.

    Raises:
        ValueError: no numeric address.
    """
    at = ip_address(address)
    networks = ((client.name, network) for client in settings.client for network in client.addresses)
    return next((name for name, network in networks if at in ip_network(network)), "")


def held_by(table: Table, name: bytes, categories: tuple[str, ...] = HELD) -> list[Holder]:
    """The lists of `categories` that block `name`, a name above it, or a name below it, each once."""
    found: dict[str, Holder] = {}
    for count, wire in enumerate(chain((name,), _below(table, name))):
        if found and count > _ENOUGH:
            break
        for hit in table.hits(wire):
            source = table.sources[hit.combo.source]
            if hit.combo.allow or hit.combo.category_id not in categories or source.id in found:
                continue
            text = to_text(table.name_at(hit.slot))
            found[source.id] = Holder(source.id, source.title, hit.combo.category_id, text)
    if table.patterns is not None:
        for index in table.patterns.matching(to_text(name)):
            rule, combo = table.patterns.rules[index]
            source = table.sources[combo.source]
            if not combo.allow and combo.category_id in categories:
                found.setdefault(source.id, Holder(source.id, source.title, combo.category_id, text_of(rule)))
    return list(found.values())


def _below(table: Table, name: bytes) -> Iterator[bytes]:
    """Listed names below `name`."""
    for found in re.finditer(re.escape(name), table.names):
        wire = _name_around(table, found.start())
        if wire != name and name in suffixes(wire):
            yield wire


def _name_around(table: Table, at: int) -> bytes:
    """The stored name that the octet `at` belongs to."""
    start = table.marks[bisect_right(table.marks, at) - 1]
    while True:
        end = start
        while length := table.names[end]:
            end += 1 + length
        if at <= end:
            return bytes(table.names[start : end + 1])
        start = end + 1


def _own_line(settings: Settings, kind: str, line: int, rule: str) -> str:
    try:
        text = (own_folder(settings) / f"{kind}.txt").read_text("utf-8", errors="replace").splitlines()[line - 1]
        written = text.partition("#")[0].split()[0].removeprefix("*.")
        return printable(text.strip()) if to_text(from_text(written)) == rule else ""
    except (OSError, IndexError, ValueError):
        return ""


def _line_of(settings: Settings, source: ListSource, line: int, rule: str) -> str:
    """Line `line` of a list as it stands there, where it still says `rule`."""
    for path in (source.path, copy_of(settings, source.id)):
        try:
            data = source.data if path is None else formats_files.read_source(path, source.max_bytes)
        except formats_files.ListError:
            continue
        raw = _nth_line(data, line)
        if raw and _says(raw, source, rule):
            return printable(decode(raw).strip(), 400)
    return ""


def _nth_line(data: bytes, line: int) -> bytes:
    """Line `line` (1-based) of a list, counted as its parser counts."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        data = data.decode("utf-16", "replace").encode("utf-8", "replace")
    data = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    at = 0
    for _ in range(line - 1):
        at = data.find(b"\n", at) + 1
        if not at:
            return b""
    end = data.find(b"\n", at)
    return data[at : end if end >= 0 else len(data)][:MAX_LINE]


def _says(raw: bytes, source: ListSource, rule: str) -> bool:
    """True if the one line `raw` still gives `rule` (a zone's line may need its $ORIGIN: there the name must begin)."""
    bare = rule.removeprefix("@@").lstrip("=").removeprefix("*.")
    if decode(raw).strip() == rule:
        return True
    parsed = formats.parse(raw, source.format, scope=source.scope, trust=source.trust, own=source.own)
    names = {to_text(name) for name in parsed.names} | {to_text(rule.name) for rule in parsed.rules if rule.name}
    if bare in names or rule in {text_of(rule) for rule in parsed.rules}:
        return True
    owner = (decode(raw).split() or [""])[0].lower().removeprefix("*.").rstrip(".")
    return source.format in ("rpz", "auto") and bool(owner) and (bare == owner or bare.startswith(f"{owner}."))


def _heading(rule: str) -> str:
    """The heading above a protected name: what kind of help it is, and where."""
    heading = ""
    for line in resources.files("blockerd.data").joinpath("protected.txt").read_text("ascii").splitlines():
        if line.startswith("# ["):
            heading = line.removeprefix("# ")
        elif line.partition("#")[0].strip() == rule:
            return f"{rule}  # {heading}"
    return ""
