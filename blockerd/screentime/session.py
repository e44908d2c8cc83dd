"""The login session: is the user shut out (locked, switched away), and does something play in front of them?

By logind and the desktops' screen savers on D-Bus; without a bus nothing is known and nobody is shut out. A player
counts only where it belongs to the window in front: music behind a text is no sign of somebody. Called by `agent`.
"""

from collections.abc import Callable
from contextlib import suppress

from blockerd.screentime.bus import Bus, BusError, DBusAddress, Queue
from blockerd.screentime.identity import related

LOOK_AGAIN = 30.0
"""Seconds after which the locks are asked for again without a signal."""

_LOGIND = "org.freedesktop.login1"
_MANAGER = DBusAddress("/org/freedesktop/login1", _LOGIND, f"{_LOGIND}.Manager")
_AUTO = DBusAddress("/org/freedesktop/login1/session/auto", _LOGIND, f"{_LOGIND}.Session")
_SAVERS = (
    DBusAddress("/org/freedesktop/ScreenSaver", "org.freedesktop.ScreenSaver", "org.freedesktop.ScreenSaver"),
    DBusAddress("/org/gnome/ScreenSaver", "org.gnome.ScreenSaver", "org.gnome.ScreenSaver"),
)
_GNOME = DBusAddress("/org/gnome/SessionManager", "org.gnome.SessionManager", "org.gnome.SessionManager")
_MPRIS = "org.mpris.MediaPlayer2"
_IDLE_FLAG = 8


class Session:
    """The session that this process belongs to; `monotonic` gives seconds."""

    def __init__(self, system: Bus | None, desktop: Bus | None, monotonic: Callable[[], float]) -> None:
        self._system = system
        self._desktop = desktop
        self._monotonic = monotonic
        self._session = self._path()
        self._savers = [saver for saver in _SAVERS if desktop and desktop.owner(saver.bus_name or "")]
        self._signals: list[Queue] = []
        with suppress(BusError):
            self._listen()
        self._held = False
        self._asked = float("-inf")

    def held(self) -> bool:
        """Whether the screen is locked or another user has it; asked again only after a signal or LOOK_AGAIN."""
        told = False
        for bus in (self._system, self._desktop):
            with suppress(BusError):
                if bus:
                    bus.drain()
        for queue in self._signals:
            told = told or bool(queue)
            queue.clear()
        if told or self._monotonic() - self._asked >= LOOK_AGAIN:
            self._asked = self._monotonic()
            self._held = self._shut_out()
        return self._held

    def media(self, app: str, pid: int) -> bool:
        """Whether a player or a program that keeps the screen awake belongs to the app in front (process `pid`)."""
        return self._playing(app, pid) or self._awake(app, pid)

    def presenting(self) -> bool:
        """Whether any program keeps the screen awake: a film, a talk."""
        return self._awake("", 0)

    def descriptors(self) -> tuple[int, ...]:
        """The buses."""
        return tuple(bus.fileno() for bus in (self._system, self._desktop) if bus)

    def close(self) -> None:
        """Ends the connections."""
        for bus in (self._system, self._desktop):
            if bus:
                bus.close()

    def _path(self) -> DBusAddress | None:
        """The session's own path, which its signals name; None without logind."""
        if self._system is None:
            return None
        try:
            path = self._system.call(_MANAGER, "GetSession", "s", (str(self._system.get(_AUTO, "Id")),))[0]
        except BusError:
            return None
        return DBusAddress(path, _LOGIND, f"{_LOGIND}.Session")

    def _listen(self) -> None:
        if self._system and self._session:
            path = self._session.object_path
            self._signals.append(self._system.watch("org.freedesktop.DBus.Properties", "PropertiesChanged", path))
        for saver in self._savers:
            if self._desktop:
                self._signals.append(self._desktop.watch(saver.interface or "", "ActiveChanged"))

    def _shut_out(self) -> bool:
        if self._system and self._session:
            with suppress(BusError):
                if self._system.get(self._session, "LockedHint") or not self._system.get(self._session, "Active"):
                    return True
        for saver in self._savers:
            with suppress(BusError):
                if self._desktop and self._desktop.call(saver, "GetActive")[0]:
                    return True
        return False

    def _playing(self, app: str, pid: int) -> bool:
        """By MPRIS: something that plays, of the app in front."""
        bus = self._desktop
        if bus is None:
            return False
        with suppress(BusError):
            for name in [name for name in bus.names() if name.startswith(f"{_MPRIS}.")]:
                player = DBusAddress("/org/mpris/MediaPlayer2", name, f"{_MPRIS}.Player")
                with suppress(BusError):
                    ours = related(bus.pid(name), pid) or _same(name.removeprefix(f"{_MPRIS}."), app)
                    if ours and bus.get(player, "PlaybackStatus") == "Playing":
                        return True
        return False

    def _awake(self, app: str, pid: int) -> bool:
        """By idle inhibitors of the app in front, of any app where `app` is ""."""
        if self._system:
            with suppress(BusError):
                for what, who, _, _, _, of in self._system.call(_MANAGER, "ListInhibitors")[0]:
                    if "idle" in what.split(":") and (not app or related(of, pid) or _same(who, app)):
                        return True
        if self._desktop and self._desktop.owner(_GNOME.bus_name or ""):
            with suppress(BusError):
                for path in self._desktop.call(_GNOME, "GetInhibitors")[0]:
                    one = DBusAddress(path, "org.gnome.SessionManager", "org.gnome.SessionManager.Inhibitor")
                    with suppress(BusError):
                        idle = self._desktop.call(one, "GetFlags")[0] & _IDLE_FLAG
                        if idle and (not app or _same(str(self._desktop.call(one, "GetAppId")[0]), app)):
                            return True
        return False


def open_session(monotonic: Callable[[], float]) -> Session:
    """The session of this process, with whatever buses there are."""
    return Session(_bus("SYSTEM"), _bus("SESSION"), monotonic)


def _bus(which: str) -> Bus | None:
    try:
        return Bus(which)
    except BusError:
        return None


def _same(said: str, app: str) -> bool:
    """Whether a player's own name ("firefox.instance_1_2", "org.videolan.VLC") means the app."""
    said, app = said.lower(), app.lower()
    return bool(app) and (app in said.split(".") or said == app or app.split(".")[-1] in said.split("."))
