"""The process `control`: drains the spool into the journal, keeps the state in step with the files, answers the socket.

It is the journal's only writer. Nothing it does can delay an answer or open a block: the resolver needs neither it
nor the database. The work of a moment runs in a worker thread, one at a time, so that the socket stays awake.
"""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from blockerd import clock
from blockerd.binding.submit import changes_between, record
from blockerd.control.front import InFront
from blockerd.control.journal import Keeper
from blockerd.control.life import Life
from blockerd.control.networks import Networks
from blockerd.control.news import list_news
from blockerd.control.peer import peer_uid
from blockerd.control.probe import EVERY as PROBE_EVERY
from blockerd.control.probe import HandNews, ProbeNews
from blockerd.control.reports import FIRST_TICK, TICK_EVERY, Reports
from blockerd.jobs import Ticks, in_seconds, workers
from blockerd.journal import clocks, spool
from blockerd.journal.append import size_of
from blockerd.journal.checkpoint import CheckpointError
from blockerd.journal.rotation import NoKey
from blockerd.journal.schema import JournalError
from blockerd.lists.added import merged
from blockerd.lists.edit import go_live
from blockerd.lists.watch import ListWatch, Touched, accept, hand_edits
from blockerd.process import Lifeline, boot_id, run_folder, running_pid, spool_folder
from blockerd.screentime.desk import Desk
from blockerd.settings import ConfigError, Settings
from blockerd.system.boots import boots

log = logging.getLogger(__name__)

DRAIN_EVERY = 0.5
WATCH_EVERY = 0.5
UPDATE_FIRST, UPDATE_EVERY = 90.0, 1800.0
"""Seconds after the start, and between two looks, at which lists whose time has come are fetched."""

CHECK_AFTER = 1.0
"""Seconds after the start at which the record is checked: the first drain has opened it by then."""

PRUNE_FIRST, PRUNE_EVERY = 600.0, 3600.0
"""Seconds after the start, and between two looks, at which what is past its time is forgotten, once a day."""

THREADS = 4
"""For what takes its time beside the socket and the clock: storing, notes, a look at the networks, an answer."""

LAST_DRAIN = 1.0
"""Seconds that a process told to end may go on storing; what is left waits in the spool for the next start."""


