"""How `control` follows whose account is in front: the record, and the file for `dns` and the proxy."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from blockerd import clock
from blockerd.control.front import CALM, LEASE, WHAT, InFront, is_another
from blockerd.dns.front import FILE, read
from blockerd.process import boot_id, run_folder
from blockerd.settings import Settings, State
from tests.fakes.sharing import Home
from tests.system.test_seats import logind

SECOND = 1_000_000


class Machine:
    """A machine with one seat; its clock stands until `passes`."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, named: tuple[str, ...] = ("ann",)) -> None:
        self.settings = Settings(state=State(folder / "var"))
        self.root, self.named = folder / "root", named
        self.now, self.said = 1000 * SECOND, list[dict[str, Any]]()
        self.asked, self.front = 0, ""
        monkeypatch.setattr(clock, "boottime_us", lambda: self.now)
        self.seat = self.root / "run/systemd/seats/seat0"
        self.seat.parent.mkdir(parents=True)
        self.seat.write_text("")
        self.path = run_folder(self.settings) / FILE
        self.followed = self.start()

    def start(self) -> InFront:
        return InFront(self.settings, self.said.append, lambda: self.named, self.root, self._run)

    def _run(self, words: Sequence[str]) -> tuple[int, str]:
        self.asked += words[1] == "list-seats"
        sessions = {"1": (self.front, "user"), "g": ("gdm", "greeter")}
        return logind({"seat0": "1" if self.front else "g"}, sessions)(words)

    def comes(self, person: str) -> None:
        self.front = person
        beside = self.seat.with_suffix(".new")
        beside.write_text(person)
        beside.replace(self.seat)

    async def passes(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)
        self.followed.look()
        if looking := self.followed._looking:
            await looking

    @property
    def told(self) -> list[tuple[str, str]]:
        assert {(one["kind"], one["what"]) for one in self.said} <= {("resolver-path", "account")}
        return [(one["old"], one["new"]) for one in self.said]

    @property
    def left(self) -> int:
        """Microseconds for which another account is believed to be in front."""
        return max(0, read(self.path, boot_id()) - self.now)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def story(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 10))


def test_when_another_account_comes_and_goes_is_on_record_and_in_the_file(machine: Machine):
    async def work() -> None:
        machine.comes("ann")
        await machine.passes(1)
        assert (machine.told, machine.left) == ([], 0)
        machine.comes("ben")
        await machine.passes(1)
        assert (machine.told, machine.left) == ([("", "another")], LEASE)
        machine.comes("ann")
        await machine.passes(1)
        assert (machine.told, machine.left) == ([("", "another"), ("another", "")], 0)

    story(work)


def test_it_is_believed_for_as_long_as_control_looks_and_after_sleep_at_once(machine: Machine):
    async def work() -> None:
        machine.comes("ben")
        for _ in range(300):
            await machine.passes(1)
            assert machine.left > LEASE // 2
        assert machine.asked == 300 // CALM, "logind is asked once a minute where nothing changes"
        machine.now += 8 * 3600 * SECOND
        assert machine.left == 0
        await machine.passes(0)
        assert (machine.left, machine.told) == (LEASE, [("", "another")])

    story(work)


@pytest.mark.parametrize(("named", "front"), [((), "ben"), (("ann",), ""), (("ann",), "root"), (("ann", "ben"), "ben")])
def test_all_is_recorded_where_nobody_else_is_known_to_be_in_front(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: tuple[str, ...], front: str
):
    machine = Machine(tmp_path, monkeypatch, named)

    async def work() -> None:
        machine.comes(front)
        await machine.passes(1)
        assert (machine.told, machine.left) == ([], 0)

    story(work)


def test_whoever_is_named_later_counts_at_the_next_glance(machine: Machine):
    async def work() -> None:
        machine.comes("ben")
        await machine.passes(1)
        machine.named = ("ann", "ben")
        await machine.passes(1)
        assert (machine.told[-1], machine.left) == (("another", ""), 0)

    story(work)


def test_a_restart_changes_nothing_until_the_first_look_and_then_says_what_is(machine: Machine):
    async def work() -> None:
        machine.comes("ben")
        await machine.passes(1)
        machine.followed = machine.start()
        assert machine.left > 0
        await machine.passes(1)
        assert machine.told == [("", "another"), ("", "another")]
        machine.comes("ann")
        machine.followed = machine.start()
        await machine.passes(1)
        assert (machine.told[2:], machine.left) == ([], 0)

    story(work)


def test_a_file_that_cannot_be_written_is_told_once_and_tried_again(machine: Machine, caplog: pytest.LogCaptureFixture):
    async def work() -> None:
        machine.path.with_suffix(".new").mkdir()
        machine.comes("ben")
        for _ in range(3):
            await machine.passes(CALM)
        assert (len(caplog.records), machine.left) == (1, 0)
        machine.path.with_suffix(".new").rmdir()
        await machine.passes(CALM)
        assert machine.left == LEASE

    story(work)


def test_of_two_seats_one_of_ones_own_is_enough():
    mine = frozenset({"ann"})
    assert not is_another(frozenset({"ann", "ben"}), mine)
    assert is_another(frozenset({"ben", "cem"}), mine)


def test_the_note_says_for_how_long_and_no_more(shared: Home):
    for at, old, new in (("17T20:00", "", "another"), ("17T22:30", "another", "")):
        shared.until(f"2026-11-{at}+01:00")
        event = {"kind": "resolver-path", "at": shared.now, "what": WHAT, "old": old, "new": new, "detail": ""}
        shared.writer.event(event)
    shared.until("2026-11-22T18:00+01:00")
    (note,) = [" ".join(one.text.split()) for one in shared.got("Robin") if "account" in one.text]
    assert "Somebody else's account was in front of this computer for 2 h 30 min: filtered, and not recorded." in note
