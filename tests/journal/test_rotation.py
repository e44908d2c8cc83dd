"""A change of key is on record before it is in force, stands a crash between its steps, and is told for ever."""

import json
import os
import signal
from pathlib import Path

import pytest

from blockerd.journal import checkpoint, forget, rotation
from blockerd.journal.append import Journal
from blockerd.journal.check import check
from blockerd.journal.checkpoint import PublicKey
from blockerd.journal.heads import mark_delivered, record_head
from blockerd.journal.log import Log, open_log
from blockerd.journal.retention import DAY_US, YEAR_US
from blockerd.journal.rotation import NoKey
from tests.journal.spooling import START, Spool


@pytest.fixture
def spool(tmp_path: Path):
    return Spool(tmp_path / "spool")


@pytest.fixture
def journal(tmp_path: Path, spool: Spool):
    made = Journal(tmp_path / "journal.sqlite", lambda: spool.at)
    yield made
    made.close()


def begun(journal: Journal):
    """The first key of the log."""
    log = journal.within(lambda db: Log(db).state().log)
    path = rotation.key_file(journal.path.parent, log)
    return checkpoint.create(path, checkpoint.origin_of(log), bytes([1] * 32)).public


def changed(journal: Journal, at: int = START):
    """Both steps, as `control` takes them."""
    folder = journal.path.parent
    journal.within(lambda db: rotation.record_change(db, folder, at))
    return current(journal)


def current(journal: Journal):
    return journal.within(lambda db: rotation.current(db, journal.path.parent)).public


def told(journal: Journal):
    with open_log(journal.path) as log:
        assert log
        return rotation.rotations(log)


def follows(first: PublicKey, changes: tuple[tuple[str, bytes], ...]):
    """The key that a reader who has the first one arrives at."""
    for text, signature in changes:
        new = PublicKey.parse(text)
        assert checkpoint.Rotation(new, signature).verify(first)
        first = new
    return first


def test_without_a_key_there_is_nothing_to_change(journal: Journal):
    with pytest.raises(NoKey, match="the first mail"):
        changed(journal)
    assert told(journal) == ()


def test_a_reader_of_the_first_key_follows_every_change(journal: Journal):
    first = begun(journal)
    keys = [changed(journal, START + n) for n in range(3)]
    assert len({key.text for key in (first, *keys)}) == 4
    assert follows(first, told(journal)) == keys[-1] == current(journal)
    with open_log(journal.path) as log:
        assert log
        entries = [json.loads(one.event) for one in log.openings(["key-rotation"])]
        assert check(log.db).broken == ()
    assert [one["old"] for one in entries] == [first.text, keys[0].text, keys[1].text]


@pytest.mark.parametrize("step", ["add_entries", "prepare_rotation", "adopt"])
def test_killed_at_any_step_the_key_in_force_is_the_one_on_record(journal: Journal, step: str):
    first = begun(journal)
    journal.close()
    child = os.fork()
    if not child:
        module = rotation if step == "add_entries" else checkpoint
        real = getattr(module, step)

        def die(*given: object):
            if step == "prepare_rotation":
                real(*given)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(module, step, die)
        changed(journal)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert len(told(journal)) == (step == "adopt")
    assert current(journal) == follows(first, told(journal))
    assert (current(journal) == first) == (step != "adopt")
    assert follows(first, told(journal)) == current(journal)
    assert changed(journal) == follows(first, told(journal))
    assert len(told(journal)) == (2 if step == "adopt" else 1)


def test_changes_are_told_when_everything_else_is_forgotten(journal: Journal, spool: Spool):
    first = begun(journal)
    key = changed(journal)
    for n in range(700):
        spool.at += 1
        spool.tell(kind="notice", what=f"{n}")
    journal.drain(spool.folder)
    head = journal.within(lambda db: record_head(db, spool.at, "checkpoint"))
    journal.within(lambda db: mark_delivered(db, journal.path, head.id, spool.at))
    spool.at += 2 * YEAR_US
    removed = forget.prune(journal, spool.folder, spool.at, spool.at - 90 * DAY_US, lambda at: at)
    assert removed.commitments == 512
    forget.erase(journal, spool.folder, spool.at)
    assert follows(first, told(journal)) == key
    with open_log(journal.path) as log:
        assert log
        assert check(log.db).broken == ()
