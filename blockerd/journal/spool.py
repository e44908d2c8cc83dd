"""Spool segments: append-only files by which every process hands its events to `control`, and their reader.

A segment is `spool/<process>-<start>-<n>.seg`; a record is HEAD (CRC-32 of all that follows it, length of the payload,
Unix microseconds, count, kind, flags) and the payload. The writer never syncs: a record is safe from the death of the
process as soon as `write` returned. A torn tail (kill -9, power cut) is ignored by the reader and counted.
Callers cut names to the privacy level before they call; the numbers beside them are cut here (`cut_pairs`). One thread
owns a Writer.
"""

import json
import os
import re
import struct
import sys
import zlib
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import IntEnum
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

from blockerd.settings import Level as Level

with suppress(ImportError):  # Windows has none; there a command may look at things, but no process runs
    import fcntl

HEAD = struct.Struct("<IIQHBB")
"""CRC-32 over the rest of the head and the payload, payload length, Unix µs, count, kind, flags."""

SEGMENT_BYTES = 4 * 1024 * 1024
"""A segment is sealed at this size by starting the next one."""

COMBO_BITS = 20
"""Low bits of a table entry that number its combination of source, category and flags (`lists.snapshot`)."""

COMBO = (1 << COMBO_BITS) - 1

PATIENCE = 1.0
"""Seconds that `Writer.close` goes on with a slow disk."""

_NAME = re.compile(r"^(?P<process>[a-z]+)-(?P<start>\d+)-(?P<n>\d+)\.seg$")
_SLOW_WRITE = 0.005
_RING_BYTES = 1024 * 1024


class RecordKind(IntEnum):
    """What a record holds."""

    META = 1
    """JSON: what is needed to read the ATTEMPTS that follow in this segment (`Meta`)."""
    ATTEMPTS = 2
    """`count` pairs (slot, table entry) as u64, then as many wire names, each with type and class behind."""
    EVENT = 3
    """JSON object with a key `kind`: "attempt" (all fields written out), "change", "notice", "coverage", "lost"."""


_KINDS = frozenset(RecordKind)


class From(IntEnum):
    """Flags of an ATTEMPTS record: who asked."""

    LOOPBACK4 = 0
    LOOPBACK6 = 1
    ADDRESSES4 = 2
    ADDRESSES6 = 3


@dataclass(frozen=True, slots=True)
class Meta:
    """What the numbers in ATTEMPTS mean while this policy was live.

    `combos[n]` is (source id, list title, category, kind of attempt).
    """

    generation: int
    snapshot: str
    action: str
    combos: tuple[tuple[str, str, str, str], ...]

    def to_json(self) -> bytes:
        """The META payload."""
        return json.dumps(
            {"generation": self.generation, "snapshot": self.snapshot, "action": self.action, "combos": self.combos},
            ensure_ascii=False,
        ).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Meta":
        """The record for a META payload."""
        got = json.loads(data)
        combos = tuple((str(s), str(title), str(c), str(k)) for s, title, c, k in got["combos"])
        return cls(got["generation"], got["snapshot"], got["action"], combos)


@dataclass(frozen=True, slots=True)
class Record:
    """One record as read: `offset` is where it begins, `end` where the next begins."""

    offset: int
    end: int
    time: int
    count: int
    kind: RecordKind
    flags: int
    payload: bytes

    def json(self) -> dict[str, Any]:
        """The payload of an EVENT."""
        got: dict[str, Any] = json.loads(self.payload)
        return got


@dataclass(frozen=True, slots=True)
class RawAttempt:
    """One refused question: Unix µs, slot of the rule, name (wire form, cut to the level), type, and what it hit."""

    time: int
    slot: int
    name: bytes
    qtype: int
    source: str
    list: str
    category: str
    kind: str
    action: str
    client: str


class _Waiting(NamedTuple):
    """A packed record, how many events are lost with it, and the packed META by which it is read (empty: none)."""

    record: bytes
    events: int
    meta: bytes


