"""macOS: the frontmost app by NSWorkspace, idle time and the lock by Quartz; no special permission. Experimental.

Written from Apple's documentation; never tried on a real one. Titles would need the permission for Accessibility, so
they are not read. `api` is `System`, or a fake of it. Called by `agent`.
"""

import importlib
from typing import Any, Protocol

from blockerd.screentime.identity import Names
from blockerd.screentime.probe import DESKTOP, ProbeError, Sample
from blockerd.screentime.track import Window

_ANY_INPUT = 0xFFFFFFFF
"""kCGAnyInputEventType."""
_HID_STATE = 1
"""kCGEventSourceStateHIDSystemState: input of devices, not of programs."""


class Api(Protocol):
    """What is asked of macOS."""

    def frontmost(self) -> tuple[str, int] | None: ...
    def idle_seconds(self) -> float: ...
    def session(self) -> dict[str, object] | None: ...


class MacProbe:
    """The desktop of this login session."""

    def __init__(self, api: Api) -> None:
        self._api, self._names = api, Names()

    def sample(self) -> Sample:
        """One look. Without a session on the screen, or with a locked one, the user is shut out."""
        session = self._api.session()
        held = (
            not session
            or bool(session.get("CGSSessionScreenIsLocked"))
            or not session.get("kCGSSessionOnConsoleKey", True)
        )
        idle = round(max(0.0, self._api.idle_seconds()) * 1_000_000)
        front = self._api.frontmost()
        if front is None:
            return Sample(DESKTOP, idle, held=held)
        name, pid = front
        return Sample(Window(self._names.of(name, pid)), idle, pid, held=held)

    def fullscreen(self) -> bool:
        """macOS itself holds notices back while the screen is shared or mirrored."""
        return False

    def descriptors(self) -> tuple[int, ...]:
        """None: it is asked once a second."""
        return ()

    def close(self) -> None:
        """Nothing to give back."""


class System:
    """The calls themselves, through pyobjc; made on macOS only."""

    def __init__(self) -> None:
        try:
            self._kit: Any = importlib.import_module("AppKit")
            self._foundation: Any = importlib.import_module("Foundation")
            self._quartz: Any = importlib.import_module("Quartz")
        except ImportError as error:
            raise ProbeError(f"{error.name} is missing: install blockerd[agent] on macOS") from None

    def frontmost(self) -> tuple[str, int] | None:
        """(bundle identifier or name, pid). NSWorkspace learns of a switch only while the run loop runs."""
        soon = self._foundation.NSDate.dateWithTimeIntervalSinceNow_(0.01)
        self._foundation.NSRunLoop.currentRunLoop().runUntilDate_(soon)
        app = self._kit.NSWorkspace.sharedWorkspace().frontmostApplication()
        if app is None:
            return None
        return str(app.bundleIdentifier() or app.localizedName() or ""), int(app.processIdentifier())

    def idle_seconds(self) -> float:
        """Seconds since the last input of a device."""
        return float(self._quartz.CGEventSourceSecondsSinceLastEventType(_HID_STATE, _ANY_INPUT))

    def session(self) -> dict[str, object] | None:
        """The session's dictionary; None outside of one."""
        found = self._quartz.CGSessionCopyCurrentDictionary()
        return dict(found) if found else None


def open_probe(*, titles: bool) -> MacProbe:
    """The probe for this session; `titles` has no effect here."""
    del titles
    return MacProbe(System())
