"""The process control alone: its socket, its journal, and what it does where one of them cannot be had."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from blockerd import clock
from blockerd.control import process
from blockerd.control.journal import confirmed
from blockerd.control.life import dns_counters, shutting_down
from blockerd.control.news import list_news
from blockerd.control.process import ControlProcess, peer_uid
from blockerd.journal import spool
from blockerd.journal.append import size_of
from blockerd.journal.log import open_log
from blockerd.journal.spool import RawAttempt, Writer
from blockerd.lists.fetch.record import Meta, save
from blockerd.lists.formats import parse
from blockerd.lists.guard import protected
from blockerd.lists.snapshot import table_of
from blockerd.lists.sources import ListSource
from blockerd.lists.table import TableBuilder
from blockerd.lists.verdict import Held
from blockerd.lists.watch import ListWatch
from blockerd.policy.match import Table
from blockerd.policy.name import from_text
from blockerd.settings import load
from tests.e2e.install import Install, wait_until
from tests.e2e.stub import Stub


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Install]:
    install = Install(tmp_path_factory.mktemp("control"), 9)
    install.start("control")
    up(install)
    yield install
    install.end()
    assert "Traceback" not in install.said()


def up(install: Install) -> None:
    """Waits until control answers."""

    def answers() -> bool:
        try:
            return bool(_tell(install, b'{"do": "status"}\n'))
        except OSError:
            return False

    wait_until(answers, said=install.said)


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
        up(install)
        wait_until(lambda: json.loads(_tell(install, b'{"do": "status"}\n'))["trouble"], 5)
        assert install.pid("control")
        assert "Traceback" not in install.said()
    finally:
        install.end()


def test_the_peer_of_a_socket_is_known():
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


def entries(install: Install) -> list[dict[str, Any]]:
    """Everything in the log but attempts, in order of leaves."""
    with open_log(install.var / "journal.sqlite") as log:
        assert log
        return [json.loads(opening.event) for opening in log.openings() if opening.kind != "attempt"]


def test_starts_stops_and_unclean_ends_are_entries_of_the_log(tmp_path: Path):
    install = Install(tmp_path, 9)
    sock = install.var / "run" / "control.sock"
    try:
        first = install.start("control")
        up(install)
        first.terminate()
        first.wait(10)
        second = install.start("control")
        up(install)
        second.kill()
        second.wait(10)
        sock.unlink()
        third = install.start("control")
        up(install)
        third.terminate()
        third.wait(10)
    finally:
        install.end()
    told = [(entry["kind"], entry.get("run"), entry.get("why", "")) for entry in entries(install)]
    assert told == [
        ("start", 1, ""), ("beat", 1, ""), ("stop", 1, "told to"), ("start", 2, ""), ("beat", 2, ""),
        ("unclean", 2, "crash or kill"), ("start", 3, ""), ("beat", 3, ""), ("stop", 3, "told to"),
    ]  # fmt: skip
    assert "Traceback" not in install.said()


def test_erasing_is_asked_of_control_while_it_runs(tmp_path: Path):
    install = Install(tmp_path, 9)
    try:
        install.start("control")
        up(install)
        spelled_out(install, "listed.test")
        told = json.loads(_tell(install, b'{"do": "erase"}\n'))
        assert told == {"removed": {"attempt": 1}}
        assert install.log() == []
        files = [path.read_bytes() for path in install.var.rglob("*") if path.is_file()]
        assert not any(b"listed.test" in data for data in files)
    finally:
        install.end()
    assert [entry["why"] for entry in entries(install) if entry["kind"] == "prune"] == ["erase"]


def spelled_out(install: Install, site: str):
    """An attempt in the spool, as the proxy writes it."""
    writer = Writer(install.var / "spool", "proxy", clock.now_us, clock.monotonic)
    writer.event({
        "kind": "attempt", "time": clock.now_us(), "name": "", "site": site, "qtype": 1, "category": "adult",
        "source": "mine", "list": "mine", "action": "NXDOMAIN", "channel": "proxy", "client": "127.0.0.1",
        "user": "", "attempt": "attempt",
    })  # fmt: skip
    writer.close()


def test_what_became_of_a_list_is_told_once(tmp_path: Path):
    install = Install(tmp_path, 9)
    install.configure('[[lists.source]]\nid = "far"\ncategory = "adult"\nurl = "https://lists.example/far"\n')
    settings = load(install.file, {}, tmp_path)
    said: list[dict[str, Any]] = []

    def news(meta: Meta):
        said.clear()
        save(settings, "far", meta)
        for _ in range(2):
            list_news(settings, said.append)
        return [(event["kind"], event.get("reason", "")) for event in said]

    got = Meta(url="u", sha256="aa", names=5, added=2, removed=1)
    assert news(got) == [("list-updated", "")]
    assert (said[0]["names"], said[0]["added"], said[0]["digest"]) == (5, 2, "aa")
    assert news(replace(got, held=Held("bb", 1, 0.0, "shrank"))) == [("list-rejected", "shrank")]
    assert news(replace(got, held=Held("bb", 1, 0.0, "shrank"), problem="shrank")) == []
    assert news(replace(got, problem="out of reach")) == [("list-rejected", "out of reach")]
    assert news(got) == []
    assert news(replace(got, sha256="cc")) == [("list-updated", "")]


def test_what_cannot_be_read_of_what_was_told_is_told_again(tmp_path: Path):
    install = Install(tmp_path, 9)
    install.configure('[[lists.source]]\nid = "far"\ncategory = "adult"\nurl = "https://lists.example/far"\n')
    settings = load(install.file, {}, tmp_path)
    save(settings, "far", Meta(url="u", sha256="aa"))
    said: list[dict[str, Any]] = []
    for broken in ("[]", "{", '{"far": 5}', '{"far": {"other": "x"}}'):
        (install.var / "lists" / "told.json").write_text(broken)
        list_news(settings, said.append)
    assert len(said) == 4


def test_a_machine_without_a_service_manager_is_not_shutting_down(tmp_path: Path):
    assert not shutting_down(tmp_path / "none")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"counters": 5}', '{"counters": {"queries": "x"}}'])
def test_what_dns_does_not_count_is_not_told(tmp_path: Path, text: str):
    (tmp_path / "dns.json").write_text(text)
    assert dns_counters(tmp_path / "dns.json") == {}
    (tmp_path / "dns.json").write_text('{"counters": {"queries": 7, "rate": 1.5}}')
    assert dns_counters(tmp_path / "dns.json") == {"queries": 7}


@pytest.mark.parametrize("changed", ["enrolled = false", "enrolled = true\n[proxy]\nenabled = true"])
def test_an_edited_configuration_is_told_to_the_resolver_whatever_section_it_is_in(
    changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Also that a device is no longer enrolled: sharing less takes effect at once."""
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(process, "running_pid", lambda _, what: {"dns": 71, "proxy": 72}[what])
    monkeypatch.setattr(os, "kill", lambda pid, number: told.append((pid, number)))
    device = '[[client]]\nname = "tablet"\naddresses = ["192.168.1.20/32"]\n'
    install = Install(tmp_path, 9)
    install.configure(device + "enrolled = true")
    control = ControlProcess(load(install.file, {}, tmp_path), lambda: load(install.file, {}, tmp_path))
    watch = ListWatch(load(install.file, {}, tmp_path))
    assert control._read_again(watch, tell_dns=True)
    assert told == []
    install.configure(device + changed)
    assert control._read_again(watch, tell_dns=True)
    assert told == [(71, signal.SIGHUP), (72, signal.SIGHUP)]


def test_without_such_a_list_nothing_is_started_by_the_clock(tmp_path: Path):
    install = Install(tmp_path, 9)
    settings = load(install.file, {}, tmp_path)
    asyncio.run(ControlProcess(settings, lambda: settings)._update_lists())
    assert not (install.var / "lists").exists()
