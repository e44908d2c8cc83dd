"""Whether somebody else's account is in front of this machine: then what it asks is filtered and not recorded.

`control` finds out, records from when to when, and writes the file; `dns` and the proxy read it, and record again when
its time is over, whether or not `control` still lives. Written by `control.front`.
"""

import json
from collections.abc import Callable
from pathlib import Path

FILE = "front.json"
"""In the folder `run` of the state."""


def to_bytes(boot: str, until: int) -> bytes:
    """The file's content: another account is in front until `until` (CLOCK_BOOTTIME in µs; 0: none is)."""
    return json.dumps({"boot": boot, "another_until": until}).encode()


def read(path: Path, boot: str) -> int:
    """Until when (CLOCK_BOOTTIME in µs) another account is in front; 0 where the file is missing, torn or of another
    boot."""
    try:
        got = json.loads(path.read_bytes())
        return int(got["another_until"]) if got["boot"] == boot else 0
    except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return 0


class Front:
    """Follows the file at `path`; `boot` tells which boot this is."""

    def __init__(self, path: Path, boot: Callable[[], str]) -> None:
        self._path = path
        self._boot = boot
        self._until = 0
        self._stamp: tuple[int, ...] = ()

    def another(self, boottime: int) -> bool:
        """True while another account is in front, at `boottime` (µs)."""
        try:
            status = self._path.stat()
            stamp: tuple[int, ...] = (status.st_ino, status.st_mtime_ns, status.st_size)
        except OSError:
            stamp = ()
        if stamp != self._stamp:
            self._stamp, self._until = stamp, read(self._path, self._boot()) if stamp else 0
        return boottime < self._until
