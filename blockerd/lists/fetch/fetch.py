"""Fetches one list: from its address, else its mirrors; judges what came; keeps it, holds it or lets it go.

Whatever happens, the last good copy stays until a download that was taken replaces it. Called by `update`.
"""

import asyncio
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path

from xxhash import xxh3_64_intdigest

from blockerd.lists import formats, formats_files
from blockerd.lists.canary import canaries
from blockerd.lists.fetch import archive as fetch_archive
from blockerd.lists.fetch import grace as fetch_grace
from blockerd.lists.fetch import record as record
from blockerd.lists.fetch.http import FetchError, Got, Net, get
from blockerd.lists.fetch.record import Meta
from blockerd.lists.sources import copy_of
from blockerd.lists.trial import Trial
from blockerd.lists.verdict import HEAD, Facts, Outcome, Verdict, judge, turned
from blockerd.policy.name import to_text
from blockerd.settings import Settings, Source

_A = 1


class Result(StrEnum):
    """What a try gave."""

    FRESH = "fresh"
    UNCHANGED = "unchanged"
    HELD = "held"
    """Something came and was not taken."""
    ABSENT = "absent"
    """Nothing came."""
    WAITING = "waiting"
    """It was not tried: its time has not come."""


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one list. `reason` is one line, "" where all is well; counts are those of the copy in use.

    `age_days` is how long ago the copy was last known to be current, None where there is no copy.
    """

    id: str
    result: Result
    reason: str
    url: str
    names: int
    added: int
    removed: int
    bytes: int
    age_days: float | None

    @property
    def well(self) -> bool:
        """True if the list is as its publisher has it, or was not due."""
        return self.result in (Result.FRESH, Result.UNCHANGED, Result.WAITING)


@dataclass(frozen=True, slots=True)
class Job:
    """One list to fetch: where it may be had, in order, and the time of this update in Unix seconds."""

    settings: Settings
    source: Source
    places: Sequence[str]
    now: float


async def fetch_list(job: Job, net: Net, on_bytes: Callable[[int], None]) -> Row:
    """Tries the places of `job` until one gives a list that can be taken, held or is unchanged."""
    meta = Meta(url=job.places[0])
    try:
        meta = await asyncio.to_thread(record.settle, job.settings, job.source.id, job.places[0])
        meta = replace(meta, tried_at=job.now)
        record.save(job.settings, job.source.id, meta)
        return await _try_places(job, net, meta, on_bytes)
    except OSError as error:
        return row(job, Result.ABSENT, meta, f"could not be written ({error.strerror or error})")
    finally:
        record.part_of(job.settings, job.source.id).unlink(missing_ok=True)


def row(job: Job, result: Result, meta: Meta, reason: str = "") -> Row:
    """The row of a list whose record is now `meta`."""
    change = (meta.added, meta.removed) if result is Result.FRESH else (0, 0)
    return Row(job.source.id, result, reason, meta.used, meta.names, *change, meta.bytes, meta.age_days(job.now))


async def _try_places(job: Job, net: Net, meta: Meta, on_bytes: Callable[[int], None]) -> Row:
    problems, came = list[str](), False
    part = record.part_of(job.settings, job.source.id)
    for place in job.places:
        try:
            with part.open("wb") as file:
                got = await get(
                    net, place, file, job.source.max_bytes, validators=_validators(meta, place), on_bytes=on_bytes
                )
        except FetchError as error:
            problems.append(str(error))
            continue
        if got.unchanged:
            meta = replace(meta, fetched_at=job.now, good_at=job.now, held=None, problem="", failures=0)
            record.save(job.settings, job.source.id, meta)
            record.held_of(job.settings, job.source.id).unlink(missing_ok=True)
            return row(job, Result.UNCHANGED, meta)
        came = True
        answer = await asyncio.to_thread(_settle_download, job, meta, replace(meta, used=place), got, part)
        if isinstance(answer, Row):
            return answer
        problems.append(answer)
    reason = _joined(problems)
    meta = replace(meta, problem=reason, failures=meta.failures + 1)
    record.save(job.settings, job.source.id, meta)
    return row(job, Result.HELD if came else Result.ABSENT, meta, reason)


def _validators(meta: Meta, place: str) -> dict[str, str]:
    """Request headers by which the server at `place` may answer that its list has not changed (RFC 9110 section 13)."""
    if not meta.sha256 or place != meta.used:
        return {}
    headers = {"If-None-Match": meta.etag, "If-Modified-Since": meta.last_modified}
    return {name: value for name, value in headers.items() if value}


def _joined(problems: Sequence[str]) -> str:
    first, *others = problems
    return first if not others else f"{first}; {len(others)} mirrors: {', '.join(dict.fromkeys(others))}"


def _settle_download(job: Job, meta: Meta, used: Meta, got: Got, part: Path) -> Row | str:
    """Judges the download `part` and keeps or holds it; the reason where nothing can be made of it."""
    settings, id_ = job.settings, job.source.id
    good = formats_files.head(copy_of(settings, id_), HEAD) if meta.sha256 else b""
    facts, new = _facts(job, part, good)
    verdict = judge(_old_count(job, meta), facts, meta.held, job.now)
    if verdict.outcome is Outcome.REFUSE:
        return verdict.reason
    after = replace(used, fetched_at=job.now, failures=0, problem="", held=verdict.held)
    if verdict.outcome is Outcome.HOLD:
        return _hold(job, replace(meta, fetched_at=job.now, failures=0, held=verdict.held), verdict, part)
    after = replace(after, etag=got.etag, last_modified=got.last_modified, good_at=job.now, names=facts.names,
                    bytes=part.stat().st_size, sha256=facts.sha256)  # fmt: skip
    if facts.sha256 == meta.sha256:
        record.save(settings, id_, after)
        record.held_of(settings, id_).unlink(missing_ok=True)
        return row(job, Result.UNCHANGED, after)
    change = _note_change(job, new) if meta.sha256 else fetch_grace.Change(facts.names, 0, ())
    after = replace(after, changed_at=job.now, added=change.added, removed=change.removed)
    record.take(settings, id_, part, meta, after)
    return row(job, Result.FRESH, after, verdict.reason)


def _hold(job: Job, after: Meta, verdict: Verdict, part: Path) -> Row:
    after = replace(after, problem=verdict.reason)
    record.hold(job.settings, job.source.id, part, after)
    return row(job, Result.HELD, after, f"{verdict.reason}; taken if a day later it is the same")


def _old_count(job: Job, meta: Meta) -> int | None:
    """Rules in the last good copy; None where there is none, or it is of another address."""
    if not meta.sha256:
        return None
    if meta.names:
        return meta.names
    source = job.source
    data = copy_of(job.settings, source.id).read_bytes()
    return formats.parse(data, source.format, scope=source.scope, trust=source.trust, sink=_drop).entries or None


def _drop(_names: list[bytes], _lines: "array[int]", _exact: list[int]) -> None:
    """Takes names that are only counted."""


def _note_change(job: Job, new: "array[int]") -> fetch_grace.Change:
    """Compares with the copy that is about to be replaced, and keeps the names that leave where that is wanted."""
    old = copy_of(job.settings, job.source.id).read_bytes()
    change = fetch_grace.compare(fetch_grace.hashes(old, job.source), new)
    if job.settings.lists.grace_days:
        fetch_grace.note(job.settings, job.source, old, new, change.gone, job.now)
    return change


def _facts(job: Job, part: Path, good: bytes) -> tuple[Facts, "array[int]"]:
    """What the download `part` is, its list taken out of an archive first, and a hash of each of its names.

    `good` is the beginning of the last good copy, b"" where there is none.
    """
    new = array("Q")
    try:
        _unpack(part, job.source.max_bytes)
    except fetch_archive.ArchiveError as error:
        return Facts(0, "", str(error)), new
    source, wanted, poison = job.source, canaries(job.source.category), set[bytes]()

    def look(wanted: frozenset[bytes], names: list[bytes], _lines: "array[int]", _exact: list[int]) -> None:
        new.extend(map(xxh3_64_intdigest, names))
        poison.update(wanted.intersection(names))

    data = part.read_bytes()
    parsed = formats.parse(data, source.format, scope=source.scope, trust=source.trust, sink=partial(look, wanted))
    if parsed.rules and not poison:
        # Rules and patterns can reach a name in ways that a comparison does not see; these few are really asked.
        trial = Trial(parsed)
        poison.update(name for name in wanted if trial.decide(name, _A, job.now).blocked)
    canary = to_text(min(poison)) if poison else ""
    why = turned(data, good, source.format)
    return Facts(parsed.entries, record.digest_of(part), parsed.refused or "", canary, why, parsed.declared), new


def _unpack(part: Path, max_bytes: int) -> None:
    if not fetch_archive.is_archive(part):
        return
    inner = part.with_suffix(".part2")
    try:
        with inner.open("wb") as out:
            fetch_archive.take_list(part, out, max_bytes)
        inner.replace(part)
    finally:
        inner.unlink(missing_ok=True)
