"""The agent over sixty scripted minutes on a real X server: every app to the second, through idle time, locks, sleep,
clock steps and kills. The clock and the idle counter are scripted, windows and their switches are real."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import pytest

pytest.importorskip("xcffib", reason="xcffib is missing: install blockerd[agent]")

from blockerd.screentime import store
from blockerd.screentime.agent import Agent, Setup, folder, open_buffer, session_key
from blockerd.screentime.buffer import Buffer, InUse
from blockerd.screentime.clocks import Instant, read
from blockerd.screentime.heartbeat import SECOND
from blockerd.screentime.intake import accept
from blockerd.screentime.notice import TEXT, Notice, Sort
from blockerd.screentime.probe import Choice, Probe, ProbeError, Sample, choose, open_probe
from blockerd.screentime.probe_x11 import X11Probe
from blockerd.screentime.sums import by_data
from blockerd.screentime.titles import Rules
from blockerd.screentime.track import Window
from blockerd.screentime.usage import Known, usage
from tests.e2e.install import wait_until
from tests.fakes.desktop import NEEDS, Desktop, desktop

WALL = 1_795_370_400 * SECOND
TIMEOUT = 180


class Script:
    """The seconds of a session: what is in front, when keys are pressed, locks, sleep, steps of the wall clock.

    It is the desktop's clock and idle counter, the login session, and the truth to compare with.
    """

    def __init__(self) -> None:
        self.at = 1000  # seconds on the boot line
        self.asleep = 0
        self.step = 0
        self.pressed = 1000
        self.locked = False
        self.playing = ""

    def clock(self) -> Instant:
        at = self.at * SECOND
        return Instant(at, WALL + at + self.step * SECOND, at - self.asleep * SECOND)

    def held(self) -> bool:
        return self.locked

    def media(self, app: str, pid: int) -> bool:
        return app == self.playing

    def presenting(self) -> bool:
        return bool(self.playing)

    def descriptors(self) -> tuple[int, ...]:
        return ()

    def close(self) -> None:
        """Nothing to give back."""


class Timed:
    """A real probe with the idle counter of the script."""

    def __init__(self, probe: Probe, script: Script) -> None:
        self._probe, self._script = probe, script

    def sample(self) -> Sample:
        return replace(self._probe.sample(), idle=(self._script.at - self._script.pressed) * SECOND)

    def fullscreen(self) -> bool:
        return self._probe.fullscreen()

    def descriptors(self) -> tuple[int, ...]:
        return self._probe.descriptors()

    def close(self) -> None:
        """The probe lives longer than one agent."""


class Journal:
    """The end of the way: judges, stores and acknowledges, as `control` does; `lossy` forgets what it is told."""

    def __init__(self) -> None:
        self.db = apsw.Connection(":memory:")
        self.db.execute(store.SCHEMA)
        self.lossy = False

    def take(self, buffer: Buffer) -> None:
        for _ in range(2):
            batch = buffer.pending(20, 10_000)
            request = {"agent": buffer.agent, "probe": "x11", "base": buffer.acked + 1, "records": batch}
            told = accept(request, 1000, store.acknowledged(self.db.execute), titles=True)
            if not self.lossy:
                store.put(self.db.execute, [store.sent_in(event) for event in told.events])
            buffer.acknowledge(store.acknowledged(self.db.execute).get(f"1000:{buffer.agent}", 0))

    def records(self) -> list[Known]:
        return list(store.records(self.db.execute, 0, 1 << 62))


@pytest.fixture(scope="module")
def screen() -> Iterator[Desktop]:
    with desktop() as made:
        yield made


def _agent(script: Script, probe: Probe, place: Path, rules: Rules | None = None) -> tuple[Agent, Buffer]:
    buffer = Buffer(place, lambda: "me")
    setup = Setup("x11", place / "none.sock", rules or Rules(), TIMEOUT * SECOND, script.clock, lambda: "boot-1")
    return Agent(setup, probe, script, buffer), buffer


def _steps(seed: int) -> list[tuple[str, int]]:
    """Sixty minutes: (what, seconds). The same for the same seed."""
    chance = random.Random(seed)
    steps: list[tuple[str, int]] = []
    while sum(length for _, length in steps) < 3600 - 400:
        what = chance.choices(
            ["editor", "browser", "mail", "idle", "lock", "sleep", "video", "forward", "back"],
            [6, 6, 4, 2, 2, 1, 1, 1, 1],
        )[0]
        length = chance.randint(190, 400) if what in ("idle", "video") else chance.randint(5, 120)
        steps.append((what, 0 if what in ("forward", "back") else length))
    return [*steps, ("editor", 3600 - sum(length for _, length in steps))]


class Hour:
    """Sixty minutes played on `screen`; `truth` is what was done, `agent` and `buffer` the ones that run now."""

    def __init__(self, screen: Desktop, place: Path, *, unruly: bool) -> None:
        self.script, self.journal, self.truth = Script(), Journal(), Counter[str]()
        self.windows = {app: screen.window(app) for app in ("editor", "browser", "mail", "player")}
        self._screen, self._place, self._unruly = screen, place, unruly
        self._x11 = X11Probe(titles=False, display=screen.name)
        self._probe = Timed(self._x11, self.script)
        self._front = "player"
        self._start()

    def play(self, what: str, length: int) -> None:
        script = self.script
        if what in self.windows or what == "video":
            self._bring("player" if what == "video" else what)
        script.locked = what == "lock"
        script.playing = self._front if what == "video" else ""
        script.step += 3000 if what == "forward" else -3000 if what == "back" else 0
        if what in self.windows or what == "video":
            script.pressed = script.at
        if what == "sleep":
            script.at += length
            script.asleep += length
        for second in range(0 if what == "sleep" else length):
            self.agent.look()
            script.at += 1
            self._lived(what, last=second == length - 1)
            self._trouble(second)
        self.agent.look()

    def totals(self) -> Counter[str]:
        """Microseconds by app, as the journal has them in the end."""
        self.agent.close_records()
        self.journal.lossy = False
        while self.buffer.acked < self.buffer.last:
            self.journal.take(self.buffer)
        return by_data(usage(self.journal.records()).active)

    def close(self) -> None:
        self.buffer.close()
        self._x11.close()
        for window in self.windows.values():
            self._screen.close(window)

    def _start(self) -> None:
        self.agent, self.buffer = _agent(self.script, self._probe, self._place)

    def _bring(self, app: str) -> None:
        self._front = app
        self._screen.activate(self.windows[app])
        wait_until(lambda: self._x11.sample().window == Window(app), 2)

    def _lived(self, what: str, *, last: bool) -> None:
        """A second in front of an app: keys at every second, in a video only at its end."""
        if what in self.windows or what == "video":
            self.truth[self._front] += 1
            if what != "video" or last:
                self.script.pressed = self.script.at

    def _trouble(self, second: int) -> None:
        if self._unruly and second % 37 == 36:  # killed: nothing is closed in order, the next one finds what is there
            self.buffer.close()
            self._start()
        if self._unruly and second % 20 == 19:
            self.journal.lossy = second % 3 == 0
            self.journal.take(self.buffer)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("unruly", [False, True], ids=["calm", "with kills and losses"])
def test_sixty_minutes_come_out_within_a_second_for_each_app(screen: Desktop, tmp_path: Path, seed: int, unruly: bool):
    hour = Hour(screen, tmp_path / "a", unruly=unruly)
    for what, length in _steps(seed):
        hour.play(what, length)
    totals = hour.totals()
    assert hour.truth["editor"] > 300
    for app in {*hour.truth, *totals}:
        assert abs(totals[app] / SECOND - hour.truth[app]) <= 1, app
    hour.close()


def test_titles_are_written_only_where_they_are_on_and_never_those_of_browsers(screen: Desktop, tmp_path: Path):
    for rules, expected in ((Rules(), ""), (Rules(on=True), "a letter")):
        script = Script()
        x11 = X11Probe(titles=True, display=screen.name)
        agent, buffer = _agent(script, Timed(x11, script), tmp_path / expected, rules)
        for app, title in (("editor", "a letter"), ("firefox", "a page"), ("mail", "My Password")):
            window = screen.window(app, title)
            for _ in range(3):
                agent.look()
                script.at += 1
            screen.close(window)
        agent.close_records()
        text = str(buffer.pending(100, 100_000))
        assert ("a letter" in text) is bool(expected)
        assert "a page" not in text
        assert "Password" not in text
        assert b"a page" not in (tmp_path / expected / "records.log").read_bytes()
        buffer.close()
        x11.close()


def test_a_full_disk_delays_records_and_loses_none(screen: Desktop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    script = Script()
    window = screen.window("editor")
    x11 = X11Probe(titles=False, display=screen.name)
    agent, buffer = _agent(script, Timed(x11, script), tmp_path / "a")
    for second in range(300):
        with monkeypatch.context() as patch:
            if 50 < second < 200:
                patch.setattr("blockerd.screentime.buffer.CAP", 0)
            agent.look()
        script.at += 1
        script.pressed = script.at
    agent.close_records()
    records = [got for got in buffer.pending(1000, 1 << 20) if got["kind"] == "app"]
    assert sum(got["end"] - got["start"] for got in records) == 299 * SECOND
    buffer.close()
    x11.close()
    screen.close(window)


def test_a_display_that_goes_away_ends_the_agent(tmp_path: Path):
    with desktop() as gone:
        x11 = X11Probe(titles=False, display=gone.name)
        agent, buffer = _agent(Script(), x11, tmp_path / "a")
        agent.look()
        gone.disconnect()
    with pytest.raises(ProbeError):
        agent.look()
    buffer.close()
    x11.close()


class Shown:
    """Notices that were put on the screen, by their text."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def show(self, notice: Notice) -> None:
        self.texts.append(notice.text)

    def close(self) -> None:
        """Nothing to give back."""


