"""sway: the focused window by its IPC socket, idle time by ext-idle-notify-v1. Experimental.

Written from sway-ipc(7); never tried on a real desktop. Called by `agent`.
"""

import json
import os
import socket
import struct
import time
from typing import Any

from blockerd.screentime.identity import Names
from blockerd.screentime.probe import DESKTOP, ProbeError, Sample
from blockerd.screentime.track import Window
from blockerd.screentime.wayland import WaylandIdle, socket_path

_MAGIC = b"i3-ipc"
_HEAD = struct.Struct("=6sII")
_SUBSCRIBE, _TREE = 2, 4
_EVENT = 1 << 31


class SwayProbe:
    """The compositor whose IPC socket is `path`."""

    def __init__(self, path: str, idle: WaylandIdle, *, titles: bool) -> None:
        self._titles, self._idle, self._names = titles, idle, Names()
        self._node: dict[str, Any] | None = None
        self._asks, self._hears = self._connect(path), self._connect(path)
        self._ask(self._hears, _SUBSCRIBE, b'["window","workspace"]')
        self._hears.setblocking(False)
        self._stale = True

    def sample(self) -> Sample:
        """One look; the tree is asked for only after an event."""
        if self._told() or self._stale or self._titles:
            self._node = focused(json.loads(self._ask(self._asks, _TREE)))
            self._stale = False
        if self._node is None:
            return Sample(DESKTOP, self._idle.idle())
        pid = int(self._node.get("pid") or 0)
        said = self._node.get("app_id") or (self._node.get("window_properties") or {}).get("class") or ""
        title = str(self._node.get("name") or "") if self._titles else ""
        return Sample(Window(self._names.of(str(said), pid), title), self._idle.idle(), pid)

    def fullscreen(self) -> bool:
        """As the tree has it."""
        return bool(self._node and self._node.get("fullscreen_mode"))

    def descriptors(self) -> tuple[int, ...]:
        """Events of windows and of idling."""
        return (self._hears.fileno(), self._idle.fileno())

    def close(self) -> None:
        """Ends the connections."""
        for each in (self._asks, self._hears, self._idle):
            each.close()

    def _told(self) -> bool:
        """Whether events came since the last call; what they say is asked for anew."""
        told = False
        try:
            while data := self._hears.recv(65536):
                told = bool(data)
        except BlockingIOError:
            return told
        except OSError as error:
            raise ProbeError(f"sway is gone ({error})") from None
        raise ProbeError("sway is gone")

    def _connect(self, path: str) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.settimeout(1)
        try:
            made.connect(path)
        except OSError as error:
            made.close()
            raise ProbeError(f"{path}: {error}: is sway running?") from None
        return made

    def _ask(self, line: socket.socket, kind: int, body: bytes = b"") -> bytes:
        try:
            line.sendall(_HEAD.pack(_MAGIC, len(body), kind) + body)
            _, length, _ = _HEAD.unpack(_exactly(line, _HEAD.size))
            return _exactly(line, length)
        except (OSError, struct.error) as error:
            raise ProbeError(f"sway does not answer ({error})") from None


def focused(tree: dict[str, Any]) -> dict[str, Any] | None:
    """The focused window of the tree; None where a workspace without one has the focus."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if node.get("focused") and node.get("pid"):
            return node
        waiting += [*node.get("nodes", ()), *node.get("floating_nodes", ())]
    return None


def _exactly(line: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = line.recv(length - len(data))
        if not more:
            raise ConnectionResetError("closed")
        data += more
    return data


def open_probe(*, titles: bool) -> SwayProbe:
    """The probe for this session; raises ProbeError where there is no sway."""
    idle = WaylandIdle(socket_path(os.environ), time.monotonic)
    try:
        return SwayProbe(os.environ.get("SWAYSOCK", ""), idle, titles=titles)
    except ProbeError:
        idle.close()
        raise
