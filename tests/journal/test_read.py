"""Readers see what is stored and what still waits, each question once, whatever the writer does meanwhile."""

import os
import signal
import threading
from collections import Counter
from pathlib import Path

import apsw
import pytest

from blockerd.journal import read as read_module
from blockerd.journal.append import Journal
from blockerd.journal.outcome import DrainState
from blockerd.journal.read import View
from blockerd.journal.schema import MIGRATIONS, JournalError
from blockerd.journal.spool import Level
from blockerd.model import Kind
from tests.journal.spooling import SECOND, START, Spool, counts, everything

NOW = START + 3600 * SECOND


@pytest.fixture
def path(tmp_path: Path):
    return tmp_path / "journal.sqlite"


@pytest.fixture
def spool(tmp_path: Path):
    return Spool(tmp_path / "spool")


def drain(path: Path, spool: Spool):
    journal = Journal(path, lambda: spool.at)
    assert journal.drain(spool.folder).state == DrainState.OK
    journal.close()


def test_without_journal_and_spool_there_is_nothing(tmp_path: Path):
    with View(tmp_path / "none.sqlite", tmp_path / "none") as view:
        assert list(view.attempts()) == []
        assert view.tallies((0, NOW)) == []
        assert view.facts(0, NOW).first is None
    assert list(tmp_path.iterdir()) == []


def test_a_journal_that_is_only_being_made_is_read_as_an_empty_one(path: Path, spool: Spool):
    path.touch()
    spool.ask("a.test")
    assert counts(everything(path, spool.folder)) == {"a.test": 1}


def test_reading_gives_the_same_before_in_the_middle_and_after_a_drain(path: Path, spool: Spool):
    def story(count: int):
        for n in range(count):
            spool.at += 7 * SECOND
            spool.ask(f"site-{n % 13}.test", f"www.site-{n % 3}.test", combo=n % 4)
            spool.alive("alive")

    def seen():
        with View(path, spool.folder) as view:
            edges = (0, START + 500 * SECOND, NOW * 2)
            return list(view.attempts()), view.tallies(edges), view.facts(0, NOW * 2)

    story(100)
    before = seen()
    drain(path, spool)
    assert seen() == before
    story(100)
    half = seen()
    drain(path, spool)
    assert seen() == half
    assert half != before


def test_a_day_waits_until_all_of_it_is_stored_and_has_its_leaf(path: Path, spool: Spool):
    day_ends = START + 2 * 3600 * SECOND

    def waits():
        with View(path, spool.folder) as view:
            return view.waits(day_ends)

    drain(path, spool)
    spool.ask("a.test")
    assert waits()
    journal = Journal(path, lambda: spool.at)
    journal.drain(spool.folder)
    assert waits()
    spool.at += 80 * SECOND
    journal.drain(spool.folder, settle_now=True)
    assert not waits()
    spool.tell(kind="change", what="a list")
    assert waits()
    journal.drain(spool.folder)
    spool.at = day_ends - SECOND
    spool.ask("b.test")
    assert not waits(), "it may go on into the next day"
    journal.close()


def test_attempts_come_oldest_first_also_over_pages(path: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch):
    for n in range(300):
        spool.at += SECOND // 100
        spool.ask(f"site-{n}.test")
    drain(path, spool)
    for n in range(300, 350):
        spool.at += SECOND // 100
        spool.ask(f"site-{n}.test", "site-7.test")
    monkeypatch.setattr(read_module, "_ONWARD", read_module._ONWARD.replace("LIMIT 5000", "LIMIT 17"))
    found = everything(path, spool.folder)
    assert [attempt.site for attempt in found] == [f"site-{n}.test" for n in range(350)]
    assert found[7].count == 51


def test_a_range_takes_what_began_in_it_and_a_limit_the_newest(path: Path, spool: Spool):
    for n in range(10):
        spool.at = START + n * 100 * SECOND
        spool.ask(f"site-{n}.test")
        if n == 5:
            drain(path, spool)
    with View(path, spool.folder) as view:
        since, until = START + 200 * SECOND, START + 800 * SECOND
        assert [a.site for a in view.attempts(since, until)] == [f"site-{n}.test" for n in range(2, 8)]
        for limit in range(8):
            wanted = [f"site-{n}.test" for n in range(2, 8)][max(0, 6 - limit) :]
            assert [a.site for a in view.attempts(since, until, limit)] == wanted
        assert view.attempts(limit=0) is not None


def test_the_newest_are_found_where_a_stored_one_goes_on_in_the_spool(path: Path, spool: Spool):
    for n in range(5):
        spool.at += SECOND
        spool.ask(f"site-{n}.test")
    drain(path, spool)
    spool.at += SECOND
    spool.ask("site-4.test", "site-0.test")
    with View(path, spool.folder) as view:
        assert [(a.site, a.count) for a in view.attempts(limit=2)] == [("site-3.test", 1), ("site-4.test", 2)]


def test_names_are_as_fine_as_asked_where_they_come_from_the_spool(path: Path, spool: Spool):
    spool.ask("www.a.test")
    assert [a.names for a in everything(path, spool.folder, Level.NAME)] == [("www.a.test",)]
    assert [a.names for a in everything(path, spool.folder, Level.SITE)] == [()]