def _fills(screen: Desktop, probe: X11Probe, window: int, *, on: bool) -> None:
    screen.fullscreen(window, on=on)

    def seen() -> bool:
        probe.sample()
        return probe.fullscreen() is on and screen.active() == window

    wait_until(seen, 5)


@pytest.mark.parametrize("why", ["locked", "presenting", "fullscreen"])
def test_a_page_is_not_told_while_it_would_disturb_and_a_warning_waits(screen: Desktop, tmp_path: Path, why: str):
    script, shown = Script(), Shown()
    window = screen.window("player")
    x11 = X11Probe(titles=False, display=screen.name)
    buffer = Buffer(tmp_path / "a", lambda: "me")
    agent = Agent(Setup("x11", tmp_path / "none.sock", read=script.clock), x11, script, buffer, shown)
    script.locked, script.playing = why == "locked", "film" if why == "presenting" else ""
    _fills(screen, x11, window, on=why == "fullscreen")
    near = Notice(2, 0, "firefox a day", "2026-11-22", Sort.NEAR, "firefox: 50 of 60 minutes of this day")
    for notice in (Notice(1, 0, "listed.test", "adult"), near):
        agent.show(notice)
    agent.show_waiting()
    assert shown.texts == []
    script.locked, script.playing = False, ""
    _fills(screen, x11, window, on=False)
    for _ in range(2):
        agent.show_waiting()
    agent.show(replace(near, number=9))  # control was started anew and tells it again
    assert shown.texts == [near.text]
    agent.show(Notice(3, 0, "listed.test", "adult"))
    assert shown.texts == [near.text, TEXT]
    buffer.close()
    x11.close()
    screen.close(window)


