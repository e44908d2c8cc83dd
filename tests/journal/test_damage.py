"""A byte that turned over on the disk is found at the next start, or it did no harm; never a crash (T54)."""

import shutil
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest

from blockerd.control.journal import UNFIT, Keeper
from blockerd.journal.append import Journal
from blockerd.journal.check import check
from blockerd.journal.continuity import DAMAGED
from blockerd.journal.entry import Repair
from blockerd.journal.grow import add_entries
from blockerd.journal.heads import mark_delivered, record_head
from blockerd.journal.outcome import DrainState
from blockerd.journal.schema import JournalError
from blockerd.settings import Settings, State
from tests.journal.spooling import SECOND, START, Spool, counts, everything

NOW = START + 3600 * SECOND
TABLES = ("attempts", "events", "openings", "commitments", "nodes", "tree", "heads")


def made(folder: Path, rows: int) -> Path:
    """A journal without companions."""
    spool = Spool(folder / "spool")
    journal = Journal(folder / "journal.sqlite", lambda: NOW)
    for n in range(rows):
        spool.at += 1000
        spool.ask(f"site-{n}.test")
        spool.tell(kind="notice", what=f"notice {n}")
    journal.drain(spool.folder)
    journal.close()
    return journal.path


def content(path: Path) -> dict[str, list[Any]]:
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        return {table: list(db.execute(f"SELECT * FROM {table} ORDER BY 1, 2")) for table in TABLES}


def found(path: Path) -> bool:
    """Whether a start finds that something is wrong: the file is set aside, or a check names a place."""
    Journal(path, lambda: NOW).close()
    if list(path.parent.glob("*-damaged-*")):
        return True
    with closing(apsw.Connection(str(path))) as db:
        return bool(check(db).broken)


def flipped(source: Path, folder: Path, chance: Random) -> tuple[Path, str]:
    """A copy with one bit turned over."""
    folder.mkdir()
    path = folder / "journal.sqlite"
    data = bytearray(source.read_bytes())
    place = chance.randrange(len(data))
    data[place] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    return path, f"byte {place}"


def flips(tmp_path: Path, runs: int) -> int:
    """How many of `runs` flips were found; the others changed nothing that anybody reads."""
    source = made(tmp_path, 300)
    before, chance, count = content(source), Random(54), 0
    for run in range(runs):
        path, where = flipped(source, tmp_path / f"run-{run}", chance)
        if found(path):
            count += 1
        else:
            after = content(path)
            assert {table: after[table][: len(before[table])] for table in before} == before, where
        shutil.rmtree(path.parent)
    return count


@pytest.mark.once
def test_a_flipped_bit_is_found_or_harmless(tmp_path: Path):
    assert flips(tmp_path, 30) > 5


@pytest.mark.soak
def test_two_thousand_flipped_bits_are_found_or_harmless(
    tmp_path: Path, record_property: Callable[[str, object], None]
):
    record_property("found of 2,000", flips(tmp_path, 2000))


@pytest.mark.parametrize(
    ("there", "then"),
    [
        (b"delivered_us", b"deliverad_us"),
        (b"UNIQUE (category", b"UNIQUF (category"),
        (b"heads", b"headr"),
        (b"CHECK (one = 1)", b"CHECK (one = 3)"),
        (b"attempts_by_site", b"attempts_by_sitf"),
        (b"sealed INTEGER", b"seaded INTEGER"),
    ],
)
def test_a_letter_of_the_schema_that_changed_sets_the_file_aside(tmp_path: Path, there: bytes, then: bytes):
    """No check of SQLite's own looks at it, and no statement would work again."""
    path = made(tmp_path, 5)
    data = path.read_bytes()
    assert there in data
    path.write_bytes(data.replace(there, then, 1))
    journal = Journal(path, lambda: NOW)
    assert journal.drain(tmp_path / "spool").state == DrainState.OK
    journal.close()
    assert len(list(tmp_path.glob("*-damaged-*.sqlite"))) == 1


