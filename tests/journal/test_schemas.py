"""Journals of every schema there ever was are brought up to date, and their backups are taken (T58)."""

import json
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import apsw
import pytest

from blockerd.journal.append import Journal
from blockerd.journal.backup import backup, restore
from blockerd.journal.check import check
from blockerd.journal.grow import LATE_US
from blockerd.journal.merge import GAP_US
from blockerd.journal.read import View
from blockerd.journal.schema import MIGRATIONS, JournalError
from tests.journal.spooling import SECOND, START, Spool, counts, everything

DIGESTS = ("829117e1ebab7ea7", "8b18b0631cf06e85", "5f3e0e50dbfa417d")
"""Of the first migrations: what once was in use is never written anew."""

VERSIONS = range(1, len(MIGRATIONS) + 1)
ORIGIN = "INSERT INTO origins VALUES (1, 'cam', 's', 'S', 'NXDOMAIN', 'dns', '127.0.0.1', '', 'attempt')"


def made_by(path: Path, version: int):
    """A journal as a blockerd of this schema left it: attempts and an event and, from the third on, screen time."""
    event = {"kind": "change", "at": START, "what": "x", "old": "", "new": "y", "direction": "", "by": "u"}
    with closing(apsw.Connection(str(path))) as db, db:
        db.execute(MIGRATIONS[0])
        db.execute(ORIGIN)
        rows = (
            "INSERT INTO attempts VALUES (1, ?1, ?1, 'a.test', 1, 2, '', 0), (2, ?1 + 9, ?1 + 9, 'b.test', 1, 1, '', 0)"
        )
        db.execute(rows, (START - 3600 * SECOND,))
        said = json.dumps(event, sort_keys=True, separators=(",", ":"))
        db.execute("INSERT INTO events (at_us, kind, payload) VALUES (?, 'change', ?)", (START, said))
        for step in MIGRATIONS[1:version]:
            db.execute(step)
        if version >= 3:
            db.execute("INSERT INTO agents (id, name, uid, probe, stored) VALUES (1, '1000:a1', 1000, 'x11', 7)")
            screen = "INSERT INTO screen VALUES (1, 1, 7, 'app', ?1, ?1 + 9, 'editor', '', 0, 'b1')"
            db.execute(screen, (START,))
        db.execute(f"PRAGMA user_version = {version}")


def test_old_migrations_are_as_they_were():
    assert tuple(sha256(step.encode()).hexdigest()[:16] for step in MIGRATIONS[:3]) == DIGESTS


@pytest.mark.parametrize("version", VERSIONS)
def test_a_journal_of_any_schema_goes_on_with_everything_in_it(tmp_path: Path, version: int):
    path, spool = tmp_path / "journal.sqlite", Spool(tmp_path / "spool")
    made_by(path, version)
    spool.ask("later.test")
    spool.at += GAP_US + LATE_US + 3 * 3600 * SECOND
    journal = Journal(path, lambda: spool.at)
    assert journal.drain(spool.folder).message == ""
    assert journal.agents == ({"1000:a1": 7} if version >= 3 else {})
    journal.close()
    assert counts(everything(path, spool.folder)) == {"a.test": 2, "b.test": 1, "later.test": 1}
    with View(path, spool.folder) as view:
        kinds = [type(entry).KIND for entry in view.entries(0, 1 << 62)]  # type: ignore[union-attr]
    assert kinds == (["change", "screen"] if version >= 3 else ["change"])
    with closing(apsw.Connection(str(path))) as db:
        assert (checked := check(db)).broken == ()
        assert checked.size == (5 if version >= 3 else 4)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_backup_of_any_schema_is_taken(tmp_path: Path, version: int):
    made_by(tmp_path / "copy.sqlite", version)
    before = (tmp_path / "copy.sqlite").read_bytes()
    (tmp_path / "var").mkdir()
    path = tmp_path / "var" / "journal.sqlite"
    restore(path, tmp_path / "copy.sqlite", START)
    assert (tmp_path / "copy.sqlite").read_bytes() == before
    assert sorted(file.name for file in path.parent.iterdir()) == ["journal.sqlite"]
    assert counts(everything(path, tmp_path / "none")) == {"a.test": 2, "b.test": 1}
    backup(path, tmp_path / "again.sqlite")


def test_a_backup_of_a_newer_schema_is_refused_in_one_line(tmp_path: Path):
    made_by(tmp_path / "copy.sqlite", len(MIGRATIONS))
    with closing(apsw.Connection(str(tmp_path / "copy.sqlite"))) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(JournalError, match="written by a newer blockerd"):
        restore(tmp_path / "journal.sqlite", tmp_path / "copy.sqlite", START)
    assert not (tmp_path / "journal.sqlite").exists()
