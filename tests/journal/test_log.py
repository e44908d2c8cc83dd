"""Every event has its leaf in its own transaction, an attempt when it settles; heads follow from each other."""

import json
import resource
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from blockerd.journal import grow, merkle
from blockerd.journal.append import Journal
from blockerd.journal.check import check
from blockerd.journal.entry import Attempt, Lost, Start, Unclean, decode
from blockerd.journal.grow import LATE_US, add_entries, grown
from blockerd.journal.heads import mark_delivered, put_beside, record_head, remembered, side_file
from blockerd.journal.log import Gone, Log, open_log
from blockerd.journal.merge import GAP_US, LONGEST_US
from tests.journal.plain_check import openings_in_order
from tests.journal.spooling import SECOND, START, Spool, counts, everything

CLOSED = GAP_US + LATE_US + 1


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


def said(path: Path):
    with open_log(path) as log:
        assert log
        return [decode(opening.event) for opening in openings_in_order(log)]


def sound(path: Path):
    with closing(apsw.Connection(str(path))) as db:
        found = check(db)
    assert found.broken == ()
    return found


def test_an_event_is_in_the_log_at_once_and_an_attempt_when_nothing_can_join_it(
    journal: Journal, spool: Spool, path: Path
):
    spool.ask("a.test")
    spool.tell(kind="lost", process="dns", count=5)
    journal.drain(spool.folder)
    assert said(path) == [Lost(START, "dns", 5)]
    spool.at += CLOSED
    journal.drain(spool.folder)
    settled = said(path)[1]
    assert isinstance(settled, Attempt)
    assert (settled.site, settled.count, settled.at) == ("a.test", 1, START)
    assert sound(path).rows == 2


def test_a_question_that_comes_after_its_attempt_is_settled_begins_another(journal: Journal, spool: Spool, path: Path):
    spool.ask("a.test")
    journal.drain(spool.folder)
    spool.at += CLOSED
    journal.drain(spool.folder)
    spool.at -= CLOSED - SECOND  # the clock was set back by a minute
    spool.ask("a.test")
    journal.drain(spool.folder)
    assert [attempt.count for attempt in everything(path, spool.folder)] == [1, 1]
    sound(path)


