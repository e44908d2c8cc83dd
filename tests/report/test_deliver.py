"""Roads against real servers: encrypted or not at all, every end told as what it is, no secret in any line."""

import asyncio
import logging
import os
import socket
import ssl
from pathlib import Path

import pytest
import trustme

from blockerd.report.deliver import HOUR_US, MINUTE_US, NotDelivered, Outcome, secret, wait
from blockerd.report.roads.file import FileRoad
from blockerd.report.roads.smtp import HELLO, SmtpRoad
from blockerd.settings import Security, Smtp
from tests.fakes.mailserver import NAME, MailServer, Mood, closed_port, running, server_of

TO = "robin@mail.test"
BODY = b"Subject: x\r\n\r\n.a line that begins with a dot\r\n..two\r\nend\r\n"
SECRET = "s3cret-of-the-user"


server = pytest.fixture(running)


def smtp(port: int, security: Security = Security.STARTTLS, host: str = NAME, **more: object) -> Smtp:
    return Smtp(**{"host": host, "port": port, "from_": "me@home.test", "security": security, **more})  # type: ignore[arg-type]


def road(server: MailServer, **more: object) -> SmtpRoad:
    return SmtpRoad(smtp(server.port, **more), server.context, 1.0)  # type: ignore[arg-type]


def sent(road: SmtpRoad, recipient: str = TO) -> Outcome | None:
    """Sends one mail; how that ended, None for a yes."""

    async def work() -> None:
        session = await road.open()
        try:
            await session.send(recipient, BODY)
        finally:
            await session.close()

    try:
        asyncio.run(work())
    except NotDelivered as error:
        told = error
    else:
        return None
    assert "\n" not in str(told)
    assert SECRET not in str(told)
    return told.outcome


def test_a_mail_arrives_byte_for_byte_over_starttls(server: MailServer):
    assert sent(road(server)) is None
    (got,) = server.taken
    assert (got.sender, got.recipient, got.body) == ("me@home.test", TO, BODY)


def test_the_machine_does_not_tell_its_name(server: MailServer):
    assert sent(road(server)) is None
    assert set(server.hello) == {HELLO}
    assert socket.gethostname().encode() not in server.taken[0].body


def test_a_server_without_starttls_gets_nothing():
    with server_of(starttls=False).running() as plain:
        assert sent(road(plain)) == Outcome.UNSAFE
        assert plain.taken == []
        assert sent(road(plain, security=Security.NONE)) is None, "to this machine itself it may be plain"


@pytest.mark.parametrize("host", ["mail.example", "192.0.2.1", "127.0.0.1.mail.example"])
def test_plain_mail_goes_to_this_machine_alone(host: str):
    assert sent(SmtpRoad(smtp(25, Security.NONE, host))) == Outcome.UNSAFE


def test_a_certificate_of_another_name_or_authority_is_refused():
    with server_of("mail.example").running() as other_name:
        assert sent(road(other_name)) == Outcome.UNSAFE
        assert other_name.taken == []
    with MailServer(trustme.CA().issue_cert(NAME), server_of().authority).running() as stranger:
        assert sent(road(stranger)) == Outcome.UNSAFE
        assert stranger.taken == []


def test_a_certificate_nobody_vouches_for_is_refused_by_the_settings_in_use(server: MailServer):
    assert sent(SmtpRoad(smtp(server.port), ssl.create_default_context, 2.0)) == Outcome.UNSAFE
    assert server.taken == []


def test_tls_where_plain_text_is_spoken_gets_nothing(server: MailServer):
    assert sent(road(server, security=Security.TLS)) in (Outcome.UNSAFE, Outcome.LATER)
    assert server.taken == []


@pytest.mark.parametrize(
    ("mood", "outcome"),
    [
        (Mood.DOWN, Outcome.LATER), (Mood.HANG, Outcome.LATER), (Mood.BUSY, Outcome.LATER),
        (Mood.SILENT, Outcome.UNSURE), (Mood.MUTE, Outcome.UNSURE),
        (Mood.ODD, Outcome.UNSURE),
    ],
)  # fmt: skip
def test_each_end_is_told_as_what_it_is(server: MailServer, mood: Mood, outcome: Outcome):
    server.mood = mood
    assert sent(road(server)) == outcome
    assert len(server.taken) == (1 if outcome == Outcome.UNSURE else 0)


def test_nobody_there_is_later():
    assert sent(SmtpRoad(smtp(closed_port()), seconds=1.0)) == Outcome.LATER


def test_a_name_that_does_not_resolve_is_later():
    assert sent(SmtpRoad(smtp(587, host="no-such-host.invalid"), seconds=2.0)) == Outcome.LATER


def test_an_address_that_is_refused_for_good_is_told_so(server: MailServer):
    server.refuse = {TO}
    assert sent(road(server)) == Outcome.REFUSED
    assert sent(road(server), "kim@mail.test") is None


def test_a_refused_address_does_not_stand_in_the_way_of_the_next_mail(server: MailServer):
    server.refuse = {TO}

    async def work() -> None:
        session = await road(server).open()
        with pytest.raises(NotDelivered, match="no mail for this address"):
            await session.send(TO, BODY)
        await session.send("kim@mail.test", BODY)
        await session.close()

    asyncio.run(work())
    assert len(server.to("kim@mail.test")) == 1


def test_an_address_that_cannot_be_told_to_a_server_is_later(server: MailServer):
    assert sent(road(server), "robin@bücher.example") == Outcome.LATER
    assert server.taken == []


def test_the_password_comes_from_its_file_and_stands_in_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    file = tmp_path / "smtp-password"
    file.touch(0o600)
    file.write_text(f"{SECRET}\n")
    with server_of(password=SECRET.encode()).running() as asking:
        told = {"user": "me", "password_file": file}
        assert sent(road(asking, **told)) is None
        file.write_text("another\n")
        assert sent(road(asking, **told)) == Outcome.LATER
        assert len(asking.taken) == 1
    assert SECRET not in caplog.text
    assert SECRET.encode() not in asking.taken[0].body


def test_a_password_that_others_can_read_or_that_is_not_there_is_not_used(tmp_path: Path):
    file = tmp_path / "smtp-password"
    with pytest.raises(NotDelivered, match="write the password"):
        secret(file)
    file.write_text(SECRET)
    os.chmod(file, 0o644)
    with pytest.raises(NotDelivered, match="chmod 600") as told:
        secret(file)
    assert SECRET not in str(told.value)
    os.chmod(file, 0o600)
    assert secret(file) == SECRET


def test_waits_grow_to_an_hour_and_stay_there():
    assert [wait(tries) // MINUTE_US for tries in range(1, 8)] == [1, 5, 15, 60, 60, 60, 60]
    assert wait(10_000) == HOUR_US


def test_a_mail_put_into_a_folder_is_for_its_owner_alone(tmp_path: Path):
    async def work() -> None:
        session = await FileRoad(tmp_path / "out").open()
        await session.send(TO, BODY)
        await session.send(TO, BODY)

    asyncio.run(work())
    (file,) = (tmp_path / "out").iterdir()
    assert file.read_bytes() == BODY
    assert file.stat().st_mode & 0o777 == 0o600
    assert "robin" not in file.name


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotDelivered, match="name a folder"):
        asyncio.run(FileRoad(tmp_path / "file" / "out").open())