class Writer:
    """Appends records of one process; never raises on a full or failing disk, but counts what it could not keep.

    `clock_us` gives Unix µs, `monotonic` seconds. `lost` counts events that were not kept since the last `take_lost`;
    `trouble` says why the last one was not, "" where it was.
    A segment holds records of one META, which stands at its head, and is locked while it is written to (`in_use`).
    """

    def __init__(
        self,
        folder: Path,
        process: str,
        clock_us: Callable[[], int],
        monotonic: Callable[[], float],
        *,
        cap_bytes: int = 256 * 1024 * 1024,
    ) -> None:
        self.folder = folder
        self.process = process
        self.lost = 0
        self.trouble = ""
        self._clock_us = clock_us
        self._monotonic = monotonic
        self._cap = cap_bytes
        self._start = self._n = 0
        self._fd = -1
        self._path = folder
        self._size = 0
        self._torn = False
        self._head = b""
        self._meta = b""
        self._said: tuple[Meta, Level] | None = None
        self._numbers: list[int] | None = None
        self._ring: deque[_Waiting] = deque()
        self._ring_bytes = 0
        self._ring_until = 0.0

    def meta(self, meta: Meta, level: Level = Level.NAME) -> None:
        """Says which policy and privacy level the following attempts belong to."""
        if (meta, level) == self._said:
            return
        self._said = meta, level
        told, self._numbers = cut_meta(meta, level)
        self._meta = self._pack(RecordKind.META, 0, 0, told.to_json(), self._clock_us())

    def event(self, event: dict[str, Any]) -> None:
        """Records one EVENT; `event` must have a key `kind`."""
        self._event(event, 1)

    def attempts(self, pairs: Sequence[int], names: Sequence[bytes], flags: int = 0, addresses: bytes = b"") -> None:
        """Records refused questions: `pairs` slot and entry in turn, `names` wire names with type and class.

        `addresses` holds the clients' packed addresses where `flags` says so.
        """
        count = len(names)
        if self._numbers is not None:
            pairs = cut_pairs(pairs, self._numbers)
        payload = b"".join((array("Q", pairs).tobytes(), *names, addresses))
        self._put(self._pack(RecordKind.ATTEMPTS, count, flags, payload, self._clock_us()), count)

    def take_lost(self) -> int:
        """The events lost since the last call."""
        lost, self.lost = self.lost, 0
        return lost

    def tell_lost(self) -> int:
        """Records how many events were lost since the last call, and gives it; one that is lost too counts again."""
        lost = self.take_lost()
        if lost:
            self._event({"kind": "lost", "process": self.process, "count": lost}, lost)
        return lost

    def flush(self) -> None:
        """Writes what waits in memory, while the disk takes it."""
        while self._ring and self._monotonic() >= self._ring_until:
            self._keep(*self._next())

    def close(self) -> None:
        """Writes what waits, for PATIENCE seconds at the most, counts the rest as lost and ends the segment."""
        end = self._monotonic() + PATIENCE
        while self._ring and self._monotonic() <= end:
            self._keep(*self._next())
        while self._ring:
            self.lost += self._next().events
        self._end()

    def _event(self, event: dict[str, Any], count: int) -> None:
        payload = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        self._put(self._pack(RecordKind.EVENT, 1, 0, payload, self._clock_us()), count)

    @staticmethod
    def _pack(kind: int, count: int, flags: int, payload: bytes, time_us: int) -> bytes:
        rest = HEAD.pack(0, len(payload), time_us, count, kind, flags)[4:] + payload
        return zlib.crc32(rest).to_bytes(4, "little") + rest

    def _put(self, record: bytes, count: int) -> None:
        """Writes a record, or has it wait behind others and for a disk that was slow a moment ago."""
        if self._ring:
            self.flush()
        if not self._ring and (not self._ring_until or self._monotonic() >= self._ring_until):
            self._keep(record, count, self._meta)
        elif self._ring_bytes + len(record) <= _RING_BYTES:
            self._ring.append(_Waiting(record, count, self._meta))
            self._ring_bytes += len(record)
        else:
            self.lost += count

    def _next(self) -> _Waiting:
        one = self._ring.popleft()
        self._ring_bytes -= len(one.record)
        return one

    def _keep(self, record: bytes, events: int, meta: bytes) -> None:
        """Writes one record or counts it as lost; a disk that was slow or refused it is left alone for a second."""
        began = self._monotonic()
        try:
            self._write(record, meta)
            slow = self._monotonic() - began > _SLOW_WRITE
            self.trouble = ""
        except OSError as error:
            self.lost += events
            self.trouble = error.strerror or str(error)
            slow = True
        self._ring_until = began + 1.0 if slow else 0.0

    def _write(self, record: bytes, meta: bytes) -> None:
        if self._fd < 0 or self._torn or meta is not self._head or self._size + len(record) > SEGMENT_BYTES:
            self._begin()
            self._head = meta
            record = meta + record
        done = 0
        try:
            done = os.write(self._fd, record)
        finally:
            self._torn = 0 < done < len(record)
            if done != len(record) and not self._size:
                self._take_away()
        if self._torn:
            raise OSError("disk full")
        self._size += done

    def _begin(self) -> None:
        """Starts the next segment; raises OSError when the cap is reached or the folder takes no file."""
        self._end()
        if _bytes_in(self.folder) >= self._cap:
            raise OSError("spool cap reached")
        self._start = self._start or _start_after(_starts(self.folder, self.process), self._clock_us())
        self._n += 1
        path = self.folder / f"{self.process}-{self._start}-{self._n}.seg"
        self._path = path.with_suffix(".new")  # nobody finds it before it is locked
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._torn = False
        self._size = 0
        if sys.platform != "win32":
            with suppress(OSError):  # a file system without locks: it stays until the next one of this start
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            self._path.rename(path)
        except OSError:
            self._take_away()
            raise
        self._path = path

    def _end(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _take_away(self) -> None:
        """Removes the segment that holds nothing whole, so that a full disk leaves no row of empty ones."""
        self._end()
        with suppress(OSError):
            self._path.unlink()


def _starts(folder: Path, process: str) -> Iterator[int]:
    """When the runs of `process` began whose segments are still there, as their names say."""
    for path in segments(folder):
        found = _NAME.match(path.name)
        if found and found["process"] == process:
            yield int(found["start"])


def _start_after(starts: Iterable[int], now_us: int) -> int:
    """What stands for the start in names: now, or behind the runs of a clock that was ahead, so that order is kept.

    Never a number given before: its like may be on record as stored.
    """
    newest = max(starts, default=0)
    return now_us if now_us > newest else newest + 1 + now_us % 1_000_000


def in_use(path: Path) -> bool:
    """True while a writer has the segment open, or where that cannot be told."""
    if sys.platform == "win32":
        return False
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def cut_meta(meta: Meta, level: Level) -> tuple[Meta, list[int] | None]:
    """`meta` as attempts of `level` need it, and the number in it for each combination of the table; None for the same.

    Where no name is kept, combinations of the table that only differ in what a rule covers are one, and at the level
    counts those of all lists and categories are.
    """
    if level not in (Level.CATEGORY, Level.COUNTS):
        return meta, None
    bare = level is Level.COUNTS
    texts = [("", "", "", kind) if bare else (source, title, of, kind) for source, title, of, kind in meta.combos]
    kept = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    return replace(meta, combos=tuple(kept)), [kept[text] for text in texts]


def cut_pairs(pairs: Sequence[int], numbers: Sequence[int]) -> "array[int]":
    """Pairs that say no more of the rule than `numbers` does: neither its slot nor the bits of its hash."""
    cut = array("Q", bytes(8 * len(pairs)))
    cut[1::2] = array("Q", [numbers[entry & COMBO] for entry in pairs[1::2]])
    return cut


def _bytes_in(folder: Path) -> int:
    """Octets of all segments; one that is taken away meanwhile counts nothing."""
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".seg"):
                with suppress(FileNotFoundError):
                    total += entry.stat().st_size
    return total


