"""The probes that were written from documentation: against servers and fakes that answer as it says."""

import os
import select
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jeepney", reason="jeepney is missing: install blockerd[agent]")

from jeepney import DBusAddress, new_method_call
from jeepney.io.blocking import open_dbus_connection

from blockerd.screentime.heartbeat import SECOND
from blockerd.screentime.probe import DESKTOP, ProbeError
from blockerd.screentime.probes import kde as probe_kde
from blockerd.screentime.probes import sway as probe_sway
from blockerd.screentime.probes.macos import MacProbe
from blockerd.screentime.probes.windows import System, WindowsProbe
from blockerd.screentime.track import Window
from blockerd.screentime.wayland import WaylandIdle
from tests.e2e.install import wait_until
from tests.fakes.compositor import Compositor, Sway
from tests.fakes.dbus import Answer, Service, private_bus


@pytest.fixture
def compositor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Compositor]:
    made = Compositor(tmp_path / "wayland-7", 2)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-7")
    yield made
    made.close()


@pytest.mark.parametrize(("version", "opcode"), [(1, 1), (2, 2)])
def test_idle_time_under_wayland_begins_a_second_before_it_is_told(tmp_path: Path, version: int, opcode: int):
    compositor = Compositor(tmp_path / "w", version)
    now = [100.0]
    idle = WaylandIdle(tmp_path / "w", lambda: now[0])
    wait_until(lambda: compositor.asked == [(opcode, 1000)], 2)
    assert idle.idle() == 0
    compositor.idled(on=True)
    assert select.select([idle], [], [], 2)[0]
    assert idle.idle() == SECOND
    now[0] = 130.0
    assert idle.idle() == 31 * SECOND
    compositor.idled(on=False)
    assert select.select([idle], [], [], 2)[0]
    assert idle.idle() == 0
    compositor.close()
    with pytest.raises(ProbeError, match="gone"):
        idle.idle()
    idle.close()


def test_a_compositor_without_the_protocol_is_told_in_one_line(tmp_path: Path):
    compositor = Compositor(tmp_path / "w", 0)
    with pytest.raises(ProbeError, match="ext-idle-notify-v1"):
        WaylandIdle(tmp_path / "w", lambda: 0.0)
    compositor.close()
    with pytest.raises(ProbeError, match="Wayland session"):
        WaylandIdle(tmp_path / "none", lambda: 0.0)


def _tree(*windows: dict[str, Any]) -> dict[str, Any]:
    space = {"type": "workspace", "focused": not windows, "nodes": list(windows), "floating_nodes": []}
    return {"type": "root", "nodes": [{"type": "output", "nodes": [space]}]}


EDITOR = {"type": "con", "focused": True, "pid": 1 << 22, "app_id": "Editor", "name": "a letter", "fullscreen_mode": 0}
OLD = {**EDITOR, "app_id": None, "window_properties": {"class": "Gimp"}, "fullscreen_mode": 1}


def test_sway_tells_the_focused_window(tmp_path: Path, compositor: Compositor, monkeypatch: pytest.MonkeyPatch):
    sway = Sway(tmp_path / "sway", _tree(EDITOR))
    monkeypatch.setenv("SWAYSOCK", str(tmp_path / "sway"))
    probe = probe_sway.open_probe(titles=False)
    assert probe.sample().window == Window("editor")
    assert not probe.fullscreen()
    for tree, window in ((_tree(OLD), Window("gimp")), (_tree(), DESKTOP)):
        sway.tree = tree
        sway.changed()
        assert select.select(probe.descriptors(), [], [], 2)[0]
        assert probe.sample().window == window
        assert probe.fullscreen() is (window == Window("gimp"))
    titled = probe_sway.SwayProbe(str(tmp_path / "sway"), WaylandIdle(tmp_path / "wayland-7", lambda: 0.0), titles=True)
    sway.tree = _tree(EDITOR)
    assert titled.sample().window == Window("editor", "a letter")
    sway.close()
    with pytest.raises(ProbeError, match="sway"):
        probe.sample()
    probe.close()
    titled.close()


