"""KDE Plasma on Wayland: a small KWin script calls back with the active window; idle time by ext-idle-notify-v1.
Experimental.

Written from KWin's scripting documentation; never tried on a real desktop. The app is unknown until KWin has run the
script. Called by `agent`.
"""

import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from blockerd.screentime.bus import Bus, BusError, DBusAddress
from blockerd.screentime.identity import Names
from blockerd.screentime.probe import DESKTOP, ProbeError, Sample
from blockerd.screentime.track import Window
from blockerd.screentime.wayland import WaylandIdle, socket_path

SCRIPTING = DBusAddress("/Scripting", "org.kde.KWin", "org.kde.kwin.Scripting")
NAME, PATH, INTERFACE = "org.blockerd.Agent", "/org/blockerd/Agent", "org.blockerd.Agent"

SCRIPT = f"""
function tell(window) {{
    var app = window ? String(window.resourceClass || window.resourceName) : "";
    var title = window && TITLES ? String(window.caption) : "";
    callDBus("{NAME}", "{PATH}", "{INTERFACE}", "Active",
             app, title, window ? window.pid : 0, !!(window && window.fullScreen));
}}
var signal = workspace.windowActivated || workspace.clientActivated;
signal.connect(tell);
tell(workspace.activeWindow || workspace.activeClient);
"""


class KdeProbe:
    """KWin on the session bus."""

    def __init__(self, bus: Bus, idle: WaylandIdle, *, titles: bool) -> None:
        self._bus, self._idle, self._names = bus, idle, Names()
        self._sample, self._fullscreen = Sample(None, None), False
        self._plugin = f"blockerd-{os.getpid()}"
        self._calls = bus.serve(NAME, INTERFACE)
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder) / "blockerd.js"
            script.write_text(SCRIPT.replace("TITLES", "true" if titles else "false"), "utf-8")
            number = bus.call(SCRIPTING, "loadScript", "ss", (str(script), self._plugin))[0]
            # Plasma 6 names the object Script<n>, Plasma 5 plainly <n>.
            for path in (f"/Scripting/Script{number}", f"/{number}"):
                with suppress(BusError):
                    bus.call(DBusAddress(path, "org.kde.KWin", "org.kde.kwin.Script"), "run")
                    return
        raise BusError("KWin did not run the script")

    def sample(self) -> Sample:
        """One look: what the script told last."""
        try:
            self._bus.drain()
        except BusError as error:
            raise ProbeError(str(error)) from None
        while self._calls:
            app, title, pid, self._fullscreen = self._calls.popleft().body
            window = Window(self._names.of(app, int(pid)), title) if app or pid else DESKTOP
            self._sample = Sample(window, None, int(pid))
        return Sample(self._sample.window, self._idle.idle(), self._sample.pid)

    def fullscreen(self) -> bool:
        """As the script told last."""
        return bool(self._fullscreen)

    def descriptors(self) -> tuple[int, ...]:
        """Calls of the script, and idling."""
        return (self._bus.fileno(), self._idle.fileno())

    def close(self) -> None:
        """Takes the script out again."""
        with suppress(BusError):
            self._bus.call(SCRIPTING, "unloadScript", "s", (self._plugin,))
        self._bus.close()
        self._idle.close()


def open_probe(*, titles: bool) -> KdeProbe:
    """The probe for this session; raises ProbeError where there is no KWin."""
    idle = WaylandIdle(socket_path(os.environ), time.monotonic)
    try:
        bus = Bus()
    except BusError as error:
        idle.close()
        raise ProbeError(str(error)) from None
    try:
        return KdeProbe(bus, idle, titles=titles)
    except BusError as error:
        bus.close()
        idle.close()
        raise ProbeError(f"{error}: is this a Plasma session?") from None
