"""A simulated quarter of mails made from a real journal: honest, with one edit, one gap, one old database put back.

The journal is what `control` writes (SQLite, spool, retention each night, backups); the mails lie as a provider
delivered them; `verify.py` has the last word.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import apsw
import pytest

from blockerd.journal import backup, checkpoint, forget, merkle
from blockerd.journal.append import Journal
from blockerd.journal.check import check
from blockerd.journal.entry import Daily, KeyRotation
from blockerd.journal.grow import add_entries, grown
from blockerd.journal.heads import mark_delivered, record_head
from blockerd.journal.log import Log, open_log
from blockerd.journal.retention import DAY_US
from blockerd.report import verify
from blockerd.report.evidence import Head
from tests.journal.spooling import SECOND, Spool
from tests.report.chains import DAY, FIRST, Sender, key_of, one_day
from tests.report.chains import Log as ChainLog
from tests.report.judging import saved

LAST = FIRST + 91 * DAY
BACKED_UP, RESTORED = 50, 70
"""Days of the quarter on which a backup is made, and put back."""


class Events:
    """Salt and bytes of each entry that still has them, by its number."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def __len__(self) -> int:
        return self._log.state().size

    def __getitem__(self, leaf: int) -> tuple[bytes, bytes]:
        opening = self._log.opening(leaf)
        return opening.salt, opening.event


@dataclass
class RealLog(ChainLog):
    """The log of a real journal in `folder`, with what `chains.Sender` and `chains.one_day` ask of one."""

    folder: Path = field(default_factory=Path)

    def __post_init__(self) -> None:
        start = int(datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC).timestamp()) * SECOND
        self.spool = Spool(self.folder / "spool", start=start)
        self.open()
        with self.log() as log:
            self.origin = checkpoint.origin_of(log.state().log)

    @property
    def path(self) -> Path:
        return self.folder / "journal.sqlite"

    def open(self) -> None:
        self.journal = Journal(self.path, lambda: self.spool.at)
        self.reader = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)
        self.events = Events(Log(self.reader))  # type: ignore[assignment]

    def close(self) -> None:
        self.reader.close()
        self.journal.close()

    def log(self) -> closing[Any]:
        return closing(_Reading(self.path))

    def beats(self, count: int) -> None:
        """Each stands for some hours: a beat and a few attempts, and the hour in which they settle."""
        for _ in range(count):
            self.spool.at += 2 * 3600 * SECOND
            self.spool.tell(kind="beat", boot="b1", run=1, boottime=self.spool.at, monotonic=self.spool.at, policy="p")
            self.spool.ask("a.test", "b.test")
        self.journal.drain(self.spool.folder)

    def daily(self, day: date, role: str = "spouse", **facts: object) -> int:
        at = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() + 22 * 3600) * SECOND
        (leaf,) = self.journal.within(lambda db: add_entries(db, [Daily(at, str(day), role, facts)]))
        return leaf

    def add(self, **facts: object) -> int:
        rotation = KeyRotation(self.spool.at, "old", "new")
        (leaf,) = self.journal.within(lambda db: add_entries(db, [rotation]))
        return leaf

    def node(self) -> merkle.Node:
        return Log(self.reader).node

    def head(self, node: merkle.Node | None = None) -> Head:
        state = Log(self.reader).state()
        return Head(self.origin, state.size, state.root)

    def night(self, day: date) -> None:
        """The head of the day's mail is delivered; what is older than the month is forgotten."""
        self.spool.at = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() + 86_400 + 7 * 3600) * SECOND
        head = self.journal.within(lambda db: record_head(db, self.spool.at, "checkpoint"))
        self.journal.within(lambda db: mark_delivered(db, self.path, head.id, self.spool.at))
        forget.prune(self.journal, self.spool.folder, self.spool.at, self.spool.at - 30 * DAY_US, lambda at: at)


class _Reading(Log):
    def __init__(self, path: Path) -> None:
        super().__init__(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY))

    def __enter__(self) -> Log:
        return self

    def close(self) -> None:
        self.db.close()


@dataclass
class Told:
    """The mails of a quarter, the answer of the checker, and what it said of each mail."""

    mails: list[bytes]
    code: int
    lines: list[str]

    @property
    def answer(self) -> str:
        return self.lines[-1]


Meddle = Callable[[RealLog, Sender, int], None]


def lived(folder: Path, meddle: Meddle = lambda *_: None) -> tuple[RealLog, list[bytes]]:
    """Ninety-one days; `meddle` is called each morning with the number of the day."""
    folder.mkdir()
    log = RealLog(folder=folder)
    sender = Sender(log, key=key_of(1, log.origin))
    log.beats(2)
    sender.pairing(datetime(FIRST.year, FIRST.month, FIRST.day, 9, tzinfo=UTC))
    for number in range(91):
        meddle(log, sender, number)
        one_day(sender, FIRST + number * DAY)
        log.night(FIRST + number * DAY)
    log.close()
    return log, sender.mails


