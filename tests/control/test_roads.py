"""Notes along other roads than mail: a folder, a webhook, ntfy; the same bytes, the same pairing."""

import email
from pathlib import Path

import pytest

from blockerd.control.roads import roads_of
from blockerd.report.partner import State
from blockerd.settings import ConfigError, NoteAddress, NoteFolder, RoadName, load
from tests.fakes.mailserver import MailServer
from tests.fakes.sharing import CODE, HOUR, ME, Home, Mailbox, mail, partner
from tests.report.test_roads_http import Hook, hook  # noqa: F401  (a fixture)

NOON = "2026-11-09T12:00+01:00"


def _pair(home: Home, name: str, got: list[Mailbox]) -> None:
    """The code is read out of what came by the road."""
    found = CODE.search(got[-1].text)
    assert found
    assert "error" not in (said := home.request("partner-accept", name=name, code=found[1])), said


def test_notes_into_a_folder_need_no_server_at_all(tmp_path: Path, server: MailServer):
    out = tmp_path / "carried"
    robin = partner("Robin", "spouse", road=RoadName.FILE)
    home = Home(tmp_path, server, NOON, robin, file=NoteFolder(out))
    home.sign("start")
    home.agree()
    home.request("partner-invite", name="Robin")
    (invitation,) = out.iterdir()
    _pair(home, "Robin", [mail(invitation.read_bytes())])
    home.until("2026-11-15T19:00+01:00", step=6 * HOUR)
    told = [email.message_from_bytes(path.read_bytes()) for path in out.iterdir()]
    assert sorted(one["Subject"] for one in told).count("Note of 5 days") == 1
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in out.iterdir())
    note = next(path for path in out.iterdir() if b"Note of 5 days" in path.read_bytes())
    copies = {path.read_bytes() for path in (tmp_path / "var" / "sent").iterdir()}
    assert note.read_bytes() in copies, "the user's own copy, to the byte"
    assert server.connections == 0
    home.close()


@pytest.mark.parametrize("name", [RoadName.WEBHOOK, RoadName.NTFY])
def test_notes_to_an_address_of_ones_own(tmp_path: Path, server: MailServer, hook: Hook, name: RoadName):  # noqa: F811
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text("t0ken\n")
    kim, robin = partner("Kim", "mentor", road=name), partner("Robin", "spouse")
    home = Home(tmp_path, server, NOON, kim, robin, **{str(name): NoteAddress(hook.url, token)})
    home.sign("start")
    home.agree()
    home.pair("Robin")
    home.request("partner-invite", name="Kim")
    _pair(home, "Kim", [mail(body) for *_, body in hook.got])
    home.ask("a.test")
    home.until("2026-11-15T19:00+01:00", step=6 * HOUR)
    theirs = [mail(body) for *_, body in hook.got]
    assert [one.line("kind") for one in theirs] == ["pairing", "notice", *["seal"] * 6, "report"]
    assert all(headers["Authorization"] == "Bearer t0ken" for _, _, headers, _ in hook.got)
    by_mail = [one.line("kind") for one in home.got("Robin")]
    assert by_mail == ["pairing", "notice", *["seal"] * 6, "report"]
    assert [one.line("to") for one in home.got(ME) if one.line("kind") == "report"] == ["spouse 1"]
    home.close()


@pytest.mark.parametrize("status", [504, 408, 303])
def test_a_note_that_a_relay_may_have_handed_on_goes_again_to_the_byte(
    tmp_path: Path,
    server: MailServer,
    hook: Hook,  # noqa: F811
    status: int,
):
    home = Home(tmp_path, server, NOON, partner("Kim", "mentor", road=RoadName.WEBHOOK), webhook=NoteAddress(hook.url))
    home.sign("start")
    home.agree()
    hook.status = status
    home.request("partner-invite", name="Kim")
    home.beat()
    home.now += HOUR
    hook.status = 204
    home.tick()
    first, again = (body for *_, body in hook.got)
    assert first == again, "one number, one mail"
    _pair(home, "Kim", [mail(again)])
    assert [mail(body).line("mail") for *_, body in hook.got] == ["1", "1", "2"]
    assert mail(hook.got[-1][-1]).line("again") == "1"
    home.close()


def test_another_road_is_another_address(tmp_path: Path, server: MailServer):
    """Somebody else may stand at its end: the old one is told, the new one is asked."""
    home = Home(tmp_path, server, NOON, partner("Robin", "spouse"), file=NoteFolder(tmp_path / "out"))
    home.sign("start")
    home.agree()
    home.pair("Robin")
    home.change(partner("Robin", "spouse", road=RoadName.FILE))
    home.tick()
    assert "go to another address" in home.got("Robin")[-1].text
    assert home.partner("Robin").state == State.MOVED
    assert not (tmp_path / "out").exists()
    home.close()


CONFIG = """
[report.smtp]
host = "mail.example"
from = "me@home.example"
[report.webhook]
url = "https://hook.example/notes"
[report.ntfy]
url = "http://127.0.0.1:8080/topic"
[[report.partner]]
name = "Robin"
address = "robin@mail.example"
role = "spouse"
"""


def test_the_settings_name_every_host_and_only_roads_in_use_are_there(tmp_path: Path):
    file = tmp_path / "blockerd.toml"
    file.write_text(CONFIG)
    settings = load(file, {}, tmp_path)
    hosts = {name: road.hosts for name, road in roads_of(settings).items()}
    assert hosts == {"own": (), "file": (), "smtp": (("mail.example", 587),)}
    file.write_text(f'{CONFIG}road = "ntfy"\n')
    settings = load(file, {}, tmp_path)
    assert roads_of(settings)["ntfy"].hosts == (("127.0.0.1", 8080),)
    assert settings.report.ntfy.token_file == tmp_path / "note-token"


def test_a_road_without_an_end_is_refused_with_its_key(tmp_path: Path):
    file = tmp_path / "blockerd.toml"
    file.write_text(f'{CONFIG.replace("https://hook.example/notes", "")}road = "webhook"\n')
    with pytest.raises(ConfigError, match=r"report.partner\[Robin\].road.*\[report.webhook\]"):
        load(file, {}, tmp_path)
    for url in ("http://hook.example/x", "ftp://hook.example/", "https://me@hook.example/"):
        file.write_text(CONFIG.replace("https://hook.example/notes", url))
        with pytest.raises(ConfigError, match="no address of your own"):
            load(file, {}, tmp_path)
