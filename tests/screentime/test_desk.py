"""Where agents are heard inside `control`: budgets are told in time, once, to their user; who is heard, and as what."""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from blockerd import clock
from blockerd.journal import spool
from blockerd.journal.append import Journal
from blockerd.screentime import desk as module
from blockerd.screentime import store
from blockerd.screentime.desk import Desk
from blockerd.screentime.heartbeat import SECOND
from blockerd.screentime.intake import event_of
from blockerd.screentime.track import Record, Stream
from blockerd.settings import Settings, load
from tests.e2e.install import Install, kill, wait_until

NOW = round(datetime(2026, 11, 22, 18, 0, tzinfo=UTC).timestamp()) * SECOND  # Sunday, 19:00 in Berlin
MINUTE = 60 * SECOND

FIREFOX = '[[budget]]\nof = "firefox"\nminutes = 60\n'
ADULT = '[[budget]]\nof = "adult"\nminutes = 10\nwarn = 3\n'
WEEK = '[[budget]]\nof = "all"\nminutes = 100\nper = "week"\n'


class Day:
    """A desk, its journal, and a clock that stands still until it is set."""

    def __init__(self, folder: Path) -> None:
        self.now, self.seconds = NOW, 0.0
        self._folder, self._seq = folder, 0
        self.settings = self._load("")
        self._loop = asyncio.new_event_loop()
        self.journal = Journal(folder / "journal.sqlite", lambda: self.now)
        self.desk = Desk(lambda _event: None, lambda: self.settings)

    def set(self, text: str) -> None:
        self.settings = self._load(text)

    def use(self, app: str, start: int, end: int, uid: int = 1000) -> None:
        """Minutes from NOW."""
        sent = []
        for minute, stream in product(range(start, end), Stream):
            self._seq += 1
            value = app if stream == Stream.APP else "not-afk"
            record = Record(stream, NOW + minute * MINUTE, NOW + (minute + 1) * MINUTE, value, "", 0, "b")
            head = {"agent": f"{uid}:a", "uid": uid, "probe": "x11", "seq": self._seq, "base": self._seq}
            sent.append(store.sent_in(event_of(record, head)))
        self.journal.within(lambda db: store.put(db.execute, sent))

    def ask(self, minute: int, category: str) -> None:
        at = NOW + minute * MINUTE
        folder = self._folder / "spool"
        folder.mkdir(exist_ok=True)
        writer = spool.Writer(folder, "dns", lambda: at, lambda: 0.0)
        writer.event({
            "kind": "attempt", "time": at, "name": "", "site": "listed.test", "qtype": 1, "category": category,
            "source": "mine", "list": "mine", "action": "NXDOMAIN", "channel": "dns", "client": "127.0.0.1",
            "user": "", "attempt": "attempt",
        })  # fmt: skip
        writer.close()
        self.journal.drain(folder, level=spool.Level.SITE)

    def told(self, uid: int = 1000, minute: int = 0) -> list[tuple[str, str]]:
        """What the user has been told by `minute`, as (sort, details)."""
        self.now = NOW + minute * MINUTE
        self.seconds += 60
        self.desk.tell(self.journal.query)
        answer = self._loop.run_until_complete(self.desk.answer({"do": "notices", "after": NOW - 1}, uid, {}))
        assert answer
        return [(notice["sort"], notice["said"]) for notice in answer["notices"]]

    def close(self) -> None:
        self.journal.close()
        self._loop.close()

    def _load(self, text: str) -> Settings:
        file = self._folder / "blockerd.toml"
        file.write_text(text)
        return load(file, {}, self._folder)


@pytest.fixture
def day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Day]:
    made: list[Day] = []
    monkeypatch.setattr(module, "WAIT", 0.05)
    monkeypatch.setattr(clock, "now_us", lambda: made[0].now if made else NOW)
    monkeypatch.setattr(clock, "monotonic", lambda: made[0].seconds if made else 0.0)
    made.append(Day(tmp_path))
    yield made[0]
    made[0].close()


