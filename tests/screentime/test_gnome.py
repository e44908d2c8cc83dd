"""The GNOME probe, the session and the notices on a private bus: each interface is played by python-dbusmock."""

import json
import os
import select
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("jeepney", reason="jeepney is missing: install blockerd[agent]")

from jeepney import DBusAddress, new_method_call
from jeepney.io.blocking import open_dbus_connection

from blockerd.screentime.bus import LIMIT, Bus, BusError
from blockerd.screentime.notice import TEXT, Notice, Sort
from blockerd.screentime.notify import Notifier
from blockerd.screentime.probe import DESKTOP, ProbeError, Sample
from blockerd.screentime.probes.gnome import FOCUS, HINT, IDLE, GnomeProbe, open_probe
from blockerd.screentime.session import Session, open_session
from blockerd.screentime.track import Window
from tests.e2e.install import wait_until
from tests.fakes.dbus import private_bus
from tests.fakes.dbusmock import NEEDS, Method, Mock, started

pytestmark = NEEDS

SHELL, MUTTER, LOGIND, VLC = "org.gnome.Shell", "org.gnome.Mutter.IdleMonitor", "org.freedesktop.login1", "vlc"
SESSION, AUTO = f"{LOGIND}.Session", "/org/freedesktop/login1/session/auto"
MPRIS, SAVER, MANAGER = "org.mpris.MediaPlayer2", "org.gnome.ScreenSaver", "org.gnome.SessionManager"
NOTIFICATIONS = "org.freedesktop.Notifications"
ONE = "/org/freedesktop/login1/session/c2"


class Desktop:
    """The services of a GNOME session, each a dbusmock of its own, on the bus at `address`."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.shell = Mock(address, SHELL, "/org/gnome/Shell", SHELL)
        self.mutter = Mock(address, MUTTER, IDLE.object_path, IDLE.interface)
        self.logind = Mock(address, LOGIND, template="logind")
        self.saver = Mock(address, SAVER, template="gnome_screensaver")
        self.player = Mock(address, f"{MPRIS}.{VLC}", "/org/mpris/MediaPlayer2", f"{MPRIS}.Player")
        self.manager = Mock(address, MANAGER, "/org/gnome/SessionManager", MANAGER)
        self.notifications = Mock(address, NOTIFICATIONS, template="notification_daemon")
        self.all = (self.shell, self.mutter, self.logind, self.saver, self.player, self.manager, self.notifications)

    def set_up(self) -> None:
        """A window in front, somebody who was away for 4.2 s, one session, a player that plays."""
        for mock in self.all:
            mock.reset()
        self.mutter.method(("GetIdletime", "", "t", "ret = 4200"))
        self.shell.add(FOCUS.object_path, FOCUS.interface, {}, focus("org.gnome.TextEditor", "a letter"))
        self.shell.add("/org/gnome/Shell/Introspect", HINT[0], {})
        self.logind.add(ONE, SESSION, {"LockedHint": ("b", False), "Active": ("b", True)})
        self.logind.add(AUTO, SESSION, {"Id": ("s", "c2")})
        self.player.properties(f"{MPRIS}.Player", {"PlaybackStatus": ("s", "Playing")})
        self.manager.method(("GetInhibitors", "", "ao", "ret = dbus.Array([], signature='o')"))

    def focus(self, method: Method) -> None:
        """Another answer of the extension."""
        self.shell.method(method, FOCUS.object_path)

    def plays(self, status: str) -> None:
        """What the player does."""
        self.player.set(f"{MPRIS}.Player", "PlaybackStatus", "s", status)


def focus(wm_class: str, title: str = "", pid: int = 0) -> Method:
    """The extension's answer: the properties of the focused window as JSON."""
    window = {"title": title, "wm_class": wm_class, "wm_class_instance": wm_class, "pid": pid, "id": 7, "focus": True}
    return _get(f"ret = {json.dumps(window)!r}")


def _get(code: str) -> Method:
    return ("Get", "", "s", code)


@pytest.fixture(scope="module")
def started_desktop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desktop]:
    with private_bus(tmp_path_factory.mktemp("bus") / "dbus") as address:
        made = Desktop(address)
        with started(*made.all):
            yield made


@pytest.fixture
def desktop(started_desktop: Desktop, monkeypatch: pytest.MonkeyPatch) -> Desktop:
    for which in ("SESSION", "SYSTEM"):
        monkeypatch.setenv(f"DBUS_{which}_BUS_ADDRESS", started_desktop.address)
    started_desktop.set_up()
    return started_desktop


