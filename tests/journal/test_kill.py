"""kill -9 of `control` and of a spooling process, at every step and at any moment: each question once, none missing."""

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Container
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import apsw
import pytest

from blockerd.journal import append, continuity, forget, grow, lookup, outcome, retention, schema, store, wipe
from blockerd.journal.append import Journal
from blockerd.journal.check import check
from blockerd.journal.outcome import DrainState
from tests.journal.spooling import SECOND, START, Spool, counts, everything, quiet

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="not run here: fork")

TraceFunction = Callable[[FrameType, str, Any], Any]

STEPS = {module.__file__ for module in (append, continuity, grow, lookup, outcome, schema, store)}
FORGETTING = {module.__file__ for module in (append, forget, retention, wipe)}
NOW = START + 3600 * SECOND


def in_child(work: Callable[[], object]):
    """Runs `work` in a child and gives the child's wait status."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1]


def stepped(work: Callable[[], object], files: Container[str | None], die_at: int = 0):
    """Runs `work`; dies by SIGKILL before line number `die_at` of `files` is run. Says how many lines were run."""
    seen = 0

    def trace(frame: FrameType, what: str, _: object) -> TraceFunction | None:
        nonlocal seen
        if frame.f_code.co_filename not in files:
            return None
        if what == "line":
            seen += 1
            if seen == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)
    return seen


def drained(path: Path, folder: Path):
    """Drains once in this process."""
    journal = Journal(path, lambda: NOW)
    state = journal.drain(folder).state
    journal.close()
    return state


def sound(path: Path):
    """The log verifies, and every attempt and event in it has its leaf."""
    with closing(apsw.Connection(str(path))) as db:
        found = check(db)
        assert found.broken == ()
        assert db.execute("SELECT count(*) FROM unsettled").get == 0
    return found


def filled(folder: Path):
    """Six segments of which four are sealed, one of those with a torn end; what they hold as questions by site."""
    expected: Counter[str] = Counter()
    for n in range(5):
        spool = Spool(folder, start=START + n)
        for site in range(20):
            spool.ask(f"site-{site % (n + 3)}.test", f"other-{n}-{site}.test")
            expected.update([f"site-{site % (n + 3)}.test", f"other-{n}-{site}.test"])
        spool.alive("start")
        if n < 4:
            spool.end()
    Spool(folder, process="proxy", start=START + 9).ask("proxied.test")
    expected["proxied.test"] += 1
    paths = spool.paths
    with paths[1].open("ab") as file:
        file.write(b"torn by a power cut")
    quiet(*paths)
    return expected


def test_killed_between_any_two_steps_nothing_is_lost_or_doubled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(append, "BATCH", 25)
    filled(tmp_path / "spool")
    steps = stepped(partial(drained, tmp_path / "journal.sqlite", tmp_path / "spool"), STEPS)
    for run, die_at in enumerate(range(1, steps, steps // 30 + 1)):
        home = tmp_path / f"run-{run}"
        home.mkdir()
        path, folder = home / "journal.sqlite", home / "spool"
        expected = filled(folder)
        status = in_child(partial(stepped, partial(drained, path, folder), STEPS, die_at))
        assert os.WTERMSIG(status) == signal.SIGKILL
        assert counts(everything(path, folder)) == expected, f"read after dying before step {die_at}"
        assert drained(path, folder) == DrainState.OK
        assert counts(everything(path, folder)) == expected, f"drained after dying before step {die_at}"
        assert sound(path).size == _torn_notices(path) + 5 + 4 + _attempts(path)
        assert _torn_notices(path) == 1
        assert len(list(folder.glob("*.seg"))) == 2
        assert not list(home.glob("journal-damaged-*"))


def _attempts(path: Path):
    with closing(apsw.Connection(str(path))) as db:
        return db.execute("SELECT count(*) FROM attempts").get


def _torn_notices(path: Path):
    with apsw.Connection(str(path)) as db:
        return db.execute("SELECT count(*) FROM events WHERE payload LIKE '%torn end%'").get


def test_killed_at_any_moment_while_questions_arrive_nothing_is_lost_or_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The drains run in children that are killed, while this process goes on writing."""
    monkeypatch.setattr("blockerd.journal.spool.SEGMENT_BYTES", 20_000)
    chance = Random(20)
    path = tmp_path / "journal.sqlite"
    spool = Spool(tmp_path / "spool")
    expected: Counter[str] = Counter()
    for _ in range(24):
        child = os.fork()
        if child == 0:
            while True:
                drained(path, spool.folder)
        end = time.monotonic() + chance.uniform(0.005, 0.08)
        while time.monotonic() < end:
            spool.at += chance.randrange(2 * SECOND)
            sites = [f"site-{chance.randrange(50)}.test" for _ in range(20)]
            spool.ask(*sites)
            expected.update(sites)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert counts(everything(path, spool.folder)) == expected
    assert drained(path, spool.folder) == DrainState.OK
    assert counts(everything(path, spool.folder)) == expected
    with apsw.Connection(str(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_killed_between_any_two_steps_of_forgetting_the_log_verifies_and_says_what_is_gone(tmp_path: Path):
    def work(path: Path, folder: Path):
        journal = Journal(path, lambda: NOW)
        forget.prune(journal, folder, NOW + 5, NOW, lambda at: at)
        forget.scrub(journal)
        journal.close()

    def begun(home: Path):
        home.mkdir()
        filled(home / "spool")
        drained(home / "journal.sqlite", home / "spool")
        return home / "journal.sqlite", home / "spool"

    steps = stepped(partial(work, *begun(tmp_path / "first")), FORGETTING)
    goes = sound(begun(tmp_path / "full")[0]).size - 1  # the notice of the torn end stays for a year
    for run, die_at in enumerate(range(1, steps, steps // 15 + 1)):
        path, folder = begun(tmp_path / f"run-{run}")
        assert (
            os.WTERMSIG(in_child(partial(stepped, partial(work, path, folder), FORGETTING, die_at))) == signal.SIGKILL
        )
        sound(path)
        work(path, folder)
        after = sound(path)
        with closing(apsw.Connection(str(path))) as db:
            told = db.execute("SELECT sum(payload ->> '$.openings') FROM events WHERE kind = 'prune'").get
        assert told == goes
        assert counts(everything(path, folder)) == {}
        assert after.rows == after.size - goes


def test_a_writer_killed_while_it_writes_leaves_every_whole_record(tmp_path: Path):
    """What `ask` returned from before the kill is in the log afterwards."""
    path, folder = tmp_path / "journal.sqlite", tmp_path / "spool"
    told = 0
    for run in range(10):
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            spool = Spool(folder, start=START + run)
            while True:
                spool.ask("a.test")
                os.write(write_end, b".")
        os.close(write_end)
        while os.read(read_end, 1) and told % 7 != run % 7:
            told += 1
        told += 1
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while more := os.read(read_end, 65536):
            told += len(more)
        os.close(read_end)
        assert drained(path, folder) == DrainState.OK
        stored = counts(everything(path, folder))["a.test"]
        assert told <= stored <= told + run + 1