class ControlProcess:
    """The control process; `run` returns when it is told to end."""

    def __init__(self, settings: Settings, reload: Callable[[], Settings]) -> None:
        self._settings = settings
        self._reload = reload
        self._folder = spool_folder(settings)
        self._writer = spool.Writer(self._folder, "control", clock.now_us, clock.monotonic)
        self.keeper = Keeper(settings, self._folder)
        self.life = Life(settings, self._record)
        self.networks = Networks(settings, self._record)
        self.front = InFront(settings, self._record, self._people)
        self._hands = HandNews(settings.state.dir, self._record)
        self.reports = Reports(
            settings, self.keeper, boots=lambda now: boots(now, boot_id()), filters=self._filters,
            doubt=self.life.doubt, kept=clocks.synchronised,
        )  # fmt: skip
        self._desk = Desk(self._record, lambda: self._settings, os.environ.get("BLOCKERD_PERSON", ""))
        self._agents_at = Path(os.environ.get("RUNTIME_DIRECTORY") or run_folder(settings)) / "agent.sock"
        self.keeper.stored = self._desk.tell
        self._hup = asyncio.Event()
        self._why = "told to"

    async def run(self, lifeline: Lifeline) -> None:
        """Serves until SIGTERM, SIGINT or the supervisor's death."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(workers(THREADS))
        end = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end.set)
        loop.add_signal_handler(signal.SIGHUP, self._hup.set)
        lifeline.watch(loop, lambda: self._orphaned(end))
        self.life.start()
        server = await self._listen()
        agents = await self._listen_to_agents()
        lifeline.say("ready")
        lifeline.beat(loop)
        ticks = self._ticks()
        async with asyncio.TaskGroup() as tasks:
            lasting = (self._drain_for_ever(ticks), self._watch_for_ever(), self._check())
            work = [tasks.create_task(each) for each in lasting]
            await end.wait()
            ticks.stop()
            self.keeper.end_check()
            self.keeper.end_at = clock.monotonic() + LAST_DRAIN
            await self.reports.end()
            for task in work:
                task.cancel()
        for each in (server, agents):
            if each:
                each.close()
        (run_folder(self._settings) / "control.sock").unlink(missing_ok=True)
        self._agents_at.unlink(missing_ok=True)
        self.life.stop(self._why)
        await self._drain()
        self._writer.close()
        self.keeper.close()

    def _orphaned(self, end: asyncio.Event) -> None:
        self._why = "supervisor gone"
        end.set()

    def _ticks(self) -> Ticks:
        """What is done by the clock."""
        ticks, now = Ticks(), clock.utc(clock.now())
        ticks.every(UPDATE_EVERY, self._update_lists, first=in_seconds(now, UPDATE_FIRST))
        ticks.every(PRUNE_EVERY, self._prune, first=in_seconds(now, PRUNE_FIRST))
        ticks.every(TICK_EVERY, self.reports.tick, first=in_seconds(now, FIRST_TICK))
        ticks.every(PROBE_EVERY, ProbeNews(self._settings, self._record).tick, first=in_seconds(now, PROBE_EVERY))
        ticks.start()
        return ticks

    def _people(self) -> tuple[str, ...]:
        """The login names whose record this is; none where nobody has said so."""
        person = os.environ.get("BLOCKERD_PERSON", "")
        return (*self._settings.agent.users, *([person] if person not in ("", "root") else []))

    def _filters(self) -> bool:
        return running_pid(self._settings, "dns") > 0

    def _record(self, event: dict[str, Any]) -> None:
        """Puts an event into the spool, from where it reaches the log."""
        self._writer.event(event)

    async def _drain_for_ever(self, ticks: Ticks) -> None:
        while True:
            self.life.look(self._writer)
            self.networks.look()
            self.front.look()
            ticks.look(clock.utc(clock.now()))
            await self._drain()
            await asyncio.sleep(DRAIN_EVERY)

    async def _drain(self) -> None:
        for event in await asyncio.to_thread(self.keeper.drain):
            self._record(event)

    async def _check(self) -> None:
        """Makes every hash of the record again, once, soon after the start."""
        await asyncio.sleep(CHECK_AFTER)
        for event in await asyncio.to_thread(self.keeper.check):
            self._record(event)

    async def _prune(self) -> None:
        """Forgets what is past its time, once a day; where that cannot be done now, an hour later."""
        if not await asyncio.to_thread(self.life.time_to_prune):
            return
        try:
            await asyncio.to_thread(lambda: self.keeper.prune(self.reports.keep_from()))
        except (OSError, JournalError) as error:
            log.warning("journal: %s; what is past its time is removed later", error)
        else:
            self.life.pruned()

    async def _watch_for_ever(self) -> None:
        """Files edited by hand, and SIGHUP, take effect: recorded with their direction, then live."""
        watch = ListWatch(self._settings)
        self._record_hand_edits()
        self._tell_of_lists()
        while True:
            told = await self._told()
            touched = watch.poll(clock.monotonic()) | (Touched.CONFIG | Touched.BUILD if told else Touched.NOTHING)
            if Touched.CONFIG in touched and not self._read_again(watch, tell_dns=not told):
                touched &= ~Touched.CONFIG
            if not touched:
                continue
            self._record_hand_edits()
            if touched & (Touched.BUILD | Touched.CONFIG):
                await self._build()
            else:
                self._go_live()

    async def _told(self) -> bool:
        """Waits for the next look; True where SIGHUP asked for one."""
        try:
            async with asyncio.timeout(WATCH_EVERY):
                await self._hup.wait()
        except TimeoutError:
            return False
        self._hup.clear()
        return True

    def _read_again(self, watch: ListWatch, *, tell_dns: bool) -> bool:
        """Takes up an edited configuration; a bad one is told, and everything stays as it was."""
        try:
            fresh = self._reload()
        except ConfigError as error:
            log.warning("%s; the settings stay as they were", "; ".join(error.problems))
            return False
        for change in changes_between(self._settings, fresh, at=clock.now_us(), by="user"):
            record(change, self._writer)
        told = ("dns", "proxy") if tell_dns and fresh != self._settings else ()
        pids = [running_pid(self._settings, what) for what in told]
        self._settings = self.keeper.settings = self.life.settings = self.reports.settings = fresh
        self.networks.settings = fresh
        self._admit_agents()
        watch.renew(fresh)
        for pid in filter(None, pids):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGHUP)
        return True

    def _record_hand_edits(self) -> None:
        """Own lists that no command has written: what changed, and whether it is stronger or weaker."""
        at = clock.now_us()
        try:
            for change in hand_edits(self._settings, at=at):
                record(change, self._writer)
            accept(self._settings, at=at)
        except OSError as error:
            log.warning("own lists: %s; what changed in them is told at the next look", error)

    def _go_live(self) -> None:
        try:
            go_live(self._settings)
        except OSError as error:
            log.warning("own lists: %s; the old ones stay live", error)

    async def _build(self) -> None:
        """Builds the policy from the lists as they are now."""
        code = await self._command("lists", "build", "--json")
        log.info("lists build ended with %d", code)
        self._tell_of_lists()

    async def _update_lists(self) -> None:
        """Fetches the lists whose time has come; what is due, and what to make of it, `lists update` decides."""
        if any(source.url and source.enabled for source in merged(self._settings).lists.source):
            code = await self._command("lists", "update", "--due", "--json")
            log.info("lists update ended with %d", code)
            self._tell_of_lists()

    def _tell_of_lists(self) -> None:
        """Puts on record what became of fetched lists, whoever fetched them."""
        try:
            list_news(self._settings, self._record)
        except OSError as error:
            log.warning("lists: %s; what became of them is told again later", error)

    async def _command(self, *words: str) -> int:
        """Runs `blockerd WORDS` in a process of its own, so that its memory is given back; the exit code."""
        command = [sys.executable, "-m", "blockerd", *words]
        if self._settings.path:
            command += ["--config", str(self._settings.path)]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()

    async def _listen(self) -> asyncio.Server | None:
        """Opens `run/control.sock`, for this user and root alone; None where that cannot be: the journal needs none."""
        path = run_folder(self._settings) / "control.sock"
        path.unlink(missing_ok=True)
        old = os.umask(0o177)
        try:
            return await asyncio.start_unix_server(self._client, path, limit=65536)
        except OSError as error:
            log.warning("%s: %s; `status` cannot ask this process", path, error)
            return None
        finally:
            os.umask(old)

    async def _listen_to_agents(self) -> asyncio.Server | None:
        """Opens `agent.sock` for the agents of named users, beside the control socket, which stays closed to them."""
        path = self._agents_at
        path.unlink(missing_ok=True)
        try:
            server = await asyncio.start_unix_server(partial(self._client, agents=True), path, limit=65536)
            self._admit_agents()
        except OSError as error:
            log.warning("%s: %s; screen time waits with the agents", path, error)
            return None
        return server

    def _admit_agents(self) -> None:
        """Opens the socket to all, who are asked who they are.

        Where no service manager gave a folder for it, only while users are named, and then the way to it too.
        """
        run, named = run_folder(self._settings), bool(self._settings.agent.users)
        given = self._agents_at.parent != run
        with suppress(FileNotFoundError):
            self._agents_at.chmod(0o666 if given or named else 0o600)
        if given:
            return
        run.chmod(0o711 if named else 0o700)
        if named:
            above = self._settings.state.dir
            above.chmod(above.stat().st_mode | 0o011)

    async def _client(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, agents: bool = False
    ) -> None:
        """One request a line, one answer a line, as JSON; callers of users that are not named are not heard."""
        try:
            uid = peer_uid(writer.get_extra_info("socket"))
            if self._desk.hears(uid) if agents else uid in (os.getuid(), 0):
                async with asyncio.timeout(10):
                    line = await reader.readline()
                answer = await self._answer(line, uid, agents=agents)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError, TimeoutError, RecursionError):
            log.info("control socket: a request that could not be read")
        finally:
            writer.close()

    async def _answer(self, line: bytes, uid: int, *, agents: bool = False) -> dict[str, Any]:
        request = json.loads(line)
        wanted = request.get("do") if isinstance(request, dict) else None
        if wanted in ("heartbeats", "notices", "bounds"):
            return await self._desk.answer(request, uid, self.keeper.agents()) or {}
        if wanted == "signs":
            return self._hands.take(request, uid)
        if agents:
            return {"error": "an agent may hand over screen time and signs, and wait for notices, no more"}
        if wanted == "status":
            waiting = sum(map(size_of, spool.segments(self._folder)))
            said = {"trouble": self.keeper.trouble_now(), "notes": self.reports.note, "spool_bytes": waiting}
            return {"pid": os.getpid(), "boot": boot_id(), **said}
        if wanted == "portal":
            return self.networks.answer(request)
        if wanted == "erase":
            return await self._erase()
        if wanted == "new-key":
            return await self._new_key()
        told = await self.reports.answer(request) if isinstance(wanted, str) else None
        return told or {"error": 'unknown request; write {"do": "status"}'}

    async def _erase(self) -> dict[str, Any]:
        try:
            removed = await asyncio.to_thread(self.keeper.erase)
        except (OSError, JournalError) as error:
            return {"error": str(error)}
        return {"removed": removed.kinds}

    async def _new_key(self) -> dict[str, Any]:
        try:
            key = await asyncio.to_thread(self.keeper.change_key)
        except (OSError, JournalError, CheckpointError, NoKey) as error:
            return {"error": str(error)}
        return {"digits": key.fingerprint}


def main(settings: Settings, reload: Callable[[], Settings], lifeline: Lifeline) -> None:
    """Runs the process to its end."""

    async def run() -> None:
        await ControlProcess(settings, reload).run(lifeline)

    asyncio.run(run())
