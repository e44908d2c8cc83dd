"""Encrypted upstreams on local ports, in the loop of the test: DoT and DoH with true TLS, and ways to misbehave.

A `Handler` is a function per query that answers as it likes, when it likes. DoH is spoken by `h2`'s server side, so
that our client is judged by another's state machine. Used as async context managers.
"""

import asyncio
import gc
import os
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import trustme

from blockerd.dns.secure import Channel, open_channel
from blockerd.settings import Endpoint, Scheme, Upstream
from tests.fakes.packets import a, response

NAME = "dns.test"
PATH = "/dns-query"
TYPE = "application/dns-message"
EXPIRED = datetime(2020, 1, 1, tzinfo=UTC)


class Authority:
    """A certificate authority; `trusted` is the hook that makes a client believe in it and in no other."""

    def __init__(self) -> None:
        self._ca = trustme.CA()

    def trusted(self) -> ssl.SSLContext:
        """A client's context."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._ca.configure_trust(context)
        return context

    def server(self, *names: str, alpn: Sequence[str] = (), expires: datetime | None = None) -> ssl.SSLContext:
        """A server's context with a certificate for `names`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names, not_after=expires).configure_cert(context)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context


class Call:
    """A query that came: its octets and, over HTTP, its headers; ways to answer."""

    def __init__(
        self, connection: "Connection", packet: bytes, stream: int = 0, headers: Sequence[tuple[str, str]] = ()
    ):
        self.connection = connection
        self.packet = packet
        self.stream = stream
        self.headers = list(headers)

    def send(self, message: bytes) -> None:
        """Answers the ordinary way."""
        self.connection.answer(self, message)

    def later(self, seconds: float, message: bytes) -> None:
        """The same in a while."""
        asyncio.get_running_loop().call_later(seconds, self.send, message)

    def respond(self, status: int, headers: dict[str, str], body: bytes = b"", *, end: bool = True) -> None:
        """Answers over HTTP with whatever is given."""
        assert isinstance(self.connection, HttpConnection)
        self.connection.respond(self.stream, status, headers, body, end=end)


Handler = Callable[[Call], None]
Scenario = Callable[[], Coroutine[Any, Any, None]]


def run(scenario: Scenario) -> None:
    """Runs `scenario`; it may leave no descriptor and no task behind, and nothing may have surprised the loop."""
    problems: list[dict[str, Any]] = []

    async def whole() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: None if _of_a_server(context) else problems.append(context))
        before = _descriptors()
        await asyncio.wait_for(scenario(), 20)
        await until(lambda: _descriptors() == before and len(asyncio.all_tasks()) == 1)
        gc.collect()  # an exception that nobody looked at is told when its future goes

    gc.freeze()  # so that the collection looks at no more than this scenario
    asyncio.run(whole())
    gc.unfreeze()
    assert problems == [], repr(problems)


async def until(true: Callable[[], bool], seconds: float = 5.0) -> None:
    """Waits until `true()`; over time is an error."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - what it waits for tells nobody
            await asyncio.sleep(0.002)


async def given_up(channel: Channel, asked: bytes, when: Callable[[], bool]) -> None:
    """Asks, waits until `when`, and gives up as a caller's time-out does."""
    asking = asyncio.get_running_loop().create_task(channel.ask(asked))
    await until(when)
    assert not asking.done()
    asking.cancel()
    await asyncio.wait((asking,))
    assert asking.cancelled()


@asynccontextmanager
async def opened(upstream: Upstream, authority: Authority, *names: Endpoint) -> AsyncIterator[Channel]:
    """A channel that trusts `authority` and asks `names` for addresses."""
    channel = open_channel(upstream, names, context=authority.trusted)
    try:
        yield channel
    finally:
        channel.close()


def _of_a_server(context: dict[str, Any]) -> bool:
    """In debug mode servers tell of clients that do not like their certificate."""
    return "incoming connection" in str(context["message"])


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def answer(call: Call) -> None:
    """One address for every name."""
    call.send(response(call.packet, [a(b"\xc0\x0c")]))


def silent(_call: Call) -> None:
    """Never answers."""