def test_a_budget_is_told_before_its_end_once_and_again_on_the_next_day(day: Day):
    day.set(FIREFOX)
    day.use("firefox", -49, 0)
    assert day.told() == []
    day.use("firefox", 0, 2)
    near = ("budget near its end", "firefox: 51 of 60 minutes of this day")
    assert day.told(minute=2) == [near]
    day.use("firefox", 2, 20)
    assert day.told(minute=20) == [near]
    tomorrow = 24 * 60
    day.use("firefox", tomorrow, tomorrow + 55)
    assert day.told(minute=tomorrow + 55) == [near, ("budget near its end", "firefox: 55 of 60 minutes of this day")]


def test_a_budget_that_was_used_up_unseen_is_told_as_that(day: Day):
    day.set(FIREFOX)
    day.use("firefox", -61, 0)
    assert day.told() == [("budget used up", "firefox: 61 of 60 minutes of this day")]


def test_a_week_has_its_own_and_reaches_back_to_monday(day: Day):
    day.set(WEEK)
    day.use("editor", -3 * 24 * 60, -3 * 24 * 60 + 91)
    assert day.told() == [("budget near its end", "all: 91 of 100 minutes of this week")]


def test_a_category_counts_what_more_than_questions_tell_of(day: Day):
    day.set(ADULT)
    day.use("firefox", -30, 0)
    for minute in range(-9, 0):
        day.ask(minute, "adult")
    assert day.told() == [("budget near its end", "adult: 9 of 10 minutes of this day")]


def test_nobody_is_told_of_the_time_of_another(day: Day):
    day.set(FIREFOX)
    day.use("firefox", -30, 0, uid=1000)
    day.use("firefox", -30, 0, uid=1001)
    assert day.told(1000) == day.told(1001) == []
    day.use("firefox", -58, -30, uid=1001)
    assert day.told(1000) == []
    assert day.told(1001) == [("budget near its end", "firefox: 58 of 60 minutes of this day")]


def test_without_budgets_nothing_is_weighed(day: Day):
    day.use("firefox", -61, 0)
    assert day.told() == []


def test_an_unknown_login_name_is_nobody(day: Day):
    day.set('[agent]\nusers = ["nobody-of-this-name", "daemon"]\n')
    assert [day.desk.hears(uid) for uid in (1, 2)] == [True, False]


@pytest.mark.needs_kernel("another user: needs root", os.geteuid() == 0)
def test_agents_of_named_users_are_heard_as_themselves_and_as_no_more(tmp_path: Path):
    """The daemon's folders are opened for the way to the socket, and only while somebody is named."""
    for folder in (tmp_path, *tmp_path.parents[:2]):  # pytest makes them for its user alone
        folder.chmod(folder.stat().st_mode | 0o011)
    install = Install(tmp_path, 9)
    path = install.var / "run" / "agent.sock"
    install.configure('[agent]\nusers = ["nobody"]')
    install.start("control")
    wait_until(lambda: path.exists() and install.var.stat().st_mode & 0o777 == 0o711, said=install.said)
    record = event_of(Record(Stream.APP, NOW, NOW + MINUTE, "editor", "", 0, "b"), {"seq": 1})
    request = {"do": "heartbeats", "agent": "a", "probe": "x11", "base": 1, "records": [record]}
    assert _as_user(65534, path, request) == {"stored": 0}
    wait_until(lambda: _as_user(65534, path, {**request, "records": []}) == {"stored": 1}, 10, install.said)
    for more in ("status", "erase"):
        assert "an agent may" in str(_as_user(65534, path, {"do": more}))
    assert _as_user(1, path, request) is None
    install.configure()
    wait_until(lambda: path.parent.stat().st_mode & 0o777 == 0o700, 10, install.said)
    assert (path.parent / "control.sock").stat().st_mode & 0o777 == 0o600
    kill(install.pid("control"), 15)
    install.end()
    assert "Traceback" not in install.said()


ASK = """
import socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
    sock.settimeout(10)
    sock.connect(sys.argv[1])
    sock.sendall(sys.argv[2].encode() + b"\\n")
    sys.stdout.write(sock.makefile().readline())
"""


def _as_user(uid: int, path: Path, request: dict[str, Any]) -> object:
    """What `control` answers to a process of user `uid`; None where it closes the line."""
    done = subprocess.run(
        ["/usr/bin/python3", "-c", ASK, str(path), json.dumps(request)],
        user=uid, group=uid, extra_groups=[], cwd="/", capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return json.loads(done.stdout) if done.stdout else None
