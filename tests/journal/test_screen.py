"""Screen time in the log: an entry an hour, what is changed or taken away is named, both are forgotten together."""

import hashlib
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from blockerd.journal import forget, screen
from blockerd.journal.append import Journal
from blockerd.journal.check import check
from blockerd.journal.entry import Screen, canonical, decode
from blockerd.journal.log import open_log
from tests.journal import plain_check
from tests.journal.spooling import SECOND, START, Spool

HOUR = 3600 * SECOND
DAY = 24 * HOUR


@pytest.fixture
def path(tmp_path: Path):
    return tmp_path / "journal.sqlite"


@pytest.fixture
def spool(tmp_path: Path):
    return Spool(tmp_path / "spool", "control")


@pytest.fixture
def journal(path: Path, spool: Spool):
    made = Journal(path, lambda: spool.at)
    yield made
    made.close()


def work(spool: Spool, journal: Journal, minutes: int, *, first: int = 1, agent: str = "1000:a1", base: int = 1):
    """An agent tells of a minute each; the next number."""
    for seq in range(first, first + minutes):
        head = {"agent": agent, "uid": 1000, "probe": "x11", "seq": seq, "base": base}
        spool.tell(
            kind="app", **head, start=spool.at, end=spool.at + 60 * SECOND, value=f"app-{seq % 3}", title="secretword",
            anchor=START - 5000, boot="b1",
        )  # fmt: skip
        spool.at += 60 * SECOND
        if seq % 10 == 0:
            journal.drain(spool.folder)
    journal.drain(spool.folder)
    return first + minutes


def entries(path: Path) -> list[Screen]:
    with open_log(path) as log:
        assert log
        found = [decode(one.event) for one in log.openings(["screen"])]
    return [one for one in found if isinstance(one, Screen)]


def broken(path: Path, *tampers: str) -> list[str]:
    """What a check of a copy says after the statements `tampers`."""
    db = apsw.Connection(":memory:")
    with closing(apsw.Connection(str(path))) as sound, db.backup("main", sound, "main") as copy:
        copy.step()
    with closing(db):
        for tamper in tampers:
            db.execute(tamper)
        assert check(db) == plain_check.check(db)
        return [one.why for one in check(db).broken]


def test_each_hour_that_is_over_has_an_entry_over_all_its_records(spool: Spool, journal: Journal, path: Path):
    work(spool, journal, 150)
    told = entries(path)
    assert [(one.first, one.last, one.count) for one in told] == [(1, 60, 60), (61, 120, 60)]
    assert [(one.begin, one.at) for one in told] == [(START, START + HOUR), (START + HOUR, START + 2 * HOUR)]
    spool.at += HOUR
    journal.drain(spool.folder)
    assert [one.last for one in entries(path)] == [60, 120, 150]
    spool.at += HOUR
    journal.drain(spool.folder)
    assert len(entries(path)) == 3, "an hour without records has no entry"
    assert broken(path) == []