@pytest.mark.parametrize("bit", [0, 2])  # the others make it that of a newer blockerd, which is refused
def test_a_number_of_the_schema_that_became_smaller_sets_the_file_aside(tmp_path: Path, bit: int):
    path = made(tmp_path, 5)
    data = bytearray(path.read_bytes())
    data[63] ^= 1 << bit  # user_version, big-endian, at octets 60 to 63 of the header (SQLite's file format, 1.3)
    path.write_bytes(data)
    journal = Journal(path, lambda: NOW)
    assert journal.drain(tmp_path / "spool").state == DrainState.OK
    journal.close()
    assert len(list(tmp_path.glob("*-damaged-*.sqlite"))) == 1


def test_somebodys_own_index_is_no_damage(tmp_path: Path):
    path = made(tmp_path, 5)
    with closing(apsw.Connection(str(path))) as db:
        db.execute("CREATE INDEX mine ON attempts (last_us); CREATE VIEW last AS SELECT max(last_us) FROM attempts")
    journal = Journal(path, lambda: NOW)
    assert journal.drain(tmp_path / "spool").state == DrainState.OK
    journal.close()
    assert list(tmp_path.glob("*-damaged-*.sqlite")) == []


def keeper(tmp_path: Path) -> Keeper:
    return Keeper(Settings(state=State(tmp_path)), tmp_path / "spool")


def test_control_says_once_which_entry_does_not_fit(tmp_path: Path):
    path = made(tmp_path, 30)
    made_of = keeper(tmp_path)
    assert made_of.check() == []
    with closing(apsw.Connection(str(path))) as db:
        db.execute(
            "UPDATE events SET payload = replace(payload, 'notice 7', 'notice 8') WHERE payload LIKE '%notice 7\"%'"
        )
    (told,) = made_of.check()
    assert (told["kind"], told["what"]) == ("repair", UNFIT)
    assert told["detail"].startswith("leaf 7: what it says is not")
    spool = Spool(tmp_path / "spool", "control")
    spool.tell(**told)
    made_of.drain()
    assert made_of.check() == [], "it was told"
    made_of.close()


@pytest.mark.parametrize("table", ["events SET payload", "origins SET category"])
def test_a_text_that_is_none_any_more_crashes_nobody(tmp_path: Path, table: str):
    path = made(tmp_path, 30)
    with closing(apsw.Connection(str(path))) as db:
        db.execute(f"UPDATE {table} = CAST(x'7bf4287d' AS TEXT) WHERE id = 1")
    (told,) = keeper(tmp_path).check()
    assert told["what"] == UNFIT
    spool = Spool(tmp_path / "spool", start=START + 9000 * SECOND)
    spool.ask("later.test")
    journal = Journal(path, lambda: NOW)
    assert journal.drain(spool.folder).state in (DrainState.OK, DrainState.DAMAGED)
    journal.close()
    try:
        everything(path, spool.folder)
    except JournalError as error:
        assert "start blockerd" in str(error)  # noqa: PT017  (either is right)


def test_a_check_can_be_ended_and_needs_no_journal(tmp_path: Path):
    assert keeper(tmp_path).check() == []
    keeper(tmp_path).end_check()


@pytest.mark.soak
def test_a_quarter_of_an_active_home_is_checked_in_five_seconds(
    tmp_path: Path, record_property: Callable[[str, object], None]
):
    """100,000 entries; the check runs beside the drains, so that nothing waits for it."""
    made(tmp_path, 50_000)
    began = time.monotonic()
    assert keeper(tmp_path).check() == []
    record_property("seconds", round(time.monotonic() - began, 2))
    assert time.monotonic() - began < 5.0


def test_a_damaged_journal_is_bound_to_what_was_there_and_nothing_is_lost_that_waits(tmp_path: Path):
    path = made(tmp_path, 50)
    data = bytearray(path.read_bytes())
    data[4096 * 2 : 4096 * 4] = bytes(2 * 4096)
    path.write_bytes(data)
    spool = Spool(tmp_path / "spool", start=START + 5000 * SECOND)
    spool.ask("later.test")
    journal = Journal(path, lambda: NOW)
    journal.drain(spool.folder)
    repairs = journal.query("SELECT payload ->> '$.what' FROM events WHERE kind = 'repair'")
    journal.close()
    assert (DAMAGED,) in repairs
    assert counts(everything(path, spool.folder))["later.test"] == 1
    with pytest.raises(JournalError):
        _restored(next(tmp_path.glob("*-damaged-*.sqlite")))


