"""The agent of one login session: looks, keeps what it saw on disk, hands it to `control`, shows notices.

It has no rights of its own and decides nothing. Looking happens in the event loop's thread: a look takes less than a
millisecond, and each call to a desktop has a short limit. Started by `blockerd agent`.
"""

import asyncio
import logging
import os
import signal
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from blockerd.process import boot_id
from blockerd.screentime import afk, clocks
from blockerd.screentime.buffer import Buffer, InUse, lock
from blockerd.screentime.bus import BusError
from blockerd.screentime.heartbeat import SECOND
from blockerd.screentime.intake import event_of
from blockerd.screentime.link import ask
from blockerd.screentime.notice import Notice, Sort, notice_in
from blockerd.screentime.notify import Notifier
from blockerd.screentime.probe import Probe, ProbeError, Sample
from blockerd.screentime.session import open_session
from blockerd.screentime.titles import Rules, kept
from blockerd.screentime.track import Record, State, Tick, flush, from_text, observe, to_text

log = logging.getLogger(__name__)

LOOK_EVERY = 1.0
SEND_EVERY = 10.0
SIGNS_EVERY = 60.0
STORED_WITHIN = 1.0
"""Seconds between two looks, two tries to hand records over, two looks for signs; and that `control` gets to store
records."""

LAST_SEND = 2.0
"""Seconds that an agent told to end may go on sending; the rest waits on disk for the next start."""

MEDIA_AFTER, MEDIA_EVERY = 30 * SECOND, 10 * SECOND
"""Only after this much idle time, and this often (µs), is anybody asked whether a video plays."""

STALE = 12 * 3600 * SECOND
"""A warning that could not be shown for this long (µs) is no longer one."""

_WAITING = 10_000
_BATCH_RECORDS, _BATCH_OCTETS = 200, 40_000


class SessionState(Protocol):
    """What the agent asks the login session."""

    def held(self) -> bool: ...
    def media(self, app: str, pid: int) -> bool: ...
    def presenting(self) -> bool: ...
    def descriptors(self) -> tuple[int, ...]: ...
    def close(self) -> None: ...


class Shows(Protocol):
    """Who puts notices on the screen."""

    def show(self, notice: Notice) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Setup:
    """What an agent works with. `timeout` in µs; `name` is the probe's.

    `signs` tells by key what its user has set by hand that leads round the filter; it reads files.
    """

    name: str
    socket: Path
    rules: Rules = field(default_factory=Rules)
    timeout: int = afk.TIMEOUT
    read: Callable[[], clocks.Instant] = clocks.read
    boot: Callable[[], str] = boot_id
    signs: Callable[[], Mapping[str, str]] = dict


