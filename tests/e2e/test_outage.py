"""When mail does not go as it should: the server is away for a week, the process dies between yes and commit.

Nothing is lost, nothing goes out of order or under another number, and no server is knocked at more than once an hour.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import apsw
import pytest

from blockerd.journal.outbox import Stand
from blockerd.report.partner import Says
from blockerd.report.roads.smtp import SmtpRoad, SmtpSession
from tests.e2e.install import environment
from tests.fakes.mailserver import MailServer, Mood, Taken, running
from tests.fakes.sharing import HOUR, ME, MINUTE, Home, kinds, partner, us

pytestmark = pytest.mark.once
ROBIN = partner("Robin", "spouse")


server = pytest.fixture(running)


@pytest.fixture
def home(tmp_path: Path, server: MailServer) -> Iterator[Home]:
    home = Home(tmp_path, server, "2026-11-13T12:00+01:00", ROBIN)
    home.sign("start")
    home.agree()
    home.pair("Robin")
    yield home
    home.close()


@pytest.mark.parametrize(
    ("way", "back"),
    [
        ("refuse", 20), ("4xx", 16), ("hang", 16),
        *(pytest.param(way, 20, marks=pytest.mark.soak) for way in ("4xx", "hang", "no name")),
    ],
)  # fmt: skip
def test_a_server_away_for_days_loses_nothing(home: Home, server: MailServer, way: str, back: int):
    """From Friday to that day, a Sunday between: one seal that stands for the days, the note, and today's seal."""
    seen: list[int] = []
    good = home.road
    _break(home, server, way, seen)
    home.until("2026-11-13T21:00+01:00", step=10 * MINUTE)
    home.until(f"2026-11-{back}T13:00+01:00", step=HOUR)
    tries = sorted(set(seen))
    assert len(tries) > 20
    assert all(later - earlier >= HOUR for earlier, later in pairwise(tries[3:])), "at most once an hour"
    assert tries[3] - tries[0] < 2 * HOUR, "a few times soon"
    assert [row.what for row in home.rows() if row.state == Stand.WAITING] == [Says.SEAL, Says.REPORT]
    trouble = next(row.trouble for row in home.rows() if row.state == Stand.WAITING) or home.reports.trouble
    assert "mail server" in trouble, "the user is told"
    before = len(home.got("Robin"))
    server.mood = Mood.FINE
    home.reports._roads = {"smtp": good}
    home.until(f"2026-11-{back}T18:30+01:00", step=HOUR)
    mails = home.got("Robin")[before:]
    assert kinds(mails) == ["seal", "report", "seal"]
    assert [one.line("late") for one in mails] == ["the mail server was out of reach"] * 2 + [""]
    assert [int(one.line("mail")) for one in mails] == [3, 4, 5]
    ids = [one.message["Message-ID"] for one in home.got("Robin")]
    assert len(set(ids)) == len(ids)


def _break(home: Home, server: MailServer, way: str, tries: list[int]) -> None:
    """The server goes away; `tries` keeps when it was asked all the same."""
    if way == "no name":
        smtp = replace(home.settings.report.smtp, host="no-such-host.invalid")
        home.reports._roads = {"smtp": _Counted(SmtpRoad(smtp, server.context, 5.0), home, tries)}
        return
    server.mood = {"refuse": Mood.DOWN, "4xx": Mood.BUSY, "hang": Mood.HANG}[way]
    road = SmtpRoad(home.settings.report.smtp, server.context, 0.02 if way == "hang" else 5.0)
    home.reports._roads = {"smtp": _Counted(road, home, tries)}


class _Counted(SmtpRoad):
    """The road itself, which notes when it was tried."""

    def __init__(self, road: SmtpRoad, home: Home, tries: list[int]) -> None:
        super().__init__(road._smtp, road._context, road._seconds)
        self._home, self._tries = home, tries

    async def open(self) -> SmtpSession:
        self._tries.append(self._home.now)
        return await super().open()


@pytest.mark.parametrize("mood", [Mood.SILENT, Mood.MUTE])
def test_where_nobody_knows_whether_it_arrived_the_same_bytes_go_again(home: Home, server: MailServer, mood: Mood):
    home.until("2026-11-13T17:00+01:00")
    home.reports._roads = {"smtp": SmtpRoad(home.settings.report.smtp, server.context, 0.3)}
    server.mood = mood
    home.until("2026-11-13T18:00+01:00")
    server.mood = Mood.FINE
    home.until("2026-11-13T18:10+01:00", step=5 * MINUTE)
    copies = [raw for raw in server.to(ROBIN.address) if b"nothing to read" in raw]
    assert len(copies) == 2
    assert copies[0] == copies[1]
    home.until("2026-11-14T18:00+01:00")
    assert home.got("Robin")[-1].line("mail") == "4"


