"""Whatever is changed in the record without changing all above it is found, and the first broken leaf is named."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random

import apsw
import pytest

from blockerd.journal import merkle
from blockerd.journal.append import Journal
from blockerd.journal.check import Checked, check
from blockerd.journal.grow import LATE_US, grown
from blockerd.journal.heads import record_head
from blockerd.journal.merge import GAP_US
from tests.journal import plain_check
from tests.journal.spooling import START, Spool

LEAVES = 900
Tamper = Callable[[apsw.Connection, int], object]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory):
    """A sound journal: 600 events, then 300 attempts, and a head in the middle."""
    folder = tmp_path_factory.mktemp("sound")
    spool = Spool(folder / "spool")
    journal = Journal(folder / "journal.sqlite", lambda: spool.at)
    for n in range(300):
        spool.at += 1000
        spool.ask(f"site-{n}.test")
        spool.tell(kind="notice", what=f"one {n}")
        spool.tell(kind="change", what=f"two {n}")
    journal.drain(spool.folder)
    with closing(apsw.Connection(str(journal.path))) as db, db:
        record_head(db, START, "a checkpoint")
    spool.at += GAP_US + LATE_US + 1
    journal.drain(spool.folder)
    journal.close()
    with closing(apsw.Connection(str(folder / "journal.sqlite"))) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert (checked := check(db)).broken == ()
        assert checked.size == LEAVES
    return folder / "journal.sqlite"


def tampered(source: Path, *tampers: Callable[[apsw.Connection], object]) -> Checked:
    """What a check of a copy says after `tampers`."""
    db = apsw.Connection(":memory:")
    with closing(apsw.Connection(str(source))) as sound, db.backup("main", sound, "main") as copy:
        copy.step()
    for tamper in tampers:
        tamper(db)
    with closing(db):
        checked = check(db)
        assert checked == plain_check.check(db), "the plain way says the same"
        return checked


def edit_row(db: apsw.Connection, n: int):
    db.execute("UPDATE attempts SET count = count + 1 WHERE id = (SELECT attempt FROM openings WHERE n = ?)", (n,))
    db.execute(
        "UPDATE events SET payload = replace(payload, 'what', 'whit')"
        " WHERE id = (SELECT event FROM openings WHERE n = ?)",
        (n,),
    )


def delete_row(db: apsw.Connection, n: int):
    db.execute("DELETE FROM attempts WHERE id = (SELECT attempt FROM openings WHERE n = ?)", (n,))
    db.execute("DELETE FROM events WHERE id = (SELECT event FROM openings WHERE n = ?)", (n,))


def delete_opening(db: apsw.Connection, n: int):
    delete_row(db, n)
    db.execute("DELETE FROM openings WHERE n = ?", (n,))


def delete_leaf(db: apsw.Connection, n: int):
    delete_opening(db, n)
    db.execute("DELETE FROM commitments WHERE n = ?", (n,))


def swap_rows(db: apsw.Connection, n: int):
    """Two entries of the same kind exchange their places, salts included."""
    m = n - 2 if n >= 2 and n < 600 else n + 2 if n < 600 else 600 + (n - 599) % 300
    ref = "attempt" if n >= 600 else "event"
    one, two = (db.execute(f"SELECT salt, {ref} FROM openings WHERE n = ?", (k,)).fetchall()[0] for k in (n, m))
    db.execute(f"UPDATE openings SET {ref} = -1 WHERE n = ?", (m,))
    for k, (salt, key) in ((n, two), (m, one)):
        db.execute(f"UPDATE openings SET salt = ?, {ref} = ? WHERE n = ?", (salt, key, k))


def refile(db: apsw.Connection, n: int):
    """Moves an event to another day, where reports do not look for it."""
    db.execute(
        "UPDATE events SET at_us = at_us - 86400000000 WHERE id = (SELECT event FROM openings WHERE n = ?)", (n,)
    )
    db.execute("UPDATE attempts SET first_us = 5 WHERE id = (SELECT attempt FROM openings WHERE n = ?)", (n,))


@pytest.mark.parametrize("tamper", [edit_row, delete_row, swap_rows, refile])
def test_a_changed_entry_is_named(source: Path, tamper: Tamper):
    chance = Random(7)
    for n in [0, 255, 256, LEAVES - 1, *(chance.randrange(LEAVES) for _ in range(6))]:
        found = tampered(source, lambda db, n=n: tamper(db, n)).broken  # type: ignore[misc]
        assert found
        assert n in {leaf for one in found for leaf in range(one.first, one.last + 1)}


def test_an_opening_taken_away_alone_is_found_by_its_count(source: Path):
    (one,) = tampered(source, lambda db: delete_opening(db, 300)).broken
    assert one.why == "not 900 openings, which is what was counted"


def test_a_leaf_taken_away_is_named_also_where_the_count_was_mended(source: Path):
    found = tampered(source, lambda db: delete_leaf(db, 300), lambda db: db.execute("UPDATE tree SET rows = rows - 1"))
    assert (found.broken[0].first, found.broken[0].why) == (300, "its commitment is missing")


def test_a_row_put_in_without_a_leaf_is_found(source: Path):
    def event(db: apsw.Connection):
        db.execute("INSERT INTO events (at_us, kind, payload) VALUES (1, 'notice', '{}')")

    def attempt(db: apsw.Connection):
        db.execute(
            "INSERT INTO attempts SELECT 9999, first_us, last_us, 'x', origin, 1, '', 0 FROM attempts WHERE id = 5"
        )

    assert ["without a leaf" in one.why for one in tampered(source, event, attempt).broken] == [True, True]


def rewritten(db: apsw.Connection, n: int):
    """Leaf `n` says something else, with its commitment and the peaks made to fit."""
    edit_row(db, n)
    key = db.execute("SELECT payload FROM openings JOIN events ON id = event WHERE n = ?", (n,)).get
    salt = db.execute("SELECT salt FROM openings WHERE n = ?", (n,)).get
    hash_ = merkle.commitment(bytes(salt), str(key).encode())
    db.execute("UPDATE commitments SET hash = ? WHERE n = ?", (hash_, n))
    hashes = [merkle.leaf_hash(bytes(kept)) for (kept,) in db.execute("SELECT hash FROM commitments ORDER BY n")]
    tree, nodes = grown(merkle.EMPTY, hashes)
    db.execute("UPDATE tree SET peaks = ?", (b"".join(tree.peaks),))
    return nodes


def test_a_leaf_made_again_with_all_peaks_is_found_by_the_stored_hash_over_its_block(source: Path):
    first = tampered(source, lambda db: rewritten(db, 300)).broken[0]
    assert (first.first, first.last) == (256, 511)


def test_one_who_makes_every_hash_again_is_found_by_a_head_over_them(source: Path):
    def everything(db: apsw.Connection):
        for level, place, hash_ in rewritten(db, 300):
            db.execute("UPDATE nodes SET hash = ? WHERE level = ? AND place = ?", (hash_, level, place))

    (one,) = tampered(source, everything).broken
    assert one.why == "signed head 1 over 600 leaves has another root"
    without = tampered(source, everything, lambda db: db.execute("DELETE FROM heads"))
    assert without.broken == (), "then only a head that somebody else holds tells"


def test_a_log_cut_short_is_found_by_its_rows_and_heads(source: Path):
    def cut(db: apsw.Connection):
        hashes = [merkle.leaf_hash(bytes(h)) for (h,) in db.execute("SELECT hash FROM commitments WHERE n < 500")]
        tree, _ = grown(merkle.EMPTY, hashes)
        db.execute("DELETE FROM commitments WHERE n >= 500")
        db.execute("DELETE FROM openings WHERE n >= 500")
        db.execute("UPDATE tree SET size = 500, peaks = ?, rows = 500", (b"".join(tree.peaks),))

    why = [one.why for one in tampered(source, cut).broken]
    assert "signed head 1 is longer: 600 leaves" in why
    assert any("without a leaf" in one for one in why)


def test_size_and_peaks_that_do_not_fit_are_told(source: Path):
    (one,) = tampered(source, lambda db: db.execute("UPDATE tree SET size = 5")).broken
    assert "do not fit" in one.why


def test_leaves_behind_the_end_and_missing_nodes_are_told(source: Path):
    def more(db: apsw.Connection):
        db.execute("INSERT INTO commitments VALUES (900, zeroblob(32))")
        db.execute("DELETE FROM nodes WHERE place = 1")

    assert [(one.first, one.why) for one in tampered(source, more).broken] == [
        (256, "the stored hash over these leaves is missing"),
        (900, "a leaf that is not in the tree"),
    ]


def odd_salt(db: apsw.Connection, n: int):
    db.execute("UPDATE openings SET salt = substr(salt, 2) WHERE n = ?", (n,))


def odd_hash(db: apsw.Connection, n: int):
    db.execute("UPDATE commitments SET hash = substr(hash, 2) WHERE n = ?", (n,))


def odd_node(db: apsw.Connection, n: int):
    db.execute("UPDATE nodes SET hash = randomblob(32) WHERE place = ?", (n >> 8,))


def lost_commitment(db: apsw.Connection, n: int):
    db.execute("DELETE FROM commitments WHERE n = ?", (n,))


def lost_origin(db: apsw.Connection, n: int):
    db.execute("UPDATE attempts SET origin = 77 WHERE id = (SELECT attempt FROM openings WHERE n = ?)", (n,))


def pruned(db: apsw.Connection, n: int):
    """Commitments below a block are gone, as after a year, some openings of theirs are not."""
    db.execute("DELETE FROM commitments WHERE n < ?", (n >> 8 << 8,))
    db.execute("UPDATE tree SET minimum = ?", (n >> 8 << 8,))


TAMPERS = (
    edit_row, delete_row, delete_opening, delete_leaf, swap_rows, refile, odd_salt, odd_hash, odd_node,
    lost_commitment, lost_origin, pruned,
)  # fmt: skip


def tampered_as_it_comes(source: Path, runs: int):
    """Up to three changes at once; `tampered` compares what both ways say."""
    chance, found = Random(600), 0
    for _ in range(runs):
        several = [(chance.choice(TAMPERS), chance.randrange(LEAVES)) for _ in range(chance.choice((1, 1, 2, 3)))]
        found += bool(tampered(source, *(lambda db, one=one, n=n: one(db, n) for one, n in several)).broken)
    return found


def test_the_quick_check_says_what_the_plain_one_says(source: Path):
    assert tampered_as_it_comes(source, 40) > 30


@pytest.mark.soak
def test_the_quick_check_says_what_the_plain_one_says_600_times(source: Path):
    assert tampered_as_it_comes(source, 600) > 500
