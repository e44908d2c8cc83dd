"""The boots of this machine as its own records tell them: journald, else wtmpdb, else wtmp; None where it keeps none.

Only reads. Says nothing where it may see a part only (journald hides the system's journal from users outside its
groups). The way on Windows and macOS is written from their documentation and has never run on a real machine.
Called when a period is reported; whoever edits these records can make them say anything, and the reports say so.
"""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from blockerd.report.coverage import Boot, End
from blockerd.system import boot_records

WTMP = Path("/var/log/wtmp")
WTMPDB = Path("/var/lib/wtmpdb/wtmp.db")

Run = Callable[[Sequence[str]], tuple[int, str, str]]
"""Runs a command: exit code, standard output, standard error; code -1 where it cannot be run."""

_LIST = ("journalctl", "--list-boots", "--no-pager")
_STOPPED = (
    "journalctl", "--no-pager", "-o", "json", "--output-fields=_BOOT_ID",
    "MESSAGE_ID=d93fb3c9c24d451a97cea615ce59c00b",
)  # fmt: skip
"""journald writes this message when it is ended in order; its id stands in systemd's catalogue."""
_PARTIAL = ("not seeing messages", "insufficient permissions")
_EVENTS = (
    "wevtutil", "qe", "System", "/f:xml",
    "/q:*[System[Provider[@Name='Microsoft-Windows-Kernel-General'] and (EventID=12 or EventID=13)]]",
)  # fmt: skip
_SECONDS = 20.0
_MAX_WTMP = 64 * 1024 * 1024


def command(words: Sequence[str]) -> tuple[int, str, str]:
    """Runs `words` in the C locale and UTC, for at most 20 s."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC", "SYSTEMD_COLORS": "0"}
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False, env=environment
        )
    except (OSError, subprocess.TimeoutExpired):
        return -1, "", ""
    return done.returncode, done.stdout, done.stderr


def boots(
    now_us: int, boot_id: str, run: Run = command, wtmp: Path = WTMP, wtmpdb: Path = WTMPDB
) -> tuple[Boot, ...] | None:
    """All boots on record in order of time; the one that runs (`boot_id`, "" unknown) ends at `now_us` (Unix µs)."""
    if sys.platform == "win32":
        found = boot_records.from_windows_events(run(_EVENTS)[1])
    elif sys.platform == "darwin":
        zone = datetime.fromtimestamp(now_us / 1e6).astimezone().tzinfo
        found = boot_records.from_last(run(("last", "reboot", "shutdown"))[1], now_us, zone) if zone else []
    else:
        found = _from_journal(run) or _from_wtmpdb(wtmpdb) or _from_wtmp(wtmp)
    return _running(found, now_us, boot_id) if found else None


def _from_journal(run: Run) -> list[Boot]:
    code, listed, complaint = run((*_LIST, "-o", "json"))
    if code == 0 and not any(words in complaint for words in _PARTIAL):
        stopped = run(_STOPPED)[1]
        try:
            return boot_records.from_journal_json(listed, stopped)
        except ValueError:
            return boot_records.from_journal_text(listed, stopped)
    return []


def _from_wtmpdb(path: Path) -> list[Boot]:
    if not path.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=1.0)) as db:
            rows = db.execute("SELECT Login, Logout FROM wtmp WHERE Type = 1 AND Login IS NOT NULL ORDER BY Login")
            return boot_records.from_wtmpdb(rows.fetchall())
    except sqlite3.Error:
        return []


def _from_wtmp(path: Path) -> list[Boot]:
    """The file and the one before it, which log rotation leaves beside it."""
    data = b""
    for each in (path.with_name(path.name + ".1"), path):
        try:
            if each.is_file() and each.stat().st_size <= _MAX_WTMP:
                data += each.read_bytes()
        except OSError:
            continue
    return boot_records.from_wtmp(data)


def _running(found: list[Boot], now_us: int, boot_id: str) -> tuple[Boot, ...]:
    """`found` with the boot that runs now: the one of this id, else the last where no id is kept and no end told."""
    plain = boot_id.replace("-", "")
    for n, boot in enumerate(found):
        is_last = n == len(found) - 1
        if (boot.id and boot.id == plain) or (is_last and not boot.id and boot.ended == End.UNTOLD):
            found[n] = replace(boot, last_us=max(now_us, boot.first_us), ended=End.RUNNING)
    return tuple(found)
