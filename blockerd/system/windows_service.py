"""A process of blockerd as a service of Windows: `python -m blockerd.system.windows_service NAME --config FILE`.

Speaks the service manager's protocol and starts the process as a child. Asked to stop, it ends the child and says so; a
child that ends by itself ends this program without a word, which the manager takes for a crash and answers with its
recovery actions. `api` is `System`, or a fake of it. Written from Microsoft's documentation, never run on a real one.
"""

import ctypes
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

STOPPED, START_PENDING, STOP_PENDING, RUNNING = 1, 2, 3, 4
"""SERVICE_STATUS.dwCurrentState."""

STOP, INTERROGATE, SHUTDOWN = 1, 4, 5
"""Controls; what is accepted is STOP and SHUTDOWN."""

ACCEPTED = 0x1 | 0x4
_OWN_PROCESS = 0x10
_WAIT_HINT_MS = 10_000


class Api(Protocol):
    """What is asked of Windows."""

    def dispatch(self, name: str, serve: Callable[[], None]) -> None: ...
    def on_control(self, name: str, hear: Callable[[int], None]) -> None: ...
    def say(self, state: int) -> None: ...


def serve(api: Api, name: str, start: Callable[[], "subprocess.Popen[bytes]"], end: Callable[[int], None]) -> None:
    """Runs one service: `start` gives its process, `end` leaves this one with an exit code."""
    asked = threading.Event()

    def body() -> None:
        api.on_control(name, lambda control: _hear(control, asked, api))
        api.say(START_PENDING)
        child = start()
        api.say(RUNNING)
        threading.Thread(target=_end_when_asked, args=(asked, child), daemon=True).start()
        code = child.wait()
        if not asked.is_set():
            end(code or 1)
            return
        api.say(STOPPED)

    api.dispatch(name, body)


def _hear(control: int, asked: threading.Event, api: Api) -> None:
    if control in (STOP, SHUTDOWN):
        api.say(STOP_PENDING)
        asked.set()


def _end_when_asked(asked: threading.Event, child: "subprocess.Popen[bytes]") -> None:
    asked.wait()
    child.terminate()


class _Status(ctypes.Structure):
    """SERVICE_STATUS."""

    _fields_ = tuple(
        (name, ctypes.c_uint32)
        for name in ("kind", "state", "accepted", "exit_code", "own_exit_code", "check_point", "wait_hint")
    )


class System:
    """The service manager by advapi32. Callbacks are kept for as long as the process lives."""

    def __init__(self) -> None:
        loader: Any = ctypes
        self._dll = loader.WinDLL("advapi32", use_last_error=True)
        self._main = loader.WINFUNCTYPE(None, ctypes.c_uint32, ctypes.c_void_p)
        self._handler = loader.WINFUNCTYPE(
            ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p
        )
        self._dll.RegisterServiceCtrlHandlerExW.restype = ctypes.c_void_p
        self._dll.RegisterServiceCtrlHandlerExW.argtypes = (ctypes.c_wchar_p, self._handler, ctypes.c_void_p)
        self._dll.SetServiceStatus.argtypes = (ctypes.c_void_p, ctypes.POINTER(_Status))
        self._handle: int | None = None
        self._kept: list[object] = []

    def dispatch(self, name: str, serve: Callable[[], None]) -> None:
        """StartServiceCtrlDispatcherW: returns when the service has stopped.

        Raises:
            OSError: this program was not started by the service manager.
        """
        main = self._main(lambda _count, _words: serve())

        class Entry(ctypes.Structure):
            _fields_ = (("name", ctypes.c_wchar_p), ("main", type(main)))

        table = (Entry * 2)(Entry(name, main))
        self._kept += [main, table]
        if not self._dll.StartServiceCtrlDispatcherW(table):
            loader: Any = ctypes
            raise OSError(loader.get_last_error(), "the service manager did not start this program")

    def on_control(self, name: str, hear: Callable[[int], None]) -> None:
        """RegisterServiceCtrlHandlerExW."""

        def handle(control: int, _kind: int, _data: object, _context: object) -> int:
            hear(control)
            return 0

        handler = self._handler(handle)
        self._kept.append(handler)
        self._handle = self._dll.RegisterServiceCtrlHandlerExW(name, handler, None)

    def say(self, state: int) -> None:
        """SetServiceStatus."""
        pending = state in (START_PENDING, STOP_PENDING)
        accepted = ACCEPTED if state == RUNNING else 0
        status = _Status(_OWN_PROCESS, state, accepted, 0, 0, int(pending), _WAIT_HINT_MS if pending else 0)
        self._dll.SetServiceStatus(self._handle, ctypes.byref(status))


def command(name: str, rest: Sequence[str], python: str) -> list[str]:
    """The words of the process that the service `name` runs."""
    return [python, "-m", "blockerd", name.removeprefix("blockerd-"), *rest]


def main(words: Sequence[str]) -> int:
    """0 stopped, 2 for a wrong call or a start by hand."""
    if not words or not words[0].startswith("blockerd-"):
        sys.stderr.write("usage: python -m blockerd.system.windows_service blockerd-dns --config FILE\n")
        return 2
    if platform.system() != "Windows":
        sys.stderr.write("a service of Windows runs on Windows alone; here: blockerd run\n")
        return 2
    name, *rest = words
    python = str(Path(sys.executable))
    try:
        serve(System(), name, lambda: subprocess.Popen(command(name, rest, python)), os._exit)
    except OSError as error:
        sys.stderr.write(f"{error.strerror}; start it with: net start {name}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
