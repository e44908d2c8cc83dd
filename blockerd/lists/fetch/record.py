"""What is kept of each fetched list: its last good copy, the held download, and a record of both.

    <state.dir>/lists/<id>.copy   last good copy, decompressed, as the builder reads it
    <state.dir>/lists/<id>.json   the record: addresses, validators, times, digests, what is held and why
    <state.dir>/lists/<id>.held   a download that waits to be confirmed
    <state.dir>/lists/<id>.part   a download under way; means nothing

The record names the digest of a copy before that copy is put in place, so after a crash at any point the copy is one
that the record knows. Opens no connection. Called by `fetch`, `lists ls` and reports.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from blockerd.lists import snapshot
from blockerd.lists.sources import copy_of
from blockerd.lists.verdict import DAY, Held
from blockerd.settings import Settings


@dataclass(frozen=True, slots=True)
class Meta:
    """The record of one list. Times are Unix seconds, 0 for never; digests are SHA-256 as hex.

    `url` is the configured address, `used` the one (perhaps a mirror) that gave the copy; `etag` and `last_modified`
    are what it said. `good_at` is when the copy was last known to be current, `changed_at` when it last changed.
    `sha256` is the digest of the copy, `incoming` of one that is about to take its place. `removed` and `added` count
    the names of the last change. `problem` says why the last try gave nothing new, `failures` how many such in a row.
    """

    url: str = ""
    used: str = ""
    etag: str = ""
    last_modified: str = ""
    tried_at: float = 0.0
    fetched_at: float = 0.0
    good_at: float = 0.0
    changed_at: float = 0.0
    bytes: int = 0
    names: int = 0
    sha256: str = ""
    incoming: str = ""
    held: Held | None = None
    removed: int = 0
    added: int = 0
    problem: str = ""
    failures: int = 0

    def age_days(self, now: float) -> float | None:
        """Days since the copy was last known to be current; None where there is no copy."""
        return max(now - self.good_at, 0.0) / DAY if self.good_at else None


def record_of(settings: Settings, source_id: str) -> Path:
    """Where the record of a list is."""
    return copy_of(settings, source_id).with_suffix(".json")


def held_of(settings: Settings, source_id: str) -> Path:
    """Where the held download of a list is."""
    return copy_of(settings, source_id).with_suffix(".held")


def part_of(settings: Settings, source_id: str) -> Path:
    """Where a download of a list under way is."""
    return copy_of(settings, source_id).with_suffix(".part")


def load(settings: Settings, source_id: str) -> Meta:
    """The record of a list as last saved; an empty one where there is none or it cannot be read."""
    try:
        kept = json.loads(record_of(settings, source_id).read_bytes())
        known = {name: type(value) for name, value in asdict(Meta()).items() if name != "held"}
        values = {name: kind(kept[name]) for name, kind in known.items() if name in kept}
        return Meta(**values, held=_held(kept.get("held") or {}))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return Meta()


def save(settings: Settings, source_id: str, meta: Meta) -> None:
    """Puts `meta` in place of the record, at once.

    Raises:
        OSError: it cannot be written; the old one stays.
    """
    path = record_of(settings, source_id)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    snapshot.replace(path, json.dumps(asdict(meta), ensure_ascii=False, indent=1).encode())


def settle(settings: Settings, source_id: str, url: str) -> Meta:
    """The record made true to the copy on disk and to the configured address `url`.

    After a crash the copy is the old or the incoming one; its digest says which. A copy that the record does not know,
    or one of another address, is kept and blocks, but has no validators and no size to be held to.
    """
    meta = load(settings, source_id)
    digest = digest_of(copy_of(settings, source_id))
    if not digest or meta.url != url:
        return Meta(url=url, tried_at=meta.tried_at if meta.url == url else 0.0,
                    failures=meta.failures if meta.url == url else 0, problem=meta.problem)  # fmt: skip
    if digest == meta.incoming != meta.sha256:
        # The crash came after the swap: what the record says of the copy is that of the one before.
        good_at = max(meta.good_at, meta.tried_at)
        return replace(meta, sha256=digest, incoming="", etag="", last_modified="", names=0, held=None, good_at=good_at)
    if digest != meta.sha256:
        return replace(meta, sha256=digest, incoming="", etag="", last_modified="", names=0)
    return replace(meta, incoming="")


def take(settings: Settings, source_id: str, part: Path, before: Meta, after: Meta) -> None:
    """Puts the file `part`, whose digest is `after.sha256`, in place of the copy, and `after` in place of `before`.

    Raises:
        OSError: nothing is lost; copy and record fit each other.
    """
    save(settings, source_id, replace(before, incoming=after.sha256))
    _swap(part, copy_of(settings, source_id))
    save(settings, source_id, after)
    held_of(settings, source_id).unlink(missing_ok=True)


def hold(settings: Settings, source_id: str, part: Path, after: Meta) -> None:
    """Keeps the file `part` beside the copy, and `after` as the record.

    Raises:
        OSError: it cannot be written.
    """
    _swap(part, held_of(settings, source_id))
    save(settings, source_id, after)


def digest_of(path: Path) -> str:
    """SHA-256 of a file as hex; "" where there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _swap(part: Path, place: Path) -> None:
    fd = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    part.replace(place)
    snapshot.sync_folder(place.parent)


def _held(kept: Mapping[str, Any]) -> Held | None:
    if not kept:
        return None
    return Held(str(kept["sha256"]), int(kept["names"]), float(kept["first_seen"]), str(kept["reason"]))
