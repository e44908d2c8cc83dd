"""Sharing with the real processes: consent, invitation, yes, and the end; the command line and a real mail server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from blockerd.report.consent import WORDS
from tests.e2e.install import Install, wait_until
from tests.fakes.mailserver import MailServer, Mood, closed_port, server_of
from tests.fakes.sharing import ME, code_in, mail

ADDRESS = "robin@mail.test"
CONFIG = """
[report.smtp]
host = "localhost"
port = {port}
user = "me"
from = "me@home.test"
[[report.partner]]
name = "Robin"
address = "robin@mail.test"
role = "spouse"
"""
SECRET = "s3cret-of-the-user"


@pytest.fixture
def server() -> Iterator[MailServer]:
    server = server_of(password=SECRET.encode())
    with server.running():
        yield server


@pytest.fixture
def daemon(tmp_path: Path, server: MailServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    server.authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    install = Install(tmp_path, closed_port(), CONFIG.format(port=server.port))
    password = tmp_path / "smtp-password"
    password.touch(0o600)
    password.write_text(f"{SECRET}\n")
    install.run()
    yield install
    install.end()


def test_from_consent_to_the_last_mail(daemon: Install, server: MailServer):
    assert daemon.call("partner", "invite", "Robin").returncode == 1
    assert daemon.call("consent", stdin=f"{WORDS}\n").returncode == 0
    assert daemon.call("partner", "invite", "Robin").returncode == 0
    assert daemon.call("report", "send").returncode == 0
    (invitation,) = server.to(ADDRESS)
    code = code_in(mail(invitation))
    done = daemon.call("partner", "accept", "Robin", code)
    assert done.returncode == 0, done.stderr
    assert daemon.call("report", "send").returncode == 0
    assert len(server.to(ADDRESS)) == 2
    assert daemon.call("report", "send").returncode == 0
    assert server.to(ME) == [server.to(ADDRESS)[1]], "the user's copy"
    listed = json.loads(daemon.call("report", "list", "--json").stdout)
    assert [row["state"] for row in listed] == ["sent"] * 3
    server.mood = Mood.DOWN
    assert daemon.call("consent", "withdraw").returncode == 0
    assert daemon.call("report", "send").returncode == 1
    assert "out of reach" in json.loads(daemon.call("status", "--json").stdout)["mail"]
    server.mood = Mood.FINE
    assert daemon.call("report", "send").returncode == 0
    assert "Sharing has ended" in mail(server.to(ADDRESS)[-1]).text
    assert json.loads(daemon.call("status", "--json").stdout)["mail"] == ""
    assert json.loads(daemon.call("partner", "ls", "--json").stdout)["partners"][0]["state"] == "left"
    assert len(list((daemon.var / "sent").iterdir())) == 2, "the yes, and the end"
    assert daemon.call("log", "erase", "--yes").returncode == 0
    assert list((daemon.var / "sent").iterdir()) == []
    for path in (daemon.folder / "var").rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
    assert SECRET not in daemon.said()


def test_the_first_tick_after_the_start_takes_up_what_was_left(daemon: Install, server: MailServer):
    """Removing a reader is a file: control finds it when it starts."""
    assert daemon.call("consent", stdin=f"{WORDS}\n").returncode == 0
    assert daemon.call("partner", "invite", "Robin").returncode == 0
    assert daemon.call("report", "send").returncode == 0
    assert daemon.call("partner", "accept", "Robin", code_in(mail(server.to(ADDRESS)[0]))).returncode == 0
    daemon.end()
    assert daemon.call("partner", "remove", "Robin").returncode == 0
    daemon.run()
    wait_until(lambda: any("Sharing has ended" in mail(raw).text for raw in server.to(ADDRESS)), 20, daemon.said)
