"""Storing on disks that are full, fail, are read-only or held by others: nothing is lost, or it says how much."""

import errno
import json
import os
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import apsw
import pytest

from blockerd import clock
from blockerd.control.journal import Keeper
from blockerd.journal import append
from blockerd.journal.append import Journal
from blockerd.journal.check import check
from blockerd.journal.outcome import DrainState
from blockerd.settings import Settings, State
from tests.e2e.install import ROOT, Install, wait_until
from tests.journal.spooling import SECOND, START, Spool, counts, everything

NOW = START + 3600 * SECOND
STRACE = pytest.mark.skipif(shutil.which("strace") is None, reason="not run here: strace")

_CHILD = """
import sys
from pathlib import Path
from blockerd.journal.append import Journal
path, folder = Path(sys.argv[1]), Path(sys.argv[2])
journal = Journal(path, lambda: {now})
for n in range(int(sys.argv[3])):
    print("begin", flush=True)
    print(journal.drain(folder).state, flush=True)
"""


@pytest.fixture
def path(tmp_path: Path):
    return tmp_path / "journal.sqlite"


@pytest.fixture
def spool(tmp_path: Path):
    return Spool(tmp_path / "spool")


def sound(path: Path):
    with closing(apsw.Connection(str(path))) as db:
        found = check(db)
    assert found.broken == ()
    return found


def traced(path: Path, folder: Path, drains: int, *options: str):
    """What `drains` drains in a process under strace say, and the system calls."""
    log = path.with_suffix(".trace")
    code = _CHILD.format(now=NOW)
    child = [sys.executable, "-c", code, str(path), str(folder), str(drains)]
    done = subprocess.run(
        ["strace", "-f", "-o", str(log), *options, *child],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout.split(), log.read_text()


@STRACE
def test_a_commit_is_synced_before_it_is_acknowledged_and_once(path: Path, spool: Spool):
    """T51: one sync for the questions of a drain, one for the leaves that were due, none of them after the answer."""
    Journal(path, lambda: NOW).close()
    for n in range(300):
        spool.ask(f"site-{n}.test")
    said, calls = traced(path, spool.folder, 1, "-e", "trace=pwrite64,fdatasync,fsync,write", "-y")
    assert said == ["begin", "ok"]
    lines = calls.splitlines()
    begin, end = (next(n for n, line in enumerate(lines) if f'"{word}' in line) for word in ("begin", "ok"))
    drain = [line for line in lines[begin:end] if "journal.sqlite-wal" in line]
    assert sum("sync(" in line for line in drain) == 2
    assert "sync(" in drain[-1]


@STRACE
@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_an_io_error_at_a_sync_acknowledges_nothing_and_the_file_is_opened_anew(path: Path, spool: Spool, call: str):
    """T53: the drain that met EIO says so, the next one opens the file again, checks it and stores everything once."""
    journal = Journal(path, lambda: NOW)
    journal.drain(spool.folder)
    journal.close()
    for n in range(500):
        spool.ask(f"site-{n}.test")
    wal = str(path) + "-wal"
    inject = ("-e", f"trace={call},openat", "-e", f"inject={call}:error=EIO:when=1..2", "-P", wal)
    said, calls = traced(path, spool.folder, 3, *inject)
    assert "EIO" in calls
    assert (said[1], said[-1]) == ("damaged", "ok")
    assert calls.rindex("openat") > calls.rindex("EIO")
    assert sum(counts(everything(path, spool.folder)).values()) == 500
    sound(path)
    assert list(path.parent.glob("*-damaged-*")) == []


def test_a_segment_on_a_bad_place_of_the_disk_is_told_and_keeps_no_other(path: Path, spool: Spool):
    """The memory of a process can as little be read from its begin."""
    journal = Journal(path, lambda: spool.at)
    odd = spool.folder / "cli-7-1.seg"
    odd.symlink_to("/proc/self/mem")
    spool.ask("site.test")
    drained = journal.drain(spool.folder)
    assert (drained.state, drained.questions) == (DrainState.OK, 1)
    assert drained.message == f"{odd}: cannot be read (Input/output error): look at the disk; all else is stored"
    odd.unlink()
    assert journal.drain(spool.folder).message == ""
    journal.close()


def test_attempts_wait_while_what_they_hit_cannot_be_read(path: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch):
    spool.ask("a.test")
    journal = Journal(path, lambda: spool.at)
    journal.drain(spool.folder)
    journal.close()
    spool.ask("b.test")
    journal = Journal(path, lambda: spool.at)
    with monkeypatch.context() as bad:
        bad.setattr(append, "record_at", odd_disk)
        assert "look at the disk" in journal.drain(spool.folder).message
    assert journal.drain(spool.folder).questions == 1
    journal.close()
    assert counts(everything(path, spool.folder)) == {"a.test": 1, "b.test": 1}


def odd_disk(*_: object):
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_full_disk_loses_nothing_and_storing_goes_on_when_there_is_room(path: Path, spool: Spool):
    """T52, for the leaves too."""
    journal = Journal(path, lambda: spool.at)
    for n in range(3000):
        spool.ask(f"site-{n}.test")
    journal.drain(spool.folder)
    spool.at += 120 * SECOND
    journal.within(lambda db: db.execute(f"PRAGMA max_page_count = {db.pragma('page_count') + 2}").fetchall())
    spool.tell(kind="lost", process="dns", count=7)
    assert journal.drain(spool.folder).state == DrainState.FULL
    journal.within(lambda db: db.execute("PRAGMA max_page_count = 1000000").fetchall())
    spool.at += 20 * SECOND
    assert journal.drain(spool.folder).state == DrainState.OK
    journal.close()
    assert sum(counts(everything(path, spool.folder)).values()) == 3000
    assert sound(path).size == 3001


def tiny_disk(size: str, work: Callable[[Path], None]):
    """Runs `work` in a child on a file system of its own of `size`; skips where the kernel gives none."""
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code == 77:
            pytest.skip("not run here: a file system in a user namespace")
        return code
    try:
        if not _mounted(size):
            os._exit(77)
        work(Path("/mnt"))
        os._exit(0)
    except BaseException:  # the child of a test must never go on as that test
        traceback.print_exc()
    finally:
        os._exit(1)


def _mounted(size: str):
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", "/mnt"]
    try:
        _own_namespace()
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def _own_namespace():
    import ctypes

    libc, uid, gid = ctypes.CDLL(None, use_errno=True), os.getuid(), os.getgid()
    if libc.unshare(0x00020000 | 0x10000000):  # CLONE_NEWNS, CLONE_NEWUSER
        raise OSError(ctypes.get_errno(), "unshare")
    for name, said in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        Path(f"/proc/self/{name}").write_text(said)


@pytest.mark.skipif(sys.platform != "linux", reason="not run here: Linux")
@pytest.mark.parametrize("what", ["octets", "files"])
def test_a_full_disk_is_told_also_while_nothing_waits_to_be_stored(what: str):
    """T52: the journal has nothing to write then, but what happens now would be lost."""

    def work(home: Path):
        spool = Spool(home / "spool")
        keeper = Keeper(Settings(state=State(home)), home / "spool")
        spool.ask("site.test")
        assert keeper.drain() == []
        assert keeper.trouble == ""
        filling = home / "filling"
        filling.mkdir()
        with suppress(OSError):
            for n in range(1 << 20):
                (filling / str(n)).write_bytes(bytes(65536 if what == "octets" else 0))
        assert "the disk is full" in keeper.trouble_now()
        for _ in range(3):
            assert keeper.drain() == []
            assert "the disk is full: free some space" in keeper.trouble
        shutil.rmtree(filling)
        (told,) = keeper.drain()
        assert (told["kind"], told["detail"].split()[0], keeper.trouble) == ("repair", "full", "")
        keeper.close()

    assert tiny_disk("16m,nr_inodes=1000", work) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="not run here: Linux")
