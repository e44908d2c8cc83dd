"""GNOME on Wayland: idle time from Mutter, the window from the shell extension "Focused Window D-Bus".

Without the extension (extensions.gnome.org, number 5592) presence is measured and the app is unknown. The shell's
signal that another application became active only hastens the next look. Called by `agent`.
"""

import json

from blockerd.screentime.bus import Bus, BusError, DBusAddress
from blockerd.screentime.identity import Names
from blockerd.screentime.probe import DESKTOP, ProbeError, Sample
from blockerd.screentime.track import Window

IDLE = DBusAddress("/org/gnome/Mutter/IdleMonitor/Core", "org.gnome.Mutter.IdleMonitor", "org.gnome.Mutter.IdleMonitor")
FOCUS = DBusAddress(
    "/org/gnome/shell/extensions/FocusedWindow", "org.gnome.Shell", "org.gnome.shell.extensions.FocusedWindow"
)
HINT = ("org.gnome.Shell.Introspect", "RunningApplicationsChanged")
_NONE = "No window in focus"


class GnomeProbe:
    """The shell on the session bus."""

    def __init__(self, bus: Bus, *, titles: bool) -> None:
        self._bus = bus
        self._titles = titles
        self._names = Names()
        self._pid = 0
        self._hints = bus.watch(*HINT)

    def sample(self) -> Sample:
        """One look: two calls."""
        try:
            self._bus.drain()
        except BusError as error:
            raise ProbeError(str(error)) from None
        self._hints.clear()
        window = self._window()
        return Sample(window, self._idle(), self._pid)

    def fullscreen(self) -> bool:
        """The shell itself holds notices back while a window fills the screen, so nobody has to tell it here."""
        return False

    def descriptors(self) -> tuple[int, ...]:
        """The bus."""
        return (self._bus.fileno(),)

    def close(self) -> None:
        """Ends the connection."""
        self._bus.close()

    def _idle(self) -> int | None:
        try:
            return int(self._bus.call(IDLE, "GetIdletime")[0]) * 1000
        except BusError:
            return None

    def _window(self) -> Window | None:
        """The window with the focus; None where the extension is missing, does not answer or says something else."""
        self._pid = 0
        try:
            got = json.loads(self._bus.call(FOCUS, "Get")[0])
        except BusError as error:
            return DESKTOP if _NONE in str(error) else None
        except ValueError:
            return None
        if not isinstance(got, dict):
            return None
        if not got:
            return DESKTOP
        pid = got.get("pid")
        self._pid = pid if isinstance(pid, int) else 0
        app = self._names.of(str(got.get("wm_class") or got.get("wm_class_instance") or ""), self._pid)
        return Window(app, str(got.get("title") or "") if self._titles else "")


def open_probe(*, titles: bool) -> GnomeProbe:
    """The probe for this session; raises ProbeError where there is no session bus or no Mutter on it."""
    try:
        bus = Bus()
    except BusError as error:
        raise ProbeError(str(error)) from None
    try:
        if bus.owner(IDLE.bus_name or ""):
            return GnomeProbe(bus, titles=titles)
    except BusError as error:
        bus.close()
        raise ProbeError(str(error)) from None
    bus.close()
    raise ProbeError("no org.gnome.Mutter.IdleMonitor on the session bus: is this a GNOME session?")
