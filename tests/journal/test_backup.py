"""A backup is the whole log in one file; a journal taken from one goes on where it ended and says where it is from."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import apsw
import pytest

from blockerd.journal import continuity, merkle
from blockerd.journal.append import Journal
from blockerd.journal.backup import MOVED, RESTORED, backup, restore
from blockerd.journal.check import check
from blockerd.journal.entry import Repair, decode
from blockerd.journal.heads import mark_delivered, record_head, remembered
from blockerd.journal.log import open_log
from blockerd.journal.outcome import DrainState
from blockerd.journal.schema import JournalError, open_writer
from tests.journal.spooling import SECOND, START, Spool, counts, everything


class Machine:
    """A state folder with its spool and journal."""

    def __init__(self, folder: Path, start: int = START):
        folder.mkdir(exist_ok=True)
        self.spool = Spool(folder / "spool", start=start)
        self.path = folder / "journal.sqlite"

    def asks(self, count: int, name: str = "site"):
        for n in range(count):
            self.spool.at += SECOND
            self.spool.ask(f"{name}-{n}.test")
            self.spool.tell(kind="notice", what=f"{name} {n}")
        self.drains()

    def drains(self):
        journal = Journal(self.path, lambda: self.spool.at)
        assert journal.drain(self.spool.folder).message == ""
        journal.close()

    def delivers(self):
        """A head that reached its reader."""
        journal = Journal(self.path, lambda: self.spool.at)
        head = journal.within(lambda db: record_head(db, self.spool.at, "checkpoint"))
        journal.within(lambda db: mark_delivered(db, self.path, head.id, self.spool.at))
        journal.close()
        return head

    def state(self):
        with closing(apsw.Connection(str(self.path))) as db:
            assert check(db).broken == ()
        with open_log(self.path) as log:
            assert log
            return log.state()

    def repairs(self):
        with open_log(self.path) as log:
            assert log
            found = [decode(opening.event) for opening in log.openings(["repair"])]
            return [entry for entry in found if isinstance(entry, Repair)]

    def goes_on_from(self, size: int, root: bytes):
        state = self.state()
        with open_log(self.path) as log:
            assert log
            return merkle.verify_consistency(size, state.size, root, state.root, log.consistency(size, state.size))


@pytest.fixture
def machine(tmp_path: Path):
    return Machine(tmp_path / "one")


def test_a_backup_is_one_private_file_with_the_whole_log(machine: Machine, tmp_path: Path):
    machine.asks(20)
    state = backup(machine.path, tmp_path / "copy.sqlite")
    assert state == machine.state()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.sqlite", "one"]
    assert (tmp_path / "copy.sqlite").stat().st_mode & 0o077 == 0


def test_a_backup_can_be_made_while_the_writer_is_at_work(machine: Machine, tmp_path: Path):
    machine.asks(5)
    journal = Journal(machine.path, lambda: machine.spool.at)
    machine.spool.ask("a.test")
    journal.drain(machine.spool.folder)
    assert backup(machine.path, tmp_path / "copy.sqlite").size == 5
    journal.close()


def test_a_backup_writes_over_nothing_and_leaves_nothing_half_made(machine: Machine, tmp_path: Path):
    with pytest.raises(JournalError, match="nothing is on record"):
        backup(machine.path, tmp_path / "copy.sqlite")
    machine.asks(1)
    (tmp_path / "copy.sqlite").write_text("mine")
    with pytest.raises(FileExistsError):
        backup(machine.path, tmp_path / "copy.sqlite")
    assert (tmp_path / "copy.sqlite").read_text() == "mine"


def test_on_a_new_machine_the_log_goes_on_and_says_that_it_was_moved(machine: Machine, tmp_path: Path):
    machine.asks(300)
    head = machine.delivers()
    old = backup(machine.path, tmp_path / "copy.sqlite")
    new = Machine(tmp_path / "two", START + 1)
    restore(new.path, tmp_path / "copy.sqlite", START)
    new.asks(3, "later")
    (told,) = new.repairs()
    assert (told.what, told.size, told.detail) == (MOVED, 0, f"log {old.log} with {old.size} leaves")
    assert new.goes_on_from(head.size, head.root)
    assert new.state().log == old.log
    assert [line.size for line in remembered(new.path)] == [head.size]
    found = counts(everything(new.path, new.spool.folder))
    assert (found["site-7.test"], found["later-2.test"]) == (1, 1)


def test_a_restored_backup_says_which_log_it_replaced_and_that_it_is_older_than_what_was_delivered(
    machine: Machine, tmp_path: Path
):
    machine.asks(5)
    backup(machine.path, tmp_path / "copy.sqlite")
    machine.asks(5, "later")
    head = machine.delivers()
    machine.asks(1, "undelivered")
    ended = machine.state()
    restore(machine.path, tmp_path / "copy.sqlite", machine.spool.at)
    (restored,) = machine.repairs()
    assert (restored.what, restored.log, restored.size, restored.root) == (RESTORED, ended.log, 11, ended.root.hex())
    machine.drains()
    (older,) = [entry for entry in machine.repairs() if entry.what == continuity.OLDER]
    assert (older.size, older.root) == (head.size, head.root.hex())
    assert len(machine.repairs()) == 2, "told once"
    assert len(list(machine.path.parent.glob("journal-replaced-*.sqlite"))) == 1
    # What was spooled since is still there and is stored again.
    assert counts(everything(machine.path, machine.spool.folder))["later-3.test"] == 1
    machine.state()


@pytest.mark.parametrize("harm", ["text", "empty", "tampered", "missing", "page"])
def test_what_is_no_sound_backup_is_refused_and_everything_stays(machine: Machine, tmp_path: Path, harm: str):
    machine.asks(300)
    copy = tmp_path / "copy.sqlite"
    backup(machine.path, copy)
    if harm == "text":
        copy.write_text("something else entirely " * 500)
    elif harm == "empty":
        copy.write_bytes(b"")
    elif harm == "missing":
        copy.unlink()
    elif harm == "page":
        data = bytearray(copy.read_bytes())
        data[4096 * 4 : 4096 * 5] = bytes(4096)
        copy.write_bytes(data)
    else:
        with closing(apsw.Connection(str(copy))) as db:
            db.execute("UPDATE events SET payload = replace(payload, 'site 7', 'site 8')")
    before = machine.state()
    with pytest.raises(JournalError, match=r"copy\.sqlite: "):
        restore(machine.path, copy, START)
    assert machine.state() == before
    left = {path.name for path in machine.path.parent.iterdir() if path.is_file()}
    assert left - {"journal.sqlite-wal", "journal.sqlite-shm"} == {"journal.sqlite"}


def killed(work: Callable[[], object], at: int = 1000):
    """Does `work` in a process that ends as if by kill -9 behind it, or before it touches the name of a file once more
    than `at` times; True if it came to its end."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    try:
        left = iter(range(at))
        for name in ("rename", "replace", "link", "unlink"):
            setattr(os, name, partial(_once_more, left, getattr(os, name)))
        work()
        os._exit(0)
    finally:
        os._exit(1)