_CHILD = """
import asyncio, os, signal, ssl, sys
from pathlib import Path
from tests.fakes.sharing import Home, partner
from tests.fakes.mailserver import MailServer
from blockerd.report.roads.smtp import SmtpRoad, SmtpSession

folder, port, now = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
context = ssl.create_default_context(cafile=str(folder / "ca.pem"))

class Killed(SmtpSession):
    async def send(self, recipient, message):
        await super().send(recipient, message)
        os.kill(os.getpid(), signal.SIGKILL)  # the yes was heard, and nothing is on record yet

class Road(SmtpRoad):
    async def open(self):
        session = await super().open()
        session.__class__ = Killed
        return session

server = MailServer(None, None, port=port)
server.context = lambda: context
home = Home(folder, server, "2026-11-13T12:00+01:00", partner("Robin", "spouse"))
home.now = now
home.reports._roads = {"smtp": Road(home.settings.report.smtp, lambda: context, 5.0)}
home.tick()
print("not killed")
"""


def test_killed_between_the_yes_and_the_commit_it_goes_again_under_the_same_number(home: Home, server: MailServer):
    home.until("2026-11-13T17:50+01:00")
    home.close_journal()
    server.authority.cert_pem.write_to_path(str(home.folder / "ca.pem"))
    now = us("2026-11-13T18:00+01:00")
    command = [sys.executable, "-c", _CHILD, str(home.folder), str(server.port), str(now)]
    for _ in range(2):
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
    home.open()
    home.now = now + 5 * MINUTE
    home.tick()
    copies = server.to(ROBIN.address)[2:]
    assert len(copies) == 3
    assert len(set(copies)) == 1, "the same Message-ID, number and bytes"
    home.until("2026-11-14T18:00+01:00")
    assert home.got("Robin")[-1].line("mail") == "4"
    assert len(server.to(ROBIN.address)) == 2 + 3 + 1


def test_a_yes_that_cannot_be_put_on_record_at_once_is_not_sent_again(home: Home, server: MailServer):
    """Somebody holds the journal while the mail is taken: it is noted when that ends, and goes once."""
    locks: list[apsw.Connection] = []

    def lock(_: Taken) -> None:
        if not locks:
            locks.append(apsw.Connection(str(home.settings.state.dir / "journal.sqlite")))
            locks[0].execute("BEGIN IMMEDIATE")

    server.on_data = lock
    home.until("2026-11-13T18:00+01:00")
    assert "another program holds it" in home.reports.trouble
    home.now += MINUTE
    home.tick()
    locks[0].execute("ROLLBACK")
    locks[0].close()
    home.until("2026-11-13T19:30+01:00", step=MINUTE * 10)
    assert kinds(home.got("Robin")) == ["pairing", "notice", "seal"]
    assert {row.state for row in home.rows()} == {Stand.SENT}
    assert home.reports.trouble == ""


def test_the_state_of_a_road_outlives_a_restart(home: Home, server: MailServer):
    server.mood = Mood.DOWN
    home.until("2026-11-13T22:00+01:00", step=10 * MINUTE)
    before = server.connections
    for _ in range(5):
        home.close_journal()
        home.open()
        home.now += MINUTE
        home.tick()
    assert server.connections - before <= 1, "a start is no reason to knock again"


_LISTENING = """
import socket, sys
from pathlib import Path
from tests.fakes.sharing import Home, partner
from tests.fakes.mailserver import server_of

server = server_of()
with server.running():
    seen = set()
    def audit(event, args):
        if event == "socket.connect":
            seen.add(("connect", args[1]))
        elif event == "socket.getaddrinfo":
            seen.add(("name", args[0]))
        elif event in ("socket.sendto", "socket.sendmsg"):
            seen.add((event, args[1]))
        elif event in ("os.system", "subprocess.Popen", "os.posix_spawn", "os.exec", "socket.gethostbyname"):
            seen.add((event, args[0]))
    sys.addaudithook(audit)
    home = Home(Path(sys.argv[1]), server, "2026-11-13T12:00+01:00", partner("Robin", "spouse"))
    home.sign("start")
    home.until("2026-11-13T14:00+01:00")
    print(sorted(seen))
    home.agree()
    home.pair("Robin")
    home.ask("a.test")
    home.until("2026-11-16T18:00+01:00")
    port = server.port
    print(sorted(str(one).replace(str(port), "PORT") for one in seen))
    home.close()
"""


def test_no_connection_is_opened_that_the_settings_do_not_name(tmp_path: Path):
    """An audit hook in the process sees every connection, name lookup and command, also those of libraries."""
    command = [sys.executable, "-c", _LISTENING, str(tmp_path)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    before, after = done.stdout.splitlines()
    assert before == "[]", "nothing is agreed, so nobody is asked for anything"
    assert after == str(sorted(["('connect', ('127.0.0.1', PORT))", "('name', 'localhost')"]))


def test_what_leaves_the_machine_names_no_site_user_or_machine(home: Home, server: MailServer):
    home.ask("very-secret-site.test")
    home.until("2026-11-22T18:00+01:00", step=6 * HOUR)
    everything = b"\n".join(one.body for one in server.taken)
    told = everything.decode("ascii") + " ".join(one.text + one.evidence for one in home.got("Robin") + home.got(ME))
    machine = os.uname().nodename
    for word in (
        "very-secret",
        str(home.folder),
        f"@{machine}",
        f" {machine} ",
        "http://",
        "https://",
        "Europe/Berlin",
    ):
        assert word not in told, word
    assert {one.sender for one in server.taken} == {ME}
    assert {one.recipient for one in server.taken} == {ROBIN.address, ME}
