"""The process `proxy`: starts mitmdump in its own environment, again when it ends or grows, and ends it with itself.

mitmdump holds the reading end of a pipe that only this process can write, so that it ends when this one does, kill -9
included. Called by `blockerd proxy` and by the supervisor; refuses to start without environment and root.
"""

import logging
import os
import selectors
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from blockerd import clock
from blockerd.policy.name import to_text
from blockerd.process import ENV_LIFE, ENV_WORDS
from blockerd.proxy import ca, shipped
from blockerd.proxy.environment import Environment
from blockerd.proxy.manifest import ca_folder, proxy_folder
from blockerd.settings import ConfigError, Endpoint, ProxyMode, Settings

log = logging.getLogger(__name__)

MEMORY_MB = 400
"""mitmdump is started again above this resident size; streamed bodies keep it near 120 MB."""
UPSTREAM_CA = "upstream-ca.pem"
"""Beside the CA folder: authorities that origins of opened connections may have, in place of the usual ones."""

_AGAIN = (0.0, 0.2, 0.5, 1.0, 3.0, 10.0, 30.0)
_NICE = 5
"""Names are answered first: a download never takes the resolver's turn."""
_STABLE, _LOOK, _GRACE = 30.0, 1.0, 1.5
_MODES = {ProxyMode.EXPLICIT: "regular", ProxyMode.TRANSPARENT: "transparent", ProxyMode.LOCAL: "local"}


class ProxyError(Exception):
    """The proxy cannot run; the message is one line."""


def command(settings: Settings, environment: Environment, mode: str = "") -> list[str]:
    """The command line of mitmdump. `mode` as mitmproxy names it; "" for that of the settings."""
    listen, folder = settings.proxy.listen, ca_folder(settings)
    options = {
        "confdir": str(folder),
        "listen_host": listen.host,
        "listen_port": str(listen.port),
        "mode": mode or _MODES[settings.proxy.mode],
        "blockerd_config": str(settings.path or ""),
        "connection_strategy": "lazy",
        "upstream_cert": "false",
        "onboarding": "false",
        "http3": "false",
        "flow_detail": "0",
        "termlog_verbosity": "warn",
    }
    upstream = proxy_folder(settings) / UPSTREAM_CA
    if upstream.exists():
        options["ssl_verify_upstream_trusted_ca"] = str(upstream)
    words = [
        "nice",
        "-n",
        str(_NICE),
        str(environment.mitmdump),
        "-s",
        str(Path(__file__).parent / "addon" / "load.py"),
    ]
    for key, value in options.items():
        words += ["--set", f"{key}={value}"]
    return words


