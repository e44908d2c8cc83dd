"""Idle time under Wayland by ext-idle-notify-v1: the compositor tells when a second passed without input, and its end.

A client of four requests, written from the protocol's description; it sees no key and no pointer. Where the compositor
knows version 2, a playing video does not hide that nobody touches anything. Called by the probes for KDE and sway.
"""

import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

from blockerd.screentime.heartbeat import SECOND
from blockerd.screentime.probe import ProbeError

_DISPLAY, _REGISTRY, _CALLBACK, _SEAT, _NOTIFIER, _NOTIFICATION = 1, 2, 3, 4, 5, 6
_QUIET_MS = 1000


def socket_path(environ: Mapping[str, str]) -> Path:
    """The compositor's socket."""
    return Path(environ.get("XDG_RUNTIME_DIR", "/run")) / environ.get("WAYLAND_DISPLAY", "wayland-0")


class WaylandIdle:
    """The idle counter of the compositor at `path`; `monotonic` gives seconds.

    Raises:
        ProbeError: no compositor there, or one without the protocol.
    """

    def __init__(self, path: Path, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._since: float | None = None
        self._data = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(2)
        try:
            self._socket.connect(str(path))
            self._bind(self._globals())
            self._socket.setblocking(False)
        except (OSError, struct.error) as error:
            self._socket.close()
            raise ProbeError(f"{path}: {error}: is this a Wayland session?") from None

    def idle(self) -> int:
        """Microseconds since the last input; 0 while that is under a second.

        Raises:
            ProbeError: the compositor is gone.
        """
        self._drain()
        return 0 if self._since is None else max(0, round((self._monotonic() - self._since) * SECOND))

    def fileno(self) -> int:
        """The descriptor that becomes readable when idling begins or ends."""
        return self._socket.fileno()

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close()

    def _globals(self) -> dict[str, tuple[int, int]]:
        """(name, version) by interface."""
        self._send(_DISPLAY, 1, struct.pack("=I", _REGISTRY))
        self._send(_DISPLAY, 0, struct.pack("=I", _CALLBACK))
        found: dict[str, tuple[int, int]] = {}
        while True:
            to, opcode, body = self._event()
            if to == _CALLBACK:
                return found
            if to == _REGISTRY and opcode == 0:
                name, length = struct.unpack_from("=II", body)
                interface = body[8 : 7 + length].decode("ascii", "replace")
                found.setdefault(interface, (name, struct.unpack_from("=I", body, len(body) - 4)[0]))

    def _bind(self, known: Mapping[str, tuple[int, int]]) -> None:
        if "ext_idle_notifier_v1" not in known or "wl_seat" not in known:
            raise OSError("the compositor does not offer ext-idle-notify-v1")
        version = min(2, known["ext_idle_notifier_v1"][1])
        for interface, as_version, number in (("wl_seat", 1, _SEAT), ("ext_idle_notifier_v1", version, _NOTIFIER)):
            text = interface.encode() + b"\0"
            padded = text + bytes(-len(text) % 4)
            head, tail = struct.pack("=II", known[interface][0], len(text)), struct.pack("=II", as_version, number)
            self._send(_REGISTRY, 0, head + padded + tail)
        self._send(_NOTIFIER, 2 if version > 1 else 1, struct.pack("=III", _NOTIFICATION, _QUIET_MS, _SEAT))

    def _drain(self) -> None:
        try:
            while True:
                to, opcode, _ = self._event()
                if to == _NOTIFICATION:
                    self._since = self._monotonic() - _QUIET_MS / 1000 if opcode == 0 else None
                elif to == _DISPLAY and opcode == 0:
                    raise ProbeError("the Wayland compositor refused the idle notification")
        except BlockingIOError:
            return
        except OSError as error:
            raise ProbeError(f"the Wayland compositor is gone ({error})") from None

    def _event(self) -> tuple[int, int, bytes]:
        """The next event: object, opcode, arguments. Raises OSError at the end of the line."""
        while len(self._data) < 8 or len(self._data) < struct.unpack_from("=I", self._data, 4)[0] >> 16:
            more = self._socket.recv(65536)
            if not more:
                raise ConnectionResetError("closed")
            self._data += more
        to, word = struct.unpack_from("=II", self._data)
        size = max(8, word >> 16)
        body, self._data = self._data[8:size], self._data[size:]
        return to, word & 0xFFFF, body

    def _send(self, to: int, opcode: int, body: bytes) -> None:
        self._socket.sendall(struct.pack("=II", to, (8 + len(body)) << 16 | opcode) + body)
