"""Notices on the screen by org.freedesktop.Notifications: one calm line, details only on a click. Called by `agent`."""

from blockerd.screentime.bus import Bus, BusError, DBusAddress
from blockerd.screentime.notice import Notice, detail

_SERVICE = DBusAddress(
    "/org/freedesktop/Notifications", "org.freedesktop.Notifications", "org.freedesktop.Notifications"
)
_SECONDS = 8
_KEPT = 20


class Notifier:
    """Shows notices on the desktop of this session.

    Raises:
        BusError: there is no session bus.
    """

    def __init__(self) -> None:
        self._bus = Bus()
        try:
            self._clicks = self._bus.watch("org.freedesktop.Notifications", "ActionInvoked")
        except BusError:
            self._bus.close()
            raise
        self._shown: dict[int, Notice] = {}

    def show(self, notice: Notice) -> None:
        """Shows the one line of `notice`; raises BusError where nobody shows notices."""
        key = self._notify(notice.text, "", ["default", "Details"])
        self._shown[key] = notice
        while len(self._shown) > _KEPT:
            del self._shown[next(iter(self._shown))]

    def clicked(self) -> None:
        """Shows the details of the notices that were clicked since the last call; raises BusError as `show`."""
        self._bus.drain()
        while self._clicks:
            key, _ = self._clicks.popleft().body
            notice = self._shown.pop(key, None)
            if notice:
                self._notify(notice.text, detail(notice), [])

    def fileno(self) -> int:
        """The descriptor that becomes readable on a click."""
        return self._bus.fileno()

    def close(self) -> None:
        """Ends the connection."""
        self._bus.close()

    def _notify(self, summary: str, body: str, actions: list[str]) -> int:
        hints = {"urgency": ("y", 0), "transient": ("b", True), "category": ("s", "x-blockerd.page")}
        args = ("blockerd", 0, "", summary, body, actions, hints, _SECONDS * 1000)
        return int(self._bus.call(_SERVICE, "Notify", "susssasa{sv}i", args)[0])