def test_an_attempt_that_goes_on_is_settled_after_an_hour_at_the_latest(journal: Journal, spool: Spool, path: Path):
    for _ in range(LONGEST_US // GAP_US + 3):
        spool.ask("a.test")
        journal.drain(spool.folder)
        spool.at += GAP_US
    (first,) = said(path)
    assert isinstance(first, Attempt)
    assert first.count == LONGEST_US // GAP_US


def test_an_attempt_from_a_future_that_was_taken_back_is_settled_too(journal: Journal, spool: Spool, path: Path):
    spool.at += 365 * 86_400 * SECOND
    spool.ask("a.test")
    journal.drain(spool.folder)
    spool.at = START
    spool.ask("b.test")
    journal.drain(spool.folder)
    spool.at += CLOSED
    journal.drain(spool.folder)
    assert [entry.site for entry in said(path) if isinstance(entry, Attempt)] == ["a.test", "b.test"]
    sound(path)


@pytest.mark.parametrize("wrong", [-365 * 86_400, -3600, 3600, 365 * 86_400])
def test_the_last_attempt_is_settled_though_the_clock_was_wrong_then(
    journal: Journal, spool: Spool, path: Path, wrong: int
):
    spool.ask("a.test")
    journal.drain(spool.folder)
    spool.at += (100 + wrong) * SECOND
    spool.ask("b.test")
    journal.drain(spool.folder)
    spool.at += CLOSED - wrong * SECOND
    journal.drain(spool.folder)
    assert [entry.site for entry in said(path) if isinstance(entry, Attempt)] == ["a.test", "b.test"]
    sound(path)


def test_attempts_are_settled_also_at_an_hour_that_a_clock_ahead_has_had_before(
    journal: Journal, spool: Spool, path: Path
):
    for name in ("ahead", "right"):
        spool.at = START
        for n in range(30):
            journal.drain(spool.folder)
            spool.at += 30 * SECOND
            spool.ask(f"{name}-{n}.test")
    journal.drain(spool.folder)
    assert journal.query("SELECT count(*) FROM unsettled") == [(3,)]


def test_a_rolled_back_transaction_leaves_no_leaf(journal: Journal, spool: Spool, path: Path):
    spool.tell(kind="lost", process="dns", count=5)
    spool.ask("a.test")

    def broken(raw: object) -> list[bool]:
        raise OSError("no snapshot")

    with pytest.raises(OSError, match="no snapshot"):
        journal.drain(spool.folder, confirm=broken)
    with open_log(path) as log:
        assert log
        assert log.state().size == 0
    journal.drain(spool.folder)
    assert sound(path).size == 1


def test_starts_and_stops_of_dns_are_entries_and_an_end_without_a_stop_is_told(
    journal: Journal, spool: Spool, path: Path
):
    spool.alive("start")
    spool.at += 60 * SECOND
    spool.alive("alive")
    spool.at += 90 * SECOND
    spool.alive("start")
    journal.drain(spool.folder)
    spool.alive("start", boot="b2")
    spool.alive("stop", boot="b2")
    spool.alive("start", boot="b2")
    journal.drain(spool.folder)
    told = [(entry.KIND, getattr(entry, "why", ""), getattr(entry, "last", 0)) for entry in said(path)]
    second = START + 150 * SECOND
    assert told == [
        ("start", "", 0),
        ("unclean", "crash or kill", START + 60 * SECOND),
        ("start", "", 0),
        ("unclean", "power cut or reset", second),
        ("start", "", 0),
        ("stop", "", 0),
        ("start", "", 0),
    ]


@pytest.mark.parametrize(("ended", "why"), [("", "crash or kill"), ("killed (signal 9)", "killed (signal 9)")])
def test_the_last_alive_mark_says_where_an_unclean_end_was_and_the_starter_how(
    journal: Journal, spool: Spool, path: Path, ended: str, why: str
):
    spool.alive("start")
    spool.at += 300 * SECOND
    mark = {"at": START + 240 * SECOND, "boot": "b1", "run": 4, "boottime": 7, "monotonic": 6}
    told = {"run": 5, "boottime": 9, "monotonic": 8, "mark": mark, "ended": ended}
    spool.tell(kind="coverage", process="dns", state="start", boot="b1", **told)
    journal.drain(spool.folder)
    end, begin = said(path)[1:]
    assert end == Unclean(spool.at, "dns", START + 240 * SECOND, "b1", 4, 7, 6, why)
    assert begin == Start(spool.at, "dns", "b1", 5, 9, 8)


def filled(journal: Journal, spool: Spool, count: int):
    for n in range(count):
        spool.at += 7
        spool.tell(kind="notice", what=f"number {n}")
    journal.drain(spool.folder)


def test_heads_inclusion_and_consistency_are_those_of_the_tree_over_all_leaves(
    journal: Journal, spool: Spool, path: Path
):
    filled(journal, spool, 700)
    with open_log(path) as log:
        assert log
        leaves = [merkle.leaf_hash(found) for _, found in log.commitments()]
        state = log.state()
        assert (state.size, state.root, state.rows) == (700, merkle.root_of(leaves), 700)
        for n in (0, 1, 255, 256, 511, 512, 698, 699):
            path_ = log.inclusion(n, 700)
            opening = log.opening(n)
            leaf = merkle.leaf_hash(merkle.commitment(opening.salt, opening.event))
            assert merkle.verify_inclusion(n, 700, leaf, path_, state.root)
        for old in (0, 1, 255, 256, 257, 511, 512, 600, 699, 700):
            shown = log.consistency(old, 700)
            assert merkle.verify_consistency(old, 700, merkle.root_of(leaves[:old]), state.root, shown)
        assert log.peaks(700) == merkle.tree_of(leaves).peaks
        with pytest.raises(Gone):
            log.node(0, 700)
        with pytest.raises(Gone):
            log.node(3, 90)
        with pytest.raises(Gone):
            log.opening(700)


def test_growing_in_bulk_is_appending_one_by_one():
    leaves = [bytes([n % 256, n >> 8]) * 16 for n in range(600)]
    tree, slow = merkle.EMPTY, list[tuple[int, int, bytes]]()
    for leaf in leaves:
        tree, completed = merkle.append(tree, leaf)
        slow += [node for node in completed if node[0] % grow.STEP == 0]
    half, first = grown(merkle.EMPTY, leaves[:271])
    assert grown(half, leaves[271:]) == (tree, slow[len(first) :])


def test_openings_are_found_by_kind_time_and_leaf(journal: Journal, spool: Spool, path: Path):
    spool.ask("a.test")
    filled(journal, spool, 5)
    spool.tell(kind="lost", process="dns", count=1)
    spool.at += CLOSED
    journal.drain(spool.folder)
    with open_log(path) as log:
        assert log
        assert [o.n for o in log.openings(["notice"], START + 14, START + 28)] == [1, 2]
        assert [o.kind for o in log.openings(first=5)] == ["lost", "attempt"]
        assert [o.kind for o in log.openings(["attempt", "lost"])] == ["lost", "attempt"]
        assert list(log.openings(["attempt"], START + 1)) == []
        assert [n for n, _ in log.commitments(2, 4)] == [2, 3]


def test_no_log_is_read_where_there_is_no_journal(tmp_path: Path):
    with open_log(tmp_path / "none.sqlite") as log:
        assert log is None


def test_a_head_is_kept_with_its_row_count_and_remembered_beside_the_journal_once_delivered(
    journal: Journal, spool: Spool, path: Path
):
    filled(journal, spool, 3)
    with closing(apsw.Connection(str(path))) as db:
        with db:
            head = record_head(db, START, "a checkpoint")
        with db:
            mark_delivered(db, path, head.id, START + 5)
        with db, pytest.raises(LookupError):
            mark_delivered(db, path, 99, START)
    with open_log(path) as log:
        assert log
        (kept,) = log.heads()
        state = log.state()
    assert (kept.size, kept.root, kept.rows, kept.text, kept.delivered) == (3, state.root, 3, "a checkpoint", START + 5)
    (line,) = remembered(path)
    assert (line.log, line.size, line.root, line.text) == (state.log, 3, state.root, "a checkpoint")
    assert side_file(path).stat().st_mode & 0o077 == 0
    sound(path)


def test_a_side_file_that_only_a_part_of_fits_on_the_disk_leaves_the_old_one(path: Path):
    side = side_file(path)
    put_beside(side, "old\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # a write that crosses it is cut there, as on a full disk
    try:
        with pytest.raises(OSError, match="File too large"):
            put_beside(side, "new\n" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert side.read_text() == "old\n"


def test_a_side_file_that_cannot_be_read_is_an_empty_one(path: Path):
    assert remembered(path) == []
    side_file(path).write_bytes(b'\xff\n{}\n[1]\n{"log":"x"}\n')
    assert remembered(path) == []


def test_entries_are_appended_only_inside_a_transaction(journal: Journal, path: Path):
    with closing(apsw.Connection(str(path))) as db, pytest.raises(AssertionError):
        add_entries(db, [Lost(START, "dns", 1)])


def test_an_old_journal_gets_its_leaves_when_it_is_opened(tmp_path: Path, spool: Spool):
    from blockerd.journal.schema import MIGRATIONS

    old = tmp_path / "old.sqlite"
    with closing(apsw.Connection(str(old))) as db:
        db.execute(MIGRATIONS[0])
        db.execute("PRAGMA user_version = 1")
        db.execute("INSERT INTO origins VALUES (1, 'cam', 's', 'S', 'NXDOMAIN', 'dns', '127.0.0.1', '', 'attempt')")
        db.execute(
            "INSERT INTO attempts VALUES (1, ?1, ?1, 'a.test', 1, 2, '', 0), (2, ?1, ?1, 'b.test', 1, 1, '', 0)",
            (START,),
        )
        for kind, payload in (
            ("coverage", {"kind": "coverage", "process": "dns", "state": "start", "boot": "b1"}),
            ("notice", {"kind": "notice", "what": "älter"}),
            ("change", {"kind": "change", "at": START, "what": "x", "old": "", "new": "y", "direction": "", "by": "u"}),
            ("lost", {"kind": "lost", "count": "?"}),
        ):
            text = json.dumps(payload, ensure_ascii=False)
            db.execute("INSERT INTO events (at_us, kind, payload) VALUES (?, ?, ?)", (START, kind, text))
    spool.at += CLOSED
    made = Journal(old, lambda: spool.at)
    made.drain(spool.folder)
    made.close()
    assert [entry.KIND for entry in said(old) if not hasattr(entry, "payload")] == [
        "start",
        "change",
        "attempt",
        "attempt",
    ]
    assert counts(everything(old, spool.folder)) == {"a.test": 2, "b.test": 1}
    assert sound(old).size == 6
    with closing(apsw.Connection(str(old))) as db:
        assert db.execute("SELECT sum(attempts), sum(questions) FROM sums").fetchall() == [(2, 3)]


def test_sums_hold_what_the_rows_hold(journal: Journal, spool: Spool, path: Path):
    for n in range(300):
        spool.at += (n % 7) * 10 * SECOND
        spool.ask(f"site-{n % 11}.test", "again.test", combo=n % 4)
        if n % 40 == 3:
            spool.at -= 30 * SECOND
        if n % 3 == 0:
            journal.drain(spool.folder)
    journal.drain(spool.folder)
    with closing(apsw.Connection(str(path))) as db:
        rows = db.execute(
            "SELECT first_us - first_us % 900000000, category, kind, count(*), sum(count) FROM attempts"
            " JOIN origins ON origins.id = origin GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        ).fetchall()
        assert db.execute("SELECT * FROM sums WHERE attempts ORDER BY 1, 2, 3").fetchall() == rows


def test_the_log_reads_one_moment_while_the_writer_goes_on(journal: Journal, spool: Spool, path: Path):
    filled(journal, spool, 3)
    with closing(apsw.Connection(str(path))) as db, Log(db).moment() as log:
        assert log.state().size == 3
        filled(journal, spool, 2)
        assert log.state().size == 3
    with open_log(path) as after:
        assert after
        assert after.state().size == 5
