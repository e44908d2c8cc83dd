"""Boot records of several systems, as text and octets written by hand, and the choice between them."""

import json
import sqlite3
import struct
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.report.coverage import Boot, End
from blockerd.system import boot_records
from blockerd.system.boots import Run, boots, command

ONE, TWO = "0" * 31 + "1", "0" * 31 + "2"
DASHED = "00000000-0000-0000-0000-000000000002"
MINUTE = 60_000_000
T = 1_795_000_000_000_000
NOWHERE = Path("no", "such", "file")
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="journald and wtmp are of Linux")

LISTED = json.dumps([
    {"index": -1, "boot_id": ONE, "first_entry": T, "last_entry": T + 60 * MINUTE},
    {"index": 0, "boot_id": TWO, "first_entry": T + 100 * MINUTE, "last_entry": T + 160 * MINUTE},
])  # fmt: skip
STOPPED = json.dumps({"__CURSOR": "x", "_BOOT_ID": ONE}) + "\nno json\n"


def asked(listed: str, stopped: str = "", code: int = 0, complaint: str = "") -> Run:
    def run(words: Sequence[str]) -> tuple[int, str, str]:
        return (code, listed, complaint) if "--list-boots" in words else (0, stopped, "")

    return run


def utmp(kind: int, user: str, at_us: int, *, wide: bool = False) -> bytes:
    layout = "=hxxi32s4s32s256shhqqq16s20s4x" if wide else "=hxxi32s4s32s256shhiii16s20s"
    seconds, micro = divmod(at_us, 1_000_000)
    return struct.pack(layout, kind, 1, b"~", b"~~", user.encode(), b"6.1.0", 0, 0, 0, seconds, micro, b"", b"")


def test_the_two_layouts_have_the_sizes_of_glibc():
    assert (len(utmp(2, "reboot", T)), len(utmp(2, "reboot", T, wide=True))) == (384, 400)


@on_linux
def test_journald_tells_boots_and_how_they_ended():
    assert boots(T + 170 * MINUTE, DASHED, asked(LISTED, STOPPED), NOWHERE, NOWHERE) == (
        Boot(ONE, T, T + 60 * MINUTE, End.SHUTDOWN),
        Boot(TWO, T + 100 * MINUTE, T + 170 * MINUTE, End.RUNNING),
    )


def test_older_journalctl_prints_a_table():
    text = (
        "IDX BOOT ID                          FIRST ENTRY                 LAST ENTRY\n"
        f" -1 {ONE} Wed 2026-11-18 08:26:40 UTC—Wed 2026-11-18 09:26:40 UTC\n"
        f"  0 {TWO} Wed 2026-11-18 10:06:40 UTC Wed 2026-11-18 11:06:40 UTC\n"
    )
    found = boot_records.from_journal_text(text, STOPPED)
    first = int(datetime(2026, 11, 18, 8, 26, 40, tzinfo=UTC).timestamp()) * 1_000_000
    assert [(boot.id, boot.ended) for boot in found] == [(ONE, End.SHUTDOWN), (TWO, End.CUT)]
    assert (found[0].first_us, found[1].last_us - first) == (first, 160 * MINUTE)


@on_linux
@pytest.mark.parametrize(
    "run",
    [
        asked("", code=-1),
        asked("", code=1),
        asked(""),
        asked("[]"),
        asked("No journal files were found.\n"),
        asked('[{"index": 0}]'),
        asked(LISTED, complaint="Hint: You are currently not seeing messages from other users and the system.\n"),
    ],
)
def test_a_journal_that_tells_nothing_or_a_part_is_not_believed(run: Run, tmp_path: Path):
    assert boots(T, TWO, run, NOWHERE, NOWHERE) is None
    wtmp = tmp_path / "wtmp"
    wtmp.write_bytes(utmp(2, "reboot", T) + utmp(1, "shutdown", T + MINUTE))
    assert boots(T, TWO, run, wtmp, NOWHERE) == (Boot("", T, T + MINUTE, End.SHUTDOWN),)


@pytest.mark.parametrize("wide", [False, True])
def test_wtmp_tells_begin_end_and_what_it_does_not_know(wide: bool):
    data = b"".join(
        utmp(kind, user, T + at * MINUTE, wide=wide)
        for kind, user, at in (
            (7, "someone", -5), (2, "reboot", 0), (1, "runlevel", 1), (7, "someone", 2), (1, "shutdown", 60),
            (2, "reboot", 100), (7, "someone", 110), (2, "reboot", 200),
        )
    )  # fmt: skip
    assert boot_records.from_wtmp(data) == [
        Boot("", T, T + 60 * MINUTE, End.SHUTDOWN),
        Boot("", T + 100 * MINUTE, T + 110 * MINUTE, End.UNTOLD),
        Boot("", T + 200 * MINUTE, T + 200 * MINUTE, End.UNTOLD),
    ]


