"""The policy on disk: snapshot file, state file and pointer; written by `build`, opened by dns, control and commands.

    policy-<generation>.snapshot   header, JSON meta, then page-aligned parts: slots, rule_of, lines, marks, names
    policy.state                   JSON: categories, own rules, schedules, level
    policy.current                 JSON: names the live pair with the digest of the state; replaced by rename

A snapshot is preallocated, synced and made read-only (0400) before the pointer moves, and never renamed over. A file
with a wrong magic, version, size or checksum is refused (`SnapshotError`) and the caller keeps what it has.
"""

import fcntl
import hashlib
import json
import mmap
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_128

from blockerd.model import Action
from blockerd.policy.match import Combo, Patterns, Source, Table
from blockerd.policy.rule import Rule, Scope

if TYPE_CHECKING:
    from array import array

    Numbers = array[int]

MAGIC = b"BLKRSNAP"
VERSION = 1
HEADER = struct.Struct("<8sIIQQQ16s32s")
"""Magic, version, length of meta, total size, seed, generation, XXH3-128 of the file, rules digest (SHA-256)."""
_CHECKSUM = 40
"""Where the checksum stands; it is made with zeros in its own place."""

PARTS = ("slots", "rule_of", "lines", "marks", "names")
_ALIGN = 65536
_CHUNK = 1 << 20


class SnapshotError(Exception):
    """A policy file that must not be used; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """What `policy.current` says. `inputs` is the digest of everything the snapshot was built from."""

    generation: int
    snapshot: str
    inputs: str
    number: int
    state_digest: str


@dataclass(frozen=True, slots=True)
class Content:
    """What `write` stores: the parts of a `Table` before they are a file."""

    size: int
    seed: int
    slots: "Numbers"
    rule_of: "Numbers"
    lines: "Numbers"
    marks: "Numbers"
    names: bytes | bytearray
    combos: Sequence[Combo]
    sources: Sequence[Source]
    extras: Mapping[int, Rule]
    patterns: Sequence[tuple[Rule, Combo]]
    tld_rules: bool
    protected_digest: str
    rules_digest: bytes


def write(path: Path, generation: int, content: Content) -> None:
    """Writes the snapshot `path`, which must not exist yet.

    Raises:
        OSError: the disk is full or failing; nothing is left behind.
    """
    parts = {name: memoryview(getattr(content, name)).cast("B") for name in PARTS}
    meta, offsets, total = _layout(content, {name: len(part) for name, part in parts.items()})
    head = (MAGIC, VERSION, len(meta), total, content.seed, generation)
    digest = xxh3_128(HEADER.pack(*head, bytes(16), content.rules_digest))
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)  # of a build that was killed: it may be read-only already
    fd = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _take_room(fd, total)
        body = [(HEADER.size, memoryview(meta)), *((offsets[name], parts[name]) for name in PARTS)]
        for offset, part in body:
            _write_at(fd, offset, part)
        for chunk in _chunks(fd, HEADER.size, total):
            digest.update(chunk)
        _write_at(fd, 0, HEADER.pack(*head, digest.digest(), content.rules_digest))
        os.fchmod(fd, 0o400)
        os.fsync(fd)
        os.rename(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
    sync_folder(path.parent)


def _take_room(fd: int, total: int) -> None:
    """Makes the file `total` octets long; a disk without so much room says so now, but on macOS only later."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, total)
    else:
        os.ftruncate(fd, total)


def _write_at(fd: int, offset: int, part: bytes | memoryview) -> None:
    view = memoryview(part)
    while view:
        done = os.pwrite(fd, view, offset)
        offset, view = offset + done, view[done:]