UNUSABLE = {
    "size": "UPDATE tree SET size = size + 1",
    "size with as many peaks": "UPDATE tree SET size = 2 * size",
    "peaks": "UPDATE tree SET peaks = substr(peaks, 1, 40)",
    "an octet of a peak": "UPDATE tree SET peaks = CAST(CASE substr(peaks, 1, 1) WHEN x'00' THEN x'01' ELSE x'00' END"
    " || substr(peaks, 2) AS BLOB)",
    "no row": "DELETE FROM tree",
    "a node": "INSERT INTO nodes VALUES (8, 0, x'00')",
    "a table": "DROP TABLE nodes",
    "a table of another part": "DROP TABLE screen; DROP TABLE agents",
    "a column": "ALTER TABLE spans DROP COLUMN boot",
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON attempts BEGIN DELETE FROM attempts WHERE id = new.id; END",
    "a repair": "UPDATE events SET payload = CAST(x'7bf4287d' AS TEXT) WHERE kind = 'repair'",
}


@pytest.mark.parametrize("sql", UNUSABLE.values(), ids=UNUSABLE)
def test_a_tree_that_does_not_fit_is_kept_as_evidence_and_a_new_log_is_bound_to_the_last_delivered_head(
    tmp_path: Path, sql: str
):
    path = made(tmp_path, 50)
    journal = Journal(path, lambda: NOW)
    journal.within(lambda db: add_entries(db, [Repair(NOW, "something")]))
    head = journal.within(lambda db: record_head(db, NOW, "a checkpoint"))
    journal.within(lambda db: mark_delivered(db, path, head.id, NOW))
    journal.close()
    with closing(apsw.Connection(str(path))) as db:
        db.execute(sql)
    spool = Spool(tmp_path / "spool", start=START + 5000 * SECOND)
    spool.ask("later.test")
    journal = Journal(path, lambda: NOW)
    assert journal.drain(spool.folder).state == DrainState.OK
    repairs = journal.query("SELECT payload ->> '$.what', payload ->> '$.size' FROM events WHERE kind = 'repair'")
    journal.close()
    assert repairs == [(DAMAGED, head.size)]
    assert len(list(tmp_path.glob("journal-damaged-*.sqlite"))) == 1
    assert counts(everything(path, spool.folder))["later.test"] == 1
    with closing(apsw.Connection(str(path))) as db:
        assert check(db).broken == ()


@pytest.mark.parametrize(("sql", "becomes"), [
    ("DROP TABLE spans", DrainState.OK), ("UPDATE tree SET rows = 9223372036854775807", DrainState.DAMAGED),
])  # fmt: skip
def test_a_hand_in_the_file_while_control_runs_ends_nothing(tmp_path: Path, sql: str, becomes: DrainState):
    path = made(tmp_path, 5)
    spool = Spool(tmp_path / "spool", start=START + 5000 * SECOND)
    journal = Journal(path, lambda: NOW)
    with closing(apsw.Connection(str(path))) as db:
        db.execute(sql)
    spool.ask("later.test")
    spool.alive("start")
    assert [journal.drain(spool.folder).state for _ in range(2)] == [DrainState.DAMAGED, becomes]
    journal.close()
    assert counts(everything(path, spool.folder))["later.test"] == 1


def test_a_backup_whose_tree_does_not_fit_is_not_taken(tmp_path: Path):
    path = made(tmp_path, 50)
    with closing(apsw.Connection(str(path))) as db:
        db.execute(UNUSABLE["an octet of a peak"])
    with pytest.raises(JournalError, match=r"journal\.sqlite: damaged; take an older backup"):
        _restored(path)
    assert [one.name for one in tmp_path.iterdir() if "damaged" in one.name or "other" in one.name] == []


def _restored(source: Path) -> None:
    from blockerd.journal.backup import restore

    restore(source.with_name("other.sqlite"), source, NOW)
