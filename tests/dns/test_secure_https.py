"""DoH over real TLS and HTTP/2: the request, the responses that are believed, streams, and misbehaving upstreams."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager

import pytest

from blockerd.dns import secure_link
from blockerd.dns.secure import Channel
from blockerd.dns.secure_https import aged
from blockerd.dns.stub import look_up
from blockerd.settings import Endpoint, Scheme, Upstream
from tests.fakes.packets import AAAA, a, opt, query, response, soa, ttls, type_of
from tests.fakes.tlsupstream import (
    NAME,
    PATH,
    TYPE,
    Authority,
    Call,
    Handler,
    HttpConnection,
    TlsUpstream,
    answer,
    given_up,
    opened,
    run,
    silent,
    tls_upstream,
    until,
)
from tests.fakes.upstream import Call as PlainCall
from tests.fakes.upstream import StubUpstream, dead_port, stub_upstream

ASKED = query("site.test", qid=0x4242, edns=opt())
GOOD = response(ASKED, [a(b"\xc0\x0c")])


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def names() -> Iterator[StubUpstream]:
    """A bootstrap server that knows every name to be 127.0.0.1."""
    with ExitStack() as stack:
        stub = stack.enter_context(stub_upstream(_loopback))
        asyncio.run(look_up(NAME, [of(stub)], 1.0))  # once it answers it has opened all that it opens
        yield stub


def _loopback(call: PlainCall) -> None:
    found = [] if type_of(call.packet) == AAAA else [a(b"\xc0\x0c", "127.0.0.1")]
    call.send(response(call.packet, found, [] if found else [soa("test")]))


def of(names: StubUpstream) -> Endpoint:
    return Endpoint("127.0.0.1", names.port)


@asynccontextmanager
async def pair(
    authority: Authority, handler: Handler = answer, *, streams: int = 0, preface: bytes = b""
) -> AsyncIterator[tuple[TlsUpstream, Channel]]:
    """A server, and a channel to its literal address."""
    context = authority.server(NAME, alpn=["h2", "http/1.1"])
    async with tls_upstream(context, handler, http=True, streams=streams, preface=preface) as server:
        async with opened(server.https(host="127.0.0.1"), authority) as channel:
            yield server, channel
        assert server.broken == []


def http(server: TlsUpstream, number: int = 0) -> HttpConnection:
    found = server.connections[number]
    assert isinstance(found, HttpConnection)
    return found


def responding(status: int = 200, body: bytes = GOOD, **headers: str) -> Handler:
    """A response as given; GOOD and the right type unless said otherwise."""
    fields = {"content-type": TYPE, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return lambda call: call.respond(status, fields, body)


def _announcing(length: str) -> Handler:
    return lambda call: call.respond(200, {"content-type": TYPE, "content-length": length}, end=False)


def test_a_question_is_a_post_as_rfc_8484_has_it(authority: Authority):
    async def scenario() -> None:
        async with pair(authority) as (server, channel):
            assert await channel.ask(ASKED) == GOOD
            (call,) = server.calls
            assert call.headers == [
                (":method", "POST"),
                (":scheme", "https"),
                (":authority", f"{NAME}:{server.port}"),
                (":path", PATH),
                ("accept", TYPE),
                ("content-type", TYPE),
                ("content-length", "128"),
            ]
            assert call.packet[:2] == b"\x00\x00"
            assert call.packet[2 : len(ASKED) - 2] == ASKED[2:-2]

    run(scenario)


def test_the_name_is_resolved_by_bootstrap_and_shown_to_the_server(authority: Authority, names: StubUpstream):
    async def scenario() -> None:
        context = authority.server(NAME, alpn=["h2"])
        async with tls_upstream(context, http=True) as server, opened(server.https(), authority, of(names)) as channel:
            assert await channel.ask(ASKED) == GOOD
            assert server.sni == [NAME]
            asked = {call.name for call in names.calls}
            assert asked == {NAME}

    run(scenario)


def test_without_an_address_nobody_is_asked(authority: Authority):
    async def scenario() -> None:
        with stub_upstream(lambda call: call.send(response(call.packet, rcode=3))) as nothing:
            async with opened(Upstream(Scheme.HTTPS, NAME, 443, NAME, PATH), authority, of(nothing)) as channel:
                with pytest.raises(OSError, match="gives no address"):
                    await channel.ask(ASKED)

    run(scenario)


def test_a_dead_address_leads_to_the_next(authority: Authority):
    def two(call: PlainCall) -> None:
        found = [] if type_of(call.packet) == AAAA else [a(b"\xc0\x0c", "127.0.0.9"), a(b"\xc0\x0c", "127.0.0.1")]
        call.send(response(call.packet, found))

    async def scenario() -> None:
        context = authority.server(NAME, alpn=["h2"])
        with stub_upstream(two) as names:
            async with (
                tls_upstream(context, http=True) as server,
                opened(server.https(), authority, of(names)) as channel,
            ):
                assert await channel.ask(ASKED) == GOOD

    run(scenario)


def test_questions_share_one_connection(authority: Authority):
    waiting: list[Call] = []

    def handler(call: Call) -> None:
        waiting.append(call)
        if len(waiting) == 40:
            for one in reversed(waiting):
                answer(one)

    async def scenario() -> None:
        async with pair(authority, handler) as (server, channel):
            asked = [query(f"n{n}.test", qid=n, edns=opt()) for n in range(40)]
            replies = await asyncio.gather(*(channel.ask(one) for one in asked))
            assert replies == [response(one, [a(b"\xc0\x0c")]) for one in asked]
            assert len(server.connections) == 1

    run(scenario)


def test_no_more_streams_are_open_than_the_server_takes(authority: Authority):
    async def scenario() -> None:
        async with pair(authority, streams=7) as (server, channel):
            await channel.ask(ASKED)
            replies = await asyncio.gather(*(channel.ask(ASKED) for _ in range(200)))
            assert set(replies) == {GOOD}
            assert 0 < http(server).most_open <= 7
            assert len(server.connections) == 1

    run(scenario)


def test_answers_beyond_the_first_window_arrive(authority: Authority):
    large = GOOD + bytes(60000)

    async def scenario() -> None:
        async with pair(authority, lambda call: call.send(call.packet[:2] + large[2:])) as (_, channel):
            for _ in range(3):
                replies = await asyncio.gather(*(channel.ask(ASKED) for _ in range(10)))
                assert set(replies) == {large}

    run(scenario)


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (responding(500), "status 500"),
        (responding(404), "status 404"),
        (responding(204, b""), "status 204"),
        (responding(302, b"", location="https://elsewhere.test/dns-query"), "status 302"),
        (responding(content_type="text/html"), "content type"),
        (responding(content_type="application/dns-json"), "content type"),
        (responding(content_type=""), "content type"),
        (responding(content_encoding="gzip"), "coding"),
        (_announcing("70000"), "65535"),
        (responding(body=GOOD + bytes(65536)), "65535"),
        (responding(body=b""), "no DNS message"),
        (responding(body=bytes(11)), "no DNS message"),
    ],
)
def test_a_response_of_another_kind_is_no_answer(handler: Handler, said: str, authority: Authority):
    async def scenario() -> None:
        async with pair(authority, handler) as (server, channel):
            for _ in range(3):
                with pytest.raises(OSError, match=said):
                    await channel.ask(ASKED)
            assert len(server.calls) == 3, "asked once each, and no redirect is followed"
            link = channel._link  # type: ignore[attr-defined]
            assert not link.pending
            assert not link._bodies
            assert not link._ages

    run(scenario)


def test_a_response_of_the_right_kind_may_say_more_about_it(authority: Authority):
    async def scenario() -> None:
        handler = responding(content_type="Application/DNS-Message; v=1", x_more="1", cache_control="max-age=300")
        async with pair(authority, handler) as (_, channel):
            assert await channel.ask(ASKED) == GOOD

    run(scenario)


def test_cookies_are_not_given_back(authority: Authority):
    async def scenario() -> None:
        async with pair(authority, responding(set_cookie="who=you; Path=/")) as (server, channel):
            for _ in range(2):
                await channel.ask(ASKED)
            assert [name for name, _ in server.calls[1].headers if name == "cookie"] == []

    run(scenario)


def test_no_proxy_is_taken_from_the_environment(authority: Authority, monkeypatch: pytest.MonkeyPatch):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{dead_port()}")

    async def scenario() -> None:
        async with pair(authority) as (_, channel):
            assert await channel.ask(ASKED) == GOOD

    run(scenario)


def test_the_time_in_a_cache_is_taken_off_the_ttls(authority: Authority):
    async def scenario() -> None:
        async with pair(authority, responding(age="100")) as (_, channel):
            assert ttls(await channel.ask(ASKED)) == [200]

    run(scenario)


@pytest.mark.parametrize(("age", "left"), [(0, 300), (1, 299), (300, 0), (10**8, 0)])
def test_no_ttl_falls_below_nought(age: int, left: int):
    assert ttls(aged(GOOD, ASKED, age)) == [left]


def test_what_cannot_be_read_is_not_changed():
    for message in (b"\xff" * 30, GOOD[:-3], bytes(12)):
        assert aged(message, ASKED, 50) == message


def _resetting(code: int, times: int) -> Handler:
    left = [times]

    def handler(call: Call) -> None:
        assert isinstance(call.connection, HttpConnection)
        if left[0]:
            left[0] -= 1
            call.connection.reset(call.stream, code)
        else:
            answer(call)

    return handler


def test_a_stream_that_was_reset_is_no_answer_and_the_connection_goes_on(authority: Authority):
    async def scenario() -> None:
        async with pair(authority, _resetting(2, 1)) as (server, channel):
            with pytest.raises(OSError, match="gave the question up"):
                await channel.ask(ASKED)
            assert await channel.ask(ASKED) == GOOD
            assert len(server.connections) == 1

    run(scenario)


def test_a_stream_that_was_refused_unseen_is_asked_again_once(authority: Authority):
    async def scenario() -> None:
        async with pair(authority, _resetting(7, 1)) as (server, channel):
            assert await channel.ask(ASKED) == GOOD
            assert len(server.calls) == 2
        async with pair(authority, _resetting(7, 9)) as (server, channel):
            with pytest.raises(OSError, match="gave the question up"):
                await channel.ask(ASKED)
            assert len(server.calls) == 2

    run(scenario)


def test_a_server_that_takes_its_leave_is_asked_on_a_new_connection(authority: Authority):
    def handler(call: Call) -> None:
        assert isinstance(call.connection, HttpConnection)
        if call.connection.number == 0 and len(call.connection.server.calls) == 2:
            call.connection.goaway()
        else:
            answer(call)

    async def scenario() -> None:
        async with pair(authority, handler) as (server, channel):
            assert await channel.ask(ASKED) == GOOD
            assert await channel.ask(ASKED) == GOOD
            assert len(server.connections) == 2

    run(scenario)


def test_a_connection_that_ends_without_an_answer_is_made_anew_once(authority: Authority):
    async def scenario() -> None:
        async with pair(authority, lambda call: call.connection.transport.abort()) as (server, channel):
            with pytest.raises(ConnectionError):
                await channel.ask(ASKED)
            assert len(server.connections) == 2

    run(scenario)


def test_a_question_given_up_is_called_off(authority: Authority):
    def handler(call: Call) -> None:
        if call.stream > 1:
            answer(call)

    async def scenario() -> None:
        async with pair(authority, handler) as (server, channel):
            slow = asyncio.get_running_loop().create_task(channel.ask(ASKED))
            await until(lambda: len(server.calls) == 1)
            await channel.ask(ASKED)
            slow.cancel()
            await until(lambda: http(server).resets == [(1, 8)])
            assert await channel.ask(ASKED) == GOOD
            assert len(server.connections) == 1

    run(scenario)


def test_a_late_answer_to_a_question_given_up_reaches_nobody(authority: Authority):
    kept: list[Call] = []

    def handler(call: Call) -> None:
        kept.append(call)
        if call.stream == 3:
            answer(call)
        elif call.stream > 3:
            http_ = kept[0].connection
            assert isinstance(http_, HttpConnection)
            http_.resets.clear()
            # As of a server whose answer was on its way when the stream was called off.
            http_.raw(_frames(1, GOOD))
            answer(call)

    async def scenario() -> None:
        async with pair(authority, handler) as (server, channel):
            slow = asyncio.get_running_loop().create_task(channel.ask(ASKED))
            await until(lambda: len(kept) == 1)
            await channel.ask(ASKED)
            slow.cancel()
            assert await channel.ask(ASKED) == GOOD
            assert len(server.connections) == 1

    run(scenario)


def _frames(stream: int, body: bytes) -> bytes:
    """A DATA frame with END_STREAM (RFC 9113 section 6.1)."""
    return len(body).to_bytes(3, "big") + b"\x00\x01" + stream.to_bytes(4, "big") + body


def test_a_silent_connection_is_not_asked_again(authority: Authority):
    async def scenario() -> None:
        async with pair(authority, lambda call: answer(call) if call.connection.number else None) as (server, channel):
            await given_up(channel, ASKED, lambda: len(server.calls) == 1)
            assert await channel.ask(ASKED) == GOOD
            assert len(server.connections) == 2
            await until(lambda: not server.connections[0].open)

    run(scenario)


def test_an_idle_connection_is_let_go(authority: Authority, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(secure_link, "IDLE", 0.05)

    async def scenario() -> None:
        async with pair(authority) as (server, channel):
            await channel.ask(ASKED)
            await until(lambda: not server.connections[0].open)
            await channel.ask(ASKED)
            assert len(server.connections) == 2

    run(scenario)


@pytest.mark.parametrize(
    "preface", [b"\xff" * 64, b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(27)], ids=["noise", "HTTP/1.1", "noughts"]
)
def test_a_server_that_speaks_something_else_inside_tls_is_no_upstream(preface: bytes, authority: Authority):
    async def scenario() -> None:
        async with pair(authority, preface=preface) as (_, channel):
            for _ in range(2):
                with pytest.raises(OSError, match=r"ended|^$"):  # the latter: out of patience
                    await asyncio.wait_for(channel.ask(ASKED), 0.1)

    run(scenario)


def test_a_body_of_another_length_than_announced_is_no_answer(authority: Authority):
    async def scenario() -> None:
        async with pair(authority, responding(content_length="5")) as (server, channel):
            with pytest.raises(ConnectionError, match="HTTP/2"):
                await channel.ask(ASKED)
            assert len(server.connections) == 2

    run(scenario)


def test_addresses_that_cannot_be_verified_are_asked_for_again(authority: Authority):
    lead = ["127.0.0.9"]

    def moving(call: PlainCall) -> None:
        call.send(response(call.packet, [] if type_of(call.packet) == AAAA else [a(b"\xc0\x0c", lead[0], 86400)]))

    async def scenario() -> None:
        context = authority.server(NAME, alpn=["h2"])
        with stub_upstream(moving) as names:
            async with (
                tls_upstream(context, http=True) as server,
                opened(server.https(), authority, of(names)) as channel,
            ):
                with pytest.raises(OSError, match=r"Connect call failed"):
                    await channel.ask(ASKED)
                lead[0] = "127.0.0.1"
                assert await channel.ask(ASKED) == GOOD

    run(scenario)


def test_a_server_that_answers_octet_by_octet_without_end_is_given_up(authority: Authority):
    sent: list[int] = []

    def handler(call: Call) -> None:
        call.respond(200, {"content-type": TYPE}, b"", end=False)
        loop = asyncio.get_running_loop()

        def one() -> None:
            if call.connection.open:
                call.connection.raw(
                    _frames(call.stream, b"\x00")[:4] + b"\x00" + call.stream.to_bytes(4, "big") + b"\x00"
                )
                sent.append(call.connection.number)
                loop.call_later(0.01, one)

        one()

    async def scenario() -> None:
        async with pair(authority, handler) as (server, channel):
            for number in range(2):
                await given_up(channel, ASKED, lambda number=number: sent.count(number) > 5)  # type: ignore[misc]
            assert len(server.connections) == 2

    run(scenario)


def test_closing_ends_questions_under_way(authority: Authority):
    async def scenario() -> None:
        async with pair(authority, silent) as (server, channel):
            asking = asyncio.get_running_loop().create_task(channel.ask(ASKED))
            await until(lambda: len(server.calls) == 1)
            channel.close()
            with pytest.raises(ConnectionError):
                await asking

    run(scenario)
