"""The GNOME probe, the session and the notices on a private bus: each interface answers by its documentation."""

import json
import os
import select
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("jeepney", reason="jeepney is missing: install blockerd[agent]")

from blockerd.screentime.bus import Bus, BusError
from blockerd.screentime.notice import TEXT, Notice
from blockerd.screentime.notify import Notifier
from blockerd.screentime.probe import DESKTOP, ProbeError, Sample
from blockerd.screentime.probe_gnome import GnomeProbe, open_probe
from blockerd.screentime.session import Session, open_session
from blockerd.screentime.track import Window
from tests.e2e.install import wait_until
from tests.fakes.dbus import Answer, Service, private_bus

pytestmark = pytest.mark.needs_tool("dbus-daemon", "dbus")

IDLE = ("/org/gnome/Mutter/IdleMonitor/Core", "GetIdletime")
FOCUS = ("/org/gnome/shell/extensions/FocusedWindow", "Get")
LOGIND, SESSION = "/org/freedesktop/login1", "/org/freedesktop/login1/session/_32"
NOTIFICATIONS = "/org/freedesktop/Notifications"


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with private_bus(tmp_path / "dbus") as address:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        yield address


@pytest.fixture
def shell(bus: str) -> Iterator[Service]:
    service = Service(bus, "org.gnome.Shell", "org.gnome.Mutter.IdleMonitor")
    service.methods[IDLE] = lambda: ("t", (4200,))
    service.methods[FOCUS] = lambda: focus("org.gnome.TextEditor", "a letter")
    yield service
    service.close()


@pytest.fixture
def gnome(shell: Service) -> Iterator[GnomeProbe]:
    probe = open_probe(titles=False)
    yield probe
    probe.close()


def focus(wm_class: str, title: str = "", pid: int = 0) -> Answer:
    """What the extension answers: the properties of the focused window as JSON."""
    window = {"title": title, "wm_class": wm_class, "wm_class_instance": wm_class, "pid": pid, "id": 7, "focus": True}
    return "s", (json.dumps(window),)


def test_window_and_idle_time_come_from_the_shell(gnome: GnomeProbe):
    assert gnome.sample() == Sample(Window("org.gnome.texteditor"), 4_200_000)


def test_titles_are_read_where_they_are_switched_on(shell: Service):
    probe = GnomeProbe(Bus(), titles=True)
    assert probe.sample().window == Window("org.gnome.texteditor", "a letter")
    probe.close()


@pytest.mark.parametrize(
    ("answer", "window"),
    [
        (RuntimeError("No window in focus"), DESKTOP),
        (("s", ("{}",)), DESKTOP),
        (RuntimeError("the extension has trouble"), None),
        (("s", ("[1]",)), None),
        (("s", ("no json",)), None),
    ],
    ids=["nothing in focus", "empty", "error", "a list", "no JSON"],
)
def test_an_unclear_answer_is_unknown_and_no_window_is_the_desktop(
    shell: Service, gnome: GnomeProbe, answer: Answer, window: Window | None
):
    shell.methods[FOCUS] = lambda: answer
    assert gnome.sample() == Sample(window, 4_200_000)


def test_without_the_extension_presence_is_measured_and_the_app_is_unknown(shell: Service, gnome: GnomeProbe):
    del shell.methods[FOCUS]
    assert gnome.sample() == Sample(None, 4_200_000)


def test_a_monitor_that_does_not_answer_is_unknown(shell: Service, gnome: GnomeProbe):
    del shell.methods[IDLE]
    assert gnome.sample().idle is None


def test_a_switch_wakes_the_probe_within_a_tenth_of_a_second(shell: Service, gnome: GnomeProbe):
    gnome.sample()
    shell.methods[FOCUS] = lambda: focus("firefox")
    began = time.monotonic()
    shell.signal("/org/gnome/Shell/Introspect", "org.gnome.Shell.Introspect", "RunningApplicationsChanged")
    assert select.select(gnome.descriptors(), [], [], 1)[0]
    assert gnome.sample().window == Window("firefox")
    assert time.monotonic() - began <= 0.1


def test_a_window_without_a_class_is_named_by_its_process(shell: Service, gnome: GnomeProbe):
    shell.methods[FOCUS] = lambda: focus("", pid=os.getpid())
    sample = gnome.sample()
    assert sample.window
    assert sample.window.app.startswith(("python", "pytest"))
    assert sample.pid == os.getpid()


def test_without_mutter_there_is_no_probe(bus: str):
    with pytest.raises(ProbeError, match="Mutter"):
        open_probe(titles=False)


