"""Webhook and ntfy against a real server on loopback: the mail as it is, nothing else, and every end told."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from blockerd.report.deliver import NotDelivered, Outcome
from blockerd.report.roads.http import NtfyRoad, WebhookRoad
from tests.fakes.mailserver import closed_port

MAIL = b"Subject: Weekly note\r\n\r\nhello\r\n"


class Hook:
    """What a server got, and what it says to it."""

    def __init__(self) -> None:
        self.status = 204
        self.got: list[tuple[str, str, dict[str, str], bytes]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def _take(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.got.append((self.command, self.path, dict(self.headers), body))
                if not hook.status:
                    self.connection.close()
                    return
                self.send_response(hook.status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            do_POST = do_PUT = _take

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/note"


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    thread = threading.Thread(target=lambda: hook.server.serve_forever(0.01), daemon=True)
    thread.start()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()
    thread.join(5)


def sent(road: WebhookRoad) -> Outcome | None:
    async def work() -> None:
        session = await road.open()
        try:
            await session.send("robin@mail.test", MAIL)
        finally:
            await session.close()

    try:
        asyncio.run(work())
    except NotDelivered as error:
        return error.outcome
    return None


def test_a_webhook_gets_the_mail_as_it_is(hook: Hook):
    assert sent(WebhookRoad(hook.url, lambda: "t0ken")) is None
    ((method, path, headers, body),) = hook.got
    assert (method, path, body) == ("POST", "/note", MAIL)
    assert (headers["Content-Type"], headers["Authorization"]) == ("message/rfc822", "Bearer t0ken")
    assert "robin" not in str(headers)


def test_ntfy_shows_nothing_but_that_a_note_is_there(hook: Hook):
    assert sent(NtfyRoad(hook.url)) is None
    ((method, _, headers, body),) = hook.got
    assert (method, body) == ("PUT", MAIL)
    assert (headers["Title"], headers["Message"], headers["Filename"]) == ("Weekly note", "A note is here.", "note.eml")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(404, "refused"), (413, "refused"), (401, "later"), (403, "later"), (429, "later"), (0, "unsure")],
)
def test_each_answer_is_told_as_what_it_is(hook: Hook, status: int, outcome: str):
    hook.status = status
    assert sent(WebhookRoad(hook.url)) == outcome
    assert len(hook.got) == 1


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 302, 303])
def test_what_a_relay_or_a_redirect_says_is_neither_a_yes_nor_a_no(hook: Hook, status: int):
    """The server behind it may have the mail, so the very same bytes have to go again."""
    hook.status = status
    assert sent(WebhookRoad(hook.url)) == Outcome.UNSURE
    assert len(hook.got) == 1, "no redirect is followed"


def test_nobody_there_is_later():
    assert sent(WebhookRoad(f"http://127.0.0.1:{closed_port()}/")) == Outcome.LATER


@pytest.mark.parametrize("url", ["http://hook.example/", "ftp://127.0.0.1/", "http://127.0.0.1.hook.example/"])
def test_plain_http_goes_to_this_machine_alone(url: str):
    assert sent(WebhookRoad(url)) == Outcome.UNSAFE


@pytest.mark.parametrize("token", ["tökén", "two\nlines"])
def test_a_token_that_no_header_takes_is_told_and_nothing_is_sent(hook: Hook, token: str):
    assert sent(WebhookRoad(hook.url, lambda: token)) == Outcome.UNSAFE
    assert hook.got == []


def test_a_road_names_where_it_goes():
    assert WebhookRoad("https://hook.example/x").hosts == (("hook.example", 443),)
    assert NtfyRoad("http://127.0.0.1:8080/topic").hosts == (("127.0.0.1", 8080),)