class ProxyProcess:
    """Runs one mitmdump until told to end; `memory_mb` is where it is started again.

    On SIGHUP `reload` gives the settings as they are now; where they differ, mitmdump is started again with them.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Environment,
        reload: Callable[[], Settings] | None = None,
        *,
        memory_mb: int = MEMORY_MB,
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._reload = reload or (lambda: settings)
        self._memory = memory_mb << 20
        self._child: subprocess.Popen[bytes] | None = None
        self._life_read, self._life_write = os.pipe()
        self._wake_read, self._wake_write = os.pipe()
        self._selector = selectors.DefaultSelector()
        self._ending = self._again = False
        self._ready = self._came_up = False
        self._complained = ""
        self._started = 0.0
        self._ends = 0

    def run(self, parent: int = -1, say: Callable[[str], object] = str) -> int:
        """Supervises until SIGTERM, SIGINT or the end of the pipe `parent`; 0, or 1 where mitmdump never came up.

        `say` is told "ready" once the proxy listens.
        """
        os.set_blocking(self._wake_write, False)
        signal.set_wakeup_fd(self._wake_write)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, self._hup)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        if parent >= 0:
            self._selector.register(parent, selectors.EVENT_READ, self._end)
        self._start(say)
        while not self._ending:
            self._wait(_LOOK)
            if self._again:
                self._take_settings(say)
            self._look(say)
        self._stop()
        return 1 if self._ends and not self._came_up else 0

    def _end(self, *_: object) -> None:
        self._ending = True

    def _hup(self, *_: object) -> None:
        self._again = True

    def _take_settings(self, say: Callable[[str], object]) -> None:
        """Starts mitmdump again where the settings have changed; bad ones leave everything as it was."""
        self._again = False
        try:
            fresh = self._reload()
        except ConfigError as error:
            log.warning("%s; the settings stay as they were", "; ".join(error.problems))
            return
        if fresh != self._settings:
            self._settings = fresh
            self._stop()
            self._start(say)

    def _start(self, say: Callable[[str], object]) -> None:
        self._ready = False
        read, write = os.pipe()
        environment = {**os.environ, ENV_LIFE: str(self._life_read), ENV_WORDS: str(write), "PYTHONNOUSERSITE": "1"}
        environment.pop("PYTHONPATH", None)
        self._child = subprocess.Popen(
            command(self._settings, self._environment), env=environment, pass_fds=(self._life_read, write),
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(write)
        self._started = clock.monotonic()
        self._selector.register(read, selectors.EVENT_READ, (read, say))

    def _wait(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            if callable(key.data):
                key.data()
                continue
            data = os.read(key.fd, 4096)
            if isinstance(key.data, tuple):
                if b"ready" in data:
                    self._ready, self._came_up, self._complained = True, True, ""
                    key.data[1]("ready")
                if not data:
                    self._selector.unregister(key.fd)
                    os.close(key.fd)

    def _look(self, say: Callable[[str], object]) -> None:
        """Starts mitmdump again where it has ended, and ends it where it has grown over the cap."""
        child = self._child
        if child is None:
            return
        if child.poll() is None:
            if resident(child.pid) > self._memory:
                log.warning("mitmdump has grown over %d MB: it is started again", self._memory >> 20)
                self._stop()
                self._start(say)
            return
        now = clock.monotonic()
        stable = now - self._started > _STABLE
        self._ends = 1 if stable else self._ends + 1
        self._complain(child.returncode)
        self._pause(_AGAIN[min(self._ends, len(_AGAIN)) - 1])
        self._start(say)

    def _complain(self, code: int) -> None:
        """Tells why mitmdump ended: once, where it is for the same reason again."""
        listen = self._settings.proxy.listen
        why = f"mitmdump ended with {code}; starting it again"
        if not self._ready and _taken(listen):
            why = f"{listen} is taken; choose another in proxy.listen or end the other program"
        if why != self._complained or self._ready:
            log.warning("%s", why)
        self._complained = why

    def _pause(self, seconds: float) -> None:
        """Waits, but not longer than until told to end."""
        end = clock.monotonic() + seconds
        while not self._ending and (left := end - clock.monotonic()) > 0:
            self._wait(left)

    def _stop(self) -> None:
        child = self._child
        if child is None or child.poll() is not None:
            return
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE)
        if child.poll() is None:
            child.kill()
            child.wait()


def _taken(listen: Endpoint) -> bool:
    """True where another program listens there."""
    with socket.socket(socket.AF_INET6 if ":" in listen.host else socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((listen.host, listen.port))
        except OSError:
            return True
        return False


def resident(pid: int) -> int:
    """Resident octets of a process; 0 where the system does not tell (then the service manager's cap holds)."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def prepare(settings: Settings) -> None:
    """Makes a root where there is none, so that mitmproxy never makes a wider one by itself.

    Raises:
        ProxyError: it cannot be written.
    """
    try:
        rules = shipped.load(settings.state.dir / "own", safe_search=settings.dns.safe_search).pages.rules
        ca.ensure(ca_folder(settings), [to_text(host) for host in rules.hosts], clock.now())
    except OSError as error:
        raise ProxyError(f"{settings.state.dir / 'proxy'}: {error.strerror or error}") from None
