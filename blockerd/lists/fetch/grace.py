"""Names that left a list: how many, and with `lists.grace_days` which and when, so that they stay blocked a while.

They are kept as text in `<state.dir>/lists/<id>.gone`, a name and the day (UTC) it left per line; rules that are no
plain names are not kept. `fetch` writes the file when a list changes, a build reads `grace_names` as one more list.
"""

from array import array
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from xxhash import xxh3_64_intdigest

from blockerd.clock import utc
from blockerd.lists import formats, snapshot
from blockerd.lists.sources import copy_of
from blockerd.policy.name import BadName, from_text, to_text
from blockerd.settings import Settings, Source

_AT_ONCE = 500_000


@dataclass(frozen=True, slots=True)
class Change:
    """How many names came and went, and the hashes of those that went."""

    added: int
    removed: int
    gone: Collection[int]


def hashes(data: bytes, source: Source) -> "array[int]":
    """A 64-bit hash of each plain name of the list `data`: 8 octets a name, whatever its length."""
    found = array("Q")
    formats.parse(data, source.format, scope=source.scope, trust=source.trust, sink=lambda names, _lines, _exact:
                  found.extend(map(xxh3_64_intdigest, names)))  # fmt: skip
    return found


def compare(old: "array[int]", new: "array[int]") -> Change:
    """What changed from `old` to `new`. Goes by parts of the hash space, so that memory stays small for large lists."""
    parts = 1 + max(len(old), len(new)) // _AT_ONCE
    gone, added = set[int](), 0
    for part in range(parts):
        before = {number for number in old if number % parts == part}
        after = {number for number in new if number % parts == part}
        gone |= before - after
        added += len(after - before)
    return Change(added, len(gone), gone)


def note(settings: Settings, source: Source, old: bytes, new: "array[int]", gone: Collection[int], now: float) -> None:
    """Writes down which names of the list `old` left, and forgets those that came back or whose time is over.

    Raises:
        OSError: it cannot be written; the file stays as it was.
    """
    path = gone_of(settings, source.id)
    kept = _read(path, _today(now), settings.lists.grace_days)
    if kept:
        back = set(new)
        kept = {name: day for name, day in kept.items() if _hash(name) not in back}
    if gone:
        left = set(gone)

        def collect(names: list[bytes], _lines: "array[int]", _exact: list[int]) -> None:
            kept.update((to_text(name), _today(now)) for name in names if xxh3_64_intdigest(name) in left)

        formats.parse(old, source.format, scope=source.scope, trust=source.trust, sink=collect)
    if kept or path.exists():
        snapshot.replace(path, "".join(f"{name} {day}\n" for name, day in sorted(kept.items())).encode())


def grace_names(settings: Settings, source_id: str, now: float) -> bytes:
    """The names that left the list `source_id` within `lists.grace_days`, one a line; b"" where there are none."""
    if not settings.lists.grace_days:
        return b""
    kept = _read(gone_of(settings, source_id), _today(now), settings.lists.grace_days)
    return "".join(f"{name}\n" for name in sorted(kept)).encode()


def gone_of(settings: Settings, source_id: str) -> Path:
    """Where the names that left a list are."""
    return copy_of(settings, source_id).with_suffix(".gone")


def _read(path: Path, today: date, grace_days: int) -> dict[str, date]:
    """Names whose grace is not over, with the day they left; a line that does not fit costs itself only."""
    try:
        lines: Iterable[str] = path.read_text("ascii", "replace").splitlines()
    except OSError:
        return {}
    kept = {}
    for line in lines:
        name, _, text = line.partition(" ")
        try:
            day = date.fromisoformat(text)
        except ValueError:
            continue
        if today <= day + timedelta(days=grace_days):  # days are whole: rather some hours more than some less
            kept[name] = day
    return kept


def _hash(name: str) -> int:
    try:
        return xxh3_64_intdigest(from_text(name))
    except BadName:
        return -1


def _today(now: float) -> date:
    return utc(now).date()
