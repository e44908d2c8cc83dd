"""The agent over sixty scripted minutes on a real X server: every app to the second, through idle time, locks, sleep,
clock steps and kills. The clock and the idle counter are scripted, windows and their switches are real."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import pytest

pytest.importorskip("xcffib", reason="xcffib is missing: install blockerd[agent]")

from blockerd import clock
from blockerd.screentime import store
from blockerd.screentime.agent import STALE, Agent, Setup, folder, open_buffer, session_key
from blockerd.screentime.buffer import Buffer, InUse
from blockerd.screentime.clocks import read
from blockerd.screentime.heartbeat import SECOND
from blockerd.screentime.intake import accept
from blockerd.screentime.notice import TEXT, Notice, Sort
from blockerd.screentime.probe import Choice, ProbeError, choose, open_probe
from blockerd.screentime.probes.x11 import X11Probe
from blockerd.screentime.sums import by_data
from blockerd.screentime.titles import Rules
from blockerd.screentime.usage import Known, usage
from tests.e2e.install import wait_until
from tests.fakes.desktop import NEEDS, Desktop, desktop
from tests.fakes.hour import Hour, Script, Timed, agent_of, steps


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

    def take_all(self, buffer: Buffer) -> None:
        self.lossy = False
        while buffer.acked < buffer.last:
            self.take(buffer)

    def records(self) -> list[Known]:
        return list(store.records(self.db.execute, 0, 1 << 62))


@pytest.fixture(scope="module")
def screen() -> Iterator[Desktop]:
    with desktop() as made:
        yield made


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("unruly", [False, True], ids=["calm", "with kills and losses"])
def test_sixty_minutes_come_out_within_a_second_for_each_app(screen: Desktop, tmp_path: Path, seed: int, unruly: bool):
    journal = Journal()

    def trouble(hour: Hour, second: int) -> None:
        if unruly and second % 37 == 36:
            hour.killed()
        if unruly and second % 20 == 19:
            journal.lossy = second % 3 == 0
            journal.take(hour.buffer)

    hour = Hour(screen, tmp_path / "a", trouble, Script())
    for what, length in steps(seed):
        hour.play(what, length)
    hour.agent.close_records()
    journal.take_all(hour.buffer)
    totals = by_data(usage(journal.records()).active)
    assert hour.truth["editor"] > 300
    for app in {*hour.truth, *totals}:
        assert abs(totals[app] / SECOND - hour.truth[app]) <= 1, app
    hour.close()


def test_titles_are_written_only_where_they_are_on_and_never_those_of_browsers(screen: Desktop, tmp_path: Path):
    for rules, expected in ((Rules(), ""), (Rules(on=True), "a letter")):
        script = Script()
        x11 = X11Probe(titles=True, display=screen.name)
        agent, buffer = agent_of(script, Timed(x11, script), tmp_path / expected, rules)
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
    agent, buffer = agent_of(script, Timed(x11, script), tmp_path / "a")
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
        agent, buffer = agent_of(Script(), x11, tmp_path / "a")
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
    near = Notice(
        2, script.clock().wall, "firefox a day", "2026-11-22", Sort.NEAR, "firefox: 50 of 60 minutes of this day"
    )
    yesterday = replace(near, at=near.at - STALE, category="2026-11-21")
    for notice in (Notice(1, near.at, "listed.test", "adult"), near, yesterday):
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


def test_absence_begins_at_the_last_key_that_was_really_pressed(screen: Desktop, tmp_path: Path):
    """The X server's own counter, and the clock on the wall."""
    window = screen.window("editor")
    x11 = X11Probe(titles=False, display=screen.name)
    buffer = Buffer(tmp_path / "a", lambda: "me")
    agent = Agent(Setup("x11", tmp_path / "none.sock", timeout=2 * SECOND), x11, Script(), buffer)
    agent.look()
    screen.press()
    pressed = clock.now_us()

    def away() -> int:
        """Where an absence begins, once it is certain."""
        agent.look()
        agent.close_records()
        told = [got for got in buffer.pending(1000, 1 << 20) if got["value"] == "afk"]
        return int(told[0]["start"]) if told else 0

    wait_until(away, 6)
    assert abs(away() - pressed) <= SECOND
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
    agent, buffer = agent_of(script, open_probe(Choice("unknown", "why"), titles=False), tmp_path / "a")
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