def judged(folder: Path, mails: list[bytes], capsys: pytest.CaptureFixture[str]) -> Told:
    code = verify.main([str(saved(folder, mails)), "--today", str(LAST)])
    return Told(mails, code, capsys.readouterr().out.splitlines())


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> tuple[RealLog, list[bytes]]:
    return lived(tmp_path_factory.mktemp("quarter") / "home")


@pytest.mark.once
def test_an_honest_quarter_continues_though_its_first_two_months_are_forgotten(
    honest: tuple[RealLog, list[bytes]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    log, mails = honest
    told = judged(tmp_path / "mails", mails, capsys)
    assert (told.code, told.answer, len(mails)) == (0, "continues", 1 + 91 + 13)
    with open_log(log.path) as kept:
        assert kept
        assert check(kept.db).broken == ()
        assert min(one.at for one in kept.openings(["attempt"])) >= log.spool.at - 31 * DAY_US
        leaves = [f"{n} {hash_.hex()}" for n, hash_ in kept.commitments()]
    (tmp_path / "leaves").write_text("\n".join(leaves))
    paths = [str(tmp_path / "mails"), "--today", str(LAST), "--leaves", str(tmp_path / "leaves")]
    assert verify.main(paths) == 0, "every hash of the record fits every head that was told"


@pytest.mark.once
def test_one_edited_mail_is_named(
    honest: tuple[RealLog, list[bytes]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    mails = list(honest[1])
    mails[40] = mails[40].replace(b"attempts.adult: ", b"attempts.adult: 1")
    assert mails[40] != honest[1][40]
    told = judged(tmp_path / "mails", mails, capsys)
    assert (told.code, "(mail 41: its text/plain part was changed" in told.answer) == (1, True)
    assert sum("does not continue" in line for line in told.lines[:-1]) == 1


@pytest.mark.once
def test_one_gap_is_named(honest: tuple[RealLog, list[bytes]], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    mails = [raw for number, raw in enumerate(honest[1], 1) if number != 58]
    told = judged(tmp_path / "mails", mails, capsys)
    assert (told.code, told.answer) == (3, "cannot tell (mail 58 is missing)")


@pytest.mark.once
def test_an_old_database_put_back_is_named_by_the_next_mail(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Twenty days are gone. `restore` says so in the log, which a spouse's mail does not show; the heads do."""

    def meddle(log: RealLog, sender: Sender, number: int) -> None:
        if number == BACKED_UP:
            backup.backup(log.path, log.folder / "copy.sqlite")
        if number == RESTORED:
            log.close()
            backup.restore(log.path, log.folder / "copy.sqlite", log.spool.at)
            log.open()

    log, mails = lived(tmp_path / "home", meddle)
    told = judged(tmp_path / "mails", mails, capsys)
    assert told.code == 1
    first = next(line for line in told.lines if "does not continue" in line)
    assert first.startswith(f"mail {_number_on(RESTORED)}, seal")
    assert "its record is shorter than mail" in told.answer
    with open_log(log.path) as kept:
        assert kept
        what = [one.event for one in kept.openings(["repair"])]
    assert any(b"restored from a backup" in said for said in what)
    assert any(b"older than the last delivered head" in said for said in what)


@pytest.mark.once
def test_one_edit_of_the_database_with_every_hash_made_again_is_named_by_the_next_mail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """What a mail told a week before is changed by somebody who knows the format and has the key."""

    def meddle(log: RealLog, sender: Sender, number: int) -> None:
        if number == RESTORED:
            leaf = sender.opened[FIRST + 60 * DAY]
            log.journal.within(lambda db: _forged(db, leaf))

    log, mails = lived(tmp_path / "home", meddle)
    with open_log(log.path) as kept:
        assert kept
        assert all("signed head" in one.why for one in check(kept.db).broken), "the hashes fit each other"
    told = judged(tmp_path / "mails", mails, capsys)
    day = _number_on(RESTORED)
    assert (told.code, f"(mail {day}: the record that mail {day - 1} told was changed)" in told.answer) == (1, True)


def _forged(db: apsw.Connection, leaf: int) -> None:
    db.execute(
        "UPDATE events SET payload = replace(payload, '\"monitored\":', '\"monitored\":1')"
        " WHERE id = (SELECT event FROM openings WHERE n = ?)",
        (leaf,),
    )
    payload, salt = db.execute("SELECT payload, salt FROM openings JOIN events ON id = event WHERE n = ?", (leaf,)).get
    hash_ = merkle.commitment(bytes(salt), str(payload).encode())
    db.execute("UPDATE commitments SET hash = ? WHERE n = ?", (hash_, leaf))
    hashes = [merkle.leaf_hash(bytes(kept)) for (kept,) in db.execute("SELECT hash FROM commitments ORDER BY n")]
    tree, nodes = grown(merkle.EMPTY, hashes)
    db.execute("UPDATE tree SET peaks = ?", (b"".join(tree.peaks),))
    for level, place, node in nodes:
        db.execute("UPDATE nodes SET hash = ? WHERE level = ? AND place = ?", (node, level, place))


def _number_on(day: int) -> int:
    """Number of the seal that is sent the morning after this day: the pairing, a seal a day, a report a week."""
    return 1 + (day + 1) + day // 7
