"""Takes lists and own rules over from Pi-hole and AdGuard Home; what cannot be taken over is told with its reason.

Reads a Pi-hole teleporter archive (.tar.gz, .zip), its gravity.db or adlists.list, and an AdGuardHome.yaml. Changes
nothing and opens no connection: `lists import` previews the result and applies it as one change.
"""

import io
import json
import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from blockerd.lists import formats
from blockerd.lists.catalogue import Entry
from blockerd.model import Action
from blockerd.policy.name import BadName, from_text, to_text
from blockerd.policy.rule import Scope
from blockerd.settings import Format, Source
from blockerd.settings.address import https_url
from blockerd.settings.value import Bad

MOST_BYTES = 64 * 1024 * 1024
"""Of one file in an archive, decompressed."""

_HINTS = (
    ("adult", re.compile(r"porn|nsfw|adult|xxx|sex(?!ual)", re.IGNORECASE)),
    ("dating", re.compile(r"dating", re.IGNORECASE)),
    ("no-safe-search", re.compile(r"no-?safe-?search", re.IGNORECASE)),
    ("bypass", re.compile(r"bypass|\bdoh\b|vpn|proxy|proxies|tunnel|tor-?exit", re.IGNORECASE)),
)
_NO_CATEGORY = "what it lists is not known here; add it with: blockerd lists add {} --category CATEGORY"


class ForeignError(Exception):
    """A file that cannot be taken over; one line with what and what to do."""


@dataclass(frozen=True, slots=True)
class Left:
    """Something that was not taken over, and why."""

    what: str
    reason: str


@dataclass(slots=True)
class Taken:
    """What an import would bring: lists, lines for the own allow and block list, lines for an own category list."""

    program: str
    sources: list[Source] = field(default_factory=list)
    allow: list[str] = field(default_factory=list)
    block: list[str] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _List:
    """One list address as the other program has it."""

    url: str
    title: str
    enabled: bool


@dataclass(slots=True)
class _Found:
    """What a file says, before it is judged. `rules` are in AdBlock syntax, `regexes` without slashes."""

    program: str
    lists: list[_List] = field(default_factory=list)
    allow_lists: list[_List] = field(default_factory=list)
    allow: list[str] = field(default_factory=list)
    block: list[str] = field(default_factory=list)
    allow_regexes: list[str] = field(default_factory=list)
    block_regexes: list[str] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)


