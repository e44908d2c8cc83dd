"""Builds the policy: reads every list, writes snapshot, state and pointer. A process of its own, never the resolver.

It opens no connection. What cannot be read is counted and told (`SourceReport`), never a reason to have no policy:
a source that is missing or refused keeps its last good copy. A build that would write nothing new writes nothing.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import blockerd
from blockerd import clock
from blockerd.lists import formats, formats_files, snapshot
from blockerd.lists.fetch.grace import grace_names
from blockerd.lists.guard import Protected, guard_of
from blockerd.lists.sources import ListSource, copy_of, list_sources
from blockerd.lists.state import state_lock, write_state
from blockerd.lists.table import TableBuilder
from blockerd.lists.verdict import HEAD, turned
from blockerd.settings import Settings

Progress = Callable[[str, int, int], None]
"""Called with (list title, lists done, lists in all)."""


@dataclass(slots=True)
class SourceReport:
    """What became of one list. `entries` counts its rules, `added` those no earlier list of its kind held."""

    id: str
    title: str
    category: str
    format: str = ""
    entries: int = 0
    added: int = 0
    issue_count: int = 0
    not_applicable: int = 0
    problem: str = ""
    from_copy: bool = False
    digest: str = ""
    issues: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class BuildReport:
    """The outcome of a build: `written` is False where the inputs had not changed."""

    generation: int
    written: bool
    entries: int
    sources: Sequence[SourceReport]


def build_lock(folder: Path) -> AbstractContextManager[None]:
    """Keeps two builds of one state folder apart."""
    return snapshot.folder_lock(folder, "build")


def build(settings: Settings, *, force: bool = False, progress: Progress | None = None) -> BuildReport:
    """Brings the policy in `settings.state.dir` up to date.

    Raises:
        OSError: the policy cannot be written; the old one stays live.
        GuardError: the protected names are not the shipped ones.
    """
    folder = settings.state.dir
    with build_lock(folder):
        guard = guard_of(settings)
        inputs, sources = _inputs(settings, guard)
        pointer = snapshot.read_pointer(folder)
        if pointer and not force and pointer.inputs == inputs and _usable(folder / pointer.snapshot):
            _move(settings, pointer, moved=False)
            return BuildReport(pointer.generation, False, 0, [])
        generation = (pointer.generation if pointer else _highest(folder)) + 1
        reports = _write(settings, guard, sources, generation, progress)
        path = folder / f"policy-{generation}.snapshot"
        _move(settings, snapshot.Pointer(generation, path.name, inputs, 0, ""), moved=True)
        with state_lock(folder):
            _keep_two(folder, generation)
        _save_reports(folder, generation, reports)
        return BuildReport(generation, True, sum(r.added for r in reports), reports)


def _move(settings: Settings, pointer: snapshot.Pointer, *, moved: bool) -> None:
    """Writes the state and points to `pointer`'s snapshot; the state may have changed while the lists were read."""
    with state_lock(settings.state.dir):
        live = snapshot.read_pointer(settings.state.dir)
        if live:
            pointer = replace(pointer, number=live.number, state_digest=live.state_digest)
        write_state(settings, pointer, moved=moved)


def inputs_changed(settings: Settings) -> bool:
    """True if no good policy exists or its inputs have changed since it was built."""
    pointer = snapshot.read_pointer(settings.state.dir)
    if pointer is None or not _usable(settings.state.dir / pointer.snapshot):
        return True
    return pointer.inputs != _inputs(settings, guard_of(settings))[0]


def _usable(path: Path) -> bool:
    try:
        snapshot.open_table(path)
    except snapshot.SnapshotError:
        return False
    return True


def _inputs(settings: Settings, guard: Protected) -> tuple[str, list[ListSource]]:
    """Digest over the program version, the protected names and every list with its settings and bytes."""
    digest = hashlib.sha256(f"{blockerd.__version__} {snapshot.VERSION} {guard.digest}".encode())
    listed = list(list_sources(settings))
    sources = [*listed, *_in_grace(settings, listed)]
    for source in sources:
        digest.update(
            repr((source.id, source.category, source.format, source.scope, source.trust, source.own)).encode()
        )
        digest.update(_file_digest(source).encode())
    return digest.hexdigest(), sources


def _in_grace(settings: Settings, sources: list[ListSource]) -> Iterator[ListSource]:
    """Names that left a fetched list and stay blocked for `lists.grace_days`."""
    now = clock.now()
    for source in sources:
        gone = grace_names(settings, source.id, now) if source.origin else b""
        if gone:
            title = f"names that left {source.id}"
            yield ListSource(f"gone-{source.id}", title, source.category, None, "domains", source.scope, data=gone)