def sync_folder(folder: Path) -> None:
    """Makes renames in `folder` durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def folder_lock(folder: Path, name: str) -> Iterator[None]:
    """Holds `<folder>/<name>.lock`, alone among all processes; the folder is made where missing."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def replace(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Puts `data` in place of `path` at once: written beside it, synced, renamed."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        _write_at(fd, 0, data)
        os.fsync(fd)
        os.rename(beside, path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
    sync_folder(path.parent)


def _layout(content: Content, lengths: Mapping[str, int]) -> tuple[bytes, dict[str, int], int]:
    """Meta as JSON, the offset of each part, and the size of the file."""
    meta: dict[str, Any] = {
        "size": content.size,
        "combos": [list(asdict(combo).values()) for combo in content.combos],
        "sources": [[s.id, s.title, s.allows] for s in content.sources],
        "extras": [[index, _rule_json(rule)] for index, rule in content.extras.items()],
        "patterns": [[_rule_json(rule), list(asdict(combo).values())] for rule, combo in content.patterns],
        "tld_rules": content.tld_rules,
        "protected": content.protected_digest,
        "lengths": dict(lengths),
    }
    raw = json.dumps(meta, ensure_ascii=False, separators=(",", ":")).encode()
    offsets, at = {}, HEADER.size + len(raw)
    for name in PARTS:
        at = -(-at // _ALIGN) * _ALIGN
        offsets[name] = at
        at += lengths[name]
    return raw, offsets, at


def _rule_json(rule: Rule) -> list[Any]:
    return [
        rule.name.hex(), rule.line, int(rule.scope), rule.allow, rule.important, rule.pattern, sorted(rule.types),
        rule.types_except, [name.hex() for name in rule.denyallow], rule.action.value, rule.data, rule.text,
    ]  # fmt: skip


def _rule(got: Sequence[Any]) -> Rule:
    return Rule(
        bytes.fromhex(got[0]), got[1], Scope(got[2]), got[3], got[4], got[5], frozenset(got[6]), got[7],
        tuple(bytes.fromhex(name) for name in got[8]), Action(got[9]), tuple((a, b) for a, b in got[10]), got[11],
    )  # fmt: skip


def _combo(got: Sequence[Any]) -> Combo:
    source, category, scope, *rest = got
    return Combo(source, category, Scope(scope), *rest)


def _chunks(fd: int, offset: int, total: int) -> Iterator[bytes]:
    while offset < total:
        chunk = os.pread(fd, min(_CHUNK, total - offset), offset)
        if not chunk:
            return
        offset += len(chunk)
        yield chunk


def open_table(path: Path) -> Table:
    """The table in `path`, checked and mapped read-only. Patterns are left to `with_patterns`.

    The check reads the file through a small buffer, so that it does not count as memory of this process.

    Raises:
        SnapshotError: missing, cut, damaged or of another version.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SnapshotError(f"{path.name}: {error.strerror}; run: blockerd lists build") from None
    try:
        return _open(fd, path)
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise SnapshotError(f"{path.name}: not readable ({error}); run: blockerd lists build") from None
    finally:
        os.close(fd)


def _open(fd: int, path: Path) -> Table:
    head = os.pread(fd, HEADER.size, 0)
    if len(head) != HEADER.size or head[:8] != MAGIC:
        raise SnapshotError(f"{path.name}: not a policy snapshot")
    _, version, meta_length, total, seed, _, checksum, _ = HEADER.unpack(head)
    if version != VERSION:
        raise SnapshotError(f"{path.name}: version {version}, this program reads {VERSION}")
    if os.fstat(fd).st_size != total:
        raise SnapshotError(f"{path.name}: {os.fstat(fd).st_size} bytes instead of {total}")
    digest = xxh3_128(head[:_CHECKSUM] + bytes(16) + head[_CHECKSUM + 16 :])
    for chunk in _chunks(fd, HEADER.size, total):
        digest.update(chunk)
    if digest.digest() != checksum:
        raise SnapshotError(f"{path.name}: checksum differs")
    meta = json.loads(os.pread(fd, meta_length, HEADER.size))
    view = memoryview(mmap.mmap(fd, total, access=mmap.ACCESS_READ))
    parts, at = {}, HEADER.size + meta_length
    for name in PARTS:
        at = -(-at // _ALIGN) * _ALIGN
        parts[name] = view[at : at + meta["lengths"][name]]
        at += meta["lengths"][name]
    return _table(meta, seed, parts, checksum)


def checksum_in(path: Path) -> bytes:
    """The checksum that the snapshot in `path` says it has, which tells it from another; empty where unreadable."""
    try:
        with path.open("rb") as file:
            head = file.read(HEADER.size)
    except OSError:
        return b""
    return bytes(HEADER.unpack(head)[6]) if len(head) == HEADER.size else b""


def _table(meta: Mapping[str, Any], seed: int, parts: Mapping[str, memoryview], checksum: bytes = b"") -> Table:
    combos = tuple(_combo(got) for got in meta["combos"])
    patterns = [(_rule(rule), _combo(combo)) for rule, combo in meta["patterns"]]
    return Table(
        size=meta["size"],
        seed=seed,
        slots=parts["slots"].cast("Q"),
        combos=combos,
        sources=tuple(Source(*got) for got in meta["sources"]),
        rule_of=parts["rule_of"].cast("I"),
        lines=parts["lines"].cast("I"),
        names=parts["names"],
        marks=parts["marks"].cast("I"),
        extras={index: _rule(got) for index, got in meta["extras"]},
        patterns=compiled(patterns),
        tld_rules=meta["tld_rules"],
        important=any(c.important for c in combos) or any(c.important for _, c in patterns),
        protected_digest=meta["protected"],
        checksum=checksum,
    )


def table_of(content: Content) -> Table:
    """The table of `content` without a file, for trials and tests."""
    parts = {name: memoryview(bytes(memoryview(getattr(content, name)).cast("B"))) for name in PARTS}
    meta_raw, _, _ = _layout(content, {name: len(part) for name, part in parts.items()})
    return _table(json.loads(meta_raw), content.seed, parts)


def compiled(patterns: Sequence[tuple[Rule, Combo]]) -> Patterns | None:
    """`patterns` ready to match; None where there are none, so that the engine is not even loaded."""
    if not patterns:
        return None
    from blockerd.lists.patterns import compile_patterns

    return compile_patterns(patterns)


def read_pointer(folder: Path) -> Pointer | None:
    """What `policy.current` in `folder` says; None where there is none or it cannot be read."""
    try:
        got = json.loads((folder / "policy.current").read_bytes())
        return Pointer(got["generation"], got["snapshot"], got["inputs"], got["number"], got["state_digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_pointer(folder: Path, pointer: Pointer) -> None:
    """Moves `policy.current`."""
    replace(folder / "policy.current", json.dumps(asdict(pointer)).encode())


def digest_of(data: bytes) -> str:
    """SHA-256 of `data` as hex."""
    return hashlib.sha256(data).hexdigest()