@on_linux
def test_wtmp_before_rotation_is_read_too_and_the_last_boot_runs(tmp_path: Path):
    (tmp_path / "wtmp.1").write_bytes(utmp(2, "reboot", T))
    (tmp_path / "wtmp").write_bytes(utmp(1, "shutdown", T + MINUTE) + utmp(2, "reboot", T + 2 * MINUTE) + b"torn")
    assert boots(T + 9 * MINUTE, "", asked(""), tmp_path / "wtmp", NOWHERE) == (
        Boot("", T, T + MINUTE, End.SHUTDOWN),
        Boot("", T + 2 * MINUTE, T + 9 * MINUTE, End.RUNNING),
    )


@on_linux
def test_wtmpdb_is_read(tmp_path: Path):
    path = tmp_path / "wtmp.db"
    with sqlite3.connect(path) as db:
        db.execute(
            "CREATE TABLE wtmp(ID INTEGER PRIMARY KEY, Type INTEGER, User TEXT NOT NULL, Login INTEGER,"
            " Logout INTEGER, TTY TEXT, RemoteHost TEXT, Service TEXT) STRICT"
        )
        rows = [(1, "reboot", T, T + MINUTE), (3, "someone", T + 5, None), (1, "reboot", T + 2 * MINUTE, None)]
        db.executemany("INSERT INTO wtmp (Type, User, Login, Logout) VALUES (?, ?, ?, ?)", rows)
    db.close()
    assert boots(T + 9 * MINUTE, "", asked(""), NOWHERE, path) == (
        Boot("", T, T + MINUTE, End.SHUTDOWN),
        Boot("", T + 2 * MINUTE, T + 9 * MINUTE, End.RUNNING),
    )
    path.write_bytes(b"no database at all, but long enough to look at" * 100)
    assert boots(T, "", asked(""), NOWHERE, path) is None


def test_events_of_windows_are_read():
    def event(number: int, provider: str, stamp: str) -> str:
        return (
            f"<Event xmlns='x'><System><Provider Name='{provider}'/><EventID>{number}</EventID>"
            f"<TimeCreated SystemTime='{stamp}'/></System></Event>"
        )

    kernel = "Microsoft-Windows-Kernel-General"
    text = (
        event(12, kernel, "2026-11-16T07:00:01.1234567Z")
        + event(13, kernel, "2026-11-16T22:00:00.5000000Z")
        + event(12, "Other", "2026-11-17T01:00:00Z")
        + event(12, kernel, "2026-11-17T07:00:00.0000000Z")
        + event(12, kernel, "not a time")
    )
    first, second = boot_records.from_windows_events(text)
    assert (first.last_us - first.first_us, first.ended) == (
        14 * 3_600_000_000 + 59 * MINUTE + 59_376_544,
        End.SHUTDOWN,
    )
    assert second.ended == End.UNTOLD


def test_last_of_macos_is_read_across_new_year():
    text = (
        "reboot time                                Sat Jan  2 09:00\n"
        "shutdown time                              Thu Dec 31 23:10\n"
        "reboot time                                Thu Dec 31 08:00\n"
        "reboot time                                Wed Dec 30 08:00\n"
        "\nwtmp begins Wed Dec 30\n"
    )
    now = int(datetime(2027, 1, 3, tzinfo=UTC).timestamp()) * 1_000_000
    found = boot_records.from_last(text, now, UTC)
    shown = [datetime.fromtimestamp(boot.first_us / 1e6, UTC).strftime("%Y-%m-%d %H") for boot in found]
    assert shown == ["2026-12-30 08", "2026-12-31 08", "2027-01-02 09"]
    assert [boot.ended for boot in found] == [End.UNTOLD, End.SHUTDOWN, End.UNTOLD]


@given(st.text(max_size=300), st.binary(max_size=2000))
def test_no_record_is_an_exception(text: str, data: bytes):
    assert isinstance(boot_records.from_wtmp(data), list)
    assert isinstance(boot_records.from_journal_text(text, text), list)
    assert isinstance(boot_records.from_windows_events(f"<Event {text}</Event>"), list)
    assert isinstance(boot_records.from_last(f"reboot {text} Thu Dec 31 08:00", T, UTC), list)


def test_this_machine_answers_or_says_that_it_does_not_know():
    found = boots(T, "")
    assert found is None or all(boot.first_us <= boot.last_us for boot in found)
    assert command(("no-such-program-here",)) == (-1, "", "")
