"""What became of fetched lists, told to the log once: a list that changed, one that was held, refused or out of reach.

`lists update` leaves a record of each list, whoever started it; here they are compared with what was told before, which
a small file keeps. Opens no connection. Called by `control`.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from blockerd.lists import snapshot
from blockerd.lists.added import merged
from blockerd.lists.fetch.record import Meta, load, record_of
from blockerd.settings import Settings

FILE = "told.json"


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of a list: the digest of its copy, of the held download, and why the last try gave nothing."""

    copy: str = ""
    held: str = ""
    problem: str = ""


def list_news(settings: Settings, record: Callable[[dict[str, Any]], object]) -> None:
    """Records what changed since the last call. A crash in between tells it twice rather than never.

    Raises:
        OSError: what was told cannot be kept.
    """
    path = record_of(settings, "any").with_name(FILE)
    before, after = _told(path), dict[str, Told]()
    for source in merged(settings).lists.source:
        if not source.url:
            continue
        meta = load(settings, source.id)
        after[source.id] = Told(meta.sha256, meta.held.sha256 if meta.held else "", meta.problem)
        for event in _news(source.id, before.get(source.id, Told()), meta):
            record(event)
    if after != before:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        snapshot.replace(path, json.dumps({key: asdict(told) for key, told in after.items()}).encode())


def _news(name: str, before: Told, meta: Meta) -> Iterator[dict[str, Any]]:
    if meta.sha256 and meta.sha256 != before.copy:
        counts = {"names": meta.names, "added": meta.added, "removed": meta.removed}
        yield {"kind": "list-updated", "list": name, **counts, "digest": meta.sha256}
    held = meta.held
    if held and held.sha256 != before.held:
        yield {"kind": "list-rejected", "list": name, "reason": held.reason}
    elif not held and meta.problem and meta.problem != before.problem:
        yield {"kind": "list-rejected", "list": name, "reason": meta.problem}


def _told(path: Path) -> dict[str, Told]:
    """What was told before; nothing where that cannot be read."""
    try:
        kept = json.loads(path.read_bytes())
        return {str(key): Told(**{name: str(value) for name, value in told.items()}) for key, told in kept.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
