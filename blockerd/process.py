"""What every process of an install shares: its folder for run-time files, its one instance, its tie to the supervisor.

A child holds the reading end of a pipe whose writing end only the supervisor has. When the supervisor dies, however
it dies, the kernel closes the pipe and the child ends. A second pipe carries a child's few words the other way.
"""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from blockerd.settings import Settings

with suppress(ImportError):  # Windows has neither; there a command may look at things, but no process runs
    import fcntl
    import resource

ENV_LIFE, ENV_WORDS, ENV_ENDED = "BLOCKERD_LIFELINE", "BLOCKERD_WORDS", "BLOCKERD_ENDED"

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

ALIVE, BEAT_EVERY = "alive", 4.0
"""What a child says every so many seconds while its loop turns."""


class AlreadyRunning(Exception):
    """Another instance holds this state folder; `pid` is the one that does, 0 where unknown."""

    def __init__(self, what: str, pid: int) -> None:
        super().__init__(f"{what} is already running with pid {pid}" if pid else f"{what} is already running")
        self.pid = pid


def control_socket(settings: Settings) -> Path:
    """Where `control` is asked; makes nothing."""
    return settings.state.dir / "run" / "control.sock"


def run_folder(settings: Settings) -> Path:
    """`<state.dir>/run`, made where missing."""
    folder = settings.state.dir / "run"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def spool_folder(settings: Settings) -> Path:
    """The spool folder, made where missing."""
    folder = settings.state.dir / "spool"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def alive_file(settings: Settings, what: str) -> Path:
    """Where the process `what` marks that it is alive; it outlives restarts of the machine."""
    return settings.state.dir / f"{what}.alive"


def boot_id() -> str:
    """Which boot of the machine this is; "" where the system does not tell."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return _boot_session()


def _boot_session() -> str:
    """What macOS calls kern.bootsessionuuid, sysctl(3); "" on other systems."""
    import ctypes

    text, size = ctypes.create_string_buffer(64), ctypes.c_size_t(64)
    try:
        ask = ctypes.CDLL(None).sysctlbyname
    except (AttributeError, OSError, TypeError):  # TypeError: Windows
        return ""
    done = ask(b"kern.bootsessionuuid", text, ctypes.byref(size), None, ctypes.c_size_t(0))
    return text.value.decode("ascii", "replace") if done == 0 else ""


def raise_descriptor_limit(wanted: int = 16384) -> int:
    """Lets this process open as many files as it may, `wanted` at most: a question under way may need six sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    more = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < more:
        resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
        return more
    return soft


def share_heap() -> None:
    """Has all threads take memory from one heap, where this is glibc; called before the first thread begins.

    With a heap for each thread, what one of them frees is not there for the others, and a process of many short jobs
    grows for hours. The size from which a block is a mapping of its own is fixed, for it would grow with the largest
    block that was ever freed, and what comes only once an hour would then stay (mallopt(3); docs/soak.md).
    """
    import ctypes

    with suppress(AttributeError, OSError, TypeError):  # another C library; TypeError: Windows
        mallopt = ctypes.CDLL(None).mallopt
        for setting, value in ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, _LARGE), (_M_TRIM_THRESHOLD, _LARGE)):
            mallopt(setting, value)


_M_ARENA_MAX, _M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -8, -3, -1
_LARGE = 131_072  # bytes: what both begin at


def put_for_now(path: Path, content: bytes) -> None:
    """Makes `content` the whole of a file in the folder `run`, at once; not synced: it says nothing to another boot.

    Raises:
        OSError: it could not be written; what was there before is still there.
    """
    beside = path.with_suffix(".new")
    beside.write_bytes(content)
    beside.replace(path)


class Instance:
    """The one instance of `what` on a state folder; holds a lock that ends with the process.

    Waits up to `patience` seconds for one that is ending, and for a `running_pid` that just looks.

    Raises:
        AlreadyRunning: another one holds it.
    """

    def __init__(self, settings: Settings, what: str, patience: float = 0.1) -> None:
        self.path = run_folder(settings) / f"{what}.pid"
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        end = time.monotonic() + patience
        while not self._locked():
            if time.monotonic() > end:
                text = os.read(self._fd, 32).decode("ascii", "replace").strip()
                os.close(self._fd)
                raise AlreadyRunning(f"blockerd {what}", int(text) if text.isdecimal() else 0)
            time.sleep(0.02)  # flock has no time limit; `end` bounds the wait for a predecessor that is just ending
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def _locked(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def running_pid(settings: Settings, what: str) -> int:
    """The pid of the instance of `what`, 0 where none runs."""
    path = settings.state.dir / "run" / f"{what}.pid"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(fd, 32).decode("ascii", "replace").strip()
        return int(text) if text.isdecimal() else 0
    finally:
        os.close(fd)
    return 0


class Lifeline:
    """A child's tie to its supervisor; does nothing where the process was started alone."""

    def __init__(self, life: int = -1, words: int = -1) -> None:
        self._life = life
        self._words = words

    @classmethod
    def from_environment(cls) -> "Lifeline":
        """The tie that the supervisor left in the environment."""
        life, words = (int(os.environ.pop(name, "-1")) for name in (ENV_LIFE, ENV_WORDS))
        for fd in (life, words):
            if fd >= 0:
                os.set_inheritable(fd, False)
        return cls(life, words)

    def watch(self, loop: asyncio.AbstractEventLoop, end: Callable[[], object]) -> None:
        """Calls `end` when the supervisor is gone."""
        if self._life >= 0:
            loop.add_reader(self._life, self._gone, loop, end)

    def _gone(self, loop: asyncio.AbstractEventLoop, end: Callable[[], object]) -> None:
        loop.remove_reader(self._life)
        end()

    def beat(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tells the supervisor every few seconds that `loop` turns, from now on."""
        if self._words >= 0:
            self.say(ALIVE)
            loop.call_later(BEAT_EVERY, self.beat, loop)

    def say(self, word: str) -> None:
        """Tells the supervisor how far this process is."""
        if self._words >= 0:
            with suppress(OSError):
                os.write(self._words, f"{word}\n".encode())