def _once_more(left: Iterator[int], call: Callable[..., object], *args: object, **more: object):
    if next(left, None) is None:
        os._exit(9)
    return call(*args, **more)


def test_an_import_killed_at_any_step_leaves_the_record_of_before_or_one_that_says_what_it_is(
    machine: Machine, tmp_path: Path
):
    """Also where `control` was killed before it, and its last entries are in the write-ahead log alone."""
    machine.asks(5)
    copy = tmp_path / "copy.sqlite"
    taken = backup(machine.path, copy)
    for n in range(7):
        machine.spool.tell(kind="notice", what=f"later {n}")
    assert killed(lambda: Journal(machine.path, lambda: START).drain(machine.spool.folder))
    seen = set[tuple[int, tuple[str, ...]]]()
    for step in range(100):
        folder = tmp_path / str(step)
        shutil.copytree(machine.path.parent, folder)
        done = killed(partial(restore, folder / "journal.sqlite", copy, START), at=step)
        left = Machine(folder)
        seen.add((left.state().size, tuple(entry.what for entry in left.repairs())))
        if done:
            break
    assert seen == {(taken.size + 7, ()), (taken.size + 1, (RESTORED,))}


def test_a_journal_that_was_deleted_is_begun_anew_bound_to_the_delivered_head(machine: Machine):
    machine.asks(5)
    head = machine.delivers()
    log = machine.state().log
    machine.path.unlink()
    machine.asks(2, "later")
    (told,) = machine.repairs()
    assert (told.what, told.log, told.size, told.root) == (continuity.MISSING, log, head.size, head.root.hex())
    assert machine.state().log != log
    machine.asks(1, "again")
    assert len(machine.repairs()) == 1


