"""X11: the active window by property events, idle time by the screen saver extension. Needs a window manager.

Refuses an X server that is a guest of Wayland (Xwayland), where native windows would be missed. Listens to no key and
no pointer. Called by `agent`.
"""

import struct
from typing import Any

import xcffib
import xcffib.screensaver
import xcffib.xproto

from blockerd.screentime.identity import Names
from blockerd.screentime.probe import DESKTOP, ProbeError, Sample
from blockerd.screentime.track import Window

_ATOMS = ("_NET_ACTIVE_WINDOW", "_NET_SUPPORTING_WM_CHECK", "_NET_WM_NAME", "_NET_WM_PID", "_NET_WM_STATE",
          "_NET_WM_STATE_FULLSCREEN", "UTF8_STRING")  # fmt: skip
_GUEST, _SAVER_ON = "XWAYLAND", 1
_connect: Any = xcffib.connect  # its types are partial


class X11Probe:
    """The display that DISPLAY names."""

    def __init__(self, *, titles: bool, display: str | None = None) -> None:
        self._titles = titles
        self._names = Names()
        try:
            self._x: Any = _connect(display=display)
            self._saver: Any = self._x(xcffib.screensaver.key)
            if self._x.core.QueryExtension(len(_GUEST), _GUEST).reply().present:
                raise ProbeError("this X server is Xwayland, a guest of Wayland: windows would be missed")
            self._atoms = {name: self._atom(name) for name in _ATOMS}
            self._root = self._x.get_setup().roots[self._x.pref_screen].root
            self._listen(self._root, xcffib.xproto.EventMask.PropertyChange)
        except (xcffib.XcffibException, KeyError) as error:
            raise ProbeError(f"the X display cannot be used ({type(error).__name__}): is DISPLAY set?") from None
        self._active = self._pid = 0
        self._window = self._look()

    def sample(self) -> Sample:
        """One look; what changed while looking is looked at again."""
        try:
            saver = self._saver.QueryInfo(self._root).reply()
            while self._changed():
                self._window = self._look()
            if self._titles and self._window and self._active:
                self._window = Window(self._window.app, self._title())
        except xcffib.ConnectionException:
            raise ProbeError("the X display is gone") from None
        return Sample(self._window, saver.ms_since_user_input * 1000, self._pid, saver.state == _SAVER_ON)

    def fullscreen(self) -> bool:
        """By the window manager's hint on the active window."""
        return self._atoms["_NET_WM_STATE_FULLSCREEN"] in self._numbers(self._active, "_NET_WM_STATE")

    def descriptors(self) -> tuple[int, ...]:
        """The connection to the X server."""
        return (self._x.get_file_descriptor(),)

    def close(self) -> None:
        """Ends the connection."""
        self._x.disconnect()

    def _changed(self) -> bool:
        """Whether an event since the last call says that another window is in front."""
        events = list(iter(self._x.poll_for_event, None))
        atom, gone = self._atoms["_NET_ACTIVE_WINDOW"], xcffib.xproto.DestroyNotifyEvent
        return any(isinstance(event, gone) or getattr(event, "atom", 0) == atom for event in events)

    def _look(self) -> Window | None:
        """The active window; None where no window manager tells."""
        if not self._numbers(self._root, "_NET_SUPPORTING_WM_CHECK"):
            self._active = self._pid = 0
            return None
        self._active = next(iter(self._numbers(self._root, "_NET_ACTIVE_WINDOW")), 0)
        self._pid = next(iter(self._numbers(self._active, "_NET_WM_PID")), 0)
        if not self._exists():  # some window managers go on naming a window that is gone
            return DESKTOP
        said = self._property(self._active, xcffib.xproto.Atom.WM_CLASS).rstrip(b"\0").split(b"\0")[-1]
        return Window(self._names.of(said.decode("utf-8", "replace"), self._pid), self._title() if self._titles else "")

    def _exists(self) -> bool:
        """Whether the active window is there; from now on its end is an event."""
        try:
            self._listen(self._active, xcffib.xproto.EventMask.StructureNotify)
        except xcffib.xproto.WindowError:
            self._active = self._pid = 0
        return bool(self._active)

    def _title(self) -> str:
        for atom in (self._atoms["_NET_WM_NAME"], xcffib.xproto.Atom.WM_NAME):
            if text := self._property(self._active, atom):
                return text.decode("utf-8", "replace")
        return ""

    def _numbers(self, window: int, name: str) -> tuple[int, ...]:
        data = self._property(window, self._atoms[name]) if window else b""
        return struct.unpack(f"={len(data) // 4}I", data[: len(data) // 4 * 4])

    def _property(self, window: int, atom: int) -> bytes:
        """The octets of a property; none where the window went away meanwhile."""
        try:
            reply = self._x.core.GetProperty(False, window, atom, xcffib.xproto.GetPropertyType.Any, 0, 256).reply()
        except xcffib.xproto.WindowError:
            return b""
        return bytes(reply.value.buf()) if reply.value_len else b""

    def _listen(self, window: int, events: int) -> None:
        self._x.core.ChangeWindowAttributesChecked(window, xcffib.xproto.CW.EventMask, [events]).check()

    def _atom(self, name: str) -> int:
        return int(self._x.core.InternAtom(False, len(name), name).reply().atom)


def open_probe(*, titles: bool) -> X11Probe:
    """The probe for this session; raises ProbeError without a display."""
    return X11Probe(titles=titles)