def read(path: Path, known: Sequence[Source], catalogue: Sequence[Entry], category: str = "") -> Taken:
    """What the settings file or archive at `path` would bring.

    `known` are the lists that are there already; a list that neither the catalogue nor its name explains gets
    `category`, or is left where that is "".

    Raises:
        ForeignError: it cannot be read, or is none of the files known.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ForeignError(f"{path}: {error.strerror or error}; name the file that the other program wrote") from None
    found = _read(path, data)
    taken = Taken(found.program, left=list(found.left))
    _lists(taken, found, known, catalogue, category)
    _names(taken, found)
    for rule in found.rules:
        _rule(taken, rule)
    for name in ("allow", "block", "rules"):
        setattr(taken, name, list(dict.fromkeys(getattr(taken, name))))
    return taken


def _read(path: Path, data: bytes) -> _Found:
    if data.startswith(b"SQLite format 3\0"):
        return _gravity(path)
    if zipfile.is_zipfile(io.BytesIO(data)):
        return _archive(path, _zip_members(path, data))
    if data.startswith(b"\x1f\x8b") or path.name.endswith((".tar", ".tgz")):
        return _archive(path, _tar_members(path, data))
    text = data.decode("utf-8-sig", "replace")
    if path.suffix in (".yaml", ".yml") or re.search(r"(?m)^(filters|user_rules|whitelist_filters):", text):
        return _adguard(path, text)
    if path.name == "adlists.list":
        return _Found("Pi-hole", lists=_addresses(text))
    raise ForeignError(f"{path}: not known; give a Pi-hole teleporter archive, gravity.db or an AdGuardHome.yaml")


def _lists(taken: Taken, found: _Found, known: Sequence[Source], catalogue: Sequence[Entry], category: str) -> None:
    have, ids = {source.url for source in known}, {source.id for source in known}
    by_url = {url: entry for entry in catalogue for url in (entry.url, *entry.mirrors)}
    for one in found.lists:
        entry = by_url.get(one.url)
        what = entry.categories[0] if entry else _hint(one) or category
        try:
            https_url().read(one.url)
        except Bad:
            taken.left.append(Left(one.url, "lists are fetched over https only"))
            continue
        if one.url in have:
            taken.left.append(Left(one.url, "is here already"))
        elif not what:
            taken.left.append(Left(one.url, _NO_CATEGORY.format(one.url)))
        else:
            source_id = new_id(entry.id if entry else one.title or one.url, ids)
            ids.add(source_id)
            have.add(one.url)
            form = Format(entry.format) if entry else Format.AUTO
            made = Source(id=source_id, category=what, url=one.url, format=form)
            taken.sources.append(made if one.enabled else replace(made, enabled=False))
    for one in found.allow_lists:
        taken.left.append(Left(one.url, "a list of names to open: open names with `blockerd allow NAME`"))


def _hint(one: _List) -> str:
    return next((category for category, words in _HINTS if words.search(f"{one.url} {one.title}")), "")


def new_id(text: str, taken: Iterable[str]) -> str:
    """A list id made of `text` that is not among `taken`."""
    body = re.sub(r"^https?://(www\.)?", "", text.lower())
    base = re.sub(r"[^a-z0-9]+", "-", body).strip("-")[:48].strip("-") or "list"
    base = f"list-{base}" if base.startswith(("own-", "starter-", "offline-")) or base == "test-name" else base
    used = set(taken)
    return next(made for made in (base, *(f"{base}-{n}" for n in range(2, len(used) + 3))) if made not in used)


def _names(taken: Taken, found: _Found) -> None:
    for kind, names, regexes in (
        ("allow", found.allow, found.allow_regexes),
        ("block", found.block, found.block_regexes),
    ):
        into: list[str] = getattr(taken, kind)
        for name in names:
            try:
                into.append(to_text(from_text(name)))
            except BadName as error:
                taken.left.append(Left(name, f"no domain name: {error}"))
        for regex in regexes:
            parsed = formats.parse(f"/{regex}/\n".encode(), "regex", own=True)
            if parsed.names:
                into += map(to_text, parsed.names)
            elif parsed.rules and kind == "block":
                taken.rules.append(f"/{regex}/")
            else:
                why = parsed.issues[0].reason if parsed.issues else "an expression cannot open names here"
                taken.left.append(Left(f"/{regex}/", why))


def _rule(taken: Taken, text: str) -> None:
    """One rule in AdBlock syntax: a name goes to the own lists, what is more to the own category list."""
    parsed = formats.parse(text.encode("utf-8", "replace") + b"\n", "adblock", own=True)
    if parsed.names:
        taken.block += map(to_text, parsed.names)
    elif parsed.issues or not parsed.rules:
        if not text.startswith(("!", "#")) and text.strip():
            reason = parsed.issues[0].reason if parsed.issues else "not for a filter of names"
            taken.left.append(Left(text, reason))
    elif parsed.rules[0].allow:
        rule = parsed.rules[0]
        plain = rule.name and not (rule.pattern or rule.types or rule.denyallow)
        if plain and rule.scope is not Scope.EXACT and rule.action is Action.NXDOMAIN:
            taken.allow.append(("*." if rule.scope is Scope.BELOW else "") + to_text(rule.name))
        else:
            taken.left.append(Left(text, "the own allow list holds names with all below them only"))
    elif parsed.rules[0].important and parsed.rules[0].name and parsed.rules[0].scope is Scope.SUBTREE:
        taken.block.append(to_text(parsed.rules[0].name))
    else:
        taken.rules.append(text)


def _archive(path: Path, members: Iterator[tuple[str, bytes]]) -> _Found:
    """A Pi-hole teleporter archive: gravity.db (version 6), or JSON tables and text files (5 and before)."""
    found, any_ = _Found("Pi-hole"), False
    for name, data in members:
        text = data.decode("utf-8-sig", "replace")
        any_ = True
        if name == "gravity.db":
            with NamedTemporaryFile(suffix=".db") as file:
                file.write(data)
                file.flush()
                return _gravity(Path(file.name), named=path)
        if name == "adlist.json":
            found.lists += [_row_list(row) for row in _rows(path, name, text)]
        elif name in _TABLES:
            into = getattr(found, _TABLES[name])
            into += [str(row.get("domain", "")) for row in _rows(path, name, text) if row.get("enabled", 1)]
        elif name == "adlists.list":
            found.lists += _addresses(text)
        elif name in _TEXTS:
            getattr(found, _TEXTS[name]).extend(_text_lines(text))
        else:
            any_ = any_ and bool(found.lists or found.block or found.allow)
    if not (any_ or found.lists or found.block or found.allow or found.block_regexes):
        raise ForeignError(f"{path}: no Pi-hole lists in it; export one with Settings > Teleporter")
    return found


_TABLES = {
    "whitelist.exact.json": "allow",
    "whitelist.regex.json": "allow_regexes",
    "blacklist.exact.json": "block",
    "blacklist.regex.json": "block_regexes",
}
_TEXTS = {"whitelist.txt": "allow", "blacklist.txt": "block", "regex.list": "block_regexes"}
_WANTED = {"gravity.db", "adlist.json", "adlists.list", *_TABLES, *_TEXTS}


def _zip_members(path: Path, data: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                name = info.filename.rpartition("/")[2]
                if name in _WANTED:
                    with archive.open(info) as file:
                        yield name, _capped(path, name, file.read(MOST_BYTES + 1))
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
        raise ForeignError(f"{path}: damaged archive ({' '.join(str(error).split())[:80]}); export it again") from None


def _tar_members(path: Path, data: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for info in archive:
                name = info.name.rpartition("/")[2]
                if name in _WANTED and info.isfile() and (file := archive.extractfile(info)):
                    yield name, _capped(path, name, file.read(MOST_BYTES + 1))
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ForeignError(f"{path}: damaged archive ({' '.join(str(error).split())[:80]}); export it again") from None


def _capped(path: Path, name: str, data: bytes) -> bytes:
    if len(data) > MOST_BYTES:
        raise ForeignError(f"{path}: {name} is over {MOST_BYTES >> 20} MB; export it without query data")
    return data


def _rows(path: Path, name: str, text: str) -> list[dict[str, Any]]:
    try:
        got = json.loads(text)
    except ValueError as error:
        raise ForeignError(f"{path}: {name}: no JSON ({error}); export it again") from None
    return [row for row in got if isinstance(row, dict)] if isinstance(got, list) else []


def _row_list(row: dict[str, Any]) -> _List:
    return _List(str(row.get("address", "")), str(row.get("comment") or ""), bool(row.get("enabled", 1)))


def _addresses(text: str) -> list[_List]:
    return [_List(line, "", True) for line in _text_lines(text)]


def _text_lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _gravity(path: Path, named: Path | None = None) -> _Found:
    """The lists and names of a gravity.db, read without changing it."""
    import sqlite3

    found = _Found("Pi-hole")
    kinds = (found.allow, found.block, found.allow_regexes, found.block_regexes)
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            columns = {row[1] for row in db.execute("PRAGMA table_info(adlist)")}
            type_ = "type" if "type" in columns else "0"
            for address, enabled, comment, kind in db.execute(f"SELECT address, enabled, comment, {type_} FROM adlist"):
                into = found.allow_lists if kind else found.lists
                into.append(_List(str(address), str(comment or ""), bool(enabled)))
            for kind, domain in db.execute("SELECT type, domain FROM domainlist WHERE enabled ORDER BY id"):
                kinds[kind].append(str(domain))
        finally:
            db.close()
    except (sqlite3.Error, IndexError) as error:
        raise ForeignError(f"{named or path}: no gravity.db of Pi-hole 5 or 6 ({error})") from None
    return found


def _adguard(path: Path, text: str) -> _Found:
    from blockerd.lists.importing_yaml import YamlError, section

    found = _Found("AdGuard Home")
    try:
        for key, into in (("filters", found.lists), ("whitelist_filters", found.allow_lists)):
            for item in section(text, key):
                if isinstance(item, dict) and item.get("url"):
                    into.append(_List(item["url"], item.get("name", ""), item.get("enabled") != "false"))
        found.rules += [item for item in section(text, "user_rules") if isinstance(item, str)]
    except YamlError as error:
        raise ForeignError(f"{path}:{error}") from None
    return found
