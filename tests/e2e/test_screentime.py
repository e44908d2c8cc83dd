"""Screen time from a real desktop to `blockerd time`: agent, socket, spool, journal, with both sides killed in between.

Real time, so it is short: presence needs no waiting, since a pause under three minutes is activity.
"""

import asyncio
import json
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psutil
import pytest

pytest.importorskip("xcffib", reason="xcffib is missing: install blockerd[agent]")

from blockerd import clock
from blockerd.journal.read import View
from blockerd.report.period import week_of
from blockerd.screentime import store
from blockerd.screentime.heartbeat import SECOND
from blockerd.screentime.intake import event_of
from blockerd.screentime.notice import TEXT, TEXTS, Sort
from blockerd.screentime.track import Record, Stream
from blockerd.settings import Role
from tests.e2e.install import Install, kill, wait_until
from tests.e2e.stub import Stub
from tests.fakes.dbus import Service, private_bus
from tests.fakes.desktop import NEEDS, Desktop, desktop
from tests.fakes.hour import Hour, Script, steps

pytestmark = [*NEEDS, pytest.mark.needs_tool("dbus-daemon", "dbus")]

NOTIFICATIONS = "/org/freedesktop/Notifications"


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Desktop, Service]]:
    """A desktop with a bus and somebody who shows notices; processes started from here on belong to it."""
    with desktop() as screen, private_bus(tmp_path / "dbus") as address:
        for name, value in screen.environment().items():
            if name in ("DISPLAY", "XDG_SESSION_TYPE", "DBUS_SYSTEM_BUS_ADDRESS"):
                monkeypatch.setenv(name, value)
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        service = Service(address, "org.freedesktop.Notifications")
        service.methods[NOTIFICATIONS, "Notify"] = lambda *args: ("u", (len(service.calls),))
        yield screen, service
        service.close()


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    with Stub() as stub:
        made = Install(tmp_path, stub.port)
        yield made
        made.end()
        assert "Traceback" not in made.said(), made.said()


def _agent(install: Install) -> int:
    """The pid of an agent that measures."""
    log = install.var / "agent" / "1" / "state"
    before = log.read_bytes() if log.exists() else b""
    pid = install.start("agent").pid
    wait_until(lambda: log.exists() and log.read_bytes() != before, 10, install.said)
    return pid


def _time(install: Install, *words: str) -> dict[str, Any]:
    done = install.call("time", *words, "--json")
    assert done.returncode == 0, done.stderr
    got: dict[str, Any] = json.loads(done.stdout)
    return got


def test_what_was_in_front_is_what_time_shows_though_both_sides_were_killed(
    install: Install, session: tuple[Desktop, Service]
):
    screen, _ = session
    daemon = install.run()
    windows = {app: screen.window(app) for app in ("editor", "browser")}
    agent = _agent(install)
    played = _Played(screen, windows)
    played.front("editor", 2.0)
    played.front("browser", 1.5)
    kill(install.pid("control"), signal.SIGKILL)
    played.front("editor", 1.5)
    kill(agent, signal.SIGKILL)
    agent = _agent(install)
    played.front("browser", 2.0)
    wait_until(lambda: install.pid("control"), 10, install.said)
    played.over()
    _ended(agent)
    totals: dict[str, int] = {}

    def all_there() -> bool:
        totals.update({row["app"]: row["seconds"] for row in _time(install, "week")["apps"]})
        return all(abs(totals.get(app, 0) - played.truth[app]) <= 1 for app in windows)

    wait_until(all_there, 15, lambda: f"{totals} {played.truth}")  # what the killed control left is taken when quiet
    assert set(totals) <= {"editor", "browser", "desktop"}
    assert daemon.poll() is None


