"""How the lists are: size, growth, trouble, age, what they share, what they repeat, and what they blocked.

Reads the report of the last build, the lists themselves and counts of attempts that the caller takes from the record.
What lists share is computed from 64-bit hashes, 16 octets a name, and kept until a list changes. Called by
`lists stats`; `note` by whoever has just built.
"""

import hashlib
import json
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xxhash import xxh3_64_intdigest

from blockerd.lists import formats, formats_files, snapshot
from blockerd.lists.added import current, merged
from blockerd.lists.fetch import record as fetch_record
from blockerd.lists.sources import ListSource, copy_of, every_source, list_sources, own_folder, shipped_folder
from blockerd.model import Attempt
from blockerd.policy.name import suffixes
from blockerd.settings import Settings

HISTORY = "lists-history.json"
IDLE, ASLEEP = "this list blocked nothing", "does not block"
"""How the notes begin that many lists share."""

_SHARED = "lists-shared.json"
_KEPT = 60
"""Builds of which the sizes are kept."""
_AT_ONCE = 500_000


@dataclass(frozen=True, slots=True)
class Shared:
    """Names of a list that another list of its category holds as well (`overlap`), and names whose parent it lists
    itself (`redundant`)."""

    overlap: int = 0
    redundant: int = 0


@dataclass(frozen=True, slots=True)
class Health:
    """One list. `growth` counts names since the build before, None where there was none; `good_at` is when its copy
    was last good (Unix seconds), None unknown; `age_days` how long ago; `attempts` what it blocked in `days`."""

    id: str
    title: str
    category: str
    active: bool
    entries: int
    growth: int | None
    issues: int
    not_applicable: int
    overlap: int
    redundant: int
    good_at: float | None
    age_days: float | None
    attempts: int
    questions: int
    days: int
    notes: tuple[str, ...]


def health(settings: Settings, attempts: Iterable[Attempt], now: float, days: int = 30) -> list[Health]:
    """The health of each list of the last build. `attempts` are those of the last `days`, `now` is Unix time.

    Raises:
        OSError: the state folder cannot be written.
    """
    reports = _reports(settings.state.dir)
    note(settings.state.dir, now)
    before = _before(settings.state.dir)
    sources = {source.id: source for source in list_sources(settings)}
    shared = shared_names(settings, [s for s in sources.values() if s.id in reports], reports)
    blocked = _blocked(attempts)
    rows = []
    for source_id, report in reports.items():
        if source := sources.get(source_id):
            counts = shared.get(source_id, Shared()), blocked.get(source_id, (0, 0)), before.get(source_id)
            rows.append(_health(settings, source, report, counts, now, days))
    return rows


def note(folder: Path, now: float) -> None:
    """Adds the sizes of the last build to the history, once for each build.

    Raises:
        OSError: it cannot be written.
    """
    report, history = _json(folder / "lists.json"), _history(folder)
    generation = report.get("generation")
    if generation is None or (history and history[-1]["generation"] == generation):
        return
    sizes = {entry["id"]: entry["entries"] for entry in report["sources"]}
    history.append({"generation": generation, "at": now, "entries": sizes})
    snapshot.replace(folder / HISTORY, json.dumps(history[-_KEPT:]).encode())


def shared_names(
    settings: Settings, sources: Iterable[ListSource], reports: Mapping[str, Mapping[str, Any]]
) -> dict[str, Shared]:
    """What each list shares with the others of its category and with itself, by id.

    Raises:
        OSError: the result cannot be kept.
    """
    every = list(sources)
    key = hashlib.sha256(repr([(s.id, s.category, s.scope, reports[s.id]["digest"]) for s in every]).encode())
    path = settings.state.dir / _SHARED
    kept = _json(path)
    if kept.get("key") == key.hexdigest():
        return {source_id: Shared(*counts) for source_id, counts in kept["shared"].items()}
    found: dict[str, Shared] = {}
    for category in dict.fromkeys(source.category for source in every):
        names = {s.id: _names(settings, s, reports[s.id]) for s in every if s.category == category}
        overlap = _overlap({source_id: own for source_id, (own, _) in names.items()})
        found.update({i: Shared(overlap[i], _redundant(*pair)) for i, pair in names.items()})
    body = {"key": key.hexdigest(), "shared": {i: (s.overlap, s.redundant) for i, s in found.items()}}
    snapshot.replace(path, json.dumps(body).encode())
    return found


