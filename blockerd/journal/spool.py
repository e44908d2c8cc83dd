"""Spool segments: append-only files by which every process hands its events to `control`, and their reader.

A segment is `spool/<process>-<start>-<n>.seg`; a record is HEAD (CRC-32 of all that follows it, length of the payload,
Unix microseconds, count, kind, flags) and the payload. The writer never syncs: a record is safe from the death of the
process as soon as `write` returned. A torn tail (kill -9, power cut) is ignored by the reader and counted.
Nothing here decides how fine a name is kept: callers cut names to the privacy level before they call (`Level`).
One thread owns a Writer.
"""

import json
import os
import re
import struct
import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from blockerd.settings import Level as Level

HEAD = struct.Struct("<IIQHBB")
"""CRC-32 over the rest of the head and the payload, payload length, Unix µs, count, kind, flags."""

SEGMENT_BYTES = 4 * 1024 * 1024
"""A segment is sealed at this size by starting the next one."""

COMBO_BITS = 20
"""Low bits of a table entry that number its combination of source, category and flags (`lists.snapshot`)."""

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


class Writer:
    """Appends records of one process; never raises on a full or failing disk, but counts what it could not keep.

    `clock_us` gives Unix µs, `monotonic` seconds. `lost` counts events that were not kept since the last `take_lost`.
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
        self._clock_us = clock_us
        self._monotonic = monotonic
        self._cap = cap_bytes
        self._start = clock_us()
        self._n = 0
        self._fd = -1
        self._size = 0
        self._meta: bytes | None = None
        self._ring: list[tuple[bytes, int]] = []
        self._ring_bytes = 0
        self._ring_until = 0.0
        self._torn = False

    def meta(self, meta: Meta) -> None:
        """Records which policy the following attempts belong to; each new segment begins with it again."""
        self._meta = self._pack(RecordKind.META, 0, 0, meta.to_json(), self._clock_us())
        if self._fd >= 0:
            self._put(self._meta, 0)

    def event(self, event: dict[str, Any]) -> None:
        """Records one EVENT; `event` must have a key `kind`."""
        payload = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        self._put(self._pack(RecordKind.EVENT, 1, 0, payload, self._clock_us()), 1)

    def attempts(self, pairs: Sequence[int], names: Sequence[bytes], flags: int = 0, addresses: bytes = b"") -> None:
        """Records refused questions: `pairs` slot and entry in turn, `names` wire names with type and class.

        `addresses` holds the clients' packed addresses where `flags` says so.
        """
        count = len(names)
        payload = b"".join((array("Q", pairs).tobytes(), *names, addresses))
        self._put(self._pack(RecordKind.ATTEMPTS, count, flags, payload, self._clock_us()), count)

    def take_lost(self) -> int:
        """The events lost since the last call."""
        lost, self.lost = self.lost, 0
        return lost

    def flush(self) -> None:
        """Writes what waits in memory, if the disk takes it now."""
        if self._ring and self._monotonic() >= self._ring_until:
            waiting, self._ring, self._ring_bytes = self._ring, [], 0
            for record, count in waiting:
                self._put(record, count)

    def close(self) -> None:
        """Writes what waits and closes the segment."""
        self._ring_until = 0.0
        self.flush()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @staticmethod
    def _pack(kind: int, count: int, flags: int, payload: bytes, time_us: int) -> bytes:
        rest = HEAD.pack(0, len(payload), time_us, count, kind, flags)[4:] + payload
        return zlib.crc32(rest).to_bytes(4, "little") + rest

    def _put(self, record: bytes, count: int) -> None:
        if self._ring_until and self._monotonic() < self._ring_until:
            self._hold(record, count)
            return
        self._ring_until = 0.0
        if self._ring:
            self.flush()
            if self._ring_until:
                self._hold(record, count)
                return
        began = self._monotonic()
        try:
            self._write(record)
        except OSError:
            self.lost += count
            self._ring_until = began + 1.0
            return
        if self._monotonic() - began > _SLOW_WRITE:
            self._ring_until = began + 1.0

    def _hold(self, record: bytes, count: int) -> None:
        if self._ring_bytes + len(record) > _RING_BYTES:
            self.lost += count
            return
        self._ring.append((record, count))
        self._ring_bytes += len(record)

    def _write(self, record: bytes) -> None:
        if self._fd < 0 or self._torn or self._size + len(record) > SEGMENT_BYTES:
            self._open()
        done = os.write(self._fd, record)
        self._size += done
        if done != len(record):
            self._torn = True
            raise OSError("disk full")

    def _open(self) -> None:
        """Starts the next segment; raises OSError when the cap is reached or the folder takes no file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if _bytes_in(self.folder) >= self._cap:
            raise OSError("spool cap reached")
        self._n += 1
        path = self.folder / f"{self.process}-{self._start}-{self._n}.seg"
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._torn = False
        self._size = 0
        if self._meta:
            self._torn = True
            self._size = os.write(self._fd, self._meta)
            self._torn = self._size != len(self._meta)
            if self._torn:
                raise OSError("disk full")


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
        source, title, category, kind = meta.combos[numbers[2 * index + 1] & ((1 << COMBO_BITS) - 1)]
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
