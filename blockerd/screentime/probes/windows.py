"""Windows: the foreground window and the last input by user32. Experimental.

Written from the documentation of the Windows API; never tried on a real one. No window in front is the lock screen or a
prompt of the system, which counts as being shut out. `api` is `System`, or a fake of it. Called by `agent`.
"""

import ctypes
from typing import Any, Protocol

from blockerd.screentime.identity import Names
from blockerd.screentime.probe import ProbeError, Sample
from blockerd.screentime.titles import printable
from blockerd.screentime.track import Window

_LOCK_APP = "lockapp"
_WRAP = 1 << 32
_BUSY_STATES = (2, 3, 4)
"""QUNS_BUSY, QUNS_RUNNING_D3D_FULL_SCREEN, QUNS_PRESENTATION_MODE of SHQueryUserNotificationState."""


class Api(Protocol):
    """What is asked of Windows."""

    def foreground(self) -> int: ...
    def process_of(self, window: int) -> int: ...
    def title_of(self, window: int) -> str: ...
    def last_input(self) -> int: ...
    def ticks(self) -> int: ...
    def notification_state(self) -> int: ...


class WindowsProbe:
    """The desktop of this session (never session 0, where there is none)."""

    def __init__(self, api: Api, *, titles: bool) -> None:
        self._api, self._titles, self._names = api, titles, Names()

    def sample(self) -> Sample:
        """One look."""
        # GetLastInputInfo counts in 32 bits, which wrap after 49.7 days; so the difference is taken in 32 bits too.
        idle = (self._api.ticks() - self._api.last_input()) % _WRAP * 1000
        window = self._api.foreground()
        if not window:
            return Sample(None, idle, held=True)
        pid = self._api.process_of(window)
        app = self._names.of("", pid)
        title = printable(self._api.title_of(window)) if self._titles else ""
        return Sample(Window(app, title), idle, pid, held=app == _LOCK_APP)

    def fullscreen(self) -> bool:
        """As Windows itself decides whether a notice would disturb."""
        return self._api.notification_state() in _BUSY_STATES

    def descriptors(self) -> tuple[int, ...]:
        """None: it is asked once a second."""
        return ()

    def close(self) -> None:
        """Nothing to give back."""


class _LastInput(ctypes.Structure):
    _fields_ = (("size", ctypes.c_uint), ("time", ctypes.c_uint))


class System:
    """The calls themselves; made on Windows only."""

    def __init__(self) -> None:
        libraries: Any = getattr(ctypes, "windll", None)
        if libraries is None:
            raise ProbeError("this is no Windows")
        self._user, self._kernel, self._shell = libraries.user32, libraries.kernel32, libraries.shell32
        self._user.GetForegroundWindow.restype = ctypes.c_void_p
        self._kernel.GetTickCount64.restype = ctypes.c_ulonglong

    def foreground(self) -> int:
        """0 where no window is in front."""
        return int(self._user.GetForegroundWindow() or 0)

    def process_of(self, window: int) -> int:
        """The pid, 0 where it is not told."""
        pid = ctypes.c_uint(0)
        self._user.GetWindowThreadProcessId(ctypes.c_void_p(window), ctypes.byref(pid))
        return pid.value

    def title_of(self, window: int) -> str:
        """The title, cut to 512 characters."""
        text = ctypes.create_unicode_buffer(512)
        self._user.GetWindowTextW(ctypes.c_void_p(window), text, 512)
        return text.value

    def last_input(self) -> int:
        """Milliseconds, 32 bits."""
        info = _LastInput(ctypes.sizeof(_LastInput), 0)
        if not self._user.GetLastInputInfo(ctypes.byref(info)):
            raise ProbeError("Windows tells no last input: the agent must run in the user's session")
        return int(info.time)

    def ticks(self) -> int:
        """Milliseconds since the start, 64 bits."""
        return int(self._kernel.GetTickCount64())

    def notification_state(self) -> int:
        """0 where it is not told."""
        state = ctypes.c_int(0)
        return 0 if self._shell.SHQueryUserNotificationState(ctypes.byref(state)) else state.value


def open_probe(*, titles: bool) -> WindowsProbe:
    """The probe for this session."""
    return WindowsProbe(System(), titles=titles)