class Agent:
    """Measures by `probe` and `session` into `buffer`; `run` returns when the session or the process ends."""

    def __init__(
        self, setup: Setup, probe: Probe, session: SessionState, buffer: Buffer, notifier: Shows | None = None
    ) -> None:
        self._setup, self._probe, self._session, self._buffer = setup, probe, session, buffer
        self._state = _state_in(buffer.state)
        self._waiting: list[Record] = []
        self._before: clocks.Instant | None = None
        self._media, self._media_at = False, -MEDIA_EVERY
        self._boot = setup.boot() or "unknown"
        self._notifier = notifier
        self._warnings: dict[tuple[str, str], Notice] = {}
        self._warned: set[tuple[str, str]] = set()
        self._end, self._changed = asyncio.Event(), asyncio.Event()
        self._trouble = ""

    def look(self) -> Sample:
        """One look, kept on disk.

        Raises:
            ProbeError: the desktop is gone; what was measured is kept.
        """
        sample = self._probe.sample()
        now = self._setup.read()
        held = sample.held or self._session.held()
        slept = _slept(self._before, now)
        window = kept(sample.window, self._setup.rules) if sample.window else None
        media = not held and self._plays(sample, now.at)
        tick = Tick(now.at, now.wall, self._boot, window, sample.idle, held, media, slept)
        self._before = now
        self._state, records = observe(self._state, tick, self._setup.timeout)
        self._keep(records)
        return replace(sample, held=held)

    def close_records(self) -> None:
        """Makes records of what is still growing."""
        if self._state:
            self._state, records = flush(self._state)
            self._keep(records)

    async def send(self) -> bool:
        """Hands over what waits; whether all of it is stored. Raises as `link.ask`."""
        while batch := self._buffer.pending(_BATCH_RECORDS, _BATCH_OCTETS):
            self._buffer.acknowledge((await self._tell(batch))["stored"])
            await asyncio.sleep(STORED_WITHIN)
            self._buffer.acknowledge((await self._tell([]))["stored"])
            if self._buffer.acked < batch[-1]["seq"]:
                return False
        return True

    def show(self, notice: Notice) -> None:
        """Shows `notice`, unless the user is shut out, or a film or a talk fills the screen: then what is about a page
        is left out, and the warning of a budget waits. `control` may tell one again after it was started anew."""
        key = (notice.site, notice.category)
        if notice.sort != Sort.PAGE:
            if key in self._warned:
                return
            self._warnings[key] = notice
        if self._session.held() or self._probe.fullscreen() or self._session.presenting():
            return
        if self._warnings.pop(key, None):
            self._warned.add(key)
        try:
            if self._notifier:
                self._notifier.show(notice)
        except BusError as error:
            log.info("no notice could be shown: %s", error)

    def show_waiting(self) -> None:
        """Tries again with the warnings that wait."""
        now = self._setup.read().wall
        self._warnings = {key: one for key, one in self._warnings.items() if now - one.at < STALE}
        for warning in tuple(self._warnings.values()):
            self.show(warning)

    async def run(self) -> None:
        """Until SIGTERM, SIGINT or the end of the desktop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end.set)
        self._open_notifier(loop)
        descriptors = (*self._probe.descriptors(), *self._session.descriptors())
        for fd in descriptors:
            loop.add_reader(fd, self._changed.set)
        async with asyncio.TaskGroup() as tasks:
            work = [tasks.create_task(self._look_for_ever()), tasks.create_task(self._send_for_ever()),
                    tasks.create_task(self._notices_for_ever()), tasks.create_task(self._signs_for_ever())]  # fmt: skip
            await self._end.wait()
            for task in work:
                task.cancel()
        for fd in descriptors:
            loop.remove_reader(fd)
        with suppress(ProbeError):
            self.look()
        self.close_records()
        with suppress(OSError, ValueError, TimeoutError):
            async with asyncio.timeout(LAST_SEND):
                await self.send()
        self._close()

    def _close(self) -> None:
        if self._notifier:
            self._notifier.close()
        self._session.close()
        self._probe.close()
        self._buffer.close()

    async def _look_for_ever(self) -> None:
        while True:
            self._changed.clear()
            try:
                self.look()
            except ProbeError as error:
                log.info("%s; the agent ends", error)
                self._end.set()
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await self._changed.wait()

    async def _send_for_ever(self) -> None:
        while True:
            try:
                await self.send()
                self._say("")
            except (OSError, ValueError, TimeoutError) as error:
                self._say(f"{self._setup.socket}: {str(error) or 'no answer'}; what was measured waits on disk")
            self.show_waiting()
            await asyncio.sleep(SEND_EVERY)

    async def _signs_for_ever(self) -> None:
        while True:
            with suppress(OSError, ValueError, TimeoutError):
                found = await asyncio.to_thread(self._setup.signs)
                await ask(self._setup.socket, {"do": "signs", "found": dict(found)}, 10)
            await asyncio.sleep(SIGNS_EVERY)

    async def _notices_for_ever(self) -> None:
        last = 0
        while self._notifier:
            try:
                answer = await ask(self._setup.socket, {"do": "notices", "after": last}, 60)
                last = int(answer["last"])
                for got in answer["notices"]:
                    self.show(notice_in(got))
            except (OSError, ValueError, TypeError, KeyError, TimeoutError):
                await asyncio.sleep(SEND_EVERY)

    def _open_notifier(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._notifier = notifier = Notifier()
        except BusError as error:
            log.info("no notices on the screen: %s", error)
            return
        loop.add_reader(notifier.fileno(), self._clicked, loop, notifier)

    def _clicked(self, loop: asyncio.AbstractEventLoop, notifier: Notifier) -> None:
        try:
            notifier.clicked()
        except BusError as error:
            loop.remove_reader(notifier.fileno())
            log.info("no notices on the screen: %s", error)

    async def _tell(self, records: list[dict[str, Any]]) -> dict[str, Any]:
        request = {"do": "heartbeats", "agent": self._buffer.agent, "probe": self._setup.name,
                   "base": self._buffer.acked + 1, "records": records}  # fmt: skip
        answer = await ask(self._setup.socket, request, 10)
        if type(answer.get("stored")) is not int:
            raise ValueError("control does not take screen time: update it")
        return answer

    def _keep(self, records: tuple[Record, ...]) -> None:
        """Puts `records` and the state on disk; where that cannot be, they wait here for the next look."""
        assert self._state
        self._waiting = [*self._waiting, *records][-_WAITING:]
        try:
            if self._waiting:
                self._buffer.append([event_of(record, {}) for record in self._waiting], to_text(self._state))
                self._waiting = []
            else:
                self._buffer.keep(to_text(self._state))
        except OSError as error:
            self._say(f"{error}; the newest records wait in memory")

    def _plays(self, sample: Sample, at: int) -> bool:
        if sample.idle is None or sample.idle < MEDIA_AFTER or not sample.window:
            self._media = False
        elif at - self._media_at >= MEDIA_EVERY:
            self._media_at = at
            self._media = self._session.media(sample.window.app, sample.pid)
        return self._media

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            log.warning("%s", trouble)
        self._trouble = trouble


def open_buffer(base: Path, session: str) -> Buffer:
    """The first free buffer below `base`, for the login session `session`.

    Raises:
        InUse: an agent runs in this session already.
        OSError: the folder takes no file.
    """
    key = "".join(char if char.isalnum() else "-" for char in session)[:40] or "session"
    _HELD.append(lock(base / f"session-{key}.lock"))
    for number in range(1, 9):
        with suppress(InUse):
            return Buffer(base / str(number), _new_id)
    raise InUse(str(base))


_HELD: list[int] = []
"""Locks of this process: kept until it ends."""


def session_key(environ: Mapping[str, str]) -> str:
    """What tells the login sessions of one user apart."""
    names = ("XDG_SESSION_ID", "WAYLAND_DISPLAY", "DISPLAY")
    return next((environ[name] for name in names if environ.get(name)), "session")


def folder(state: Path, environ: Mapping[str, str]) -> Path:
    """Where the buffers of this user are: in the state folder where it is theirs, else below XDG_STATE_HOME."""
    nearest = next((path for path in (state, *state.parents) if path.exists()), state)
    if os.access(nearest, os.W_OK):
        return state / "agent"
    home = environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "blockerd" / "agent"


def main(setup: Setup, probe: Probe, buffer: Buffer) -> None:
    """Runs the agent to its end."""

    async def run() -> None:
        await Agent(setup, probe, open_session(time.monotonic), buffer).run()

    asyncio.run(run())


def _new_id() -> str:
    return uuid.uuid4().hex


def _slept(before: clocks.Instant | None, now: clocks.Instant) -> int:
    """Microseconds of suspend between two looks; less than a second is none."""
    slept = (now.at - before.at) - (now.awake - before.awake) if before else 0
    return slept if slept >= SECOND else 0


def _state_in(text: str) -> State | None:
    try:
        return from_text(text) if text else None
    except ValueError as error:
        log.warning("%s; measuring begins anew", error)
        return None
