"""The supervisor of `blockerd run`: starts dns, control and, where wanted, proxy, again when they end, and ends them
with itself.

It holds no logic. Children are one process group; each has the reading end of a pipe that only this process can
write, so that they end within 2 s of its death, kill -9 included. One that stands still is ended and started again.
"""

import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from blockerd import clock
from blockerd.process import ALIVE, ENV_ENDED, ENV_LIFE, ENV_WORDS

NAMES = ("dns", "control")
"""Started in this order: the resolver first, so that a port that is taken ends everything before it began."""

PROXY = "proxy"
"""Started where it is wanted, after the others, whom neither its start nor its end concerns."""

GRACE = 1.7
"""Seconds that children have to end by themselves: what they have not stored by then is safe in the spool."""

_AGAIN = (0.0, 0.2, 0.5, 1.0)
"""Seconds before a child that ended is started again; the last one for every further time."""
_STABLE = 30.0
_LOOK_EVERY = 0.2

HUNG, SILENT = "hung", 20.0
"""Seconds without a word from a child that said it is alive before: it stands still. Time in which this process did
not look (Ctrl-Z, a machine asleep) does not count. HUNG is as in `journal.ended`."""


@dataclass(slots=True)
class Child:
    """One supervised process."""

    name: str
    process: subprocess.Popen[bytes] | None = None
    words: int = -1
    started: float = 0.0
    restarts: int = 0
    again_at: float | None = None
    hup: bool = False
    said: set[str] = field(default_factory=set)
    silent: float = 0.0
    hung: bool = False


class Supervisor:
    """Runs `blockerd NAME` for each of NAMES, and of those in `also`, until told to end."""

    def __init__(self, arguments: Sequence[str], tell: Callable[[str], None], also: Sequence[str] = ()) -> None:
        self._arguments = list(arguments)
        self._tell = tell
        self._children = [Child(name) for name in (*NAMES, *also)]
        self._life_read, self._life_write = os.pipe()
        self._wake_read, self._wake_write = os.pipe()
        self._selector = selectors.DefaultSelector()
        self._ending = False
        self._looked = 0.0
        self._code = 0

    def run(self) -> int:
        """Supervises to the end; the exit code: 0 told to end, 2 a child could not begin."""
        os.set_blocking(self._wake_write, False)
        signal.set_wakeup_fd(self._wake_write)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGHUP, self._pass_on)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        for child in self._children:
            self._start(child)
            if child.name in NAMES and not self._began(child):
                break
        while not self._ending:
            self._wait(_LOOK_EVERY)
            self._look()
        return self._stop()

    def _end(self, *_: object) -> None:
        self._ending = True

    def _pass_on(self, *_: object) -> None:
        for child in self._children:
            child.hup = True
        self._hup()

    def _hup(self) -> None:
        """Hands SIGHUP on to children that have said a word: one that is just starting would die of it."""
        for child in self._children:
            if child.hup and child.said and child.process and child.process.poll() is None:
                child.hup = False
                child.process.send_signal(signal.SIGHUP)

    def _start(self, child: Child) -> None:
        read, write = os.pipe()
        os.set_blocking(read, False)
        environment = {**os.environ, ENV_LIFE: str(self._life_read), ENV_WORDS: str(write)}
        if child.process and child.process.returncode is not None:
            environment[ENV_ENDED] = HUNG if child.hung else str(child.process.returncode)
        command = [sys.executable, "-m", "blockerd", child.name, *self._arguments]
        child.process = subprocess.Popen(
            command, env=environment, pass_fds=(self._life_read, write), stdin=subprocess.DEVNULL
        )
        os.close(write)
        child.words, child.started, child.again_at = read, clock.monotonic(), None
        child.silent, child.hung = 0.0, False
        child.said.clear()
        self._selector.register(read, selectors.EVENT_READ, child)

    def _began(self, child: Child) -> bool:
        """Waits until a child holds what it needs (dns: its ports); False where it ended instead, which ends all."""
        while not self._ending:
            self._wait(0.2)
            if child.said:
                return True
            code = child.process.poll() if child.process else None
            if code is not None:
                self._code, self._ending = (2 if code == 2 else 1), True
        return False

    def _wait(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            data = os.read(key.fd, 4096)
            if isinstance(key.data, Child) and data:
                key.data.said.update(data.decode("ascii", "replace").split())
                key.data.silent = 0.0
            elif isinstance(key.data, Child):
                self._selector.unregister(key.fd)
                os.close(key.fd)
        self._hup()

    def _look(self) -> None:
        """Starts again what has ended."""
        now = clock.monotonic()
        passed, self._looked = min(now - self._looked, 2 * _LOOK_EVERY), now
        for child in self._children:
            if child.process is None or child.process.poll() is None:
                self._end_if_hung(child, passed)
                continue
            if child.again_at is None:
                child.restarts = 0 if now - child.started > _STABLE else child.restarts + 1
                delay = _AGAIN[min(child.restarts, len(_AGAIN)) - 1] if child.restarts else 0.0
                child.again_at = now + delay
                self._tell(f"{child.name} ended with {child.process.returncode}; starting it again")
            if now >= child.again_at:
                self._start(child)

    def _end_if_hung(self, child: Child, passed: float) -> None:
        child.silent += passed
        if child.process and ALIVE in child.said and child.silent > SILENT:
            self._tell(f"{child.name} stands still; ending it")
            child.hung, child.silent = True, 0.0
            child.process.kill()

    def _stop(self) -> int:
        """Ends the children in reverse order, by force where they take over GRACE seconds."""
        for child in reversed(self._children):
            if child.process and child.process.poll() is None:
                child.process.terminate()
        end = clock.monotonic() + GRACE
        for child in reversed(self._children):
            if child.process is None:
                continue
            with suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.1, end - clock.monotonic()))
            if child.process.poll() is None:
                child.process.kill()
                child.process.wait()
        return self._code
