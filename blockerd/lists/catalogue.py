"""The catalogue of published lists: `blocklists/catalogue.toml` as frozen records. Opens no connection.

Nothing in it is fetched until its owner switches it on. Refuses a catalogue with an entry it cannot trust, in one line
that names the entry. Called by `lists add` and `lists enable`, by the fetcher for mirrors, and by the settings' guards.
"""

import tomllib
from dataclasses import MISSING, dataclass, fields
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any

from blockerd.lists.sources import shipped_folder
from blockerd.model import CATEGORIES
from blockerd.settings.address import https_url
from blockerd.settings.keys import Format
from blockerd.settings.value import Bad


class CatalogueError(Exception):
    """A catalogue that cannot be read; one line with what, where and what to do."""


class Rank(StrEnum):
    """For whom a list is (`level` in the file)."""

    DEFAULT = "default"
    STRICT = "strict"
    MAXIMUM = "maximum"
    OPT_IN = "opt-in"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class Entry:
    """One published list. `entries` were counted, or stated by the publisher, on `as_of`; `mirrors` in their order."""

    id: str
    title: str
    categories: tuple[str, ...]
    url: str
    mirrors: tuple[str, ...]
    format: str
    licence: str
    entries: int
    as_of: date
    cadence: str
    level: Rank
    homepage: str
    note: str = ""


_REQUIRED = tuple(field.name for field in fields(Entry) if field.default is MISSING)


def load(path: Path | None = None) -> tuple[Entry, ...]:
    """The entries of the catalogue at `path` (the shipped one where None), in file order.

    Raises:
        CatalogueError: missing, no TOML, or an entry that does not fit.
    """
    path = path or shipped_folder() / "catalogue.toml"
    try:
        rows = tomllib.loads(path.read_text("utf-8")).get("source", [])
    except OSError as error:
        raise CatalogueError(f"{path}: {error.strerror or error}; install blockerd again") from None
    except ValueError as error:
        raise CatalogueError(f"{path}: {error}; install blockerd again") from None
    entries = tuple(_entry(path, number, row) for number, row in enumerate(rows, 1))
    ids = [entry.id for entry in entries]
    if twice := next((id_ for id_ in ids if ids.count(id_) > 1), None):
        raise CatalogueError(f"{path}: source {twice} stands there twice; remove one")
    return entries


def _entry(path: Path, number: int, row: dict[str, Any]) -> Entry:
    where = f"{path}: source {row.get('id', number)}"
    if missing := [name for name in _REQUIRED if name not in row]:
        raise CatalogueError(f"{where}: {missing[0]} is missing; add it")
    try:
        made = Entry(**{
            **row, "categories": tuple(row["categories"]), "mirrors": tuple(row["mirrors"]), "level": Rank(row["level"])
        })  # fmt: skip
        for url in (made.url, *made.mirrors, made.homepage):
            https_url().read(url)
    except (TypeError, ValueError, Bad) as error:
        raise CatalogueError(f"{where}: {error}; correct it") from None
    if strange := [category for category in made.categories if category not in CATEGORIES] or not made.categories:
        raise CatalogueError(f"{where}: no category {strange}; write one of: {' '.join(CATEGORIES)}")
    if made.format not in list(Format):
        raise CatalogueError(f"{where}: no format {made.format}; write one of: {' '.join(Format)}")
    return made