def test_an_hour_waits_for_what_is_still_with_the_agent_and_what_comes_later_has_its_own_entry(
    spool: Spool, journal: Journal, path: Path
):
    work(spool, journal, 60)
    spool.at += screen.LATE_US - SECOND
    journal.drain(spool.folder)
    assert entries(path) == []
    spool.at += 20 * SECOND
    journal.drain(spool.folder)
    assert [one.last for one in entries(path)] == [60]
    spool.at = START + 30 * 60 * SECOND
    work(spool, journal, 5, first=61)
    spool.at = START + 3 * HOUR
    journal.drain(spool.folder)
    assert [(one.first, one.last, one.begin) for one in entries(path)][1:] == [(61, 65, START + HOUR // 2)]
    assert broken(path) == []


def test_agents_are_committed_to_apart_and_numbers_that_were_lost_leave_no_trace(
    spool: Spool, journal: Journal, path: Path
):
    work(spool, journal, 20)
    work(spool, journal, 20, agent="1001:b1")
    work(spool, journal, 5, first=40, base=40)
    spool.at += 2 * HOUR
    journal.drain(spool.folder)
    assert sorted((one.agent, one.first, one.last, one.count) for one in entries(path)) == [
        ("1000:a1", 1, 44, 25),
        ("1001:b1", 1, 20, 20),
    ]
    assert broken(path) == []


@pytest.mark.parametrize(
    ("tamper", "why"),
    [
        ("UPDATE screen SET end_us = end_us - 1 WHERE seq = 7", "its records of screen time were changed"),
        ("UPDATE screen SET value = 'editor' WHERE seq = 60", "its records of screen time were changed"),
        ("DELETE FROM screen WHERE seq = 1", "59 records of screen time, not 60"),
        ("DELETE FROM screen", "0 records of screen time, not 60"),
        ("UPDATE screen SET seq = 500 - seq WHERE seq IN (3, 4)", "58 records of screen time, not 60"),
        ("UPDATE agents SET name = '1000:a2'", "0 records of screen time, not 60"),
    ],
)
def test_changed_records_are_found_with_their_entry(spool: Spool, journal: Journal, path: Path, tamper: str, why: str):
    work(spool, journal, 60)
    spool.at += HOUR
    journal.drain(spool.folder)
    assert why in broken(path, tamper)


def test_records_put_in_are_found(spool: Spool, journal: Journal, path: Path):
    work(spool, journal, 20)
    work(spool, journal, 20, first=40, base=40)
    journal.within(lambda db: screen.seal(db, spool.at, force=True))
    columns = "stream, start_us, end_us, value, title, anchor_us, boot FROM screen WHERE seq = 1"
    assert broken(path, f"INSERT INTO screen SELECT 900, agent, 25, {columns}") == ["41 records of screen time, not 40"]
    behind = f"INSERT INTO screen SELECT 900, agent, 99, {columns}"
    assert broken(path, behind, "UPDATE agents SET sealed = 99") == ["screen time without a leaf: row 900"]


def test_records_and_their_entry_are_forgotten_together_and_the_log_verifies(
    spool: Spool, journal: Journal, path: Path, tmp_path: Path
):
    work(spool, journal, 150)
    spool.at += DAY
    work(spool, journal, 10, first=151)
    before = START + HOUR + 30 * 60 * SECOND
    removed = forget.prune(journal, spool.folder, spool.at, before, lambda at: at - at % DAY)
    assert (removed.kinds["screen"], removed.kinds["screen-rows"]) == (1, 60)
    assert [(one.first, one.last) for one in entries(path)] == [(61, 120), (121, 150), (151, 160)]
    assert broken(path) == []
    forget.prune(journal, spool.folder, spool.at, START + 3 * HOUR, lambda at: at - at % DAY)
    assert [one.first for one in entries(path)] == [151]
    assert broken(path) == []
    assert journal.query("SELECT count(*), min(seq) FROM screen") == [(10, 151)]
    forget.erase(journal, spool.folder, spool.at)
    assert forget.scrub(journal)
    assert broken(path) == []
    files = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    assert not any(b"secretword" in data for data in files)
    assert work(spool, journal, 3, first=161) == 164
    assert journal.query("SELECT count(*), stored FROM screen JOIN agents ON agents.id = agent") == [(3, 163)]


def test_a_journal_from_before_commits_to_what_it_has(spool: Spool, journal: Journal, path: Path):
    """Records stored before there were entries get theirs at the next drain."""
    work(spool, journal, 90)
    journal.within(lambda db: db.execute("UPDATE agents SET sealed = 0; DELETE FROM screen WHERE seq > 80"))
    spool.at += 2 * HOUR
    journal.drain(spool.folder)
    assert [(one.first, one.last) for one in entries(path)][-2:] == [(1, 60), (61, 80)]


def test_a_digest_is_over_the_canonical_lines():
    row = (7, "app", 1, 2, 'a "quoted"\n name\u20ac', "\U0001f600\x7f", -5, "b1")
    wanted = hashlib.sha256(b"blockerd/screen/1\n" + 2 * (canonical(list(row)) + b"\n"))
    assert screen.digest([row, row]) == wanted.hexdigest()