@pytest.fixture
def gnome(desktop: Desktop) -> Iterator[GnomeProbe]:
    probe = open_probe(titles=False)
    yield probe
    probe.close()


@pytest.fixture
def session(desktop: Desktop) -> Iterator[Session]:
    made = open_session(lambda: 0.0)
    yield made
    made.close()


def test_window_and_idle_time_come_from_the_shell(gnome: GnomeProbe):
    assert gnome.sample() == Sample(Window("org.gnome.texteditor"), 4_200_000)


def test_titles_are_read_where_they_are_switched_on(desktop: Desktop):
    probe = GnomeProbe(Bus(), titles=True)
    assert probe.sample().window == Window("org.gnome.texteditor", "a letter")
    probe.close()


@pytest.mark.parametrize(
    ("code", "window"),
    [
        ("raise dbus.exceptions.DBusException('No window in focus', name='org.gnome.gjs.JSError.Error')", DESKTOP),
        ("ret = '{}'", DESKTOP),
        ("raise dbus.exceptions.DBusException('the extension has trouble', name='org.gnome.gjs.JSError.Error')", None),
        ("ret = '[1]'", None),
        ("ret = 'no json'", None),
    ],
    ids=["nothing in focus", "empty", "error", "a list", "no JSON"],
)
def test_an_unclear_answer_is_unknown_and_no_window_is_the_desktop(
    desktop: Desktop, gnome: GnomeProbe, code: str, window: Window | None
):
    desktop.focus(_get(code))
    assert gnome.sample() == Sample(window, 4_200_000)


def test_without_the_extension_presence_is_measured_and_the_app_is_unknown(desktop: Desktop, gnome: GnomeProbe):
    desktop.shell.remove(FOCUS.object_path)
    assert gnome.sample() == Sample(None, 4_200_000)


def test_a_shell_that_hangs_is_unknown_and_holds_nobody_up(desktop: Desktop, gnome: GnomeProbe):
    desktop.focus(_get(f"time.sleep({LIMIT} * 2); ret = '{{}}'"))
    began = time.monotonic()
    assert gnome.sample() == Sample(None, 4_200_000)
    assert time.monotonic() - began <= LIMIT * 1.5


def test_a_monitor_that_does_not_answer_is_unknown(desktop: Desktop, gnome: GnomeProbe):
    code = "raise dbus.exceptions.DBusException('gone', name='org.freedesktop.DBus.Error.Failed')"
    desktop.mutter.method(("GetIdletime", "", "t", code))
    assert gnome.sample().idle is None


def test_a_switch_wakes_the_probe_within_a_tenth_of_a_second(desktop: Desktop, gnome: GnomeProbe):
    gnome.sample()
    desktop.focus(focus("firefox"))
    began = time.monotonic()
    desktop.shell.signal(*HINT, "", path="/org/gnome/Shell/Introspect")
    assert select.select(gnome.descriptors(), [], [], 1)[0]
    assert gnome.sample().window == Window("firefox")
    assert time.monotonic() - began <= 0.1


def test_a_window_without_a_class_is_named_by_its_process(desktop: Desktop, gnome: GnomeProbe):
    desktop.focus(focus("", pid=os.getpid()))
    sample = gnome.sample()
    assert sample.window
    assert sample.window.app.startswith(("python", "pytest"))
    assert sample.pid == os.getpid()


def test_without_mutter_there_is_no_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with private_bus(tmp_path / "dbus") as address:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        with pytest.raises(ProbeError, match="Mutter"):
            open_probe(titles=False)