def test_without_a_bus_there_is_no_probe(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
    with pytest.raises(ProbeError, match="session bus"):
        open_probe(titles=False)


@pytest.fixture
def login(bus: str) -> Iterator[Service]:
    """logind with one session, unlocked and active, and a player."""
    service = Service(
        bus, "org.freedesktop.login1", "org.gnome.ScreenSaver", "org.mpris.MediaPlayer2.vlc", "org.gnome.SessionManager"
    )
    service.properties["/org/freedesktop/login1/session/auto", "Id"] = ("s", "2")
    service.methods[LOGIND, "GetSession"] = lambda _id: ("o", (SESSION,))
    service.methods[LOGIND, "ListInhibitors"] = lambda: (
        "a(ssssuu)",
        ([("sleep", "NetworkManager", "", "delay", 0, 1)],),
    )
    service.properties[SESSION, "LockedHint"] = ("b", False)
    service.properties[SESSION, "Active"] = ("b", True)
    service.methods["/org/gnome/ScreenSaver", "GetActive"] = lambda: ("b", (False,))
    service.methods["/org/gnome/SessionManager", "GetInhibitors"] = lambda: ("ao", ([],))
    service.properties["/org/mpris/MediaPlayer2", "PlaybackStatus"] = ("s", "Playing")
    yield service
    service.close()


@pytest.fixture
def session(login: Service) -> Iterator[Session]:
    made = open_session(lambda: 0.0)
    yield made
    made.close()


def test_a_lock_is_seen_by_its_signal_and_so_is_its_end(login: Service, session: Session):
    assert not session.held()
    for locked in (True, False):
        login.properties[SESSION, "LockedHint"] = ("b", locked)
        login.signal(SESSION, "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as",
                     ("org.freedesktop.login1.Session", {"LockedHint": ("b", locked)}, []))  # fmt: skip
        wait_until(lambda state=locked: session.held() is state, 2)  # type: ignore[misc]


def test_a_switch_to_another_user_ends_activity(login: Service, session: Session):
    session.held()
    login.properties[SESSION, "Active"] = ("b", False)
    login.signal(SESSION, "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as",
                 ("org.freedesktop.login1.Session", {"Active": ("b", False)}, []))  # fmt: skip
    wait_until(session.held, 2)


def test_the_desktops_own_screen_saver_counts_as_a_lock(login: Service, session: Session):
    session.held()
    login.methods["/org/gnome/ScreenSaver", "GetActive"] = lambda: ("b", (True,))
    login.signal("/org/gnome/ScreenSaver", "org.gnome.ScreenSaver", "ActiveChanged", "b", (True,))
    wait_until(session.held, 2)


def test_without_signals_the_locks_are_not_asked_again(login: Service, session: Session):
    session.held()
    before = len(login.calls)
    for _ in range(50):
        session.held()
    assert len(login.calls) == before


@pytest.mark.parametrize(
    ("app", "pid", "status", "expected"),
    [("vlc", 0, "Playing", True), ("editor", os.getpid(), "Playing", True), ("editor", 0, "Playing", False),
     ("vlc", 0, "Paused", False)],
    ids=["by name", "by process", "music behind a text", "paused"],
)  # fmt: skip
def test_a_player_counts_while_it_is_in_front(
    login: Service, session: Session, app: str, pid: int, status: str, expected: bool
):
    login.properties["/org/mpris/MediaPlayer2", "PlaybackStatus"] = ("s", status)
    assert session.media(app, pid) is expected


def test_an_idle_inhibitor_counts_for_its_own_app_and_as_presenting_for_all(login: Service, session: Session):
    login.properties["/org/mpris/MediaPlayer2", "PlaybackStatus"] = ("s", "Stopped")
    assert not session.presenting()
    login.methods[LOGIND, "ListInhibitors"] = lambda: ("a(ssssuu)", ([("idle:sleep", "firefox", "", "block", 0, 1)],))
    assert session.media("firefox", 0)
    assert not session.media("editor", 0)
    assert session.presenting()


def test_gnomes_own_inhibitors_count_too(login: Service, session: Session):
    login.properties["/org/mpris/MediaPlayer2", "PlaybackStatus"] = ("s", "Stopped")
    one = "/org/gnome/SessionManager/Inhibitor1"
    login.methods["/org/gnome/SessionManager", "GetInhibitors"] = lambda: ("ao", ([one],))
    login.methods[one, "GetFlags"] = lambda: ("u", (12,))
    login.methods[one, "GetAppId"] = lambda: ("s", ("org.gnome.Totem",))
    assert session.media("totem", 0)
    assert not session.media("editor", 0)
    login.methods[one, "GetFlags"] = lambda: ("u", (4,))
    assert not session.media("totem", 0)


def test_without_any_bus_nobody_is_shut_out_and_nothing_plays(monkeypatch: pytest.MonkeyPatch):
    for name in ("SESSION", "SYSTEM"):
        monkeypatch.setenv(f"DBUS_{name}_BUS_ADDRESS", "unix:path=/nonexistent")
    session = open_session(lambda: 0.0)
    assert not any([session.held(), session.media("vlc", 1), session.presenting()])
    session.close()


def test_a_notice_says_one_line_and_its_details_only_on_a_click(bus: str):
    service = Service(bus, "org.freedesktop.Notifications")
    service.methods[NOTIFICATIONS, "Notify"] = lambda *args: ("u", (len(service.calls),))
    notifier = Notifier()
    notifier.show(Notice(5, 0, "blocked.example", "demo"))
    shown = [args for _, member, args in service.calls if member == "Notify"]
    assert [(args[3], args[4]) for args in shown] == [(TEXT, "")]
    assert "blocked.example" not in str(shown)
    service.signal(NOTIFICATIONS, "org.freedesktop.Notifications", "ActionInvoked", "us", (1, "default"))
    assert select.select([notifier], [], [], 2)[0]
    notifier.clicked()
    assert "blocked.example (demo)" in service.calls[-1][2][4]
    notifier.close()
    service.close()


def test_where_nobody_shows_notices_that_is_told(bus: str):
    notifier = Notifier()
    with pytest.raises(BusError):
        notifier.show(Notice(5, 0, "", "demo"))
    notifier.close()
