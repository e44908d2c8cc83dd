"""Hands over what waits: each reader's mails in order, each once, tried again at most hourly after the first tries.

A mail gets its bytes once the road is open. Where the other side said no, they are taken back; where nobody knows, they
stay as they are and go again under the same Message-ID. Refuses to send anything that is no longer agreed. Called by
`control.reports` on the event loop; the journal is written in worker threads.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import blockerd.journal.outbox as mailbox
from blockerd.control.journal import Keeper
from blockerd.control.mails import Maker, own_road
from blockerd.control.trouble import line_of
from blockerd.journal.entry import ReportSent
from blockerd.journal.forget import COPIES
from blockerd.journal.grow import add_entries
from blockerd.journal.heads import mark_delivered
from blockerd.journal.outbox import USER, RoadState, Row, Stand
from blockerd.journal.schema import Connection
from blockerd.report.deliver import HOUR_US, NotDelivered, Outcome, Road, Session, wait
from blockerd.report.partner import MINE, SECRET, Says, Send, State
from blockerd.report.roads.file import FileRoad
from blockerd.settings import RoadName

log = logging.getLogger(__name__)

T = TypeVar("T")

TOLD_AGAIN_US = 7 * 24 * HOUR_US
"""The user is told again of an address that takes no mail after this time."""


class Post:
    """Delivers what the journal behind `keeper` holds; `now` is Unix µs, `agreed` is asked before each mail."""

    def __init__(self, keeper: Keeper, maker: Maker, now: Callable[[], int], agreed: Callable[[Row], bool]) -> None:
        self.keeper = keeper
        self.maker = maker
        self.now = now
        self.agreed = agreed
        self._unsaved: dict[int, Row] = {}
        self._taken = self._turned_away = 0

    async def deliver(self, roads: Mapping[str, Road], *, force: bool = False) -> str:
        """Sends what is due; a line about what is in the way, "" for nothing. `force`: does not wait for its time."""
        for row in list(self._unsaved.values()):
            await self._save(row)
        waiting = await self._within(lambda db: _heads(mailbox.rows(db, open_only=True), self.now(), force))
        troubles = []
        for name in sorted({row.road for row in waiting}, reverse=True):
            lanes = sorted({row.lane for row in waiting if row.road == name}, key=lambda lane: lane == USER)
            road = roads.get(name)
            troubles.append(await self._along(road, lanes, force) if road else _nowhere(name))
        return _joined(troubles)

    async def _along(self, road: Road, lanes: Sequence[str], force: bool) -> str:
        """What of `lanes` goes by `road`; a line about what is in the way, "" for nothing."""
        state = await self._within(lambda db: mailbox.road(db, road.name))
        if not force and 0 < state.next_try - self.now() <= HOUR_US:
            return state.trouble
        troubles, before = list[str](), (self._taken, self._turned_away)
        for lane in lanes:
            try:
                session = await road.open()
            except Exception as error:  # a road that is broken in an odd way is closed; the others are gone
                await self._closed(road, state, told := line_of(error))
                return told
            try:
                troubles.append(await self._lane(session, lane, road.name, force))
            finally:
                await session.close()
        trouble = _joined(troubles)
        taken, away = self._taken - before[0], self._turned_away - before[1]
        if away and not taken:
            await self._closed(road, state, trouble)  # it takes nothing from anybody: not each reader knocks anew
        elif state.tries:
            await self._within(lambda db: mailbox.put_road(db, road.name, RoadState()))
        return trouble

    async def _closed(self, road: Road, state: RoadState, trouble: str) -> None:
        """The road cannot be gone now: when it is tried again."""
        told = RoadState(state.tries + 1, self.now() + wait(state.tries + 1), trouble)
        await self._within(lambda db: mailbox.put_road(db, road.name, told))

    async def _lane(self, session: Session, lane: str, road: str, force: bool) -> str:
        """One reader's mails by this road until there is none or one is in the way: what, "" for nothing."""
        while (row := await self._head(lane, force)) and row.road == road:
            if told := await self._one(session, row):
                return told
        return ""

    async def _head(self, lane: str, force: bool) -> Row | None:
        return await self._within(lambda db: _head_of(db, lane, self.now(), force))

    async def _one(self, session: Session, row: Row) -> str:
        """One mail; a line about what is in the way, "" where the next of its lane may follow."""
        if not await asyncio.to_thread(self.agreed, row):
            await self._within(lambda db: mailbox.done(db, row.id, Stand.DROPPED, self.now()))
            return ""
        fresh = row.state == Stand.WAITING
        try:
            sealed = await self._within(lambda db: self._sealed(db, row))
        except Exception as error:  # a mail that cannot be made keeps its lane waiting, and no other
            told = f"mail to {row.lane or 'yourself'}: {line_of(error)}"
            await self._later(row, told)
            return told
        assert sealed.body is not None
        try:
            await session.send(sealed.address, sealed.body)
        except NotDelivered as error:
            return await self._not_delivered(sealed, error, fresh)
        except Exception as error:  # nobody knows how far it came: the same mail again, later
            told = f"mail to {row.lane or 'yourself'}: {line_of(error)}"
            return await self._not_delivered(sealed, NotDelivered(Outcome.UNSURE, told), fresh)
        self._taken += 1
        self._unsaved[sealed.id] = sealed
        await self._save(sealed)
        return ""

    async def _save(self, row: Row) -> None:
        """Puts on record that `row` was taken. Where that cannot be now it is tried again, and the mail not sent again.

        Raises:
            JournalError, OSError: it cannot be now.
        """
        await self._within(lambda db: self._sent(db, row))
        del self._unsaved[row.id]
        await self._keep(row)

    def _sealed(self, db: Connection, row: Row) -> Row:
        if row.state == Stand.WAITING:
            mailbox.seal(db, row.id, self.maker.sealed(db, row, self.now()))
        found = mailbox.row(db, row.id)
        assert found is not None
        return found

    async def _not_delivered(self, row: Row, error: NotDelivered, fresh: bool) -> str:
        """What is done after a no; "" where the lane goes on without this mail."""
        log.warning("report: %s", error)
        if error.outcome == Outcome.REFUSED:
            await self._within(lambda db: self._refused(db, row, str(error), fresh))
            return ""
        if fresh and error.outcome != Outcome.UNSURE:
            await self._within(lambda db: mailbox.unseal(db, row.id))
        self._turned_away += 1
        await self._later(row, str(error))
        return str(error)

    async def _later(self, row: Row, trouble: str) -> None:
        at = self.now() + wait(row.tries + 1)
        await self._within(lambda db: mailbox.later(db, row.id, at, trouble))

    def _sent(self, db: Connection, row: Row) -> None:
        """Everything that a yes means, in one transaction."""
        now = self.now()
        mailbox.done(db, row.id, Stand.SENT, now)
        if row.number is not None and row.head is not None and row.root is not None:
            mark_delivered(db, self._journal, row.head, now)
            digest, root = (row.digest or b"").hex(), row.root.hex()
            label = _label(row)
            sent = ReportSent(now, row.number, str(row.role), label, digest, row.size or 0, root)
            add_entries(db, [sent])
        if row.what in (Says.REMOVED, Says.NEUTRAL) and (partner := mailbox.partners(db).get(row.lane)):
            mailbox.put_partner(db, replace(partner, state=State.LEFT))
        mine = self.maker.settings.report.smtp.from_
        by_mail = row.road == RoadName.SMTP and row.address != mine
        if by_mail and row.lane != USER and row.what not in SECRET and row.what != Says.SEAL:
            mailbox.copy(db, row, mine, now)

    def _refused(self, db: Connection, row: Row, trouble: str, fresh: bool) -> None:
        """The address takes no mail: the user is told, not every day anew."""
        now = self.now()
        if fresh:
            mailbox.unseal(db, row.id)
        mailbox.done(db, row.id, Stand.REFUSED, now, trouble)
        told = [one for one in mailbox.rows_saying(db, [Says.REFUSED_MINE]) if now - one.queued < TOLD_AGAIN_US]
        if row.lane == USER or any(one.detail.get("partner") == row.lane for one in told):
            return
        settings = self.maker.settings
        send = Send(Says.REFUSED_MINE, row.place, settings.report.smtp.from_, row.role, road=own_road(settings))
        mailbox.queue(db, USER, send, now, now, {"partner": row.lane, "address": row.address})

    async def _keep(self, row: Row) -> None:
        """The user's own copy of what was sent; never of a mail whose code is the reader's alone."""
        if row.lane == USER or row.what in SECRET or row.what in MINE or row.body is None:
            return
        made = f"{(row.made or 0) // 1_000_000}"
        try:
            road = await FileRoad(self._journal.parent / COPIES).open()
            await asyncio.to_thread(road.put, f"note-{made}-{row.place}-{row.number}.eml", row.body)
        except NotDelivered as error:
            log.warning("report: the copy for yourself: %s", error)

    @property
    def _journal(self) -> Path:
        return self.maker.settings.state.dir / "journal.sqlite"

    def _within(self, work: Callable[[Connection], T]) -> Awaitable[T]:
        return asyncio.to_thread(self.keeper.within, work)


def _joined(troubles: Sequence[str]) -> str:
    """One line, each of them once."""
    return "; ".join(filter(None, dict.fromkeys(troubles)))


def _heads(rows: list[Row], now: int, force: bool) -> list[Row]:
    """The first of each lane, where its time has come."""
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(row.lane, row)
    return [row for row in first.values() if _ripe(row, now, force)]


def _head_of(db: Connection, lane: str, now: int, force: bool) -> Row | None:
    rows = [row for row in mailbox.rows(db, open_only=True) if row.lane == lane]
    return rows[0] if rows and _ripe(rows[0], now, force) else None


def _ripe(row: Row, now: int, force: bool) -> bool:
    """True if its time has come. A time further off than any wait was set by a clock that was wrong."""
    return row.due <= now and (force or not 0 < row.next_try - now <= HOUR_US)


def _nowhere(road: str) -> str:
    """That a road has no end in the settings."""
    if road == RoadName.SMTP:
        return "report.smtp.from is not set: mails wait; write the sender's address there"
    return f"report.{road}.url is not set, or no address: notes wait; write https://host/path there"


def _label(row: Row) -> str:
    periods = row.detail.get("periods") or []
    return f"{periods[-1][0]}/P{periods[-1][1]}D" if periods else str(row.what)