def test_without_a_bus_there_is_no_probe(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
    with pytest.raises(ProbeError, match="session bus"):
        open_probe(titles=False)


def test_a_lock_is_seen_by_its_signal_and_so_is_its_end(desktop: Desktop, session: Session):
    assert not session.held()
    for locked in (True, False):
        desktop.logind.set(SESSION, "LockedHint", "b", locked, ONE)
        wait_until(lambda state=locked: session.held() is state, 2)  # type: ignore[misc]


def test_a_switch_to_another_user_ends_activity(desktop: Desktop, session: Session):
    session.held()
    desktop.logind.set(SESSION, "Active", "b", False, ONE)
    wait_until(session.held, 2)


def test_the_desktops_own_screen_saver_counts_as_a_lock(desktop: Desktop, session: Session):
    session.held()
    desktop.saver.call(SAVER, "SetActive", "b", (True,))
    wait_until(session.held, 2)


def test_without_signals_the_locks_are_not_asked_again(desktop: Desktop, session: Session):
    session.held()
    before = len(desktop.saver.calls("GetActive"))
    assert before
    for _ in range(50):
        session.held()
    assert len(desktop.saver.calls("GetActive")) == before


@pytest.mark.parametrize(
    ("app", "ours", "status", "expected"),
    [("vlc", False, "Playing", True), ("editor", True, "Playing", True), ("editor", False, "Playing", False),
     ("vlc", False, "Paused", False)],
    ids=["by name", "by process", "music behind a text", "paused"],
)  # fmt: skip
def test_a_player_counts_while_it_is_in_front(
    desktop: Desktop, session: Session, app: str, ours: bool, status: str, expected: bool
):
    desktop.plays(status)
    assert session.media(app, desktop.player.pid if ours else 0) is expected


def test_an_idle_inhibitor_counts_for_its_own_app_and_as_presenting_for_all(desktop: Desktop, session: Session):
    """A real one: whoever holds the descriptor that logind gave keeps the screen awake."""
    desktop.plays("Stopped")
    assert not session.presenting()
    with open_dbus_connection(desktop.address, enable_fds=True) as player:
        logind = DBusAddress("/org/freedesktop/login1", LOGIND, f"{LOGIND}.Manager")
        asked = new_method_call(logind, "Inhibit", "ssss", ("idle:sleep", "firefox", "video-playing", "block"))
        held = player.send_and_get_reply(asked, timeout=5).body[0]
        assert session.media("firefox", 0)
        assert not session.media("editor", 0)
        assert session.presenting()
        os.close(held.to_raw_fd())
    wait_until(lambda: not session.presenting(), 2)


def test_gnomes_own_inhibitors_count_too(desktop: Desktop, session: Session):
    desktop.plays("Stopped")
    one = "/org/gnome/SessionManager/Inhibitor1"
    desktop.manager.method(("GetInhibitors", "", "ao", f"ret = dbus.Array(['{one}'], signature='o')"))
    flags: Method = ("GetFlags", "", "u", "ret = 12")
    desktop.manager.add(one, f"{MANAGER}.Inhibitor", {}, flags, ("GetAppId", "", "s", "ret = 'org.gnome.Totem'"))
    assert session.media("totem", 0)
    assert not session.media("editor", 0)
    desktop.manager.method(("GetFlags", "", "u", "ret = 4"), one)
    assert not session.media("totem", 0)


def test_without_any_bus_nobody_is_shut_out_and_nothing_plays(monkeypatch: pytest.MonkeyPatch):
    for name in ("SESSION", "SYSTEM"):
        monkeypatch.setenv(f"DBUS_{name}_BUS_ADDRESS", "unix:path=/nonexistent")
    session = open_session(lambda: 0.0)
    assert not any([session.held(), session.media("vlc", 1), session.presenting()])
    session.close()


@pytest.mark.parametrize(
    ("notice", "text", "details"),
    [
        (Notice(5, 0, "blocked.example", "demo"), TEXT, "blocked.example (demo). More: blockerd log"),
        (Notice(6, 0, "all a day", "2026-11-22", Sort.NEAR, "all: 50 of 60 minutes of this day"),
         "A time budget of yours is nearly used up.", "all: 50 of 60 minutes of this day. More: blockerd time"),
    ],
    ids=["a page", "a budget"],
)  # fmt: skip
def test_a_notice_says_one_line_and_its_details_only_on_a_click(
    desktop: Desktop, notice: Notice, text: str, details: str
):
    notifier = Notifier()
    notifier.show(notice)
    shown = desktop.notifications.calls("Notify")
    assert [(args[3], args[4], args[5]) for args in shown] == [(text, "", ["default", "Details"])]
    assert notice.site not in str(shown)
    desktop.notifications.signal(NOTIFICATIONS, "ActionInvoked", "us", ("u", 1), ("s", "default"))
    assert select.select([notifier], [], [], 2)[0]
    notifier.clicked()
    assert desktop.notifications.calls("Notify")[-1][3:6] == [text, details, []]
    notifier.close()


def test_where_nobody_shows_notices_that_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with private_bus(tmp_path / "dbus") as address:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        notifier = Notifier()
        with pytest.raises(BusError):
            notifier.show(Notice(5, 0, "", "demo"))
        notifier.close()
