"""Takes the list out of a tar file as UT1 publishes it: `chat/domains`, `chat/urls`; nothing is unpacked to the disk.

Refuses paths that lead out of the archive, links in the place of a list, and lists of more than one folder. Called by
`fetch` once a download is complete and decompressed.
"""

import tarfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO

WANTED = ("domains", "urls")
"""The files of a category folder that hold names, in the order in which they are joined."""
MAX_MEMBERS = 1000

_MAGIC_AT = 257


class ArchiveError(Exception):
    """An archive that is not taken; the message says why."""


def is_archive(path: Path) -> bool:
    """True if the file at `path` begins as a tar file does (POSIX.1-1988 ustar magic)."""
    with path.open("rb") as file:
        return file.read(_MAGIC_AT + 5)[_MAGIC_AT:] == b"ustar"


def take_list(path: Path, out: BinaryIO, max_bytes: int) -> None:
    """Writes the lists in the tar file `path` to `out`, one after the other.

    Raises:
        ArchiveError: damaged, cut short, unsafe, without a list, with several, or over `max_bytes`.
    """
    try:
        with tarfile.open(path, "r:") as archive:
            _copy(archive, _wanted(archive), out, max_bytes)
    except (tarfile.TarError, EOFError, OverflowError, ValueError) as error:
        raise ArchiveError(f"damaged archive ({error})") from None


def _wanted(archive: tarfile.TarFile) -> list[tarfile.TarInfo]:
    """The lists in `archive`, checked, in the order of WANTED."""
    found: dict[str, tarfile.TarInfo] = {}
    folders = set()
    for number, member in enumerate(archive):
        if number >= MAX_MEMBERS:
            raise ArchiveError(f"archive with over {MAX_MEMBERS} members")
        where = PurePosixPath(member.name)
        if where.is_absolute() or ".." in where.parts or "\\" in member.name:
            raise ArchiveError("archive with a path that leads out of it")
        if where.name not in WANTED or member.isdir():
            continue
        if not member.isreg():
            raise ArchiveError("archive with a link in the place of a list")
        folders.add(where.parent)
        if len(folders) > 1:
            raise ArchiveError("archive with several lists: name the address of one category")
        found[where.name] = member
    if not found:
        raise ArchiveError("archive without a list (no file `domains` or `urls`)")
    return [found[name] for name in WANTED if name in found]


def _copy(archive: tarfile.TarFile, members: list[tarfile.TarInfo], out: BinaryIO, max_bytes: int) -> None:
    size = 0
    for member in members:
        size += member.size + 1
        if size > max_bytes:
            raise ArchiveError(f"over max_bytes ({max_bytes:,} octets): raise max_bytes if it is meant to be")
        file = archive.extractfile(member)
        assert file is not None  # a regular member, checked above
        left = member.size
        while left:
            part = file.read(min(left, 1 << 20))
            if not part:
                raise ArchiveError("archive that is cut short")
            out.write(part)
            left -= len(part)
        out.write(b"\n")