def segments(folder: Path) -> list[Path]:
    """The segments of `folder` in order of start and number."""
    found = [(int(m["start"]), int(m["n"]), path) for path in folder.glob("*.seg") if (m := _NAME.match(path.name))]
    return [path for _, _, path in sorted(found)]


def read(path: Path, offset: int = 0) -> Iterator[Record]:
    """Whole records of the segment from `offset` on; stops before a torn or damaged one, skips unknown kinds.

    Raises:
        OSError: the file cannot be read.
    """
    data = path.read_bytes()
    while offset + HEAD.size <= len(data):
        crc, length, time_us, count, kind, flags = HEAD.unpack_from(data, offset)
        end = offset + HEAD.size + length
        if end > len(data) or zlib.crc32(memoryview(data)[offset + 4 : end]) != crc:
            return
        if kind in _KINDS:
            yield Record(offset, end, time_us, count, RecordKind(kind), flags, data[offset + HEAD.size : end])
        offset = end


def record_at(file: FileIO, at: int) -> bytes:
    """The octets of the record that begins at `at`, without what lies behind it: a segment is long.

    Fewer where the file ends before it does.

    Raises:
        OSError: the file cannot be read.
    """
    file.seek(at)
    head = file.read(HEAD.size)
    length = HEAD.unpack(head)[1] if len(head) == HEAD.size else 0
    return head + file.read(min(length, SEGMENT_BYTES))


def raw_attempts(record: Record, meta: Meta) -> Iterator[RawAttempt]:
    """The refused questions of an ATTEMPTS record, in order."""
    numbers = array("Q", record.payload[: 16 * record.count])
    at = 16 * record.count
    width = {From.ADDRESSES4: 4, From.ADDRESSES6: 16}.get(From(record.flags), 0)
    addresses = len(record.payload) - width * record.count
    for index in range(record.count):
        end = at
        while record.payload[end]:
            end += 1 + record.payload[end]
        end += 1
        source, title, category, kind = meta.combos[numbers[2 * index + 1] & COMBO]
        client = _client(record, addresses + width * index, width)
        qtype = _qtype(record.payload[end : end + 2])
        name = record.payload[at:end]
        yield RawAttempt(
            record.time, numbers[2 * index], name, qtype, source, title, category, kind, meta.action, client
        )
        at = end + 4


def _qtype(two: bytes) -> int:
    """The type; the fast path lower-cases name and type in one go, so HTTPS (65) arrives as 97 (not assigned)."""
    number = int.from_bytes(two, "big")
    return 65 if number == 97 else number


def _client(record: Record, at: int, width: int) -> str:
    if not width:
        return "::1" if record.flags == From.LOOPBACK6 else "127.0.0.1"
    import ipaddress

    return str(ipaddress.ip_address(record.payload[at : at + width]))
