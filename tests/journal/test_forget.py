"""What is forgotten is in no file any more; the log still verifies, and says how much is gone."""

import os
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from blockerd.journal import forget, merkle, outbox, retention
from blockerd.journal.append import Journal
from blockerd.journal.check import check
from blockerd.journal.entry import Prune, decode
from blockerd.journal.grow import LATE_US
from blockerd.journal.heads import mark_delivered, record_head
from blockerd.journal.log import Gone, open_log
from blockerd.journal.merge import GAP_US
from blockerd.journal.outbox import Sealed, Stand
from blockerd.journal.read import View
from blockerd.journal.retention import DAY_US, SUMS_US, YEAR_US
from blockerd.journal.spool import From, Level, read
from blockerd.report.partner import Says, Send
from blockerd.settings import Role
from tests.journal.spooling import SECOND, START, Spool, counts, everything

CLOSED = GAP_US + LATE_US + 1


def day_begins(at: int):
    return at - at % DAY_US


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


def found(folder: Path, *words: str):
    """The words whose bytes stand in any file below `folder`, as text or as a label of a name in wire form."""
    files = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {(word, name) for word in words for name, data in files.items() if word.encode() in data}


def sound(path: Path):
    with closing(apsw.Connection(str(path))) as db:
        checked = check(db)
    assert checked.broken == ()
    return checked


def prunes(path: Path):
    with open_log(path) as log:
        assert log
        return [decode(opening.event) for opening in log.openings(["prune"])]


def story(journal: Journal, spool: Spool, name: str, count: int):
    """`count` sites under two-labelled names, a change and a restart, all settled."""
    for n in range(count):
        spool.at += SECOND // 10
        spool.ask(f"www.{name}-{n % 500}.test", f"{name}x{n}.many.test", combo=n % 2)
    spool.tell(kind="change", what=f"allow {name}-changed.test")
    spool.alive("start")
    journal.drain(spool.folder, level=Level.NAME)
    spool.at += CLOSED
    journal.drain(spool.folder, level=Level.NAME)


def mailed(journal: Journal, folder: Path, word: str, at: int):
    """A mail with `word` that was sent at `at`, the user's copy of it, and a remark."""
    send = Send(Says.REPORT, 1, "robin@mail.test", Role.SPOUSE)

    def work(db: apsw.Connection):
        number = outbox.queue(db, "Robin", send, at, at, {"periods": [[word, 7]]})
        outbox.seal(db, number, Sealed(at, word.encode()))
        outbox.done(db, number, Stand.SENT, at)
        outbox.remark(db, word, at)

    journal.within(work)
    copy = folder / forget.COPIES / f"note-{word}.eml"
    copy.parent.mkdir(exist_ok=True)
    copy.write_text(word)
    os.utime(copy, (at / 1e6, at / 1e6))


def delivered(journal: Journal, at: int):
    head = journal.within(lambda db: record_head(db, at, f"checkpoint {at}"))
    journal.within(lambda db: mark_delivered(db, journal.path, head.id, at))
    return head


@pytest.mark.parametrize("count", [30, 3000])
def test_what_is_older_than_asked_is_in_no_file_and_the_rest_is_there(
    journal: Journal, spool: Spool, path: Path, tmp_path: Path, count: int
):
    """T75: in no octet of any file; what is left verifies."""
    story(journal, spool, "oldsecret", count)
    old = delivered(journal, spool.at)
    spool.at += 100 * DAY_US
    story(journal, spool, "newsecret", count)
    size, rows = sound(path).size, sound(path).rows
    before = spool.at - 90 * DAY_US
    removed = forget.prune(journal, spool.folder, spool.at, before, day_begins)
    assert forget.scrub(journal)
    assert {word for word, _ in found(tmp_path, "oldsecret", "newsecret")} == {"newsecret"}
    told = prunes(path)
    assert isinstance(told[0], Prune)
    assert (removed.kinds["change"], removed.kinds["start"]) == (1, 1)
    assert sum(prune.openings for prune in told if isinstance(prune, Prune)) == removed.openings
    after = sound(path)
    assert (after.size, after.rows) == (size + len(told), rows + len(told) - removed.openings)
    with open_log(path) as log:
        assert log
        shown = log.consistency(old.size, after.size)
    assert merkle.verify_consistency(old.size, after.size, old.root, after.root, shown)
    sites = counts(everything(path, spool.folder, Level.NAME))
    assert all("oldsecret" not in site for site in sites)
    assert sum(sites.values()) == 2 * count