def test_sway_that_is_not_there_is_told_in_one_line(compositor: Compositor, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SWAYSOCK", "/nonexistent/sway")
    with pytest.raises(ProbeError, match="is sway running"):
        probe_sway.open_probe(titles=False)


@pytest.mark.needs_tool("dbus-daemon", "dbus")
def test_kwin_runs_a_script_that_calls_back(tmp_path: Path, compositor: Compositor, monkeypatch: pytest.MonkeyPatch):
    scripts: list[str] = []

    def loaded(path: str, _name: str) -> Answer:
        scripts.append(Path(path).read_text("utf-8"))
        return "i", (3,)

    with private_bus(tmp_path / "dbus") as address:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        kwin = Service(address, "org.kde.KWin")
        kwin.methods["/Scripting", "loadScript"] = loaded
        kwin.methods["/Scripting/Script3", "run"] = lambda: ("", ())
        kwin.methods["/Scripting", "unloadScript"] = lambda _name: ("b", (True,))
        probe = probe_kde.open_probe(titles=False)
        assert probe.sample().window is None  # until the script was run
        assert "window && false ? String(window.caption)" in scripts[0]
        with open_dbus_connection(address) as script:
            to = DBusAddress(probe_kde.PATH, probe_kde.NAME, probe_kde.INTERFACE)
            for app, pid, window in (("org.kde.kate", os.getpid(), Window("org.kde.kate")), ("", 0, DESKTOP)):
                script.send(new_method_call(to, "Active", "ssib", (app, "", pid, bool(app))))
                assert select.select(probe.descriptors(), [], [], 2)[0]
                sample = probe.sample()
                assert (sample.window, sample.pid, sample.idle) == (window, pid, 0)
                assert probe.fullscreen() is bool(app)
        probe.close()
        assert ("/Scripting", "unloadScript") in [(path, member) for path, member, _ in kwin.calls]
        kwin.close()


@pytest.mark.needs_tool("dbus-daemon", "dbus")
def test_without_kwin_there_is_no_probe(tmp_path: Path, compositor: Compositor, monkeypatch: pytest.MonkeyPatch):
    with private_bus(tmp_path / "dbus") as address:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        with pytest.raises(ProbeError, match="Plasma"):
            probe_kde.open_probe(titles=False)


@dataclass
class Windows:
    """What Windows would answer."""

    window: int = 7
    ticks_now: int = 10_000
    input_at: int = 9_000
    state: int = 5
    pids: dict[int, int] = field(default_factory=lambda: {7: os.getpid()})

    def foreground(self) -> int:
        return self.window

    def process_of(self, window: int) -> int:
        return self.pids[window]

    def title_of(self, window: int) -> str:
        return f"title of {window}"

    def last_input(self) -> int:
        return self.input_at

    def ticks(self) -> int:
        return self.ticks_now

    def notification_state(self) -> int:
        return self.state


WRAP = 1 << 32


@pytest.mark.parametrize(
    ("ticks", "input_at", "idle"),
    [(10_000, 9_000, 1_000), (WRAP + 500, WRAP - 500, 1_000), (3 * WRAP + 7_000, 4_000, 3_000), (5, 5, 0)],
    ids=["plain", "the 32 bits wrapped in between", "up for 150 days", "just now"],
)
def test_idle_time_on_windows_survives_the_wrap_of_its_counter(ticks: int, input_at: int, idle: int):
    probe = WindowsProbe(Windows(ticks_now=ticks, input_at=input_at), titles=False)
    assert probe.sample().idle == idle * 1000


def test_windows_tells_the_app_by_its_process_and_a_title_only_where_it_is_on():
    for titles in (False, True):
        window = WindowsProbe(Windows(), titles=titles).sample().window
        assert window
        assert window.app.startswith(("python", "pytest"))
        assert window.title == ("title of 7" if titles else "")


def test_no_window_in_front_on_windows_is_the_lock_screen():
    sample = WindowsProbe(Windows(window=0), titles=False).sample()
    assert (sample.held, sample.window) == (True, None)


def test_windows_says_when_a_notice_would_disturb():
    assert [WindowsProbe(Windows(state=state), titles=False).fullscreen() for state in (3, 5)] == [True, False]


@pytest.mark.skipif(os.name == "nt", reason="not run here: Windows")
def test_elsewhere_there_is_no_windows():
    with pytest.raises(ProbeError, match="no Windows"):
        System()


@dataclass
class Mac:
    """What macOS would answer."""

    front: tuple[str, int] | None = ("com.apple.Safari", 1 << 22)
    idle: float = 2.5
    of: dict[str, object] | None = field(default_factory=lambda: dict[str, object](kCGSSessionOnConsoleKey=True))

    def frontmost(self) -> tuple[str, int] | None:
        return self.front

    def idle_seconds(self) -> float:
        return self.idle

    def session(self) -> dict[str, object] | None:
        return self.of


def test_macos_tells_app_and_idle_time():
    sample = MacProbe(Mac()).sample()
    assert (sample.window, sample.idle, sample.held) == (Window("com.apple.safari"), 2_500_000, False)
    assert MacProbe(Mac(front=None)).sample().window == DESKTOP


@pytest.mark.parametrize(
    "session",
    [None, {"kCGSSessionOnConsoleKey": False}, {"CGSSessionScreenIsLocked": 1, "kCGSSessionOnConsoleKey": 1}],
    ids=["none", "another user", "locked"],
)
def test_a_locked_or_switched_session_on_macos_is_held(session: dict[str, object] | None):
    assert MacProbe(Mac(of=session)).sample().held
