"""A Wayland compositor and a sway IPC socket for tests, each a thread that speaks as its protocol says."""

import json
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any


class _Server:
    """Listens at `path`; each connection gets a thread of its own."""

    def __init__(self, path: Path, serve: Callable[[socket.socket], None]) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._serve = serve
        self.lines: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """Ends all connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for line in self.lines:
            line.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for line in self.lines:
            line.close()

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            self.lines.append(line)
            self._threads.append(threading.Thread(target=self._serve, args=(line,), daemon=True))
            self._threads[-1].start()


def _exactly(line: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        try:
            more = line.recv(length - len(data))
        except OSError:
            return b""
        if not more:
            return b""
        data += more
    return data


class Compositor(_Server):
    """Offers a seat and, in `version`, ext_idle_notifier_v1; 0: not at all."""

    def __init__(self, path: Path, version: int) -> None:
        self.version = version
        self.asked: list[tuple[int, int]] = []
        """(opcode, time-out in ms) of the idle notifications asked for."""
        self._notifications: list[tuple[socket.socket, int]] = []
        super().__init__(path, self._talk)

    def idled(self, *, on: bool) -> None:
        """Tells everybody that idling began or ended."""
        for line, number in self._notifications:
            line.sendall(struct.pack("=II", number, 8 << 16 | (0 if on else 1)))

    def _talk(self, line: socket.socket) -> None:
        bound: dict[int, str] = {}
        while head := _exactly(line, 8):
            to, word = struct.unpack("=II", head)
            body = _exactly(line, (word >> 16) - 8)
            opcode = word & 0xFFFF
            if (to, opcode) == (1, 1):
                registry = struct.unpack("=I", body)[0]
                offered = [("wl_compositor", 4), ("wl_seat", 7), ("wl_seat", 7)]
                offered += [("ext_idle_notifier_v1", self.version)] if self.version else []
                for name, (interface, version) in enumerate(offered, 10):
                    text = interface.encode() + b"\0"
                    args = (
                        struct.pack("=II", name, len(text)) + text + bytes(-len(text) % 4) + struct.pack("=I", version)
                    )
                    line.sendall(struct.pack("=II", registry, (8 + len(args)) << 16) + args)
            elif (to, opcode) == (1, 0):
                line.sendall(struct.pack("=III", struct.unpack("=I", body)[0], 12 << 16, 7))
            elif to == 2:
                length = struct.unpack_from("=I", body, 4)[0]
                interface, number = body[8 : 7 + length].decode(), struct.unpack_from("=I", body, len(body) - 4)[0]
                bound[number] = interface
            elif bound.get(to) == "ext_idle_notifier_v1":
                number, quiet, seat = struct.unpack("=III", body)
                assert bound[seat] == "wl_seat"
                self.asked.append((opcode, quiet))
                self._notifications.append((line, number))


class Sway(_Server):
    """Answers SUBSCRIBE and GET_TREE of sway-ipc(7) with `tree`; `changed` sends a window event to all subscribers."""

    def __init__(self, path: Path, tree: dict[str, Any]) -> None:
        self.tree = tree
        self._subscribed: list[socket.socket] = []
        super().__init__(path, self._talk)

    def changed(self) -> None:
        """A window event."""
        for line in self._subscribed:
            self._put(line, 1 << 31 | 3, {"change": "focus"})

    def _talk(self, line: socket.socket) -> None:
        while head := _exactly(line, 14):
            magic, length, kind = struct.unpack("=6sII", head)
            assert magic == b"i3-ipc"
            _exactly(line, length)
            if kind == 2:
                self._subscribed.append(line)
            self._put(line, kind, {"success": True} if kind == 2 else self.tree)

    def _put(self, line: socket.socket, kind: int, thing: Any) -> None:  # noqa: ANN401  (JSON)
        body = json.dumps(thing).encode()
        line.sendall(struct.pack("=6sII", b"i3-ipc", len(body), kind) + body)
