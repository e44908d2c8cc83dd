"""The alive mark: a file of two fixed slots that says until when a process ran, renewed every 30 s.

A slot has a CRC and a page of its own; each mark goes into the older one with a single `pwrite`, without sync, so a
torn write loses that mark and never the one before. Trouble with the disk is told by a False and never raised. The
process `dns` writes it; whoever records an unclean end reads it. A file that is torn, foreign or absent reads as None.
"""

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

EVERY_US = 30_000_000
"""Microseconds between two marks."""

COUNTERS = 6
"""Numbers that a mark carries; what they count is up to who writes it."""

PAGE = 4096
SIZE = 2 * PAGE
"""Octets of the file."""

_BODY = struct.Struct(f"<8sQBqqqQB64s{COUNTERS}Q")
_CRC = struct.Struct("<I")
_SLOT = _BODY.size + _CRC.size
_MAGIC = b"bdalive1"
_BOOT_BYTES = 64
_TOP = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment at which a process ran: wall clock (Unix µs), CLOCK_BOOTTIME and CLOCK_MONOTONIC (µs), boot, run number.

    `number` counts the marks of this file, `stopped` says that it was the last by intention.
    """

    number: int
    stopped: bool
    wall_us: int
    boottime_us: int
    monotonic_us: int
    boot: str
    run: int
    counters: tuple[int, ...]


class AliveMark:
    """Writes the marks of one process; `previous` is the last mark that was there before, None where there was none.

    Keep `previous` in the record before the second mark: from then on the file no longer holds it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self.previous = read(path)
        self._number = self.previous.number if self.previous else 0

    def mark(
        self, wall_us: int, boottime_us: int, monotonic_us: int, boot: str, run: int, counters: tuple[int, ...] = ()
    ) -> bool:
        """Says that the process runs. False where the disk does not take it.

        Raises:
            ValueError: a boot id over 64 octets, more than COUNTERS counters, or a number that does not fit.
        """
        return self._write(Mark(self._number + 1, False, wall_us, boottime_us, monotonic_us, boot, run, counters))

    def stopped(
        self, wall_us: int, boottime_us: int, monotonic_us: int, boot: str, run: int, counters: tuple[int, ...] = ()
    ) -> bool:
        """Says that the process ends by intention; otherwise as `mark`."""
        return self._write(Mark(self._number + 1, True, wall_us, boottime_us, monotonic_us, boot, run, counters))

    def close(self) -> None:
        """Closes the file; the next mark would open it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, mark: Mark) -> bool:
        slot = _pack(mark)
        try:
            if self._fd < 0:
                self._fd = _open(self._path)
            if os.pwrite(self._fd, slot, mark.number % 2 * PAGE) != len(slot):
                return False
        except OSError:
            self.close()
            return False
        self._number = mark.number
        return True


def read(path: Path) -> Mark | None:
    """The newest whole mark in the file at `path`; None where it has none or cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        found = [mark for at in (0, PAGE) if (mark := _unpack(os.pread(fd, _SLOT, at)))]
    except OSError:
        return None
    finally:
        os.close(fd)
    return max(found, key=lambda mark: mark.number, default=None)


def _open(path: Path) -> int:
    """The file, open for writing, 0600 from its first moment and never wider, as long as it will ever be."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.fchmod(fd, 0o600)
        if os.fstat(fd).st_size != SIZE:
            os.ftruncate(fd, SIZE)
    except OSError:
        os.close(fd)
        raise
    return fd


def _pack(mark: Mark) -> bytes:
    boot = mark.boot.encode()
    counters = mark.counters + (0,) * (COUNTERS - len(mark.counters))
    times = (mark.wall_us, mark.boottime_us, mark.monotonic_us)
    if len(boot) > _BOOT_BYTES or len(counters) > COUNTERS:
        raise ValueError(f"a mark holds a boot id of {_BOOT_BYTES} octets and {COUNTERS} counters at most")
    try:
        body = _BODY.pack(_MAGIC, mark.number, mark.stopped, *times, mark.run, len(boot), boot, *counters)
    except struct.error as error:
        raise ValueError(f"no mark can be made of this: {error}") from None
    return body + _CRC.pack(zlib.crc32(body))


def _unpack(slot: bytes) -> Mark | None:
    """The mark in `slot`; None for one that is short, torn, or of another making."""
    if len(slot) != _SLOT or _CRC.unpack_from(slot, _BODY.size)[0] != zlib.crc32(slot[: _BODY.size]):
        return None
    magic, number, stopped, wall, boottime, monotonic, run, length, boot, *counters = _BODY.unpack_from(slot)
    if magic != _MAGIC or length > _BOOT_BYTES or stopped > 1 or not 0 < number <= _TOP:
        return None
    try:
        text = boot[:length].decode()
    except UnicodeDecodeError:
        return None
    return Mark(number, bool(stopped), wall, boottime, monotonic, text, run, tuple(counters))
