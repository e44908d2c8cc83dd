"""Records on the agent's disk until `control` has them in the journal: append-only, numbered, each kept exactly once.

One write holds the new records and the state of measuring behind them, so that a kill between two writes neither
loses nor doubles anything; between records the state alone is kept in place, in two slots in turn. Nothing is synced:
it survives the death of the process, and of the machine but for the last moments. One agent owns a folder.
"""

import fcntl
import json
import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

CAP = 64 * 1024 * 1024
"""No more octets wait for `control`: about a year of days."""

_TIDY = 256 * 1024
_SLOT = 4096


class InUse(Exception):
    """Another agent holds it; the text is the path."""


class Buffer:
    """The buffer in `folder`, made where missing; `new_id` names a new agent.

    `state` is what was kept last ("" nothing), `last` the number of the newest record, `acked` of the newest one known
    to be in the journal.

    Raises:
        InUse: another agent owns it.
        OSError: the folder takes no file.
    """

    def __init__(self, folder: Path, new_id: Callable[[], str]) -> None:
        self._lock = lock(folder / "lock")
        self._new_id = new_id
        self._path, self._id_path = folder / "records.log", folder / "agent"
        self.agent = self._id_path.read_text("ascii") if self._id_path.exists() else ""
        self.state, self.last, self.acked, self._n = "", 0, 0, 0
        self._log = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._slots = os.open(folder / "state", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._start = self._size = 0  # of the first line not acknowledged in full; of the whole lines
        self._recover()
        if not self.agent:
            self._rename()

    def append(self, records: Sequence[dict[str, Any]], state: str) -> None:
        """Keeps `records`, numbered on from `last`, and `state`.

        Raises:
            OSError: the disk or the cap is full; nothing of it is kept.
        """
        line = _packed({"n": self._n + 1, "first": self.last + 1, "records": list(records), "state": state})
        if self._size - self._start + len(line) > CAP:
            raise OSError(f"{self._path}: {CAP} bytes wait for control")
        if os.pwrite(self._log, line, self._size) != len(line):
            raise OSError(f"{self._path}: the disk is full")  # the next write goes to the same place
        self._size += len(line)
        self._n += 1
        self.last += len(records)
        self.state = state

    def keep(self, state: str) -> None:
        """Keeps `state` alone; raises OSError where the disk takes nothing."""
        self._n += 1
        self.state = state
        data = _packed({"n": self._n, "state": state, "acked": self.acked})
        if len(data) <= _SLOT:
            os.pwrite(self._slots, data, self._n % 2 * _SLOT)

    def pending(self, most: int, octets: int) -> list[dict[str, Any]]:
        """The oldest records not acknowledged, each with its `seq`: at most `most`, of about `octets` as JSON."""
        found: list[dict[str, Any]] = []
        at, size = self._start, 0
        while at < self._size and len(found) < most and size < octets:
            line, at = self._line(at)
            for seq, record in enumerate(line["records"] if line else (), line["first"] if line else 0):
                size += len(json.dumps(record)) + 20
                if seq > self.acked and len(found) < most and (size < octets or not found):
                    found.append({**record, "seq": seq})
        return found

    def acknowledge(self, stored: int) -> None:
        """Records up to number `stored` are in the journal. More than this folder ever gave means that it was set
        back (a backup): it goes on under a new name, so that nothing new is taken for something old. Raises as
        `keep`."""
        if stored > self.last:
            self._rename()
            return
        self.acked = max(self.acked, stored)
        self.keep(self.state)
        while self._start < self._size:
            line, end = self._line(self._start)
            if line and line["first"] + len(line["records"]) - 1 > self.acked:
                return
            self._start = end
        if self._size > _TIDY:
            self._tidy()

    def close(self) -> None:
        """Gives the folder back."""
        for fd in (self._log, self._slots, self._lock):
            os.close(fd)

    def _rename(self) -> None:
        self.agent = self._new_id()
        self._id_path.with_suffix(".new").write_text(self.agent, "ascii")
        self._id_path.with_suffix(".new").replace(self._id_path)

    def _tidy(self) -> None:
        """Begins the file anew, with nothing but the numbers and the state."""
        line = _packed({"n": self._n, "first": self.last + 1, "records": [], "state": self.state})
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(line)
        fresh.replace(self._path)
        os.close(self._log)
        self._log = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        self._start = self._size = len(line)

    def _recover(self) -> None:
        """Finds the end of the whole lines, the numbers and the newest state; a torn end is written over."""
        at = 0
        while True:
            line, end = self._line(at)
            if line is None:
                break
            self._n, self.state = line["n"], line["state"]
            self.last = line["first"] + len(line["records"]) - 1
            if at == 0:
                self.acked = line["first"] - 1
            at = end
        self._size = at
        os.ftruncate(self._log, at)
        for slot in (0, 1):
            got = _unpacked(os.pread(self._slots, _SLOT, slot * _SLOT).partition(b"\n")[0])
            if got:
                self.acked = max(self.acked, min(got["acked"], self.last))
            if got and got["n"] > self._n:
                self._n, self.state = got["n"], got["state"]

    def _line(self, at: int) -> tuple[dict[str, Any] | None, int]:
        """The line that begins at `at` and where the next one does; None where there is no whole one."""
        data = b""
        while b"\n" not in data:
            more = os.pread(self._log, 65536, at + len(data))
            if not more:
                return None, at
            data += more
        line = data.partition(b"\n")[0]
        return _unpacked(line), at + len(line) + 1


def lock(path: Path) -> int:
    """A descriptor that holds `path` for as long as it is open, and for nobody else.

    Raises:
        InUse: another process holds it.
        OSError: the folder takes no file.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise InUse(str(path)) from None
    return fd


def _packed(thing: dict[str, Any]) -> bytes:
    body = json.dumps(thing, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _unpacked(line: bytes) -> dict[str, Any] | None:
    """What `_packed` wrote; None where it is torn."""
    crc, _, body = line.partition(b" ")
    try:
        if int(crc, 16) != zlib.crc32(body):
            return None
        got = json.loads(body)
    except ValueError:
        return None
    return got if isinstance(got, dict) else None
