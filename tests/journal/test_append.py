"""The writer stores each whole record once, says what it could not read, and survives a bad disk and bad files."""

import json
import os
import signal
import stat
from collections.abc import Sequence
from pathlib import Path

import apsw
import pytest

from blockerd.journal import append
from blockerd.journal.append import Journal
from blockerd.journal.merge import SPAN_GAP_US
from blockerd.journal.outcome import Drained, DrainState
from blockerd.journal.schema import MIGRATIONS, JournalError, migrate, open_writer
from blockerd.journal.spool import Level, RawAttempt
from tests.journal.spooling import COMBOS, META, SECOND, START, Spool, counts, everything, quiet

NOW = START + 3600 * SECOND

KNOWN = len(MIGRATIONS)


@pytest.fixture
def path(tmp_path: Path):
    return tmp_path / "journal.sqlite"


@pytest.fixture
def spool(tmp_path: Path):
    return Spool(tmp_path / "spool")


@pytest.fixture
def journal(path: Path, spool: Spool):
    made = Journal(path, lambda: spool.at)
    yield made
    made.close()


def events(path: Path, kind: str = "repair"):
    with apsw.Connection(str(path)) as db:
        return [
            json.loads(row[0]) for row in db.execute("SELECT payload FROM events WHERE kind = ? ORDER BY id", (kind,))
        ]


def test_what_was_asked_is_stored_with_what_it_hit(journal: Journal, spool: Spool, path: Path):
    spool.ask("www.site.test", "site.test", combo=1)
    assert journal.drain(spool.folder).questions == 2
    (attempt,) = everything(path, spool.folder)
    assert (attempt.site, attempt.category, attempt.source, attempt.list) == (
        "site.test",
        "cam",
        "starter",
        "Cam sites",
    )
    assert (attempt.count, attempt.action, attempt.client, attempt.time) == (2, "NXDOMAIN", "127.0.0.1", START)


def test_a_second_drain_stores_nothing_twice(journal: Journal, spool: Spool, path: Path):
    spool.ask("a.test")
    assert [journal.drain(spool.folder).questions for _ in range(3)] == [1, 0, 0]
    spool.at += SECOND
    spool.ask("a.test", "b.test")
    assert journal.drain(spool.folder).questions == 2
    assert counts(everything(path, spool.folder)) == {"a.test": 2, "b.test": 1}
    assert len(everything(path, spool.folder)) == 2


def test_merging_goes_on_after_a_restart_of_control(spool: Spool, path: Path):
    for _ in range(3):
        spool.at += 50 * SECOND
        spool.ask("a.test")
        journal = Journal(path, lambda: spool.at)
        journal.drain(spool.folder)
        journal.close()
    (attempt,) = everything(path, spool.folder)
    assert (attempt.count, attempt.last - attempt.time) == (3, 100 * SECOND)


def test_a_meta_in_the_middle_holds_from_there_on_also_over_drains(journal: Journal, spool: Spool, path: Path):
    spool.ask("a.test")
    spool.writer.meta(type(META)(8, "policy-8.snapshot", "NODATA", (COMBOS[1], COMBOS[0])))
    spool.ask("b.test")
    journal.drain(spool.folder)
    journal.close()  # what was remembered is gone
    spool.ask("c.test")
    journal.drain(spool.folder)
    assert [(a.site, a.category, a.action) for a in everything(path, spool.folder)] == [
        ("a.test", "adult", "NXDOMAIN"),
        ("b.test", "cam", "NODATA"),
        ("c.test", "cam", "NODATA"),
    ]


