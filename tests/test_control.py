"""The process control alone: its socket, its journal, and what it does where one of them cannot be had."""

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from blockerd import clock
from blockerd.control import ControlProcess, confirmed, peer_uid, size_of
from blockerd.journal import spool
from blockerd.journal.spool import RawAttempt, Writer
from blockerd.lists.formats import parse
from blockerd.lists.guard import protected
from blockerd.lists.snapshot import table_of
from blockerd.lists.sources import ListSource
from blockerd.lists.table import TableBuilder
from blockerd.policy.match import Table
from blockerd.policy.name import from_text
from blockerd.settings import load
from tests.e2e.install import Install, wait_until
from tests.e2e.stub import Stub


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Install]:
    install = Install(tmp_path_factory.mktemp("control"), 9)
    install.start("control")
    wait_until((install.var / "run" / "control.sock").exists, said=install.said)
    yield install
    install.end()
    assert "Traceback" not in install.said()


def _tell(install: Install, line: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(5)
        sock.connect(str(install.var / "run" / "control.sock"))
        sock.sendall(line)
        sock.shutdown(socket.SHUT_WR)
        return sock.makefile("rb").read()


def test_status_says_pid_and_trouble(control: Install):
    told = json.loads(_tell(control, b'{"do": "status"}\n'))
    assert (told["pid"], told["trouble"]) == (control.pid("control"), "")
    assert told["spool_bytes"] >= 0


@pytest.mark.parametrize(
    "line", [b'{"do": "nothing"}\n', b"[]\n", b"null\n", b'"status"\n', b"1\n", b'{"do": ["status"]}\n']
)
def test_another_request_gets_an_error_and_not_the_end(control: Install, line: bytes):
    assert list(json.loads(_tell(control, line))) == ["error"]
    assert json.loads(_tell(control, b'{"do": "status"}\n'))["pid"]


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"not json\n", b"\xff\xfe\n", b"[" * 60_000 + b"\n", b"x" * 200_000 + b"\n"]
)
def test_what_is_no_request_gets_no_answer_and_no_traceback(control: Install, line: bytes):
    try:
        assert _tell(control, line) == b""
    except (BrokenPipeError, ConnectionResetError):  # it need not read to the end of what it refuses
        pass
    assert json.loads(_tell(control, b'{"do": "status"}\n'))["pid"]
    assert "Traceback" not in control.said()


def test_the_socket_is_for_its_user_alone(control: Install):
    path = control.var / "run" / "control.sock"
    assert path.stat().st_mode & 0o177 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_what_is_spooled_is_in_the_journal_and_a_finished_segment_is_gone(control: Install):
    folder = control.var / "spool"
    segments = []
    for _ in range(2):  # the second start shows that nobody appends to the first
        writer = Writer(folder, "proxy", clock.now_us, clock.monotonic)
        writer.event({
            "kind": "attempt", "time": clock.now_us(), "name": "", "site": "listed.test", "qtype": 1,
            "category": "adult", "source": "mine", "list": "mine", "action": "NXDOMAIN", "channel": "proxy",
            "client": "127.0.0.1", "user": "", "attempt": "attempt",
        })  # fmt: skip
        writer.close()
        segments += spool.segments(folder)
    assert [row["count"] for row in control.log()] == [2]
    wait_until(lambda: _stored(control) == 2, 5)
    assert [row["count"] for row in control.log()] == [2]


def _stored(install: Install) -> int:
    import apsw

    db = apsw.Connection(str(install.var / "journal.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        rows = list(db.execute("SELECT sum(count) FROM attempts"))
    finally:
        db.close()
    return int(rows[0][0] or 0)


def test_a_journal_of_a_newer_version_is_trouble_and_the_spool_keeps_all(tmp_path: Path):
    import apsw

    install = Install(tmp_path, 9)
    install.var.mkdir()
    db = apsw.Connection(str(install.var / "journal.sqlite"))
    db.pragma("user_version", 9999)
    db.close()
    try:
        install.start("control")
        wait_until((install.var / "run" / "control.sock").exists, said=install.said)
        wait_until(lambda: json.loads(_tell(install, b'{"do": "status"}\n'))["trouble"], 5)
        assert install.pid("control")
        assert "Traceback" not in install.said()
    finally:
        install.end()


def test_the_peer_of_a_socket_is_known():
    import os

    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_uid(ours) == os.getuid()


def test_the_size_of_a_file_that_is_gone_is_0(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"12345")
    assert (size_of(tmp_path / "a"), size_of(tmp_path / "b")) == (5, 0)


@pytest.fixture(scope="module")
def table() -> Table:
    builder = TableBuilder(protected(), 1)
    builder.add(ListSource("mine", "mine", "adult", None), parse(b"listed.test\nwww.deep.test\n"))
    return table_of(builder.finish())


def _attempt(table: Table, name: str, of: str, source: str = "mine") -> RawAttempt:
    """An attempt for `name` that hit the slot of the rule `of`."""
    hits = table.hits(from_text(of))
    slot = hits[0].slot if hits else 0
    return RawAttempt(0, slot, from_text(name), 1, source, "mine", "adult", "attempt", "NXDOMAIN", "127.0.0.1")


@pytest.mark.parametrize(
    ("name", "of", "expected"),
    [
        ("listed.test", "listed.test", True),
        ("www.listed.test", "listed.test", True),
        ("deep.test", "www.deep.test", True),  # only the site was kept
        ("other.test", "listed.test", False),  # equal hashes
    ],
)
def test_an_attempt_is_confirmed_by_full_names(table: Table, name: str, of: str, expected: bool):
    assert confirmed(table, _attempt(table, name, of)) is expected


def test_an_attempt_without_a_name_has_nothing_to_confirm(table: Table):
    attempt = RawAttempt(0, 1 << 40, b"\x00", 1, "mine", "mine", "adult", "attempt", "NXDOMAIN", "")
    assert confirmed(table, attempt)


def test_lists_with_an_address_are_fetched_by_the_clock_and_trouble_is_on_record(tmp_path: Path):
    """The only resolver is on loopback and knows no public address: nothing leaves the machine."""
    with Stub() as stub:
        install = Install(tmp_path, stub.port, dns=f'bootstrap = ["127.0.0.1:{stub.port}"]')
        install.configure('[[lists.source]]\nid = "far"\ncategory = "adult"\nurl = "https://lists.example/far"\n')
        settings = load(install.file, {}, tmp_path)
        process = ControlProcess(settings, lambda: settings)
        asyncio.run(process._update_lists())
    record = json.loads((install.var / "lists" / "far.json").read_text())
    assert record["failures"] == 1
    assert record["problem"]


def test_without_such_a_list_nothing_is_started_by_the_clock(tmp_path: Path):
    install = Install(tmp_path, 9)
    settings = load(install.file, {}, tmp_path)
    asyncio.run(ControlProcess(settings, lambda: settings)._update_lists())
    assert not (install.var / "lists").exists()
