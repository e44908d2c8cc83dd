"""The process `control`: drains the spool into the journal, keeps the state in step with the files, answers the socket.

It is the journal's only writer. Nothing it does can delay an answer or open a block: the resolver needs neither it
nor the database. The work of a moment runs in a worker thread, one at a time, so that the socket stays awake.
"""

import asyncio
import json
import logging
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from blockerd import clock
from blockerd.binding.submit import changes_between, record
from blockerd.jobs import Ticks, in_seconds
from blockerd.journal import spool
from blockerd.journal.append import Journal
from blockerd.journal.schema import JournalError
from blockerd.lists.added import merged
from blockerd.lists.edit import go_live
from blockerd.lists.snapshot import SnapshotError, open_table, read_pointer
from blockerd.lists.watch import ListWatch, Touched, accept, hand_edits
from blockerd.policy.match import Table
from blockerd.process import Lifeline, boot_id, run_folder, running_pid, spool_folder
from blockerd.settings import ConfigError, Settings

log = logging.getLogger(__name__)

DRAIN_EVERY = 0.5
WATCH_EVERY = 0.5
UPDATE_FIRST, UPDATE_EVERY = 90.0, 1800.0
"""Seconds after the start, and between two looks, at which lists whose time has come are fetched."""

LAST_DRAIN = 1.0
"""Seconds that a process told to end may go on storing; what is left waits in the spool for the next start."""

_PEER = struct.Struct("3i")


class ControlProcess:
    """The control process; `run` returns when it is told to end."""

    def __init__(self, settings: Settings, reload: Callable[[], Settings]) -> None:
        self._settings = settings
        self._reload = reload
        self._folder = spool_folder(settings)
        self._writer = spool.Writer(self._folder, "control", clock.now_us, clock.monotonic)
        self._tables: dict[str, Table] = {}
        self._journal: Journal | None = None
        self._trouble = ""
        self._draining = threading.Lock()
        self._end_at = float("inf")
        self._hup = asyncio.Event()

    async def run(self, lifeline: Lifeline) -> None:
        """Serves until SIGTERM, SIGINT or the supervisor's death."""
        loop = asyncio.get_running_loop()
        end = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end.set)
        loop.add_signal_handler(signal.SIGHUP, self._hup.set)
        lifeline.watch(loop, end.set)
        server = await self._listen()
        lifeline.say("ready")
        ticks = Ticks()
        ticks.every(UPDATE_EVERY, self._update_lists, first=in_seconds(clock.utc(clock.now()), UPDATE_FIRST))
        ticks.start()
        async with asyncio.TaskGroup() as tasks:
            work = [tasks.create_task(self._drain_for_ever()), tasks.create_task(self._watch_for_ever())]
            await end.wait()
            ticks.stop()
            self._end_at = clock.monotonic() + LAST_DRAIN
            for task in work:
                task.cancel()
        if server:
            server.close()
        (run_folder(self._settings) / "control.sock").unlink(missing_ok=True)
        await asyncio.to_thread(self._drain)
        self._writer.close()
        if self._journal:
            self._journal.close()

    async def _drain_for_ever(self) -> None:
        while True:
            await asyncio.to_thread(self._drain)
            await asyncio.sleep(DRAIN_EVERY)

    def _drain(self) -> None:
        """Moves what is in the spool into the journal; trouble is told once and the spool keeps everything.

        Cancelling the task does not stop its thread, so the last drain waits here for the one under way.
        """
        with self._draining:
            self._store()

    def _store(self) -> None:
        def late() -> bool:
            return clock.monotonic() > self._end_at

        try:
            if self._journal is None:
                self._journal = Journal(self._settings.state.dir / "journal.sqlite", clock.now_us)
            level = spool.Level(self._settings.privacy.level)
            trouble = self._journal.drain(self._folder, level=level, confirm=self._confirm, stop=late).message
        except (OSError, JournalError) as error:
            trouble = str(error)
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble:
                log.warning("journal: %s; what happened stays in the spool", trouble)

    def _confirm(self, attempts: Sequence[spool.RawAttempt]) -> list[bool]:
        """Whether the hash match behind each attempt is one by full name too."""
        table = self._table()
        return [table is None or confirmed(table, attempt) for attempt in attempts]

    def _table(self) -> Table | None:
        """The live table, to look names up in."""
        pointer = read_pointer(self._settings.state.dir)
        if pointer is None:
            return None
        if pointer.snapshot not in self._tables:
            try:
                table = open_table(self._settings.state.dir / pointer.snapshot)
            except SnapshotError:
                return None
            self._tables = {pointer.snapshot: table}
        return self._tables[pointer.snapshot]

    async def _watch_for_ever(self) -> None:
        """Files edited by hand, and SIGHUP, take effect: recorded with their direction, then live."""
        watch = ListWatch(self._settings)
        self._record_hand_edits()
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
        dns = running_pid(self._settings, "dns") if tell_dns and fresh.dns != self._settings.dns else 0
        self._settings = fresh
        watch.renew(fresh)
        if dns:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(dns, signal.SIGHUP)
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

    async def _update_lists(self) -> None:
        """Fetches the lists whose time has come; what is due, and what to make of it, `lists update` decides."""
        if any(source.url and source.enabled for source in merged(self._settings).lists.source):
            code = await self._command("lists", "update", "--due", "--json")
            log.info("lists update ended with %d", code)

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

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a line, one answer a line, as JSON; callers of another user are not heard."""
        try:
            if peer_uid(writer.get_extra_info("socket")) in (os.getuid(), 0):
                async with asyncio.timeout(10):
                    line = await reader.readline()
                writer.write(json.dumps(self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError, TimeoutError, RecursionError):
            log.info("control socket: a request that could not be read")
        finally:
            writer.close()

    def _answer(self, line: bytes) -> dict[str, Any]:
        request = json.loads(line)
        if not isinstance(request, dict) or request.get("do") != "status":
            return {"error": 'unknown request; write {"do": "status"}'}
        waiting = sum(size_of(path) for path in Path(self._folder).glob("*.seg"))
        return {"pid": os.getpid(), "trouble": self._trouble, "spool_bytes": waiting, "boot": boot_id()}


def confirmed(table: Table, attempt: spool.RawAttempt) -> bool:
    """True if a rule of the attempt's source really names the recorded name, a name above it or (where only the site
    is kept) one below it. Decides by full names, never by hash."""
    if attempt.name == b"\x00":
        return True
    if any(table.sources[hit.combo.source].id == attempt.source for hit in table.hits(attempt.name)):
        return True
    if attempt.slot >= len(table.slots) or not table.slots[attempt.slot]:
        return False
    return table.name_at(attempt.slot).endswith(attempt.name)


def size_of(path: Path) -> int:
    """Octets of a file; 0 where it has just been stored and deleted."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def peer_uid(sock: socket.socket) -> int:
    """The user behind a Unix socket, -1 where the system does not tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return -1
    return int(_PEER.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))[1])


def main(settings: Settings, reload: Callable[[], Settings], lifeline: Lifeline) -> None:
    """Runs the process to its end."""

    async def run() -> None:
        await ControlProcess(settings, reload).run(lifeline)

    asyncio.run(run())
