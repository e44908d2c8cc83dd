"""Boot records as systems keep them, read into `coverage.Boot`: journald, wtmp, wtmpdb, Windows events, macOS `last`.

Each reader takes the text or octets of a record and gives boots in order of time, skipping what it cannot read.
journald and wtmp are tried on Linux; the readers for Windows and macOS are written from their documentation and have
never seen a real machine. Touches no file. Called by `system.boots`.
"""

import json
import re
import struct
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo

from blockerd.report.coverage import Boot, End

_SECOND = 1_000_000
_STAMP = r"\w{3} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:UTC|GMT|Z)"
_LINE = re.compile(rf"^\s*-?\d+\s+([0-9a-f]{{32}})\s+{_STAMP}\s*(?:—|-|\s)\s*{_STAMP}", re.MULTILINE)

_UTMP32 = struct.Struct("=hxxi32s4s32s256shhiii16s20s")
"""glibc's struct utmp where it stays compatible with 32 bits (x86): session and time are 32 bits wide."""
_UTMP64 = struct.Struct("=hxxi32s4s32s256shhqqq16s20s4x")
"""The same where it does not (e.g. 64-bit ARM)."""
_RUN_LVL, _BOOT_TIME, _LAST_TYPE = 1, 2, 9
_YEAR_2000, _YEAR_2100 = 946_684_800, 4_102_444_800


def from_journal_json(listed: str, stopped: str) -> list[Boot]:
    """Boots of `journalctl --list-boots -o json`; `stopped` names, one JSON object a line, where journald ended.

    Raises:
        ValueError: `listed` is no such list.
    """
    got = json.loads(listed or "[]")
    ended = _stopped(stopped)
    try:
        found = [Boot(each["boot_id"], int(each["first_entry"]), int(each["last_entry"])) for each in got]
    except (TypeError, KeyError) as error:
        raise ValueError(f"no list of boots: {error}") from None
    return _ordered(Boot(b.id, b.first_us, b.last_us, End.SHUTDOWN if b.id in ended else End.CUT) for b in found)


def from_journal_text(listed: str, stopped: str) -> list[Boot]:
    """The same for journalctl before version 251, which prints a table; asked for with TZ=UTC and LC_ALL=C."""
    ended = _stopped(stopped)
    return _ordered(
        Boot(name, _utc(first), _utc(last), End.SHUTDOWN if name in ended else End.CUT)
        for name, first, last in _LINE.findall(listed)
    )


def from_wtmp(data: bytes) -> list[Boot]:
    """Boots of a wtmp file (utmp(5)); one without a shutdown record is known up to its last record only."""
    found: list[Boot] = []
    for kind, user, at in _records(data):
        if kind == _BOOT_TIME:
            found.append(Boot("", at, at, End.UNTOLD))
        elif found and found[-1].ended == End.UNTOLD and at >= found[-1].first_us:
            end = End.SHUTDOWN if kind == _RUN_LVL and user == b"shutdown" else End.UNTOLD
            found[-1] = Boot("", found[-1].first_us, max(at, found[-1].last_us), end)
    return _ordered(found)


def from_wtmpdb(rows: Iterable[tuple[int, int | None]]) -> list[Boot]:
    """Boots of wtmpdb: (begin, end or None) in Unix µs."""
    return _ordered(
        Boot("", begin, end, End.SHUTDOWN) if end is not None else Boot("", begin, begin, End.UNTOLD)
        for begin, end in rows
    )


def from_windows_events(xml: str) -> list[Boot]:
    """Boots of `wevtutil qe System /f:xml` for Kernel-General 12 (begin) and 13 (end), Kernel-Power 41 (no end).

    With Fast Startup a shutdown is a hibernation and leaves neither; such a boot then shows as one with sleep in it.
    """
    found: list[Boot] = []
    for event in re.findall(r"<Event\b.*?</Event>", xml, re.DOTALL):
        number = re.search(r"<EventID[^>]*>(\d+)</EventID>", event)
        stamp = re.search(r"SystemTime=['\"]([^'\"]+)['\"]", event)
        if not number or not stamp:
            continue
        try:
            at = _iso(stamp[1])
        except ValueError:
            continue
        if number[1] == "12" and "Kernel-General" in event:
            found.append(Boot("", at, at, End.UNTOLD))
        elif number[1] == "13" and "Kernel-General" in event and found:
            found[-1] = Boot("", found[-1].first_us, max(at, found[-1].first_us), End.SHUTDOWN)
    return _ordered(found)


def from_last(text: str, now_us: int, zone: tzinfo) -> list[Boot]:
    """Boots of macOS `last reboot shutdown`: newest first, to the minute, without a year."""
    found: list[Boot] = []
    until, end = now_us, None
    for what, stamp in re.findall(r"^(reboot|shutdown)\s.*?(\w{3} \w{3} +\d{1,2} \d\d:\d\d)", text, re.MULTILINE):
        at = _yearless(stamp, until, zone)
        if at is None:
            continue
        if what == "shutdown":
            end = at
        else:
            found.append(Boot("", at, end, End.SHUTDOWN) if end is not None else Boot("", at, at, End.UNTOLD))
            end = None
        until = at
    return _ordered(found)


def _stopped(lines: str) -> set[str]:
    """Boot ids whose journal says that it was ended in order."""
    found = set()
    for line in lines.splitlines():
        try:
            got = json.loads(line)
        except ValueError:
            continue
        if isinstance(got, dict) and isinstance(got.get("_BOOT_ID"), str):
            found.add(got["_BOOT_ID"])
    return found


def _records(data: bytes) -> Iterable[tuple[int, bytes, int]]:
    """(type, user, Unix µs) of each record, in whichever of the two layouts makes sense of the file."""
    for layout in sorted((_UTMP32, _UTMP64), key=lambda layout: len(data) % layout.size):
        found = [
            (kind, user.rstrip(b"\0"), seconds * _SECOND + micro)
            for kind, _, _, _, user, _, _, _, _, seconds, micro, _, _ in layout.iter_unpack(_whole(data, layout.size))
            if kind
        ]
        if all(0 < kind <= _LAST_TYPE and _YEAR_2000 <= at // _SECOND < _YEAR_2100 for kind, _, at in found):
            return found
    return ()


def _whole(data: bytes, size: int) -> bytes:
    return data[: len(data) - len(data) % size]


def _ordered(boots: Iterable[Boot]) -> list[Boot]:
    return sorted((boot for boot in boots if boot.last_us >= boot.first_us), key=lambda boot: boot.first_us)


def _utc(stamp: str) -> int:
    return int(datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()) * _SECOND


def _iso(stamp: str) -> int:
    """Unix µs of e.g. 2026-11-16T07:00:01.1234567Z; digits beyond microseconds are dropped."""
    short = re.sub(r"(\.\d{6})\d+", r"\1", stamp).replace("Z", "+00:00")
    at = datetime.fromisoformat(short)
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * _SECOND)


def _yearless(stamp: str, until: int, zone: tzinfo) -> int | None:
    """The last moment up to `until` that this day and time names; None where it names none."""
    latest = datetime.fromtimestamp(until / _SECOND, zone)
    for year in (latest.year, latest.year - 1):
        try:
            # The year stands in front, so that 29 February is read in its own year.
            at = datetime.strptime(f"{year} {' '.join(stamp.split()[1:])}", "%Y %b %d %H:%M").replace(tzinfo=zone)
        except ValueError:
            continue
        if at.timestamp() * _SECOND <= until:
            return int(at.timestamp()) * _SECOND
    return None