def _names(settings: Settings, source: ListSource, report: Mapping[str, Any]) -> tuple["array[int]", "array[int]"]:
    """Hashes of the plain names of a list, and pairs (index, hash) of every name above one of them."""
    own, above = array("Q"), array("Q")
    alone = source.scope == "exact"

    def take(names: list[bytes], _lines: "array[int]", _exact: list[int]) -> None:
        start = len(own)
        own.extend(map(xxh3_64_intdigest, names))
        if alone:
            return
        for index, name in enumerate(names, start):
            for parent in suffixes(name)[1:-1]:
                above.append(index)
                above.append(xxh3_64_intdigest(parent))

    path = copy_of(settings, source.id) if report["from_copy"] else source.path
    try:
        data = source.data if path is None else formats_files.read_source(path, source.max_bytes)
    except formats_files.ListError:
        return own, above
    format_ = formats_files.format_of(path, source.format)
    formats.parse(data, format_, scope=source.scope, trust=source.trust, own=source.own, sink=take)
    return own, above


def _overlap(lists: Mapping[str, "array[int]"]) -> dict[str, int]:
    """How many names of each list another list holds. Goes by parts of the hash space, so that memory stays small."""
    found = dict.fromkeys(lists, 0)
    parts = 1 + sum(map(len, lists.values())) // _AT_ONCE
    for part in range(parts):
        sets = {i: {h for h in own if h % parts == part} for i, own in lists.items()}
        once, often = set[int](), set[int]()
        for names in sets.values():
            often |= once & names
            once |= names
        for source_id, names in sets.items():
            found[source_id] += len(names & often)
    return found


def _redundant(own: "array[int]", above: "array[int]") -> int:
    """How many names have a name above them in the same list."""
    listed = set(own)
    return len({index for index, h in zip(above[::2], above[1::2], strict=True) if h in listed})


def _health(
    settings: Settings,
    source: ListSource,
    report: Mapping[str, Any],
    counts: tuple[Shared, tuple[int, int], int | None],
    now: float,
    days: int,
) -> Health:
    shared, (attempts, questions), before = counts
    good = _good_at(settings, source, report)
    active = source.category in settings.lists.categories or source.category == "demo"
    notes = []
    if source.path == copy_of(settings, source.id) and not source.path.exists():
        notes.append(f"not fetched yet; run: blockerd lists update {source.id}")
    elif report["problem"]:
        notes.append(f"{report['problem']}; {'its last good copy is used' if report['from_copy'] else 'left out'}")
    if active and not attempts and source.category != "demo":
        notes.append(f"{IDLE} in {days} days")
    if not active:
        notes.append(f"{ASLEEP}: {source.category} is not among lists.categories")
    entries = int(report["entries"])
    return Health(
        source.id, source.title, source.category, active, entries, None if before is None else entries - before,
        report["issue_count"], report["not_applicable"], shared.overlap, shared.redundant, good,
        None if good is None else max(now - good, 0.0) / 86400, attempts, questions, days, tuple(notes),
    )  # fmt: skip


def _good_at(settings: Settings, source: ListSource, report: Mapping[str, Any]) -> float | None:
    """When the copy in use was last good: checked with its publisher, or changed on disk; None for a shipped list."""
    copy = copy_of(settings, source.id)
    if source.path is None or source.path.is_relative_to(shipped_folder()):
        return None
    if source.path == copy and (good := fetch_record.load(settings, source.id).good_at):
        return good
    try:
        return (copy if report["from_copy"] else source.path).stat().st_mtime
    except OSError:
        return None


def _blocked(attempts: Iterable[Attempt]) -> dict[str, tuple[int, int]]:
    """Attempts and questions by list id."""
    found: dict[str, tuple[int, int]] = {}
    for attempt in attempts:
        count, questions = found.get(attempt.source, (0, 0))
        found[attempt.source] = count + 1, questions + attempt.count
    return found


def _reports(folder: Path) -> dict[str, dict[str, Any]]:
    return {entry["id"]: entry for entry in _json(folder / "lists.json").get("sources", [])}


def _history(folder: Path) -> list[dict[str, Any]]:
    try:
        got = json.loads((folder / HISTORY).read_bytes())
        return [entry for entry in got if isinstance(entry["generation"], int) and isinstance(entry["entries"], dict)]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _before(folder: Path) -> dict[str, int]:
    """The sizes of the lists in the build before the last."""
    history = _history(folder)
    return history[-2]["entries"] if len(history) > 1 else {}


def _json(path: Path) -> dict[str, Any]:
    try:
        got = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return got if isinstance(got, dict) else {}


def switched_off(settings: Settings) -> list[str]:
    """Ids of the lists that are switched off by command."""
    added, _ = current(own_folder(settings))
    known = {source.id for source in every_source(settings)} | {s.id for s in merged(settings).lists.source}
    return [source_id for source_id in added.disabled.ids if source_id in known]


def as_dict(row: Health) -> dict[str, Any]:
    """A row as JSON has it."""
    return {**asdict(row), "notes": list(row.notes)}
