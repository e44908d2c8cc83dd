"""What `control` does about notes: tells the days, decides what is due, asks readers again, hands mails over.

Everything is decided from the journal and the wall clock, at each tick anew; a tick that comes late or twice changes
nothing. Refuses to share anything without the consent of both. Called by `control` at its start, each minute (and so
soon after a sleep), and for what comes over its socket.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import blockerd.journal.outbox as mailbox
from blockerd import clock
from blockerd.control import days as control_days
from blockerd.control import doubt
from blockerd.control import halt as halt
from blockerd.control.journal import Keeper
from blockerd.control.mails import Maker, detail_of, own_road, since_day
from blockerd.control.post import Post
from blockerd.control.roads import roads_of
from blockerd.control.trouble import line_of
from blockerd.journal import readers
from blockerd.journal.continuity import begun_anew
from blockerd.journal.log import Log
from blockerd.journal.outbox import USER, Row
from blockerd.journal.read import View
from blockerd.journal.rewind import contradicted, rewind
from blockerd.journal.schema import Connection, JournalError
from blockerd.journal.spool import Level
from blockerd.report import consent, encrypt
from blockerd.report import partner as people
from blockerd.report.coverage import Boot
from blockerd.report.deliver import Road
from blockerd.report.due import Sent, due
from blockerd.report.partner import CODE_BYTES, MINE, NotAgreed, Partner, Says, Send, State, Step, Wanted
from blockerd.report.period import Period, day_of, run_of
from blockerd.settings import Role, Settings

log = logging.getLogger(__name__)

FIRST_TICK, TICK_EVERY = 5.0, 60.0
"""Seconds after the start, and between two ticks."""

AT_THE_END = 1.0
"""Seconds that the mail under way may take once the process is told to end; cut off, it goes again as the same mail."""

ANEW = "the journal was begun anew and knows no reader; ask them again: blockerd partner invite NAME"

Boots = Callable[[int], Sequence[Boot] | None]


class Reports:
    """The notes of one install. `now` gives Unix µs, `chance` random bytes, `boots` the boots that the system knows,
    `filters` whether the filter runs, `doubt` for how long (µs) the clock is not to be believed, `kept` whether NTP
    keeps it.

    `trouble` is one line about what is in the way of delivery, "" for nothing; `roads` replace that of the settings.
    """

    def __init__(
        self,
        settings: Settings,
        keeper: Keeper,
        *,
        now: Callable[[], int] = clock.now_us,
        chance: Callable[[int], bytes] = os.urandom,
        boots: Boots = lambda _: None,
        filters: Callable[[], bool] = lambda: True,
        doubt: Callable[[], int] = lambda: 0,
        kept: Callable[[], bool] = lambda: False,
        roads: Mapping[str, Road] | None = None,
    ) -> None:
        self.trouble = ""
        self._anew = self._waits = ""
        self._owed = False
        """Days are over that cannot be told yet, since not all of them is stored: notes about them wait."""
        self._keeper = keeper
        self._now = now
        self._chance = chance
        self._boots = boots
        self._doubt = doubt
        self._kept = kept
        self._watch = halt.Watch(filters)
        self._roads = roads
        self._maker = Maker(settings, self._names)
        self._post = Post(keeper, self._maker, now, self._agreed)
        self._alone = asyncio.Lock()

    @property
    def settings(self) -> Settings:
        """The settings in force; `control` sets them anew when the file was edited."""
        return self._maker.settings

    @settings.setter
    def settings(self, fresh: Settings) -> None:
        self._maker.settings = fresh

    async def tick(self, *, force: bool = False) -> None:
        """Everything that is due now. Trouble is told once, and tried again with the next tick.

        While the clock is in doubt no day is told and nothing becomes due; what is asked for now goes all the same.
        """
        async with self._alone:
            troubles: list[str] = []
            try:
                sure = await asyncio.to_thread(self._sure)
                troubles += await asyncio.to_thread(self._decide, sure=sure)
                if sure or force:
                    troubles.append(await self._post.deliver(self._ways(), force=force))
                await asyncio.to_thread(self._remember)
            except Exception as error:  # told, and tried again: what is odd now must not end the notes
                troubles.append(line_of(error))
            trouble = "; ".join(filter(None, dict.fromkeys(troubles)))
            if trouble and trouble != self.trouble:
                log.warning("report: %s", trouble)
            self.trouble = trouble

    @property
    def note(self) -> str:
        """What the user should know of the notes now, "" for nothing: what is in the way, or what is to be sent."""
        return "; ".join(filter(None, (self._watch.told(self._zone), self._anew, self._waits, self.trouble)))

    async def end(self) -> None:
        """Nothing more is begun; what is under way may finish, within AT_THE_END."""
        with suppress(TimeoutError):
            async with asyncio.timeout(AT_THE_END):
                await self._alone.acquire()

    def keep_from(self) -> int | None:
        """From when on (Unix µs) the record is still needed for days that are not told; None before the first."""
        last = self._keeper.within(_last_told)
        if last is None:
            return None
        first = last + timedelta(days=1 - control_days.LOOK_BACK)
        return run_of(first, 1, self._zone).start

    async def answer(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """The answer to a request over the socket; None where it is none about notes."""
        asked = self._requests.get(str(request.get("do")))
        if asked is None:
            return None
        try:
            async with self._alone:
                said = await asyncio.to_thread(asked, self, request)
                self.trouble = await asyncio.to_thread(_tried, self._remember) or self.trouble  # what is done, counts
        except (NotAgreed, JournalError, OSError, encrypt.AgeKeyError) as error:
            return {"error": str(error)}
        if asked is Reports._again or request.get("now") is True:
            await self.tick(force=True)
        if self.trouble and request.get("now") is True:
            return {"error": self.trouble}
        return {"said": said, "trouble": self.trouble}

    def _remember(self) -> None:
        """Notes beside the journal who reads, so that a new one goes on with them."""
        self._keeper.within(lambda db: readers.remember(db, self.settings.state.dir / "journal.sqlite"))

    # -- what a tick decides

    def _sure(self) -> bool:
        """Whether the clock is believed; where it is not and somebody waits, the user is told."""
        now, left = self._now(), self._doubt()
        behind = not left and self._keeper.within(lambda db: contradicted(db, now)) and not self._kept()
        why = doubt.why(now, left, self._zone, behind=behind)
        self._waits = why if why and self._keeper.within(doubt.waits) else ""
        return not why

    def _decide(self, *, sure: bool) -> list[str]:
        """Days, each reader, the filter: what is in the way of one keeps nothing else waiting. All that is."""
        self._owed = False
        troubles = [_tried(self._tell_days)] if sure else []
        notes = sure and not self._owed
        try:
            names = self._keeper.within(mailbox.names)
        except (JournalError, OSError) as error:
            return [*troubles, str(error)]
        folder = self.settings.state.dir
        unknown = not names and bool(self._wanted()) and consent.read(folder) is not None
        self._anew = ANEW if unknown and self._keeper.within(lambda db: begun_anew(Log(db))) else ""
        for name in consent.leaving(folder).difference(names):
            consent.left(folder, name)
        troubles += [_tried(partial(self._step, name, sure=notes)) for name in names]
        if not sure:
            return troubles
        return [*troubles, _tried(lambda: self._keeper.within(lambda db: self._watch.look(db, self._now())))]

    def _tell_days(self) -> None:
        """Leaves for the days that are over, once all of them is stored: what comes later is told with the next."""
        now, zone, plan = self._now(), self._zone, control_days.plan_of(self.settings)
        last, leaf = self._keeper.within(lambda db: self._told(db, now))
        if last is not None and last >= day_of(now, zone) - timedelta(days=1):
            return
        self._owed = True
        self._keeper.settle()
        self._owed = False
        month = day_of(now, zone) - timedelta(days=30)
        counts = self._keeper.within(lambda db: control_days.counts_told(Log(db), month))
        with self._view() as view:
            days = control_days.owed(last, control_days.begun(view), now, zone)
            self._owed = bool(days) and view.waits(run_of(days[-1], 1, zone).end)
            if days and not self._owed:
                since = self._keeper.within(lambda db: control_days.told_until(Log(db), days[0] - timedelta(days=1)))
                boots = self._boots(now)
                found = control_days.summarised(view, days, boots, now, zone, counts, plan, leaf, since)
                self._keeper.within(lambda db: control_days.keep(db, found, zone, since))

    def _told(self, db: Connection, now: int) -> tuple[date | None, int | None]:
        """The last day that is told, and the last leaf that tells one, once what a clock that was ahead told is taken
        back."""
        rewind(db, now, control_days.SETTLED_US)
        doubt.set_right(db, now, self._kept)
        return _last_told(db), max(mailbox.summaries(db, Role.SELF).values(), default=None)

    def _step(self, name: str, *, sure: bool) -> None:
        """One reader and their mails as they should be now; that they leave is forgotten once it is on the disk."""
        folder = self.settings.state.dir
        leaving = name in consent.leaving(folder)
        ends = leaving or consent.read(folder) is None
        self._keeper.within(lambda db: self._end_of(db, name) if ends else self._step_of(db, name, sure=sure))
        if leaving:
            consent.left(folder, name)

    def _end_of(self, db: Connection, name: str) -> None:
        partner = mailbox.partner(db, name)
        self._take(db, people.leave(partner), partner, self._now())

    def _step_of(self, db: Connection, name: str, *, sure: bool) -> None:
        now, partner = self._now(), mailbox.partner(db, name)
        place, code = mailbox.next_place(db), self._code()
        step = people.reconcile(partner, self._wanted().get(name), now, code, place)
        self._take(db, step, partner, now)
        if not sure:
            return
        again = people.tick(step.partner, now, self._code())
        self._take(db, again, step.partner, now)
        if again.partner.reads:
            self._report_due(db, again.partner, now)
            self._seal_due(db, again.partner, now)

    def _take(self, db: Connection, step: Step, before: Partner, now: int) -> None:
        """Keeps a step and queues its mails; what must not go out any more does not."""
        after = step.partner
        if after == before and not step.sends:
            return
        if not after.reads and after.state != State.INVITED:
            mailbox.drop(db, after.name, now)
        mailbox.put_partner(db, after)
        if after.reads and after.place != before.place:
            mailbox.move(db, after.name, after.place, after.role, now)
        for send in step.sends:
            if send.what in MINE:
                mine = replace(send, address=self.settings.report.smtp.from_, road=own_road(self.settings))
                mailbox.queue(db, USER, mine, now, now, {"partner": after.name})
            else:
                mailbox.queue(db, after.name, send, now, now)

    def _report_due(self, db: Connection, partner: Partner, now: int) -> None:
        report = self.settings.report
        owed = due(mailbox.ledger(db, partner), report.every, report.send_at, self._zone, now)
        if owed is None or owed.period.end + control_days.SETTLED_US > now:
            return
        owed = replace(owed, missed=(*self._refused(db, partner), *owed.missed))
        period = owed.period
        mailbox.queue(db, partner.name, _send(partner, Says.REPORT), now, owed.due, detail_of(owed))
        word = people.word_of(partner.stop_code, period.label)
        mailbox.told(db, partner.name, Sent(period.label, period.end, now), word)

    def _refused(self, db: Connection, partner: Partner) -> tuple[Period, ...]:
        """Periods of notes that the reader's server did not take: the next note says so."""
        first = since_day(partner, self._zone)
        found = {
            date.fromisoformat(begin): count
            for row in mailbox.refused_since(db, partner.name)
            for begin, count in row.detail.get("periods", [])
            if date.fromisoformat(begin) >= first
        }
        return tuple(run_of(begin, count, self._zone) for begin, count in sorted(found.items()))

    def _seal_due(self, db: Connection, partner: Partner, now: int) -> None:
        """A seal a day, at the hour of the notes, unless another mail of the row was queued since that hour."""
        newest = mailbox.newest(db, partner.place)
        moment = self._hour(now) if newest is not None else now
        waiting = any(row.lane == partner.name and row.what == Says.SEAL for row in mailbox.rows(db, open_only=True))
        if not waiting and (newest is None or newest < moment):
            mailbox.queue(db, partner.name, _send(partner, Says.SEAL), now, moment)

    def _hour(self, now: int) -> int:
        """The latest moment up to `now` at which the clock on the wall showed the hour of the notes."""
        hour, minute = divmod(self.settings.report.send_at.minute, 60)
        today = day_of(now, self._zone)
        for back in range(3):
            day = today - timedelta(days=back)
            at = datetime(day.year, day.month, day.day, hour, minute, tzinfo=self._zone)
            if (moment := int(at.timestamp()) * 1_000_000) <= now:
                return moment
        return now

    # -- what is asked over the socket

    def _invite(self, request: Mapping[str, Any]) -> str:
        wanted = self._wanted().get(name := _text(request, "name"))
        if wanted is None:
            raise NotAgreed(f"{name}: no [[report.partner]] of this name in the settings; add it there first")
        if consent.read(self.settings.state.dir) is None:
            raise NotAgreed("you have not agreed to share anything yet; blockerd consent")
        if not self.settings.report.smtp.from_:
            raise NotAgreed("report.smtp.from is not set; write the sender's address there first")

        def work(db: Connection) -> None:
            known = mailbox.partners(db).get(name)
            step = people.invite(known, wanted, mailbox.next_place(db), (self._code(), self._code()), self._now())
            if known is not None:
                mailbox.drop(db, name, self._now())
            mailbox.put_partner(db, step.partner)
            mailbox.queue(db, name, step.sends[0], self._now(), self._now())

        self._keeper.within(work)
        return f"one mail goes to {wanted.address}, and no other until you enter: blockerd partner accept {name} CODE"

    def _accept(self, request: Mapping[str, Any]) -> str:
        name, code, key = _text(request, "name"), _text(request, "code"), str(request.get("key") or "")
        key = encrypt.checked(key) if key else ""

        def work(db: Connection) -> Step:
            partner = mailbox.partners(db).get(name)
            if partner is None:
                raise NotAgreed(f"{name}: nobody of this name was asked; blockerd partner invite {name}")
            step = people.accept(partner, code, self._now(), mailbox.next_place(db))
            if step.partner.wrong <= partner.wrong and key:
                step = replace(step, partner=replace(step.partner, key=key))
            self._take(db, step, partner, self._now())
            return step

        step = self._keeper.within(work)
        if step.partner.wrong:
            raise NotAgreed(f"{name}: this is not the code; look at the newest mail ({_left(step.partner)} tries left)")
        until = day_of(step.partner.until, self._zone)
        return f"{name} reads the notes ({step.partner.role}), until both are asked again by {until}"

    def _stop(self, request: Mapping[str, Any]) -> str:
        code = _text(request, "code")

        def work(db: Connection) -> str:
            for partner in mailbox.partners(db).values():
                if step := people.stop(partner, code, self._now()):
                    self._take(db, step, partner, self._now())
                    return partner.name
            raise NotAgreed("no mails have this code; it stands in the first lines of each of them")

        return f"{self._keeper.within(work)} gets no more mails but one that says so"

    def _remark(self, request: Mapping[str, Any]) -> str:
        text = str(request.get("text") or "")
        self._keeper.within(lambda db: mailbox.remark(db, text[:2000], self._now()))
        return "it stands in the next note to each reader" if text else "your note is taken back"

    def _talked(self, request: Mapping[str, Any]) -> str:
        word = _text(request, "word")
        if not self._keeper.within(lambda db: mailbox.talk(db, word, self._now())):
            raise NotAgreed(f"{word}: no note has this word, or its talk was counted; it stands near the end of a note")
        return "a talk is counted, and nothing else about it"

    def _again(self, _: Mapping[str, Any]) -> str:
        return "what is due is tried now"

    def _halt(self, request: Mapping[str, Any]) -> str:
        how, hold = _text(request, "how"), 0 if request.get("now") is True else halt.HOLD_US
        return self._keeper.within(lambda db: halt.asked(db, how, self._now(), hold))

    _requests: Mapping[str, Callable[["Reports", Mapping[str, Any]], str]] = {
        "partner-invite": _invite, "partner-accept": _accept, "partner-stop": _stop, "report-note": _remark,
        "report-talked": _talked, "report-send": _again, "report-halt": _halt,
    }  # fmt: skip

    # -- what both need

    def _agreed(self, row: Row) -> bool:
        """True unless consent was withdrawn since the mail was queued; word of an end may still go."""
        folder = self.settings.state.dir
        ends = row.what in people.LAST or row.what in MINE
        return ends or (consent.read(folder) is not None and row.lane not in consent.leaving(folder))

    def _ways(self) -> Mapping[str, Road]:
        return self._roads if self._roads is not None else roads_of(self.settings)

    def _wanted(self) -> dict[str, Wanted]:
        return {one.name: Wanted(one.name, one.address, one.role, one.road) for one in self.settings.report.partner}

    def _code(self) -> str:
        return people.code_of(self._chance(CODE_BYTES))

    def _names(self, period: Period) -> str:
        """Names of the period with counts, for a closed attachment."""
        counts: dict[str, int] = {}
        with self._view() as view:
            for attempt in view.attempts(period.start, period.end):
                if attempt.kind == "attempt" and attempt.site:
                    counts[attempt.site] = counts.get(attempt.site, 0) + 1
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return "".join(f"{count} {site}\n" for site, count in ordered) or "no names are on record\n"

    def _view(self) -> View:
        folder = self.settings.state.dir
        return View(folder / "journal.sqlite", folder / "spool", Level(self.settings.privacy.level))

    @property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.settings.time.zone)


def _last_told(db: Connection) -> date | None:
    """The last day that is told, None before the first."""
    days = mailbox.summaries(db, Role.SELF)
    return date.fromisoformat(max(days)) if days else None


def _tried(work: Callable[[], None]) -> str:
    """Does `work`; a line about what was in the way, "" for nothing."""
    try:
        work()
    except Exception as error:  # one reader's record, or one day, that cannot be read: the others go on
        return line_of(error)
    return ""


def _send(partner: Partner, what: Says) -> Send:
    return Send(what, partner.place, partner.address, partner.role, road=partner.road)


def _left(partner: Partner) -> int:
    return max(0, people.WRONG_CODES - partner.wrong)


def _text(request: Mapping[str, Any], key: str) -> str:
    found = request.get(key)
    if not isinstance(found, str) or not found.strip():
        raise NotAgreed(f"the request lacks {key}")
    return found.strip()