def test_one_agent_in_a_session_and_another_in_a_second_session(tmp_path: Path):
    first = open_buffer(tmp_path, "1")
    with pytest.raises(InUse):
        open_buffer(tmp_path, "1")
    second = open_buffer(tmp_path, "2")
    assert first.agent != second.agent
    first.close()
    second.close()


def test_the_folder_is_in_the_state_folder_where_that_is_ours(tmp_path: Path):
    assert folder(tmp_path / "var", {}) == tmp_path / "var" / "agent"
    assert session_key({"DISPLAY": ":3"}) == ":3"


def test_nobody_at_the_socket_is_an_os_error_and_everything_waits(tmp_path: Path):
    script = Script()
    agent, buffer = _agent(script, open_probe(Choice("unknown", "why"), titles=False), tmp_path / "a")
    for _ in range(1300):
        agent.look()
        script.at += 1
    with pytest.raises(OSError, match="No such file"):
        asyncio.run(agent.send())
    waiting: list[dict[str, Any]] = buffer.pending(100, 100_000)
    assert {got["value"] for got in waiting} == {"unknown"}
    buffer.close()


@pytest.mark.parametrize(
    ("environ", "platform", "name"),
    [
        ({"XDG_SESSION_TYPE": "x11", "DISPLAY": ":0"}, "linux", "x11"),
        ({"DISPLAY": ":0"}, "linux", "x11"),
        ({"XDG_SESSION_TYPE": "wayland", "DISPLAY": ":0", "XDG_CURRENT_DESKTOP": "XFCE"}, "linux", "unknown"),
        ({"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0"}, "linux", "unknown"),
        ({"XDG_SESSION_TYPE": "wayland", "DISPLAY": ":0", "XDG_CURRENT_DESKTOP": "ubuntu:GNOME"}, "linux", "gnome"),
        ({"XDG_SESSION_TYPE": "wayland", "XDG_CURRENT_DESKTOP": "KDE"}, "linux", "kde"),
        ({"XDG_SESSION_TYPE": "wayland", "SWAYSOCK": "/run/sway"}, "linux", "sway"),
        ({"XDG_SESSION_TYPE": "x11"}, "linux", "unknown"),
        ({"XDG_SESSION_TYPE": "tty"}, "linux", "unknown"),
        ({}, "linux", "unknown"),
        ({}, "win32", "windows"),
        ({}, "darwin", "macos"),
    ],
)
def test_the_session_type_decides_first(environ: dict[str, str], platform: str, name: str):
    choice = choose(environ, platform)
    assert choice.name == name
    assert choice.experimental is (name in ("kde", "sway", "windows", "macos"))


def test_the_boot_line_is_read():
    first, second = read(), read()
    assert second.at >= first.at >= first.awake > 0


pytestmark = NEEDS