def test_sixty_scripted_minutes_reach_time_and_the_weekly_note(
    install: Install, session: tuple[Desktop, Service], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """From a desktop by agent, socket, spool and journal to `blockerd time` and to the weekly note.

    Clock and idle counter are scripted. Every quarter of an hour records are handed over; `control` is killed just
    after it has taken some, and the agent at any time.
    """
    monkeypatch.setattr("blockerd.screentime.agent.STORED_WITHIN", 0.7)
    now = clock.now_us()
    zone = _where_it_is_noon(now)
    install.configure(f'[time]\nzone = "{zone}"\n')
    install.run()
    period, noon = week_of(now, zone), now - 3600 * SECOND
    turns = iter(range(10_000))

    def trouble(hour: Hour, _second: int) -> None:
        turn = next(turns)
        if turn % 97 == 96:
            hour.killed()
        if turn % 900 == 899:
            with suppress(TimeoutError, OSError):
                asyncio.run(_hand_over(hour, install, killed=turn == 1799))

    hour = Hour(session[0], tmp_path / "a", trouble, Script(noon), install.var / "run" / "control.sock")
    for what, length in steps(7):
        hour.play(what, length)
    hour.agent.close_records()
    wait_until(lambda: _handed_over(hour, install), 20, install.said)
    got = _time(install, "app", "--week", period.label)
    totals = {row["app"]: row["seconds"] for row in got["apps"]}
    for app in {*totals, *hour.truth}:
        assert abs(totals.get(app, 0) - hour.truth[app]) <= 1, (app, totals, hour.truth)
    assert sum(day["active_seconds"] for day in got["days"]) == pytest.approx(sum(hour.truth.values()), abs=2)
    with View(install.var / "journal.sqlite", install.var / "spool") as record:
        rows = record.query("SELECT count(*), count(DISTINCT seq), max(seq) FROM screen")
    assert rows == [(hour.buffer.last,) * 3]
    minutes = sum(hour.truth.values()) // 60
    notes = {role: install.call("report", "preview", "--role", role, "--week", period.label).stdout for role in Role}
    tenths = {(told * 10 + 30) // 60 / 10 for told in (minutes - 1, minutes, minutes + 1)}
    assert any(f"{hours} active hours" in notes[Role.SELF] for hours in tenths), (tenths, notes[Role.SELF])
    assert [role for role in Role if "Time at the screen" in notes[role]] == [Role.THERAPIST, Role.SELF]
    hour.close()


async def _hand_over(hour: Hour, install: Install, *, killed: bool) -> None:
    """Sends; where `killed`, control dies between taking records and saying that they are stored."""

    async def kill_it() -> None:
        if killed:
            await asyncio.sleep(0.1)
            kill(install.pid("control"), signal.SIGKILL)

    async with asyncio.timeout(10):
        await asyncio.gather(hour.agent.send(), kill_it(), return_exceptions=True)


def _handed_over(hour: Hour, install: Install) -> bool:
    with suppress(TimeoutError, OSError):
        asyncio.run(_hand_over(hour, install, killed=False))
    return hour.buffer.acked == hour.buffer.last


def _where_it_is_noon(now: int) -> ZoneInfo:
    """A zone in which it is between 12 and 13 at `now`, so that an hour before and after it are of one day."""
    return ZoneInfo(f"Etc/GMT{clock.utc(now / SECOND).hour - 12:+d}")


class _Played:
    """Windows brought to the front for a while; `truth` sums up for how many seconds each was there."""

    def __init__(self, screen: Desktop, windows: dict[str, int]) -> None:
        self.truth = dict.fromkeys(windows, 0.0)
        self._screen, self._windows = screen, windows
        self._app, self._since = "", 0.0

    def front(self, app: str, seconds: float) -> None:
        """Brings `app` to the front, and leaves it there for at least `seconds`."""
        self.over()
        self._app, self._since = app, time.monotonic()
        self._screen.activate(self._windows[app])
        wait_until(lambda: time.monotonic() - self._since >= seconds, seconds + 1)

    def over(self) -> None:
        """A last key is pressed."""
        self._screen.press()
        if self._app:
            self.truth[self._app] += time.monotonic() - self._since
        self._app = ""


def _ended(pid: int) -> None:
    kill(pid, signal.SIGTERM)
    psutil.Process(pid).wait(10)


def test_a_block_is_told_once_in_one_calm_line(install: Install, session: tuple[Desktop, Service]):
    screen, service = session
    install.configure(install.add_list("mine", "listed.test\n"))
    install.run()
    screen.window("editor")
    _agent(install)
    _listening(install)
    for _ in range(5):
        install.ask("listed.test")
    wait_until(lambda: _shown(service), 10, install.said)
    install.ask("www.listed.test")
    install.ask("blocked.example")
    wait_until(lambda: len(_shown(service)) == 2, 10, install.said)
    assert [(args[3], args[4]) for args in _shown(service)] == [(TEXT, "")] * 2
    assert "listed.test" not in str(_shown(service))


def test_no_notice_over_a_window_that_fills_the_screen(install: Install, session: tuple[Desktop, Service]):
    screen, service = session
    install.configure(install.add_list("mine", "listed.test\n"))
    install.run()
    window = screen.window("player")
    screen.fullscreen(window, on=True)
    _agent(install)
    last = _listening(install)
    install.ask("blocked.example")
    got = _ask(install, {"do": "notices", "after": last})
    assert [notice["category"] for notice in got["notices"]] == ["demo"]
    wait_until(lambda: _heard(install) >= 2, 10, install.said)  # the agent has it too, and waits for the next one
    screen.fullscreen(window, on=False)
    install.ask("listed.test")
    wait_until(lambda: _shown(service), 10, install.said)
    assert len(_shown(service)) == 1


def test_a_budget_is_told_before_its_end(install: Install, session: tuple[Desktop, Service]):
    screen, service = session
    now = clock.now_us()
    zone = f'[time]\nzone = "{_where_it_is_noon(now)}"\n'
    install.configure(zone)
    install.run()
    screen.window("editor")
    _agent(install)
    _listening(install)
    records = [
        event_of(Record(stream, now - 50 * 60 * SECOND, now, value, "", 0, "earlier"), {"seq": seq})
        for seq, (stream, value) in enumerate([(Stream.APP, "firefox"), (Stream.AFK, "not-afk")], 1)
    ]
    request = {"do": "heartbeats", "agent": "earlier", "probe": "x11", "base": 1, "records": records}
    wait_until(lambda: _ask(install, request)["stored"] == 2, 10, install.said)
    assert _shown(service) == []
    install.configure(f'{zone}[[budget]]\nof = "firefox"\nminutes = 55\n')
    wait_until(lambda: _shown(service), 10, install.said)
    assert [(args[3], args[4]) for args in _shown(service)] == [(TEXTS[Sort.NEAR], "")]


def _listening(install: Install) -> int:
    """Waits until the agent waits for notices; the number of the newest one."""
    wait_until(lambda: (install.var / "agent" / "1" / "agent").exists(), 10, install.said)
    last = 0
    while not last:
        last = int(_ask(install, {"do": "notices", "after": 0})["last"])
    wait_until(lambda: _heard(install) >= 2, 10, install.said)
    return last


def _heard(install: Install) -> int:
    """Sockets of `control` on its path: the one that listens, and one for each who waits for an answer."""
    lines = psutil.Process(install.pid("control")).net_connections("unix")
    return sum("control.sock" in str(line.laddr) for line in lines)


def _shown(service: Service) -> list[tuple[Any, ...]]:
    return [args for _, member, args in service.calls if member == "Notify"]


def _ask(install: Install, request: dict[str, Any]) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(40)
        sock.connect(str(install.var / "run" / "control.sock"))
        sock.sendall(json.dumps(request).encode() + b"\n")
        got: dict[str, Any] = json.loads(sock.makefile("rb").readline())
    return got


def test_a_second_agent_in_a_session_says_so_and_ends(install: Install, session: tuple[Desktop, Service]):
    _agent(install)
    second = install.call("agent")
    assert second.returncode == 1
    assert "already running" in second.stderr
    assert second.stderr.count("\n") == 1


def test_check_says_what_can_be_measured_here(install: Install, session: tuple[Desktop, Service]):
    assert "X11 session: the app in front is known, idle time is known." in install.call("agent", "--check").stdout


def test_the_export_has_the_form_of_activitywatch(install: Install, session: tuple[Desktop, Service]):
    screen, _ = session
    install.run()
    screen.window("editor")
    agent = _agent(install)
    played = _Played(screen, {"editor": screen.window("editor")})
    played.front("editor", 1.0)
    played.over()
    _ended(agent)
    done = install.call("time", "week", "--export", "-")
    buckets = json.loads(done.stdout)["buckets"]
    assert sorted(bucket["type"] for bucket in buckets.values()) == ["afkstatus", "currentwindow"]
    for key, bucket in buckets.items():
        assert bucket["id"] == key
        assert {"client", "hostname", "created", "type", "events"} <= set(bucket)
        assert all(set(event) == {"timestamp", "duration", "data"} for event in bucket["events"])


@pytest.mark.soak
def test_a_switch_is_on_record_within_a_tenth_of_a_second(install: Install, session: tuple[Desktop, Service]):
    """A hundred switches, from the request to the window manager to the beginning of the record."""
    screen, _ = session
    install.run()
    windows = [(app, screen.window(app)) for app in ("editor", "browser")]
    agent = _agent(install)
    switched = []
    for turn in range(100):
        app, window = windows[turn % 2]
        switched.append((app, clock.now_us()))
        screen.activate(window)
        time.sleep(0.3)
    _ended(agent)
    wait_until(lambda: len(_in_front(install)) >= 100, 20, install.said)
    seen = _in_front(install)
    late = sorted(min(one.start - at for one in seen if one.value == app and one.start >= at) for app, at in switched)
    sys.stderr.write(f"\nms from a switch to its record: median {late[50] / 1000:.0f}, most {late[-1] / 1000:.0f}\n")
    assert late[-1] <= SECOND / 10


def _in_front(install: Install) -> list[Record]:
    with View(install.var / "journal.sqlite", install.var / "spool") as record:
        return [one.record for one in store.records(record.query, 0, 1 << 62) if one.record.stream == Stream.APP]


@pytest.mark.soak
def test_the_agent_takes_little(install: Install, session: tuple[Desktop, Service]):
    """Two thousandths of a core and 40 MB: six minutes of work at two windows, then six of nobody there."""
    install.run()
    screen, _ = session
    windows = [screen.window(app) for app in ("editor", "browser")]
    process = psutil.Process(_agent(install))
    measured = [_share(process, lambda turn: _work(screen, windows[turn % 2])), _share(process, lambda turn: None)]
    rss = process.memory_info().rss
    sys.stderr.write(f"\nshare of a core at work and idle: {measured}, RSS {rss / 2**20:.1f} MB\n")
    assert (max(measured) <= 0.002, rss <= 40 << 20) == (True, True), (measured, rss)


def _work(screen: Desktop, window: int) -> None:
    screen.activate(window)
    screen.press()


def _share(process: psutil.Process, each_ten_seconds: Callable[[int], None], seconds: int = 360) -> float:
    """The share of a core that `process` takes."""
    spent, began = sum(process.cpu_times()[:2]), time.monotonic()
    for turn in range(seconds // 10):
        each_ten_seconds(turn)
        time.sleep(10)
    return float((sum(process.cpu_times()[:2]) - spent) / (time.monotonic() - began))