def test_tallies_keep_kinds_and_buckets_apart_and_count_attempts_and_questions(path: Path, spool: Spool):
    spool.ask("a.test", "a.test", "b.test")
    spool.ask("way.test", combo=2)
    spool.ask("blocked.example", combo=3)
    drain(path, spool)
    spool.at += 30 * SECOND
    spool.ask("a.test", "c.test")
    spool.at += 100 * SECOND
    spool.ask("a.test")
    with View(path, spool.folder) as view:
        found = view.tallies((START, START + 60 * SECOND, NOW))
    assert [(t.bucket, t.category, t.kind, t.attempts, t.questions) for t in found] == [
        (0, "adult", Kind.ATTEMPT, 3, 5),
        (0, "bypass", Kind.BYPASS, 1, 1),
        (0, "demo", Kind.TEST, 1, 1),
        (1, "adult", Kind.ATTEMPT, 1, 1),
    ]


def test_facts_hold_stretches_losses_and_the_ends_of_the_record(path: Path, spool: Spool):
    spool.alive("start")
    spool.at += 60 * SECOND
    spool.alive("alive")
    spool.tell(kind="lost", process="dns", count=5)
    drain(path, spool)
    spool.at += 60 * SECOND
    spool.alive("stop")
    spool.tell(kind="lost", process="dns", count=2)
    with View(path, spool.folder) as view:
        facts = view.facts(START, NOW)
        later = view.facts(NOW, NOW * 2)
    assert [(s.process, s.first, s.last) for s in facts.stretches] == [("dns", START, START + 120 * SECOND)]
    assert (facts.lost, facts.first, facts.last) == (7, START, START + 120 * SECOND)
    assert (later.stretches, later.lost, later.first) == ((), 0, START)


def test_a_newer_journal_is_refused_in_one_line(path: Path, spool: Spool):
    with apsw.Connection(str(path)) as db:
        db.execute(f"CREATE TABLE later (x); PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(JournalError, match=r"update blockerd$"):
        View(path, spool.folder)


def test_a_damaged_journal_is_told_in_one_line_and_not_touched(path: Path, spool: Spool):
    path.write_bytes(b"something else entirely " * 1000)
    before = path.read_bytes()
    with pytest.raises(JournalError, match="cannot be read"):
        View(path, spool.folder)
    assert path.read_bytes() == before


def test_a_locked_journal_is_told_in_one_line(path: Path, spool: Spool):
    other = apsw.Connection(str(path))
    other.execute("CREATE TABLE something (x); BEGIN EXCLUSIVE")
    with pytest.raises(JournalError, match="another program holds it"):
        View(path, spool.folder)
    other.close()


def test_an_open_reader_does_not_keep_the_writers_log_from_being_reused(path: Path, spool: Spool):
    """A reader that stopped half way holds no snapshot, so a checkpoint can move the whole log."""
    for n in range(50):
        spool.ask(f"site-{n}.test")
    drain(path, spool)
    with View(path, spool.folder) as view:
        half = view.attempts()
        next(half)
        journal = Journal(path, lambda: spool.at)
        spool.ask("later.test")
        journal.drain(spool.folder)
        with apsw.Connection(str(path)) as db:
            busy, log, moved = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0]
        assert (busy, log) == (0, moved)
        assert sum(1 for _ in half) == 49
        journal.close()


def test_a_drainer_at_work_neither_hides_nor_doubles_a_question(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Another process stores and deletes segments all the time; each look holds exactly what was asked before it."""
    monkeypatch.setattr("blockerd.journal.spool.SEGMENT_BYTES", 3000)
    spool = Spool(tmp_path / "spool")
    child = os.fork()
    if child == 0:
        journal = Journal(path, lambda: NOW)
        while True:
            journal.drain(spool.folder)
    try:
        expected: Counter[str] = Counter()
        for n in range(150):
            spool.at += SECOND
            sites = [f"site-{(n * 7 + k) % 40}.test" for k in range(12)]
            spool.ask(*sites)
            expected.update(sites)
            assert counts(everything(path, spool.folder)) == expected
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_looks_never_go_backwards_while_questions_arrive(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch):
    """A thread writes and drains; the totals this one reads only grow and end at what was asked."""
    monkeypatch.setattr("blockerd.journal.spool.SEGMENT_BYTES", 3000)
    folder = tmp_path / "spool"
    asked = 2400

    def work():
        spool, journal = Spool(folder), Journal(path, lambda: NOW)
        for n in range(asked // 10):
            spool.at += SECOND // 10
            spool.ask(*(f"site-{n % 30}.test" for _ in range(10)))
            if n % 5 == 0:
                journal.drain(folder)
        journal.close()

    folder.mkdir()
    worker = threading.Thread(target=work)
    worker.start()
    totals = [0]
    while worker.is_alive():
        totals.append(sum(counts(everything(path, folder)).values()))
        with View(path, folder) as view:
            totals.append(sum(tally.questions for tally in view.tallies((0, NOW * 2))))
    worker.join()
    assert totals == sorted(totals)
    assert sum(counts(everything(path, folder)).values()) == asked
    assert len(set(totals)) > 3