def test_on_a_disk_that_is_really_full_recording_counts_what_it_loses_and_tells_it_later():
    """T52: spool and journal on one small file system that somebody fills."""

    def work(home: Path):
        spool = Spool(home / "spool")
        journal = Journal(home / "journal.sqlite", lambda: spool.at)
        for n in range(50):
            spool.ask(f"site-{n}.test")
        assert journal.drain(spool.folder).state == DrainState.OK
        ballast = home / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                pass
        asked = 0
        while not spool.writer.lost:
            spool.ask(*(f"full-{asked + n}.test" for n in range(50)))
            asked += 50
        state = journal.drain(spool.folder).state
        assert state in (DrainState.FULL, DrainState.OK, DrainState.DAMAGED)
        lost = spool.writer.take_lost()
        ballast.unlink()
        later = Spool(home / "spool", start=START + 2 * SECOND)
        later.tell(kind="lost", process="dns", count=lost)
        later.at += 7200 * SECOND
        for _ in range(2):
            assert journal.drain(later.folder).state == DrainState.OK
            later.at += 60 * SECOND
        journal.close()
        found = sum(counts(everything(home / "journal.sqlite", later.folder)).values())
        assert found == 50 + asked - lost
        with closing(apsw.Connection(str(home / "journal.sqlite"))) as db:
            assert check(db).broken == ()
            (told,) = db.execute("SELECT payload FROM events WHERE kind = 'lost'").fetchall()
        assert json.loads(str(told[0]))["count"] == lost

    assert tiny_disk("1500k", work) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="not run here: Linux")
def test_a_file_system_that_becomes_read_only_is_told_and_loses_nothing():
    """T55. The spool lies elsewhere, as it would be gone too."""

    def work(home: Path):
        other = Path("/tmp") / f"blockerd-ro-{os.getpid()}"
        spool = Spool(other)
        try:
            journal = Journal(home / "journal.sqlite", lambda: spool.at)
            spool.ask("a.test")
            assert journal.drain(spool.folder).state == DrainState.OK
            journal.close()
            remount = ["mount", "-o", "remount,ro", "/mnt"]
            assert subprocess.run(remount, check=False).returncode == 0
            spool.ask("b.test")
            told = journal.drain(spool.folder)
            assert told.state == DrainState.UNWRITABLE
            assert "cannot be written" in told.message
            remount[2] = "remount,rw"
            assert subprocess.run(remount, check=False).returncode == 0
            assert journal.drain(spool.folder).state == DrainState.OK
            journal.close()
            assert counts(everything(home / "journal.sqlite", spool.folder)) == {"a.test": 1, "b.test": 1}
        finally:
            shutil.rmtree(other)

    assert tiny_disk("4m", work) == 0


