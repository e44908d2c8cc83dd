"""`partner`, `consent` and what of `report` needs the daemon: words, files and the socket, against real parts."""

import asyncio
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from blockerd.cli.main import main
from blockerd.report import consent
from blockerd.report.consent import WORDS
from tests.fakes.mailserver import MailServer, running
from tests.fakes.sharing import ME, MINUTE, Home, code_in, partner

Json: TypeAlias = Any
ROBIN = partner("Robin", "spouse")
NOON = "2026-11-09T12:00+01:00"

CONFIG = """
[state]
dir = "var"
[report.smtp]
host = "localhost"
port = {port}
from = "me@home.test"
[[report.partner]]
name = "Robin"
address = "robin@mail.test"
role = "spouse"
"""


server = pytest.fixture(running)


@pytest.fixture
def home(tmp_path: Path, server: MailServer) -> Iterator[Home]:
    (tmp_path / "blockerd.toml").write_text(CONFIG.format(port=server.port))
    home = Home(tmp_path, server, NOON, ROBIN)
    home.sign("start")
    home.tick()
    yield home
    home.close()


def call(home: Home, *words: str, stdin: str = "") -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO(stdin))
        return main([*words, "--config", str(home.folder / "blockerd.toml")])


@contextmanager
def serving(home: Home) -> Iterator[None]:
    """The control socket, answered by the reports of `home` as `control` does."""
    path = home.folder / "var" / "run" / "control.sock"
    path.parent.mkdir(exist_ok=True)
    loop, ready, end = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        home.keeper.drain()
        request = json.loads(await reader.readline())
        answer = await home.reports.answer(request) or {"notes": home.reports.note}
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_unix_server(client, path)
        ready.set()
        await end.wait()
        server.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
        loop.close()
        path.unlink(missing_ok=True)  # Python 3.13 takes it away itself


def told(capsys: pytest.CaptureFixture[str]) -> Json:
    return json.loads(capsys.readouterr().out)


def test_the_whole_way_from_consent_to_reading(home: Home, server: MailServer, capsys: pytest.CaptureFixture[str]):
    with serving(home):
        assert call(home, "partner", "invite", "Robin") == 1
        assert "blockerd consent" in capsys.readouterr().err
        assert call(home, "consent", stdin=f"{WORDS}\n") == 0
        assert call(home, "partner", "invite", "Robin") == 0
        assert call(home, "report", "send") == 0
        capsys.readouterr()
        assert call(home, "partner", "ls", "--json") == 0
        listed = told(capsys)
        (row,) = listed["partners"]
        assert (row["state"], row["address"]) == ("invited", ROBIN.address)
        assert len(listed["fingerprint"]) == 35
        assert listed["fingerprint"] in home.got("Robin")[0].text, "both read the same digits"
        code = code_in(home.got("Robin")[0])
        assert call(home, "partner", "accept", "Robin", "WRON-GONE") == 1
        assert "4 tries left" in capsys.readouterr().err
        assert call(home, "partner", "accept", "Robin", code) == 0
        assert call(home, "report", "send") == 0
        capsys.readouterr()
        assert call(home, "partner", "ls") == 0
    out = capsys.readouterr().out
    assert "reads the notes" in out
    assert ROBIN.address in out
    assert "The next note is due on " in out
    assert [one.line("kind") for one in home.got("Robin")] == ["pairing", "notice"]


def test_a_consent_that_cannot_be_read_is_one_line_and_not_taken_for_none(
    home: Home, capsys: pytest.CaptureFixture[str]
):
    (home.settings.state.dir / "consent.json").mkdir()
    for words in (("consent", "show"), ("partner", "ls"), ("partner", "ls", "--json")):
        assert call(home, *words) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert "consent.json: Is a directory; nothing is shared until it can be read" in said.err
        assert said.err.count("\n") == 1


@pytest.mark.parametrize("said", ["", "yes\n", "I agree\n", "I am 18 or older\n"])
def test_only_the_words_themselves_are_consent(home: Home, capsys: pytest.CaptureFixture[str], said: str):
    assert call(home, "consent", stdin=said) == 2
    out = capsys.readouterr()
    assert "nothing is shared with anyone" in out.err
    assert "Robin, robin@mail.test: counts, coverage and trend" in out.out
    assert consent.read(home.settings.state.dir) is None


def test_consent_says_what_is_recorded_where_and_who_would_read(home: Home, capsys: pytest.CaptureFixture[str]):
    assert call(home, "consent", stdin=f"  {WORDS.upper()}. \n") == 0
    out = capsys.readouterr().out
    assert str(home.settings.state.dir) in out
    assert "90 days" in out
    assert (home.settings.state.dir / consent.FILE).stat().st_mode & 0o777 == 0o600
    assert call(home, "consent", "show") == 0
    assert "You agreed on" in capsys.readouterr().out


def test_consent_is_taken_back_at_once_without_the_daemon(home: Home, capsys: pytest.CaptureFixture[str]):
    home.agree()
    home.pair("Robin")
    assert call(home, "consent", "withdraw") == 0
    assert "nothing more is shared with anyone from now on" in capsys.readouterr().out
    assert call(home, "consent", "show") == 1
    home.until("2026-11-30T12:00+01:00", step=24 * 60 * MINUTE)
    assert [one.line("kind") for one in home.got("Robin")] == ["pairing", "notice", "notice"]
    assert call(home, "consent", "withdraw") == 0