def test_a_damaged_journal_is_followed_by_one_bound_to_the_delivered_head(machine: Machine):
    machine.asks(50)
    head = machine.delivers()
    machine.path.write_bytes(b"something else entirely " * 1000)
    machine.asks(2, "later")
    (told,) = machine.repairs()
    assert (told.what, told.size, told.root) == (continuity.DAMAGED, head.size, head.root.hex())
    assert told.file.startswith("journal-damaged-")


def test_an_older_copy_put_in_place_by_hand_is_told_once(machine: Machine):
    machine.asks(5)
    kept = machine.path.read_bytes()
    machine.asks(5, "later")
    head = machine.delivers()
    machine.path.write_bytes(kept)
    machine.drains()
    machine.asks(9, "more")
    (told,) = machine.repairs()
    assert (told.what, told.size) == (continuity.OLDER, head.size)


@contextmanager
def opened_while_held(machine: Machine) -> Iterator[Journal]:
    """The journal as `control` opens it while another program writes to it, for as long as the block."""
    with closing(apsw.Connection(str(machine.path))) as other:
        other.execute("BEGIN IMMEDIATE")
        yield Journal(machine.path, lambda: machine.spool.at)


def test_what_could_not_be_told_while_another_program_held_the_journal_is_told_then(machine: Machine):
    machine.asks(5)
    kept = machine.path.read_bytes()
    machine.asks(5, "later")
    machine.delivers()
    machine.path.write_bytes(kept)
    with opened_while_held(machine) as journal:
        assert journal.drain(machine.spool.folder).state == DrainState.LOCKED
    assert journal.drain(machine.spool.folder).state == DrainState.OK
    journal.close()
    assert [entry.what for entry in machine.repairs()] == [continuity.OLDER]


def test_a_journal_that_is_held_is_not_checked_anew_at_each_try(machine: Machine, monkeypatch: pytest.MonkeyPatch):
    """The check of a large one takes seconds, and it is tried twice a second."""
    machine.asks(5)
    opened = list[Path]()

    def counted(path: Path, now: int):
        opened.append(path)
        return open_writer(path, now)

    monkeypatch.setattr("blockerd.journal.append.open_writer", counted)
    with opened_while_held(machine) as journal:
        assert {journal.drain(machine.spool.folder).state for _ in range(4)} == {DrainState.LOCKED}
    journal.close()
    assert len(opened) == 2


def test_another_history_of_the_same_log_is_told(machine: Machine):
    machine.asks(5)
    kept = machine.path.read_bytes()
    machine.asks(5, "later")
    machine.delivers()
    machine.path.write_bytes(kept)
    for path in machine.spool.paths:
        path.unlink()
    other = Spool(machine.spool.folder, start=machine.spool.at)
    for n in range(9):
        other.tell(kind="notice", what=f"another {n}")
    beside = machine.path.with_name("journal-delivered.jsonl")
    said = beside.read_bytes()
    beside.unlink()
    machine.drains()
    beside.write_bytes(said)
    machine.drains()
    assert [entry.what for entry in machine.repairs()] == [continuity.DIFFERS]


def test_the_journal_of_another_machine_put_in_place_by_hand_is_told(machine: Machine, tmp_path: Path):
    machine.asks(5)
    machine.delivers()
    other = Machine(tmp_path / "other")
    other.asks(7)
    machine.path.write_bytes(other.path.read_bytes())
    machine.drains()
    assert [entry.what for entry in machine.repairs()] == [continuity.ANOTHER]
