"""A real X desktop for tests: Xvfb, the window manager openbox, windows, and input by xdotool.

Everything runs on a display of its own. Called by the tests of screen time.
"""

import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import xcffib
import xcffib.xproto

from tests.e2e.install import wait_until

connect: Any = xcffib.connect

NEEDS = [
    pytest.mark.needs_tool("Xvfb", "xvfb"),
    pytest.mark.needs_tool("openbox"),
    pytest.mark.needs_tool("xdotool"),
]
"""`pytestmark` of a file that uses a desktop."""


class Desktop:
    """The display `name`; windows are made and brought to the front here, as a user's programs would."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._x: Any = connect(display=name)
        self._screen = self._x.get_setup().roots[self._x.pref_screen]

    def window(self, app: str, title: str = "", pid: int = 0) -> int:
        """A mapped window of the class `app`, in front."""
        window = int(self._x.generate_id())
        screen, mode = self._screen, xcffib.xproto.PropMode.Replace
        self._x.core.CreateWindow(
            screen.root_depth, window, screen.root, 10, 10, 200, 100, 0, xcffib.xproto.WindowClass.InputOutput,
            screen.root_visual, 0, [],
        )  # fmt: skip
        name = app.encode()
        for atom, kind, width, data in (
            ("WM_CLASS", "STRING", 8, name + b"\0" + name.title() + b"\0"),
            ("_NET_WM_NAME", "UTF8_STRING", 8, title.encode()),
            ("_NET_WM_PID", "CARDINAL", 32, struct.pack("=I", pid)),
        ):
            if data:
                count = len(data) * 8 // width
                self._x.core.ChangeProperty(mode, window, self.atom(atom), self.atom(kind), width, count, data)
        self._x.core.MapWindow(window)
        wait_until(lambda: self._in_front(window), 5)
        return window

    def _in_front(self, window: int) -> bool:
        """Asks again each time: a window manager that just starts hears no wish about a window it does not know yet."""
        if self.active() != window:
            self.activate(window)
        return self.active() == window

    def activate(self, window: int) -> None:
        """Asks the window manager to bring `window` to the front (EWMH _NET_ACTIVE_WINDOW)."""
        self.message(window, "_NET_ACTIVE_WINDOW", 2, 0, 0)

    def fullscreen(self, window: int, *, on: bool) -> None:
        """Asks for `window` to fill the screen, or to give it back (EWMH _NET_WM_STATE)."""
        self.message(window, "_NET_WM_STATE", int(on), self.atom("_NET_WM_STATE_FULLSCREEN"), 0)

    def close(self, window: int) -> None:
        """Destroys `window`."""
        self._x.core.DestroyWindow(window)
        self._x.flush()

    def active(self) -> int:
        """The active window as the window manager tells it."""
        reply = self._x.core.GetProperty(
            False, self._screen.root, self.atom("_NET_ACTIVE_WINDOW"), xcffib.xproto.GetPropertyType.Any, 0, 1
        ).reply()
        return int(struct.unpack("=I", bytes(reply.value.buf()))[0]) if reply.value_len else 0

    def press(self, key: str = "a") -> None:
        """A key press, as from a keyboard."""
        subprocess.run(["xdotool", "key", key], env=self.environment(), check=True, timeout=10)

    def environment(self) -> dict[str, str]:
        """The environment of a program of this session."""
        left = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "WAYLAND_", "DBUS_"))}
        nowhere = {
            "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
            "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent",
        }
        return {**left, **nowhere, "DISPLAY": self.name, "XDG_SESSION_TYPE": "x11"}

    def message(self, window: int, atom: str, *values: int) -> None:
        """A client message to the root window, as EWMH has it."""
        data = (*values, 0, 0, 0, 0, 0)[:5]
        event = struct.pack("=BBHII5I", 33, 32, 0, window, self.atom(atom), *data)
        mask = xcffib.xproto.EventMask.SubstructureNotify | xcffib.xproto.EventMask.SubstructureRedirect
        self._x.core.SendEvent(False, self._screen.root, mask, event)
        self._x.flush()

    def atom(self, name: str) -> int:
        """The number of an atom."""
        return int(self._x.core.InternAtom(False, len(name), name).reply().atom)

    def disconnect(self) -> None:
        """Ends the connection, and with it the windows."""
        self._x.disconnect()


@contextmanager
def desktop(*, manager: bool = True) -> Iterator[Desktop]:
    """A desktop of its own, with a window manager unless not wanted."""
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "640x480x24", "-nolisten", "tcp", "-noreset"],
        pass_fds=(writing,), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(writing)
    started = [server]
    try:
        with os.fdopen(reading) as number:
            made = Desktop(f":{int(number.readline())}")
        if manager:
            openbox = ["openbox", "--sm-disable"]
            started.append(subprocess.Popen(openbox, env=made.environment(), stderr=subprocess.DEVNULL))
            wait_until(lambda: _managed(made), 10)
        yield made
        if server.poll() is None:
            made.disconnect()
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(10)


def _managed(desktop: Desktop) -> bool:
    root = desktop._screen.root
    atom = desktop.atom("_NET_SUPPORTING_WM_CHECK")
    return bool(desktop._x.core.GetProperty(False, root, atom, 0, 0, 1).reply().value_len)
