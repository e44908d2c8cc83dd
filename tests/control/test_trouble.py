"""What is wrong with one reader, one mail or one day is told in the status, and keeps nobody else waiting."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import blockerd.journal.outbox as mailbox
from blockerd.control import days
from blockerd.control.reports import Reports
from blockerd.journal.schema import JournalError
from blockerd.report import consent
from blockerd.report.partner import State
from blockerd.settings import RoadName
from tests.fakes.mailserver import MailServer
from tests.fakes.sharing import HOUR, Home, partner

if TYPE_CHECKING:
    from blockerd.report.deliver import Road

ROBIN, SAM = partner("Robin", "spouse"), partner("Sam", "mentor")


@pytest.fixture
def home(tmp_path: Path, server: MailServer) -> Iterator[Home]:
    """Two readers; all have agreed."""
    home = Home(tmp_path, server, "2026-11-09T12:00+01:00", ROBIN, SAM)
    home.sign("start")
    home.agree()
    home.pair("Robin")
    home.pair("Sam")
    yield home
    home.close()


def test_an_address_no_server_can_be_told_is_told_and_keeps_nobody_else_waiting(home: Home):
    address = "robin@bücher.example"
    moved = replace(home.partner("Robin"), address=address)
    home.keeper.within(lambda db: mailbox.put_partner(db, moved))
    home.change(partner("Robin", "spouse", address), SAM)
    home.until("2026-11-09T19:00+01:00")
    assert home.got("Sam")[-1].line("kind") == "seal"
    assert "beyond ASCII" in home.reports.note
    home.until("2026-11-15T18:00+01:00", step=6 * HOUR)
    assert home.got("Sam")[-1].line("kind") == "report"


def test_a_record_of_a_reader_that_cannot_be_read_keeps_nobody_else_waiting(home: Home):
    home.keeper.within(lambda db: db.execute("UPDATE partners SET said = '{}' WHERE name = 'Robin'"))
    home.until("2026-11-15T18:00+01:00", step=6 * HOUR)
    assert home.got("Sam")[-1].line("kind") == "report"
    assert "internal error (KeyError at outbox.py:" in home.reports.note


def test_a_day_that_cannot_be_told_keeps_nobody_from_leaving(home: Home, monkeypatch: pytest.MonkeyPatch):
    def odd(*_: object) -> None:
        raise KeyError("private.test")

    monkeypatch.setattr(days, "owed", odd)
    home.until("2026-11-10T12:00+01:00", step=6 * HOUR)
    consent.leave(home.settings.state.dir, "Robin")
    home.tick()
    assert "Sharing has ended" in home.got("Robin")[-1].text
    assert home.partner("Sam").reads
    assert "internal error (KeyError at test_trouble.py:" in home.reports.note
    assert "private.test" not in home.reports.note


@pytest.mark.parametrize("where", ["open", "send"])
def test_a_road_that_breaks_in_an_odd_way_keeps_no_other_waiting(home: Home, where: str):
    class Odd:
        name = "webhook"
        hosts: tuple[tuple[str, int], ...] = ()

        async def open(self) -> "Odd":
            if where == "open":
                raise KeyError("a road")
            return self

        async def send(self, recipient: str, message: bytes) -> None:
            raise KeyError(recipient)

        async def close(self) -> None:
            pass

    home.change(ROBIN, SAM, partner("Kim", "spouse", road=RoadName.WEBHOOK))
    ways: dict[str, Road] = {"smtp": home.road, "webhook": Odd()}
    home.reports = Reports(home.settings, home.keeper, now=lambda: home.now, chance=home.chance.randbytes, roads=ways)
    home.request("partner-invite", name="Kim")
    assert "internal error (KeyError" in home.reports.note
    home.until("2026-11-09T19:00+01:00")
    assert home.got("Robin")[-1].line("kind") == home.got("Sam")[-1].line("kind") == "seal"


def test_a_reader_who_left_is_forgotten_only_once_that_is_on_the_disk(home: Home, monkeypatch: pytest.MonkeyPatch):
    folder = home.settings.state.dir
    consent.leave(folder, "Robin")
    within = home.keeper.within

    def full(work: Callable[[Any], Any]) -> Any:  # noqa: ANN401
        def late(db: Any) -> Any:  # noqa: ANN401
            found = work(db)
            if mailbox.partners(db)["Robin"].state == State.LEFT:
                raise JournalError("no space left on the disk")
            return found

        return within(late)

    monkeypatch.setattr(home.keeper, "within", full)
    home.loop.run(home.reports.tick())
    assert "no space left" in home.reports.note
    monkeypatch.undo()
    assert home.partner("Robin").reads, "nothing of it reached the journal"
    home.tick()
    assert home.partner("Robin").state == State.LEFT
    assert consent.leaving(folder) == set()