def _file_digest(source: ListSource) -> str:
    if source.path is None:
        return hashlib.sha256(source.data).hexdigest()
    digest = hashlib.sha256()
    for path in formats_files.files_of(source.path):
        try:
            if not path.is_file():  # not there, or something that would be read without end
                digest.update(b"none")
                continue
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            digest.update(str(error.errno).encode())
    return digest.hexdigest()


def _write(
    settings: Settings, guard: Protected, sources: list[ListSource], generation: int, progress: Progress | None
) -> list[SourceReport]:
    table = TableBuilder(guard, _seed(settings.state.dir))
    reports, staged = [], []
    for done, source in enumerate(sources):
        if progress:
            progress(source.title, done, len(sources))
        reports.append(SourceReport(source.id, source.title, source.category))
        table.begin(source)
        staged.append(table.end(_read(settings, source, reports[-1], table)))
    if progress:
        progress("writing", len(sources), len(sources))
    content = table.finish()
    for report, taken in zip(reports, staged, strict=True):
        report.added = taken.added
        report.issue_count += len(taken.refused)
        report.issues += [{"line": line, "text": text, "reason": why} for line, text, why in taken.refused]
    snapshot.write(settings.state.dir / f"policy-{generation}.snapshot", generation, content)
    return reports


def _read(settings: Settings, source: ListSource, report: SourceReport, table: TableBuilder) -> formats.Parsed:
    """Reads a list into the table, or its last good copy where it cannot be used; the reason stands in `report`."""
    copy = copy_of(settings, source.id)
    copied = bool(source.origin) and source.path != copy
    good = formats_files.head(copy, HEAD) if copied else b""
    data, parsed, report.problem = _tried(source, source.path, good, table)
    if report.problem and good:
        report.from_copy = True
        kept = replace(source, max_bytes=max(source.max_bytes, copy.stat().st_size))
        data, parsed, _ = _tried(kept, copy, b"", table)
    elif copied and not report.problem:
        _keep_copy(copy, data)
    report.format, report.digest = parsed.format, snapshot.digest_of(data)
    report.entries, report.issue_count = parsed.entries, parsed.issue_count
    report.not_applicable = parsed.not_applicable
    report.issues = [asdict(issue) for issue in parsed.issues[:100]]
    return parsed


def _tried(
    source: ListSource, place: Path | None, good: bytes, table: TableBuilder
) -> tuple[bytes, formats.Parsed, str]:
    """The list as it lies at `place`, what it says, and why it is not used ("" where it is: then it is in the table).

    `good` is the beginning of the copy that takes its place then, b"" where there is none.
    """
    parsed = formats.Parsed(source.format)
    try:
        data = source.data if place is None else formats_files.read_source(place, source.max_bytes)
    except formats_files.ListError as error:
        return b"", parsed, str(error)
    form = formats_files.format_of(place, source.format)
    why = turned(data, good, form)
    if not why:
        parsed = formats.parse(data, form, scope=source.scope, trust=source.trust, own=source.own, sink=table.take)
    return data, parsed, why or parsed.refused or ""


def _keep_copy(copy: Path, data: bytes) -> None:
    copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not copy.is_file() or copy.stat().st_size != len(data) or copy.read_bytes() != data:
        snapshot.replace(copy, data)


def _seed(folder: Path) -> int:
    """The hash seed of this install: random, so that nobody can prepare names that collide."""
    path = folder / "policy.seed"
    try:
        return int(path.read_bytes(), 16) % (1 << 64)
    except (FileNotFoundError, ValueError):
        snapshot.replace(path, secrets.token_hex(8).encode())
        return int(path.read_bytes(), 16)


def _highest(folder: Path) -> int:
    numbers = [path.stem.removeprefix("policy-") for path in folder.glob("policy-*.snapshot")]
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def _keep_two(folder: Path, generation: int) -> None:
    """Removes older snapshots, and what builds left that were killed."""
    for path in (*folder.glob("policy-*.partial"), *folder.glob(".policy.*.*"), *folder.glob(".lists.json.*")):
        path.unlink(missing_ok=True)
    for path in folder.glob("policy-*.snapshot"):
        number = path.stem.removeprefix("policy-")
        if number.isdecimal() and int(number) < generation - 1:
            path.unlink(missing_ok=True)


def _save_reports(folder: Path, generation: int, reports: list[SourceReport]) -> None:
    kept = {"generation": generation, "sources": [asdict(report) for report in reports]}
    snapshot.replace(folder / "lists.json", json.dumps(kept, ensure_ascii=False).encode())
