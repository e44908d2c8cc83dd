"""How large a year becomes and how fast a quarter is read; the full sizes under `soak`."""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random

import apsw
import pytest

from blockerd.journal import forget
from blockerd.journal.append import Journal, size_of
from blockerd.journal.check import check
from blockerd.journal.heads import mark_delivered, record_head
from blockerd.journal.read import View
from blockerd.journal.retention import DAY_US
from blockerd.journal.schema import open_writer
from blockerd.journal.spool import Level
from tests.journal.spooling import SECOND, START, Spool, counts, everything

Record = Callable[[str, object], None]


def day_begins(at: int):
    return at - at % DAY_US


def flood(folder: Path, names: int):
    """A page asks `names` random names of one blocked site within an hour, at level name; the journal's size."""
    spool = Spool(folder / "spool")
    journal = Journal(folder / "journal.sqlite", lambda: spool.at)
    for n in range(0, names, 100):
        spool.at += 3600 * SECOND * 100 // names
        spool.ask(*(f"x{(n + k) * 7919}.many.test" for k in range(100)))
        if n % 1000 == 0:
            journal.drain(spool.folder, level=Level.NAME)
    journal.drain(spool.folder, level=Level.NAME)
    journal.close()
    assert sum(counts(everything(journal.path, spool.folder, Level.NAME)).values()) == names
    return size_of(journal.path)


def test_random_names_of_one_site_do_not_make_the_journal_grow(tmp_path: Path):
    assert flood(tmp_path, 5000) < 200_000


@pytest.mark.soak
def test_a_hundred_thousand_random_names_of_one_site_fit_in_a_megabyte(tmp_path: Path, record_property: Record):
    size = flood(tmp_path, 100_000)
    record_property("octets", size)
    assert size < 1_000_000


@pytest.mark.soak
def test_a_year_of_an_active_home_fits_in_100_mb(tmp_path: Path, record_property: Record):
    """A thousand attempts of some 4,000 questions and a hundred signs of life a day, at level name, with daily pruning;
    the largest size that the journal and its log had on any day."""
    spool, chance, largest = Spool(tmp_path / "spool"), Random(365), 0
    journal = Journal(tmp_path / "journal.sqlite", lambda: spool.at)
    beat = {
        "boot": "b" * 36,
        "run": 1,
        "boottime": 1,
        "monotonic": 1,
        "policy": "c" * 64,
        "counters": {"queries": 10**6},
    }
    for day in range(365):
        for n in range(1000):
            spool.at = START + day * DAY_US + n * DAY_US // 1000
            site = f"site-{chance.randrange(3000)}.test"
            names = [f"{host}.{site}" for host in chance.sample(("www", "cdn", "img", "api", "static"), 2)]
            spool.ask(*names, *names, combo=chance.randrange(3))
            if n % 10 == 0:
                spool.tell(kind="beat", **beat)
            if n % 100 == 0:
                journal.drain(spool.folder, level=Level.NAME)
        journal.drain(spool.folder, level=Level.NAME)
        _delivers(journal, spool.at)
        forget.prune(journal, spool.folder, spool.at, spool.at - 90 * DAY_US, day_begins)
        if day % 7 == 6:
            forget.scrub(journal)
        largest = max(largest, sum(size_of(path) for path in tmp_path.glob("journal*")))
    journal.close()
    with closing(apsw.Connection(str(journal.path))) as db:
        began = time.process_time()
        checked = check(db)
    took = time.process_time() - began
    record_property("octets", largest)
    record_property("seconds of the check", round(took, 2))
    record_property("leaves", checked.size)
    assert checked.broken == ()
    assert took < 5.0, "a start finds what does not fit within five seconds (T54)"
    assert largest <= 100_000_000


def _delivers(journal: Journal, at: int):
    head = journal.within(lambda db: record_head(db, at, "checkpoint"))
    journal.within(lambda db: mark_delivered(db, journal.path, head.id, at))


def quarter_of_a_year(path: Path, rows: int):
    """A journal with `rows` attempts in 90 days, and the midnights between them."""
    db, _ = open_writer(path, START)
    with closing(db), db:
        db.execute("INSERT INTO origins VALUES (1, 'cam', 's', 'S', 'NXDOMAIN', 'dns', '127.0.0.1', '', 'attempt')")
        db.execute("INSERT INTO origins VALUES (2, 'adult', 's', 'S', 'NXDOMAIN', 'dns', '127.0.0.1', '', 'attempt')")
        db.execute(
            "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n LIMIT ?2)"
            " INSERT INTO attempts SELECT n + 1, ?1 + n * ?3, ?1 + n * ?3, 'site-' || (n % 5000) || '.test', n % 2 + 1,"
            " 3, '', 0 FROM n",
            (day_begins(START), rows, 90 * DAY_US // rows),
        )
        db.execute(
            "INSERT INTO sums SELECT first_us - first_us % 900000000, category, kind, count(*), sum(count)"
            " FROM attempts JOIN origins ON origins.id = origin GROUP BY 1, 2, 3"
        )
    return [day_begins(START) + day * DAY_US for day in range(91)]


def read_quarter(path: Path, rows: int):
    """Seconds to tally 90 days, from opening the journal on."""
    bounds = quarter_of_a_year(path, rows)
    began = time.monotonic()
    with View(path, path.parent / "none") as view:
        tallies = view.tallies(bounds)
    took = time.monotonic() - began
    assert sum(tally.attempts for tally in tallies) == rows
    assert sum(tally.questions for tally in tallies) == 3 * rows
    assert {tally.bucket for tally in tallies} == set(range(90))
    return took


def test_ninety_days_are_tallied_from_their_sums(tmp_path: Path):
    assert read_quarter(tmp_path / "journal.sqlite", 100_000) <= 1.0


@pytest.mark.soak
def test_ninety_days_of_five_million_attempts_are_tallied_in_two_seconds(tmp_path: Path, record_property: Record):
    took = read_quarter(tmp_path / "journal.sqlite", 5_000_000)
    record_property("seconds", round(took, 3))
    assert took <= 2.0