def test_a_segment_goes_once_the_process_writes_the_next(
    journal: Journal, spool: Spool, path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("blockerd.journal.spool.SEGMENT_BYTES", 2000)
    for n in range(100):
        spool.ask(f"site-{n}.test")
    assert len(spool.paths) > 3
    newest = spool.paths[-1]
    assert journal.drain(spool.folder).questions == 100
    assert spool.paths == [newest]
    assert sum(counts(everything(path, spool.folder)).values()) == 100


def test_the_last_segment_of_a_start_goes_when_it_is_quiet_and_its_process_is_gone(
    journal: Journal, spool: Spool, path: Path
):
    spool.ask("a.test")
    later = Spool(spool.folder, start=START + 1)
    later.ask("b.test")
    old, new = later.paths
    quiet(old)
    journal.drain(spool.folder)
    spool.ask("c.test")  # the process that goes was not gone yet
    spool.end()
    now = old.stat().st_mtime_ns // 1000
    busy = Journal(path, lambda: now)
    busy.drain(spool.folder)
    assert later.paths == [old, new]
    quiet(old)
    busy.drain(spool.folder)
    busy.close()
    assert later.paths == [new]
    assert counts(everything(path, spool.folder)) == {"a.test": 1, "b.test": 1, "c.test": 1}


@pytest.mark.parametrize("ahead", [2 * 3600, 3 * 86_400, 20 * 365 * 86_400])
def test_a_run_after_one_whose_clock_was_ahead_loses_nothing(journal: Journal, spool: Spool, path: Path, ahead: int):
    """A clock of the machine in local time, one without a battery: the older run has the later start."""
    before = Spool(spool.folder, process="proxy", start=START + ahead * SECOND)
    before.ask("a.test")
    before.alive("stop")
    before.end()
    after = Spool(spool.folder, process="proxy")
    for number in range(5):
        after.ask("b.test", "c.test")
        quiet(*after.paths)
        assert journal.drain(spool.folder).questions == (3 if not number else 2)
        after.at += 30 * SECOND
    (live,) = after.paths
    journal.drain(spool.folder)
    assert live.read_bytes()
    assert after.writer.take_lost() == 0
    assert counts(everything(path, spool.folder)) == {"a.test": 1, "b.test": 5, "c.test": 5}


def test_the_end_of_a_run_whose_clock_was_ahead_is_read_before_the_start_of_the_next(
    journal: Journal, spool: Spool, path: Path
):
    """Else each start would seem to follow upon a crash."""
    before = Spool(spool.folder, start=START + 7200 * SECOND)
    before.alive("start")
    journal.drain(spool.folder)
    before.alive("stop")
    before.end()
    spool.alive("start", boot="b2")
    journal.drain(spool.folder)
    assert events(path, "unclean") == []
    assert len(events(path, "start")) == 2


def test_the_newest_segment_of_a_process_stays_though_another_process_started_later(journal: Journal, spool: Spool):
    spool.ask("a.test")
    Spool(spool.folder, process="proxy", start=START + 1).ask("b.test")
    quiet(*spool.paths)
    journal.drain(spool.folder)
    assert len(spool.paths) == 2


def test_a_torn_end_waits_until_the_segment_is_sealed_and_is_then_told_once(journal: Journal, spool: Spool, path: Path):
    spool.ask("a.test", "b.test")
    torn = spool.paths[0]
    data = torn.read_bytes()
    torn.write_bytes(data[:-5])
    assert journal.drain(spool.folder).questions == 0
    assert events(path) == []
    spool.end()
    Spool(spool.folder, start=START + 1)
    Spool(spool.folder, start=START + 1).ask("c.test")
    quiet(torn)
    drained = journal.drain(spool.folder)
    meta_end = len(data) - drained.torn - 5
    assert 0 < meta_end < len(data)
    assert (drained.questions, journal.drain(spool.folder).torn) == (1, 0)
    (told,) = events(path)
    assert (told["what"], told["detail"]) == ("torn end of a segment", f"{torn.name}: {drained.torn} bytes")
    assert not torn.exists()


def test_a_segment_that_could_not_be_deleted_is_not_stored_twice(journal: Journal, spool: Spool, path: Path):
    spool.ask("a.test")
    first = spool.paths[0]
    spool.end()
    Spool(spool.folder, start=START + 1).ask("b.test")
    quiet(first)
    again = first.read_bytes()
    journal.drain(spool.folder)
    first.write_bytes(again)  # as if the process had died between the commit and the deletion
    assert journal.drain(spool.folder).questions == 0
    assert not first.exists()
    assert counts(everything(path, spool.folder)) == {"a.test": 1, "b.test": 1}


def test_a_record_that_makes_no_sense_is_noticed_and_stops_nothing(journal: Journal, spool: Spool, path: Path):
    spool.ask("a.test", combo=len(COMBOS))
    spool.tell(kind="coverage", process="dns", state="dreaming")
    spool.ask("b.test")
    drained = journal.drain(spool.folder)
    assert (drained.questions, drained.bad) == (1, 2)
    assert [(told["process"], told["count"]) for told in events(path, "lost")] == [("dns", 2)]


def test_what_control_denies_is_kept_and_never_shown(journal: Journal, spool: Spool, path: Path):
    spool.ask("a.test", "b.test")
    journal.drain(spool.folder, confirm=lambda raw: [question.name == b"\x01a\x04test\x00" for question in raw])
    assert counts(everything(path, spool.folder)) == {"a.test": 1}
    with apsw.Connection(str(path)) as db:
        assert db.execute("SELECT sum(count) FROM attempts").get == 2


def test_a_confirm_that_raises_loses_nothing(journal: Journal, spool: Spool, path: Path):
    spool.ask("a.test")

    def broken(raw: Sequence[RawAttempt]) -> list[bool]:
        raise OSError("no snapshot")

    with pytest.raises(OSError, match="no snapshot"):
        journal.drain(spool.folder, confirm=broken)
    assert journal.drain(spool.folder, confirm=lambda raw: [True] * len(raw)).questions == 1
    assert counts(everything(path, spool.folder)) == {"a.test": 1}


def test_a_lower_level_holds_at_once_for_what_still_waits(journal: Journal, spool: Spool, path: Path):
    spool.ask("www.a.test")
    journal.drain(spool.folder, level=Level.NAME)
    spool.at += 120 * SECOND
    spool.ask("www.a.test")
    journal.drain(spool.folder, level=Level.SITE)
    spool.at += 120 * SECOND
    spool.ask("www.a.test")
    journal.drain(spool.folder, level=Level.CATEGORY)
    assert [(a.site, a.names) for a in everything(path, spool.folder)] == [
        ("a.test", ("www.a.test",)),
        ("a.test", ()),
        ("", ()),
    ]


def test_signs_of_life_become_spans(journal: Journal, spool: Spool, path: Path):
    spool.alive("start")
    for _ in range(5):
        spool.at += 60 * SECOND
        spool.alive("alive")
        journal.drain(spool.folder)
    spool.at += SPAN_GAP_US + 1
    spool.alive("alive")
    journal.drain(spool.folder)
    with apsw.Connection(str(path)) as db:
        spans = db.execute("SELECT last_us - first_us, ended FROM spans ORDER BY id").fetchall()
    assert spans == [(300 * SECOND, 0), (0, 0)]
    assert [event["process"] for event in events(path, "start")] == ["dns"]


def test_stop_ends_a_drain_between_two_transactions(journal: Journal, spool: Spool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(append, "BATCH", 10)
    for n in range(30):
        spool.ask(f"site-{n}.test")
    answers = iter([False, False])
    assert journal.drain(spool.folder, stop=lambda: next(answers, True)).questions == 19
    assert journal.drain(spool.folder).questions == 11


def test_a_missing_spool_folder_is_an_empty_one(journal: Journal, tmp_path: Path):
    assert journal.drain(tmp_path / "none") == Drained()


def test_the_file_is_private_from_its_creation_and_so_are_its_companions(tmp_path: Path):
    path = tmp_path / "state" / "journal.sqlite"
    old = os.umask(0)
    try:
        journal = Journal(path, lambda: NOW)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in [path.parent, *path.parent.iterdir()]}
        journal.close()
    finally:
        os.umask(old)
    assert modes == {"state": 0o700, "journal.sqlite": 0o600, "journal.sqlite-wal": 0o600, "journal.sqlite-shm": 0o600}


def test_durability_is_as_designed(journal: Journal):
    db, _ = open_writer(journal.path, NOW)
    assert (db.pragma("journal_mode"), db.pragma("synchronous"), db.pragma("foreign_keys")) == ("wal", 2, 1)
    db.close()


def test_a_newer_schema_is_refused_in_one_line_and_left_alone(path: Path):
    with apsw.Connection(str(path)) as db:
        db.execute(f"CREATE TABLE later (x); PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = path.read_bytes()
    with pytest.raises(JournalError, match=rf"\(schema {KNOWN + 1}, known {KNOWN}\): update blockerd$"):
        Journal(path, lambda: NOW)
    assert path.read_bytes() == before


def test_an_older_schema_is_migrated_and_a_broken_step_changes_nothing(journal: Journal, spool: Spool, path: Path):
    spool.ask("a.test")
    journal.drain(spool.folder)
    journal.close()
    db = apsw.Connection(str(path))
    with pytest.raises(apsw.SQLError):
        migrate(
            db, path, [*MIGRATIONS, "CREATE TABLE more (x) STRICT", "CREATE TABLE more (x INTEGER) STRICT; nonsense"]
        )
    assert (db.pragma("user_version"), db.table_exists(None, "more")) == (KNOWN, False)
    migrate(db, path, [*MIGRATIONS, "CREATE TABLE more (x INTEGER) STRICT"])
    assert (db.pragma("user_version"), db.execute("SELECT count(*) FROM attempts").get) == (KNOWN + 1, 1)
    db.close()


def test_an_sqlite_that_loses_writes_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("blockerd.journal.schema.OLDEST_SQLITE", apsw.SQLITE_VERSION_NUMBER + 1)
    with pytest.raises(JournalError, match="install apsw"):
        Journal(path, lambda: NOW)


def damaged(path: Path) -> list[Path]:
    return sorted(path.parent.glob("journal-damaged-*.sqlite"))


@pytest.mark.parametrize("harm", ["header", "page", "truncated", "text"])
def test_a_damaged_journal_is_kept_aside_and_a_new_one_begins(spool: Spool, path: Path, harm: str):
    for n in range(2000):
        spool.ask(f"site-{n}.test")
    first = Journal(path, lambda: NOW)
    first.drain(spool.folder)
    first.close()
    data = bytearray(path.read_bytes())
    if harm == "header":
        data[0:16] = b"not a database!!"
    elif harm == "page":
        data[4096 * 3 : 4096 * 4] = bytes(4096)
    elif harm == "truncated":
        del data[len(data) // 2 :]
    else:
        data[:] = b"something else entirely " * 1000
    path.write_bytes(data)
    journal = Journal(path, lambda: NOW)
    spool.ask("later.test")
    assert journal.drain(spool.folder).state == DrainState.OK
    journal.close()
    (kept,) = damaged(path)
    assert kept.read_bytes() == data
    assert kept.name == "journal-damaged-20261122T190000.000000Z.sqlite"
    assert [told["file"] for told in events(path)] == [kept.name]
    # The segment was not deleted yet, so what it holds is read again into the new journal.
    assert sum(counts(everything(path, spool.folder)).values()) == 2001


def test_a_missing_wal_or_shm_does_no_harm(journal: Journal, spool: Spool, path: Path):
    spool.ask("a.test")
    journal.drain(spool.folder)
    journal.close()
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    assert journal.drain(spool.folder).state == DrainState.OK
    assert damaged(path) == []


def test_a_lock_held_by_another_program_leaves_everything_in_the_spool(journal: Journal, spool: Spool, path: Path):
    spool.ask("a.test")
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    drained = journal.drain(spool.folder)
    assert (drained.state, drained.questions) == (DrainState.LOCKED, 0)
    assert "another program holds it" in drained.message
    assert "\n" not in drained.message
    assert counts(everything(path, spool.folder)) == {"a.test": 1}
    other.execute("ROLLBACK")
    other.close()
    assert journal.drain(spool.folder).questions == 1
    assert counts(everything(path, spool.folder)) == {"a.test": 1}


def test_a_journal_locked_at_the_start_is_opened_later(spool: Spool, path: Path):
    other = apsw.Connection(str(path))
    other.execute("BEGIN EXCLUSIVE")
    spool.ask("a.test")
    journal = Journal(path, lambda: NOW)
    assert journal.drain(spool.folder).state == DrainState.LOCKED
    other.close()
    assert journal.drain(spool.folder).questions == 1
    journal.close()
    assert damaged(path) == []


def test_a_full_disk_leaves_everything_in_the_spool(journal: Journal, spool: Spool, path: Path):
    for n in range(3000):
        spool.ask(f"site-{n}.test")
    db = journal._db
    assert db
    db.execute(f"PRAGMA max_page_count = {db.pragma('page_count') + 2}")
    drained = journal.drain(spool.folder)
    assert (drained.state, drained.questions) == (DrainState.FULL, 0)
    assert "free some space" in drained.message
    db.execute("PRAGMA max_page_count = 1000000")
    assert journal.drain(spool.folder).questions == 3000
    assert sum(counts(everything(path, spool.folder)).values()) == 3000


def test_an_io_error_while_writing_leaves_everything_in_the_spool_and_the_file_sound(spool: Spool, path: Path):
    """A child whose files may not grow gets EFBIG on every write, which SQLite reports as an I/O error."""
    resource = pytest.importorskip("resource")
    for n in range(3000):
        spool.ask(f"site-{n}.test")
    child = os.fork()
    if not child:
        journal = Journal(path, lambda: NOW)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        os._exit([DrainState.DAMAGED, DrainState.FULL].index(journal.drain(spool.folder).state))
    assert os.waitpid(child, 0)[1] == 0
    journal = Journal(path, lambda: NOW)
    assert journal.drain(spool.folder).questions == 3000
    journal.close()
    assert damaged(path) == []
    assert sum(counts(everything(path, spool.folder)).values()) == 3000


def test_a_place_that_takes_no_file_is_told_in_one_line(tmp_path: Path, spool: Spool):
    path = tmp_path / "journal.sqlite"
    path.mkdir()
    with pytest.raises(OSError, match="journal"):
        Journal(path, lambda: NOW)