def test_who_asked_is_forgotten_with_what_was_asked_also_where_a_home_has_many_addresses(
    journal: Journal, spool: Spool, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(retention, "_LOOKED_THROUGH", 0)
    for n in range(250):
        spool.at += SECOND
        spool.ask("site.test", flags=From.ADDRESSES4, addresses=bytes([10, 20, 30, n]))
    journal.drain(spool.folder)
    spool.at += 100 * DAY_US
    spool.ask("later.test", flags=From.ADDRESSES4, addresses=bytes([10, 20, 31, 1]))
    journal.drain(spool.folder)
    forget.prune(journal, spool.folder, spool.at, spool.at - 90 * DAY_US, day_begins)
    assert forget.scrub(journal)
    assert found(tmp_path, "10.20.30.", "10.20.31.1") == {("10.20.31.1", path.name)}
    spool.ask("again.test", flags=From.ADDRESSES4, addresses=bytes([10, 20, 30, 249]))
    journal.drain(spool.folder)
    assert [one.client for one in everything(path, spool.folder)] == ["10.20.31.1", "10.20.30.249"]
    sound(path)


def test_tallies_of_forgotten_days_stay(journal: Journal, spool: Spool, path: Path):
    story(journal, spool, "oldsecret", 40)
    bounds = [day_begins(START), day_begins(START) + DAY_US, day_begins(START) + 400 * DAY_US]

    def tallies():
        with View(path, spool.folder) as view:
            return view.tallies(bounds)

    before = tallies()
    spool.at += 200 * DAY_US
    forget.prune(journal, spool.folder, spool.at, spool.at - 90 * DAY_US, day_begins)
    assert everything(path, spool.folder) == []
    assert tallies() == before != []
    spool.at += SUMS_US
    forget.prune(journal, spool.folder, spool.at, spool.at - 90 * DAY_US, day_begins)
    assert tallies() == []


def test_a_live_segment_is_wiped_in_place_and_can_still_be_read_and_appended_to(
    journal: Journal, spool: Spool, path: Path, tmp_path: Path
):
    spool.ask("oldsecret.test", "other.test")
    spool.tell(kind="change", what="oldsecret")
    journal.drain(spool.folder)
    (segment,) = spool.paths
    length = segment.stat().st_size
    spool.ask("waiting.test")
    forget.erase(journal, spool.folder, spool.at)
    assert forget.scrub(journal)
    assert segment.stat().st_size > length
    assert {word for word, _ in found(tmp_path, "oldsecret", "waiting")} == {"waiting"}
    spool.ask("later.test")
    journal.drain(spool.folder)
    assert counts(everything(path, spool.folder)) == {"waiting.test": 1, "later.test": 1}
    assert sum(1 for _ in read(segment)) == 5
    # Whoever has to begin anew with this segment reads on behind what was wiped.
    anew = Journal(tmp_path / "anew.sqlite", lambda: spool.at)
    drained = anew.drain(spool.folder)
    anew.close()
    assert (drained.questions, drained.bad, drained.torn) == (2, 0, 0)


def test_erasing_works_at_once_and_leaves_how_it_ran_and_counts(
    journal: Journal, spool: Spool, path: Path, tmp_path: Path
):
    spool.ask("still-open.test")
    story(journal, spool, "oldsecret", 300)
    spool.ask("still-open.test")
    journal.drain(spool.folder)
    (path.parent / "journal-damaged-x.sqlite").write_bytes(b"oldsecret")
    (path.parent / "backups").mkdir()
    (path.parent / "backups" / "old.sqlite").write_bytes(b"oldsecret")
    old = delivered(journal, spool.at)
    removed = forget.erase(journal, spool.folder, spool.at)
    assert forget.scrub(journal)
    assert found(tmp_path, "oldsecret", "still-open", "many") == set()
    assert everything(path, spool.folder) == []
    with View(path, spool.folder) as view:
        assert view.tallies((0, spool.at + 1)) == []
        assert len(view.facts(0, spool.at + 1).stretches) == 1
    (told,) = prunes(path)
    assert isinstance(told, Prune)
    assert (told.why, told.openings, told.kinds) == ("erase", removed.openings, removed.kinds)
    assert removed.kinds["change"] == 1
    assert "start" not in removed.kinds
    after = sound(path)
    with open_log(path) as log:
        assert log
        shown = log.consistency(old.size, after.size)
    assert merkle.verify_consistency(old.size, after.size, old.root, after.root, shown)


def test_mails_remarks_and_copies_go_with_the_rest(journal: Journal, spool: Spool, path: Path, tmp_path: Path):
    for word, days in (("oldsecret", 100), ("newsecret", 10)):
        mailed(journal, tmp_path, word, spool.at - days * DAY_US)
    before = spool.at - 90 * DAY_US
    assert forget.prune(journal, spool.folder, spool.at, before, day_begins).words == 2
    assert forget.scrub(journal)
    assert {word for word, _ in found(tmp_path, "oldsecret", "newsecret")} == {"newsecret"}
    assert [one.name for one in (tmp_path / "sent").iterdir()] == ["note-newsecret.eml"]
    assert forget.prune(journal, spool.folder, spool.at, before, day_begins).words == 0
    forget.erase(journal, spool.folder, spool.at)
    assert forget.scrub(journal)
    assert found(tmp_path, "newsecret") == set()
    assert list((tmp_path / "sent").iterdir()) == []


def test_erasing_takes_words_of_a_clock_that_was_ahead_too(journal: Journal, spool: Spool, path: Path, tmp_path: Path):
    mailed(journal, tmp_path, "aheadsecret", spool.at + 300 * DAY_US)
    forget.erase(journal, spool.folder, spool.at)
    assert forget.scrub(journal)
    assert found(tmp_path, "aheadsecret") == set()


@pytest.mark.parametrize("name", ["journal.sqlite.new", "journal.sqlite.taken", "journal.sqlite.new-wal"])
def test_a_copy_that_a_killed_import_has_left_goes_with_the_rest(
    name: str, journal: Journal, spool: Spool, path: Path, tmp_path: Path
):
    left = path.parent / name
    left.write_bytes(b"oldsecret")
    before = spool.at - 90 * DAY_US
    os.utime(left, (spool.at / 1e6, spool.at / 1e6))
    forget.prune(journal, spool.folder, spool.at, before, day_begins)
    assert left.exists()
    os.utime(left, (before / 1e6 - 1, before / 1e6 - 1))
    forget.prune(journal, spool.folder, spool.at, before, day_begins)
    assert not left.exists()
    left.write_bytes(b"oldsecret")
    forget.erase(journal, spool.folder, spool.at)
    assert not left.exists()


def test_an_odd_thing_among_the_backups_keeps_nothing_else(
    journal: Journal, spool: Spool, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    story(journal, spool, "oldsecret", 30)
    (tmp_path / "backups" / "a-folder").mkdir(parents=True)
    for name in ("b.sqlite", "c.sqlite"):
        (tmp_path / "backups" / name).write_bytes(b"oldsecret")
    unlink = Path.unlink

    def held(path: Path, missing_ok: bool = False):
        if path.name == "b.sqlite":
            raise PermissionError(1, "Operation not permitted")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", held)
    removed = forget.erase(journal, spool.folder, spool.at)
    assert removed.left == (f"{tmp_path}/backups/b.sqlite: Operation not permitted; remove it yourself",)
    assert forget.scrub(journal)
    assert {name for _, name in found(tmp_path, "oldsecret")} == {"b.sqlite"}


def test_segments_that_cannot_be_read_are_told_and_keep_no_other(journal: Journal, spool: Spool, tmp_path: Path):
    """The memory of a process can as little be read from its begin as a bad place of a disk."""
    for one in (spool, Spool(spool.folder, "proxy")):
        one.ask("www.oldsecret.test")
    journal.drain(spool.folder)
    stored, waiting = spool.paths[0], spool.folder / "cli-7-1.seg"
    stored.unlink()
    for odd in (stored, waiting):
        odd.symlink_to("/proc/self/mem")
    removed = forget.erase(journal, spool.folder, spool.at)
    assert removed.left == tuple(f"{odd}: Input/output error; remove it yourself" for odd in (waiting, stored))
    for odd in (stored, waiting):
        odd.unlink()
    assert forget.scrub(journal)
    assert found(tmp_path, "oldsecret") == set()


def beats(spool: Spool, days: int):
    """A beat a day."""
    for _ in range(days):
        spool.at += DAY_US
        spool.tell(kind="beat", boot="b1", run=1, boottime=spool.at, monotonic=spool.at)


def test_what_a_clock_years_ahead_has_dated_is_forgotten_as_long_after_it_was_recorded_as_all_else(
    journal: Journal, spool: Spool, path: Path, tmp_path: Path
):
    beats(spool, 10)
    spool.at += 730 * DAY_US
    story(journal, spool, "aheadsecret", 30)
    used = {"kind": "app", "agent": "1000:a1", "uid": 1000, "probe": "x11", "seq": 1, "base": 1, "value": "aheadsecret"}
    spool.tell(**used, title="", start=spool.at, end=spool.at + 60 * SECOND, anchor=START - 5000, boot="b1")
    spool.at -= 730 * DAY_US
    journal.drain(spool.folder)
    forget.prune(journal, spool.folder, spool.at, START - DAY_US, day_begins)
    beats(spool, 100)
    journal.drain(spool.folder)
    live = spool.paths[-1]
    for days in (100, 98):
        forget.prune(journal, spool.folder, spool.at, spool.at - days * DAY_US, day_begins)
        assert forget.scrub(journal)
        left = {name for _, name in found(tmp_path, "aheadsecret")}
        assert left == ({path.name, live.name} if days == 100 else set())
        sound(path)
    assert len(everything(path, spool.folder)) == 0


def test_a_clock_that_is_behind_for_a_second_time_forgets_nothing_of_the_years_between(
    journal: Journal, spool: Spool, path: Path
):
    """What it had dated the first time is old; that does not make old what lies before it in the log."""
    right = spool.at
    beats(spool, 50)
    story(journal, spool, "later", 30)
    there = len(everything(path, spool.folder))
    spool.at = right - 2000 * DAY_US
    beats(spool, 1)
    spool.at = right - 1800 * DAY_US
    journal.drain(spool.folder)
    forget.prune(journal, spool.folder, spool.at, spool.at - 90 * DAY_US, day_begins)
    assert len(everything(path, spool.folder)) == there
    sound(path)


def test_the_file_becomes_smaller(journal: Journal, spool: Spool, path: Path):
    assert forget.scrub(journal)
    empty = path.stat().st_size
    story(journal, spool, "oldsecret", 4000)
    assert forget.scrub(journal)
    before = path.stat().st_size
    forget.prune(journal, spool.folder, spool.at + YEAR_US, spool.at + 1, day_begins)
    assert forget.scrub(journal)
    assert path.stat().st_size - empty < (before - empty) * 0.4


def test_what_a_reader_holds_on_to_is_told_and_goes_later(journal: Journal, spool: Spool, path: Path, tmp_path: Path):
    story(journal, spool, "oldsecret", 30)
    with closing(apsw.Connection(str(path))) as reader:
        reader.execute("BEGIN; SELECT count(*) FROM attempts")
        forget.erase(journal, spool.folder, spool.at)
        assert not forget.scrub(journal)
    assert forget.scrub(journal)
    assert found(tmp_path, "oldsecret") == set()


def test_after_a_year_only_subtree_hashes_of_covered_blocks_are_left(journal: Journal, spool: Spool, path: Path):
    for n in range(700):
        spool.at += SECOND
        spool.tell(kind="notice", what=f"{n}")
    journal.drain(spool.folder)
    old = delivered(journal, spool.at)
    for n in range(400):
        spool.at += SECOND
        spool.tell(kind="notice", what=f"{n}")
    journal.drain(spool.folder)
    spool.at += 100 * DAY_US
    assert forget.prune(journal, spool.folder, spool.at, spool.at - 90 * DAY_US, day_begins).commitments == 0
    spool.at += 300 * DAY_US
    removed = forget.prune(journal, spool.folder, spool.at, spool.at - 90 * DAY_US, day_begins)
    assert removed.commitments == 512
    after = sound(path)
    with open_log(path) as log:
        assert log
        assert log.state().minimum == 512
        shown = log.consistency(old.size, after.size)
        with pytest.raises(Gone):
            log.commitment(511)
    assert merkle.verify_consistency(old.size, after.size, old.root, after.root, shown)


def test_without_a_delivered_head_no_commitment_ever_goes(journal: Journal, spool: Spool, path: Path):
    story(journal, spool, "oldsecret", 600)
    journal.within(lambda db: record_head(db, spool.at, "never sent"))
    size = sound(path).size
    spool.at += 3 * YEAR_US
    assert forget.prune(journal, spool.folder, spool.at, spool.at, day_begins).commitments == 0
    with open_log(path) as log:
        assert log
        assert sum(1 for _ in log.commitments()) >= size


def test_daily_facts_are_kept_for_a_year(journal: Journal, spool: Spool, path: Path):
    spool.tell(kind="daily", day="2026-11-22", role="self", facts={})
    journal.drain(spool.folder)
    for later, kept in ((100 * DAY_US, 1), (YEAR_US, 0)):
        spool.at = START + later + 1
        forget.prune(journal, spool.folder, spool.at, spool.at - 90 * DAY_US, day_begins)
        with open_log(path) as log:
            assert log
            assert len(list(log.openings(["daily"]))) == kept
    sound(path)


def test_no_password_key_or_url_is_ever_in_a_file(journal: Journal, spool: Spool, tmp_path: Path):
    """T113: what a page's address says beyond the name is refused before it is stored, and the segment wiped of it."""
    for part in ("a.test/path-to-page", "a.test?query=secretword", "user:secretword@a.test", "a.test#secretword"):
        for key in ("name", "site"):
            spool.tell(
                kind="attempt", time=START, category="cam", source="s", list="S", action="DROP", channel="proxy",
                client="127.0.0.1", user="", attempt="attempt", **{"name": "a.test", "site": "a.test", key: part},
            )  # fmt: skip
    drained = journal.drain(spool.folder, level=Level.NAME)
    assert (drained.bad, drained.questions) == (8, 0)
    forget.erase(journal, spool.folder, spool.at)
    assert forget.scrub(journal)
    assert found(tmp_path, "secretword", "path-to-page") == set()
