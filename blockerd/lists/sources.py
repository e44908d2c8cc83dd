"""Which lists a build reads: the test name, own category files, configured sources, the shipped lists.

Own files live in `<state.dir>/own/`: `<category>.txt` beside `allow.txt`, `block.txt` and `sources.toml`, which adds
lists to the configured ones and switches lists off. A source by URL is read from its last good copy in
`<state.dir>/lists/`, which `lists update` keeps; nothing here opens a connection.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from blockerd.lists.added import current, merged
from blockerd.model import CATEGORIES, TEST_NAME
from blockerd.settings import Settings


@dataclass(frozen=True, slots=True)
class ListSource:
    """One list of a build. `data` is set for a list that is no file; `own` marks the person's own files."""

    id: str
    title: str
    category: str
    path: Path | None
    format: str = "auto"
    scope: str = "subtree"
    trust: str = "block"
    max_bytes: int = 64 * 1024 * 1024
    own: bool = False
    data: bytes = b""
    origin: str = ""


def shipped_folder() -> Path:
    """The folder of the shipped lists: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "blocklists"
    return inside if inside.is_dir() else package.parent / "blocklists"


def own_folder(settings: Settings) -> Path:
    """The folder of the person's own lists."""
    return settings.state.dir / "own"


def copy_of(settings: Settings, source_id: str) -> Path:
    """The last good copy of a configured source."""
    return settings.state.dir / "lists" / f"{source_id}.copy"


def list_sources(settings: Settings) -> Iterator[ListSource]:
    """The lists of a build in their order: a name in several lists counts for the first."""
    added, _ = current(own_folder(settings))
    for source in every_source(settings):
        if added.enabled(source.id) or source.id == "test-name":
            yield source


def every_source(settings: Settings) -> Iterator[ListSource]:
    """As `list_sources`, with the shipped and own lists that are switched off."""
    yield ListSource("test-name", "the test name", "demo", None, "domains", data=f"{TEST_NAME}\n".encode())
    for category in CATEGORIES:
        path = own_folder(settings) / f"{category}.txt"
        if path.is_file():
            yield ListSource(f"own-{category}", f"own {category} list", category, path, own=True)
    for source in merged(settings).lists.source:
        if source.enabled:
            path = source.path or copy_of(settings, source.id)
            origin = str(source.path or source.url)
            yield ListSource(
                source.id, source.id, source.category, path, source.format, source.scope, source.trust,
                source.max_bytes, origin=origin,
            )  # fmt: skip
    if settings.lists.starter:
        for category in CATEGORIES:
            path = shipped_folder() / f"{category}.txt"
            if path.is_file() and category != "demo":
                yield ListSource(f"starter-{category}", f"starter {category} list", category, path, "domains")
        yield from _offline()


def _offline() -> Iterator[ListSource]:
    """The published lists that are shipped, as `blocklists/offline/index.toml` names them."""
    folder = shipped_folder() / "offline"
    try:
        index = tomllib.loads((folder / "index.toml").read_text("utf-8"))
    except FileNotFoundError:
        return
    for entry in index["list"]:
        path = folder / entry["file"]
        yield ListSource(f"offline-{entry['id']}", entry["title"], entry["category"], path, "domains")
