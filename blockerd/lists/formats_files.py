"""Reads the octets of a list from disk: a file, a gzip file, or a squidGuard folder; never more than `max_bytes`.

Refuses what is no regular file, gzip that is cut short or grows beyond the limit, and folders without lists, each in
one line. Called by `build`, `lists test` and the fetcher; what the octets mean is for `formats`.
"""

import os
import zlib
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

SQUIDGUARD = ("domains", "urls", "expressions")
"""The files of a squidGuard or UT1 category folder, in the order in which they are read."""

_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 20


class ListError(Exception):
    """A list that cannot be read: one line with what, where and what to do."""


def read_source(path: Path, max_bytes: int) -> bytes:
    """The decompressed octets of the list at `path`; the files of a squidGuard folder are joined.

    Raises:
        ListError: missing, unreadable, no regular file, damaged gzip, or over `max_bytes` (decompressed).
    """
    try:
        if not path.is_dir():
            return _read(path, max_bytes)
        found = [file for name in SQUIDGUARD for file in (path / name, path / f"{name}.gz") if file.is_file()]
        if not found:
            raise ListError(f"{path}: no squidGuard list (no file `domains` or `urls`): name a file or another folder")
        joined = b""
        for file in found:
            joined += _read(file, max_bytes - len(joined)).rstrip(b"\n") + b"\n"
    except OSError as error:
        raise ListError(f"{path}: {error.strerror or error}: check the path and its permissions") from None
    return joined


def format_of(path: Path | None, format_: str) -> str:
    """As what the list at `path` is read: a folder is squidGuard's, all else what its settings say."""
    # Unlike Path.is_dir, this is False for what may not be looked at (Python 3.11 to 3.13).
    return "squidguard" if path is not None and os.path.isdir(path) else format_


def files_of(path: Path) -> list[Path]:
    """The files that make the list at `path`, sorted: itself, or what is in it; itself where nobody may look."""
    try:
        return sorted(path.iterdir()) if os.path.isdir(path) else [path]
    except OSError:
        return [path]


def head(path: Path, octets: int) -> bytes:
    """The first `octets` of the file at `path`, as they lie there; b"" where there are none or it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(octets)
    except OSError:
        return b""


def unpack(data: bytes, max_bytes: int, where: str) -> bytes:
    """`data` decompressed if it is gzip (RFC 1952, several members allowed), else as it is.

    Raises:
        ListError: damaged, cut short, or over `max_bytes`; `where` names the list in the message.
    """
    if not data.startswith(_GZIP):
        if len(data) > max_bytes:
            raise _too_big(where, max_bytes)
        return data
    try:
        return _gunzip(data, max_bytes, where)
    except zlib.error:
        raise ListError(f"{where}: damaged gzip data: fetch it again") from None


def _read(path: Path, max_bytes: int) -> bytes:
    if path.exists() and not path.is_file():
        raise ListError(f"{path}: not a file: give a regular file or a folder")
    with path.open("rb") as file:
        # Compressed data is no longer than what it holds, but for a few octets.
        data = _octets(file, max(max_bytes, 0) + 1024)
    return unpack(data, max_bytes, str(path))


def _octets(file: BinaryIO, most: int) -> bytes:
    """Up to `most` octets. Memory is taken by what is there: `file.read(most)` would ask for all of it beforehand."""
    taken = BytesIO()
    while (left := most - taken.tell()) > 0 and (part := file.read(min(left, _CHUNK))):
        taken.write(part)
    return taken.getvalue()


def _gunzip(data: bytes, max_bytes: int, where: str) -> bytes:
    parts: list[bytes] = []
    total = 0
    while data.startswith(_GZIP):
        member = zlib.decompressobj(wbits=31)
        pending = data
        while not member.eof:
            part = member.decompress(pending, _CHUNK)
            pending = member.unconsumed_tail
            total += len(part)
            if total > max_bytes:
                raise _too_big(where, max_bytes)
            if not part and not pending and not member.eof:
                raise ListError(f"{where}: gzip data that is cut short: fetch it again")
            parts.append(part)
        data = member.unused_data
    return b"".join(parts)


def _too_big(where: str, max_bytes: int) -> ListError:
    return ListError(f"{where}: over max_bytes ({max_bytes} octets decompressed): raise max_bytes if it is meant to be")