def test_a_reader_is_removed_at_once_without_the_daemon(home: Home, capsys: pytest.CaptureFixture[str]):
    home.agree()
    home.pair("Robin")
    assert call(home, "partner", "remove", "Robin") == 0
    assert "nothing more is shared with Robin" in capsys.readouterr().out
    home.until("2026-11-20T12:00+01:00", step=24 * 60 * MINUTE)
    assert "Sharing has ended" in home.got("Robin")[-1].text
    assert call(home, "partner", "remove", "Nobody") == 2


@pytest.mark.parametrize(
    "words", [["invite", "Robin"], ["accept", "Robin", "X"], ["stop", "X"], ["renew", "Robin", "X"]]
)
def test_what_shares_more_or_is_kept_by_control_needs_control(
    home: Home, capsys: pytest.CaptureFixture[str], words: list[str]
):
    assert call(home, "partner", *words) == 2
    err = capsys.readouterr().err
    assert "start blockerd first" in err
    assert err.count("\n") == 1


def test_the_list_shows_every_recipient_also_before_anything_runs(home: Home, capsys: pytest.CaptureFixture[str]):
    assert call(home, "partner", "ls") == 0
    out = capsys.readouterr().out
    assert "nothing is shared" in out
    assert "robin@mail.test" in out
    assert "not asked yet" in out


def test_the_readers_code_typed_at_the_machine_ends_the_mails(home: Home, capsys: pytest.CaptureFixture[str]):
    home.agree()
    home.pair("Robin")
    code = home.partner("Robin").stop_code
    with serving(home):
        assert call(home, "partner", "stop", code.lower().replace("-", " ")) == 0
    assert "Robin gets no more mails" in capsys.readouterr().out


def test_sent_mails_are_listed_with_their_recipients_and_exported(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    home.agree()
    home.pair("Robin")
    home.until("2026-11-09T19:00+01:00")
    assert call(home, "report", "list", "--json") == 0
    rows = told(capsys)
    assert [(row["what"], row["to"], row["state"]) for row in rows] == [
        ("invite", ROBIN.address, "sent"), ("accepted", ROBIN.address, "sent"), ("copy: accepted", ME, "sent"),
        ("seal", ROBIN.address, "sent"),
    ]  # fmt: skip
    assert call(home, "report", "list") == 0
    assert ROBIN.address in capsys.readouterr().out
    for limit, count in (("0", 0), ("2", 2), ("9", 4)):
        assert call(home, "report", "list", "--json", "--limit", limit) == 0
        assert len(told(capsys)) == count
    assert call(home, "report", "list", "--limit", "-1") == 2
    assert call(home, "report", "export", str(tmp_path / "mails")) == 0
    capsys.readouterr()
    assert {path.read_bytes() for path in (tmp_path / "mails").iterdir()} == set(home.server.to(ROBIN.address)[1:])
    assert call(home, "report", "export", str(tmp_path / "mails")) == 2


def test_the_list_says_that_notes_wait_for_the_clock(home: Home, capsys: pytest.CaptureFixture[str]):
    home.agree()
    home.pair("Robin")
    home.sure = False
    home.tick()
    with serving(home):
        assert call(home, "report", "list") == 0
    assert "Note: the clock was set, or the computer was off for long: notes wait" in capsys.readouterr().out


def test_a_word_of_ones_own_and_a_talk_go_over_the_socket(home: Home, capsys: pytest.CaptureFixture[str]):
    home.agree()
    home.pair("Robin")
    with serving(home):
        assert call(home, "report", "note", "Thank", "you") == 0
        assert call(home, "report", "talked", "maple") == 1
        assert call(home, "report", "note") == 0
    assert "your note is taken back" in capsys.readouterr().out


def test_the_preview_shows_who_gets_the_note_and_in_whose_words(home: Home, capsys: pytest.CaptureFixture[str]):
    home.agree()
    home.pair("Robin")
    home.request("report-note", text="See you on Sunday.")
    assert call(home, "report", "preview", "--role", "spouse", "--week", "2026-W46") == 0
    out = capsys.readouterr().out
    assert "Goes to Robin, robin@mail.test." in out
    assert home.partner("Robin").stop_code in out
    assert call(home, "report", "preview", "--week", "2026-W46") == 0
    assert "Robin, robin@mail.test: counts, coverage and trend" in capsys.readouterr().out


def test_a_test_mail_goes_to_the_sender_alone(home: Home, server: MailServer, capsys: pytest.CaptureFixture[str]):
    server.authority.cert_pem.write_to_path(str(home.folder / "ca.pem"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(home.folder / "ca.pem"))
        assert call(home, "report", "test") == 0
    (got,) = server.taken
    assert got.recipient == ME
    assert ME in capsys.readouterr().out
    assert call(home, "report", "test") == 1, "without the authority its certificate does not hold"
    assert "does not hold" in capsys.readouterr().err
    assert len(server.taken) == 1
