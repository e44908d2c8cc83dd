"""The X11 probe on a real X server: what is in front, how long nobody did anything, and how soon a switch is seen."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from blockerd.screentime.heartbeat import SECOND
from blockerd.screentime.probe import DESKTOP, ProbeError
from blockerd.screentime.track import Window
from tests.e2e.install import wait_until

pytest.importorskip("xcffib", reason="xcffib is missing: install blockerd[agent]")

from blockerd.screentime.probes.x11 import X11Probe
from tests.fakes.desktop import NEEDS, Desktop, desktop

pytestmark = NEEDS

SWITCH = 0.1
"""Seconds within which a switch has to be seen."""


@pytest.fixture(scope="module")
def screen() -> Iterator[Desktop]:
    with desktop() as made:
        yield made


@pytest.fixture
def probe(screen: Desktop) -> Iterator[X11Probe]:
    made = X11Probe(titles=False, display=screen.name)
    yield made
    made.close()


def test_the_window_in_front_is_told_by_its_class_and_without_its_title(screen: Desktop, probe: X11Probe):
    window = screen.window("editor", "a letter")
    assert probe.sample().window == Window("editor")
    screen.close(window)


def test_titles_are_read_where_they_are_switched_on(screen: Desktop):
    window = screen.window("editor", "notes – März")
    probe = X11Probe(titles=True, display=screen.name)
    assert probe.sample().window == Window("editor", "notes – März")
    probe.close()
    screen.close(window)


def test_a_window_without_a_class_is_named_by_its_process(screen: Desktop, probe: X11Probe):
    window = screen.window("", pid=os.getpid())
    sample = probe.sample()
    name = subprocess.run(["ps", "-o", "comm=", "-p", str(os.getpid())], capture_output=True, text=True, check=True)
    assert sample.window == Window(name.stdout.strip().lower())
    assert sample.pid == os.getpid()
    screen.close(window)


def test_a_switch_wakes_the_probe_within_a_tenth_of_a_second(screen: Desktop, probe: X11Probe):
    windows = {app: screen.window(app) for app in ("editor", "browser")}
    probe.sample()
    took = []
    for turn in range(20):
        app = ("editor", "browser")[turn % 2]
        began = time.monotonic()
        screen.activate(windows[app])
        while probe.sample().window != Window(app):
            assert select.select(probe.descriptors(), [], [], SWITCH)[0], "no event"
        took.append(time.monotonic() - began)
    assert max(took) <= SWITCH
    for window in windows.values():
        screen.close(window)


def test_idle_time_runs_from_the_last_key(screen: Desktop, probe: X11Probe):
    screen.press()
    pressed = time.monotonic()
    wait_until(lambda: (probe.sample().idle or 0) > SECOND, 5)
    idle = probe.sample().idle
    assert idle is not None
    assert abs(idle / SECOND - (time.monotonic() - pressed)) <= 0.5
    screen.press()
    wait_until(lambda: (probe.sample().idle or 0) < SECOND, 5)


def test_without_a_window_the_desktop_is_in_front(screen: Desktop, probe: X11Probe):
    window = screen.window("editor")
    assert probe.sample().window == Window("editor")
    screen.close(window)
    wait_until(lambda: probe.sample().window == DESKTOP, 5)


def test_a_window_that_fills_the_screen_is_seen(screen: Desktop, probe: X11Probe):
    window = screen.window("player")
    probe.sample()
    assert not probe.fullscreen()
    screen.fullscreen(window, on=True)
    wait_until(probe.fullscreen, 5)
    screen.close(window)


def test_what_is_in_front_before_the_first_look_is_known_in_full(screen: Desktop):
    window = screen.window("player", pid=os.getpid())
    screen.fullscreen(window, on=True)
    probe = X11Probe(titles=False, display=screen.name)
    assert probe.sample().pid == os.getpid()
    wait_until(probe.fullscreen, 5)
    probe.close()
    screen.close(window)


def test_without_a_window_manager_the_app_is_unknown_and_idle_time_is_not():
    with desktop(manager=False) as bare:
        probe = X11Probe(titles=False, display=bare.name)
        sample = probe.sample()
        assert sample.window is None
        assert sample.idle is not None
        probe.close()


def test_an_x_server_that_goes_away_is_told_in_one_line():
    with desktop() as gone:
        probe = X11Probe(titles=False, display=gone.name)
        gone.disconnect()
    with pytest.raises(ProbeError, match="gone"):
        probe.sample()
    probe.close()


def test_no_display_is_told_in_one_line():
    with pytest.raises(ProbeError, match="DISPLAY"):
        X11Probe(titles=False, display=":9999")


def test_a_look_takes_little(screen: Desktop, probe: X11Probe):
    """One look a second may take two thousandths of a core; measured in processor time of this process."""
    screen.window("editor")
    began = time.process_time()
    for _ in range(200):
        probe.sample()
    assert (time.process_time() - began) / 200 <= 0.002, sys.version