def test_a_foreign_lock_delays_storing_and_never_an_answer(tmp_path: Path):
    """T55: while another program holds the journal, questions are answered as fast as ever; then all are stored."""
    foreign_lock(tmp_path, 2)


@pytest.mark.soak
def test_a_foreign_lock_of_a_minute_delays_storing_and_never_an_answer(tmp_path: Path):
    foreign_lock(tmp_path, 60)


def foreign_lock(folder: Path, seconds: float):
    install = Install(folder, 9)
    try:
        install.run()
        made = "SELECT count(*) FROM sqlite_schema WHERE name = 'events'"
        wait_until(lambda: (install.var / "journal.sqlite").exists() and _one(install, made), 10, install.said)
        db = apsw.Connection(str(install.var / "journal.sqlite"))
        db.set_busy_timeout(5000)
        db.execute("BEGIN IMMEDIATE")
        end, slowest, asked = time.monotonic() + seconds, 0.0, 1
        while time.monotonic() < end:
            reply = install.ask("blocked.example")
            assert reply.rcode == 3
            slowest, asked = max(slowest, reply.seconds), asked + 1
            time.sleep(0.02)  # some fifty questions a second
        wait_until(lambda: "another program holds it" in install.said(), 5, install.said)
        db.execute("ROLLBACK")
        db.close()
        assert slowest < 0.5
        wait_until(lambda: sum(row["count"] for row in install.log()) >= asked, 10)
        told = "SELECT payload ->> '$.detail' FROM events WHERE kind = 'repair'"
        wait_until(lambda: _one(install, told), 10, install.said)
        assert str(_one(install, told)).startswith("locked for ")
    finally:
        install.end()


def _one(install: Install, sql: str):
    with closing(apsw.Connection(str(install.var / "journal.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        db.set_busy_timeout(1000)
        return db.execute(sql).get


def test_how_long_nothing_could_be_stored_is_no_matter_of_a_clock_that_is_set(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    keeper = Keeper(Settings(state=State(path.parent)), path.parent / "spool")
    assert keeper.drain() == []
    with closing(apsw.Connection(str(path))) as other:
        other.execute("BEGIN IMMEDIATE")
        Spool(path.parent / "spool").ask("site.test")
        assert keeper.drain() == []
    year = clock.now_us() + 365 * 86_400 * SECOND
    monkeypatch.setattr(clock, "now_us", lambda: year)
    (told,) = keeper.drain()
    keeper.close()
    assert told["detail"] in [f"locked for {seconds} s" for seconds in range(5)]


def test_a_reader_that_holds_on_for_long_makes_the_spool_wait_and_not_the_disk_fill(
    path: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch
):
    """T57 in small: the write-ahead log stays within its bound, and nothing is lost."""
    monkeypatch.setattr(append, "LONGEST_WAL", 1_000_000)
    held_reader(path, spool, 10_000, 1_000_000 + 1_500_000)


@pytest.mark.soak
def test_a_reader_that_holds_on_for_ten_minutes_keeps_the_log_below_64_mb(path: Path, spool: Spool):
    """T57: ten minutes at 500 questions a second, every one a new site, drained twice a second."""
    held_reader(path, spool, 600 * 500, 64_000_000)


def held_reader(path: Path, spool: Spool, questions: int, most: int):
    journal = Journal(path, lambda: spool.at)
    spool.ask("first.test")
    journal.drain(spool.folder)
    states, longest = set(), 0
    with closing(apsw.Connection(str(path))) as reader:
        reader.execute("BEGIN; SELECT count(*) FROM attempts")
        for n in range(0, questions, 250):
            spool.at += SECOND // 2
            spool.ask(*(f"site-{(n + k) * 7919 % questions}.test" for k in range(250)))
            states.add(journal.drain(spool.folder).state)
            longest = max(longest, append.size_of(path.with_name("journal.sqlite-wal")))
    assert states == {DrainState.OK, DrainState.LOCKED}
    assert longest <= most
    assert journal.drain(spool.folder).state == DrainState.OK
    journal.close()
    assert sum(counts(everything(path, spool.folder)).values()) == questions + 1
    sound(path)


def test_control_ends_in_time_while_somebody_holds_the_journal(path: Path, spool: Spool):
    """A drain gives up a lock after its busy time, so the process can end within its grace."""
    journal = Journal(path, lambda: NOW)
    spool.ask("a.test")
    with closing(apsw.Connection(str(path))) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        assert journal.drain(spool.folder).state == DrainState.LOCKED
        assert time.monotonic() - began < 1.5
    journal.close()