class Connection(asyncio.Protocol):
    """One client's DoT connection."""

    def __init__(self, server: "TlsUpstream") -> None:
        self.server = server
        self.number = len(server.connections)
        self.sni = ""
        self.alpn: str | None = None
        self.open = False
        self._data = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is done."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.open = True
        self.alpn = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        self.server.connections.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client went, or we did."""
        self.open = False

    def data_received(self, data: bytes) -> None:
        """Cuts frames out of what came."""
        self._data += data
        while len(self._data) >= 2 and len(self._data) >= 2 + int.from_bytes(self._data[:2], "big"):
            end = 2 + int.from_bytes(self._data[:2], "big")
            packet = bytes(self._data[2:end])
            del self._data[:end]
            self.called(Call(self, packet))

    def called(self, call: Call) -> None:
        """Notes the query and hands it on."""
        self.server.calls.append(call)
        self.server.handler(call)

    def answer(self, _call: Call, message: bytes) -> None:
        """Frames the message."""
        self.raw(len(message).to_bytes(2, "big") + message)

    def raw(self, octets: bytes) -> None:
        """Octets as they are, inside TLS."""
        if self.open and not self.transport.is_closing():
            self.transport.write(octets)

    def hang_up(self) -> None:
        """Ends the connection once everything is sent."""
        self.transport.close()


class HttpConnection(Connection):
    """One client's DoH connection."""

    def __init__(self, server: "TlsUpstream") -> None:
        super().__init__(server)
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.resets: list[tuple[int, int]] = []
        self.most_open = 0
        self._heads: dict[int, Sequence[tuple[str, str]]] = {}
        self._bodies: dict[int, bytes] = {}
        self._left: dict[int, tuple[bytes, bool]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the preface, or the noise that stands for it."""
        super().connection_made(transport)
        if self.server.preface:
            self.raw(self.server.preface)
            return
        if self.server.streams:
            self.http.local_settings = h2.settings.Settings(
                client=False, initial_values={h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: self.server.streams}
            )
        self.http.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Events of the client's side; a client that breaks the protocol is noted and left."""
        if self.server.preface:
            return
        try:
            events = self.http.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            self.server.broken.append(str(error))
            self.transport.abort()
            return
        for event in events:
            self._event(event)
        self._flush()

    def _event(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            self._heads[event.stream_id] = [(str(name), str(value)) for name, value in event.headers or ()]
            self._bodies[event.stream_id] = b""
            self.most_open = max(self.most_open, self.http.open_inbound_streams)
        elif isinstance(event, h2.events.DataReceived):
            self._bodies[event.stream_id] += event.data or b""
            self.http.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            stream = event.stream_id
            self.called(Call(self, self._bodies.pop(stream), stream, self._heads.pop(stream)))
        elif isinstance(event, h2.events.StreamReset):
            self.resets.append((event.stream_id, int(event.error_code or 0)))
            self._left.pop(event.stream_id, None)
        elif isinstance(event, h2.events.WindowUpdated):
            for stream in list(self._left):
                self._data_of(stream, *self._left.pop(stream))

    def answer(self, call: Call, message: bytes) -> None:
        """A response as RFC 8484 wants it."""
        self.respond(call.stream, 200, {"content-type": TYPE, "content-length": str(len(message))}, message)

    def respond(self, stream: int, status: int, headers: dict[str, str], body: bytes, *, end: bool = True) -> None:
        """Head and body; the body waits for the client's window."""
        if not self.open or any(reset == stream for reset, _ in self.resets):
            return
        try:
            self.http.send_headers(stream, [(":status", str(status)), *headers.items()])
            self._data_of(stream, body, end)
        except h2.exceptions.ProtocolError:
            return  # the stream is over
        self._flush()

    def reset(self, stream: int, code: int) -> None:
        """Ends one stream."""
        self.http.reset_stream(stream, code)
        self._flush()

    def goaway(self) -> None:
        """Takes no more, and hangs up."""
        self.http.close_connection()
        self._flush()
        self.hang_up()

    def _data_of(self, stream: int, body: bytes, end: bool) -> None:
        while body:
            room = min(self.http.local_flow_control_window(stream), self.http.max_outbound_frame_size)
            if not room:
                self._left[stream] = (body, end)
                return
            self.http.send_data(stream, body[:room])
            body = body[room:]
        if end:
            self.http.end_stream(stream)

    def _flush(self) -> None:
        self.raw(self.http.data_to_send())


@dataclass(slots=True)
class TlsUpstream:
    """The running server. `sni` are the names that clients greeted it with, `broken` what they did against HTTP/2."""

    handler: Handler
    streams: int = 0
    preface: bytes = b""
    port: int = 0
    connections: list[Connection] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    sni: list[str | None] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def tls(self, name: str = NAME) -> Upstream:
        """How the settings would name it: DoT."""
        return Upstream(Scheme.TLS, "127.0.0.1", self.port, name)

    def https(self, name: str = NAME, *, host: str = "") -> Upstream:
        """The same, DoH."""
        return Upstream(Scheme.HTTPS, host or name, self.port, name, PATH)


@asynccontextmanager
async def tls_upstream(
    context: ssl.SSLContext, handler: Handler = answer, *, http: bool = False, streams: int = 0, preface: bytes = b""
) -> AsyncIterator[TlsUpstream]:
    """A DoT server, or with `http` a DoH server, that answers by `handler` until the block is left."""
    server = TlsUpstream(handler, streams, preface)

    def greeted(_socket: object, name: str | None, _context: ssl.SSLContext) -> None:
        server.sni.append(name)

    context.sni_callback = greeted
    kind = HttpConnection if http else Connection
    listening = await asyncio.get_running_loop().create_server(
        lambda: kind(server), "127.0.0.1", 0, ssl=context, ssl_shutdown_timeout=0.2
    )
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for connection in server.connections:
            with suppress(AttributeError):  # Python 3.11.2, of Debian 12: one that was closed twice cannot be aborted
                connection.transport.abort()


@asynccontextmanager
async def plain_upstream(octets: bytes = b"") -> AsyncIterator[tuple[TlsUpstream, bytearray]]:
    """A server without TLS that says `octets` to whoever comes and then nothing, and what it heard."""
    server, heard = TlsUpstream(silent), bytearray()
    transports: list[asyncio.BaseTransport] = []

    class Deaf(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            transports.append(transport)
            transport.write(octets)

        def data_received(self, data: bytes) -> None:
            heard.extend(data)

    listening = await asyncio.get_running_loop().create_server(Deaf, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server, heard
    finally:
        listening.close()
        for transport in transports:
            assert isinstance(transport, asyncio.Transport)
            transport.abort()
