"""DoH on the wire (RFC 8484): each question a POST on a stream of its own of one HTTP/2 connection (RFC 9113).

Refuses every status but 200, other content types, encoded bodies and those over 65535 octets; knows no cookies,
redirects or proxies. Sends no header that tells clients apart (RFC 8484 section 8.2). Needs `h2`, which is loaded by
whoever makes the first connection. Called by `secure_link` and `secure`.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from blockerd.dns import gate, reply
from blockerd.dns.secure_link import MOST, Asked, Ended, Link

if TYPE_CHECKING:
    from collections.abc import Callable

    import h2.events

MAX_BODY = 65535

_HEADER = 12
_MAX_HEADERS = 16384
_TYPE = b"application/dns-message"
_REFUSED_STREAM, _CANCEL = 7, 8
_UNKNOWN_STREAMS = 100
"""Streams opened before the server has said how many it takes (RFC 9113 section 6.5.2 wants no less of it)."""


class Https(Link):
    """A DoH connection to `path` of `authority` (name, with the port where it is not 443)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, authority: bytes, path: bytes) -> None:
        import h2.config
        import h2.connection
        import h2.events
        import h2.exceptions
        import h2.settings

        super().__init__(loop)
        self._error = h2.exceptions.ProtocolError
        # Our own headers need no checks of each time: they are the same for every question.
        config = h2.config.H2Configuration(
            header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self._http = h2.connection.H2Connection(config)
        codes = h2.settings.SettingCodes
        # Set before the preface: a change of the defaults would be a second SETTINGS frame. Pushes are not wanted.
        wanted = {codes.ENABLE_PUSH: 0, codes.MAX_HEADER_LIST_SIZE: _MAX_HEADERS}
        self._http.local_settings = h2.settings.Settings(client=True, initial_values=wanted)
        self._head = (
            (b":method", b"POST"), (b":scheme", b"https"), (b":authority", authority), (b":path", path),
            (b"accept", _TYPE), (b"content-type", _TYPE),
        )  # fmt: skip
        self._bodies: dict[int, bytearray] = {}
        self._ages: dict[int, int] = {}
        self._told = False
        self._events: dict[type[h2.events.Event], Callable[[Any], None]] = {
            h2.events.ResponseReceived: self._response,
            h2.events.DataReceived: self._body,
            h2.events.StreamEnded: self._whole,
            h2.events.StreamReset: self._reset,
            h2.events.RemoteSettingsChanged: self._settings,
            h2.events.ConnectionTerminated: self._goaway,
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the preface."""
        super().connection_made(transport)
        self._http.initiate_connection()
        self._write(self._http.data_to_send())

    def room(self) -> int:
        """As many streams as the server takes at once."""
        most = self._http.remote_settings.max_concurrent_streams if self._told else _UNKNOWN_STREAMS
        return min(most, MOST) - len(self.pending)

    def frame(self, asked: Asked) -> bytes:
        """Headers and body, the message's ID zero (RFC 8484 section 4.1)."""
        query = b"\x00\x00" + asked.query[2:]
        try:
            asked.key = self._http.get_next_available_stream_id()
            self._http.send_headers(asked.key, (*self._head, (b"content-length", b"%d" % len(query))))
            self._http.send_data(asked.key, query, end_stream=True)
        except self._error as error:
            raise Ended(f"HTTP/2: {error}") from None
        return self._http.data_to_send()

    def take(self, data: bytes) -> bytes:
        """Settles the questions whose responses are whole or of no use."""
        try:
            for event in self._http.receive_data(data):
                handle = self._events.get(type(event))
                if handle:
                    handle(event)
        except self._error as error:
            raise Ended(f"HTTP/2: {error}") from None
        return self._http.data_to_send()

    def drop(self, key: int) -> bytes:
        """Tells the server not to go on with the question."""
        self._cancel(key)
        return self._http.data_to_send()

    def _cancel(self, key: int) -> None:
        self._bodies.pop(key, None)
        self._ages.pop(key, None)
        try:
            self._http.reset_stream(key, error_code=_CANCEL)
        except self._error:
            pass  # it is over on the other side already

    def _response(self, event: "h2.events.ResponseReceived") -> None:
        headers = {bytes(name).lower(): bytes(value) for name, value in event.headers}
        problem = _unfit(headers)
        if problem:
            self._refuse(event.stream_id, problem)
            return
        self._bodies[event.stream_id] = bytearray()
        age = headers.get(b"age", b"0").strip()
        self._ages[event.stream_id] = int(age) if age.isdigit() and len(age) < 10 else 0

    def _body(self, event: "h2.events.DataReceived") -> None:
        self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        body = self._bodies.get(event.stream_id)
        if body is None:
            return
        body += event.data
        if len(body) > MAX_BODY:
            self._refuse(event.stream_id, "answers with over 65535 octets")

    def _whole(self, event: "h2.events.StreamEnded") -> None:
        body, age = self._bodies.pop(event.stream_id, None), self._ages.pop(event.stream_id, 0)
        asked = self.pending.get(event.stream_id)
        if body is None or asked is None:
            return
        if len(body) < _HEADER:
            self.settle(event.stream_id, OSError("the upstream answers with what is no DNS message"))
            return
        message = bytes(body)
        self.settle(event.stream_id, aged(message, asked.query, age) if age else message)

    def _reset(self, event: "h2.events.StreamReset") -> None:
        self._bodies.pop(event.stream_id, None)
        kind = Ended if event.error_code == _REFUSED_STREAM else OSError
        self.settle(event.stream_id, kind(f"the upstream gave the question up (HTTP/2 error {event.error_code!r})"))

    def _settings(self, _event: "h2.events.RemoteSettingsChanged") -> None:
        self._told = True

    def _goaway(self, _event: "h2.events.ConnectionTerminated") -> None:
        """Whatever it may still answer is asked again elsewhere: `h2` reads nothing after this frame."""
        raise Ended("the upstream ended the connection")

    def _refuse(self, key: int, why: str) -> None:
        self._cancel(key)
        self.settle(key, OSError(f"the upstream {why}"))


def _unfit(headers: dict[bytes, bytes]) -> str:
    """What is wrong with a response's head, or nothing."""
    status = headers.get(b":status", b"")
    if status != b"200":
        return f"answers with HTTP status {status.decode('ascii', 'replace')}"
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind != _TYPE:
        return "answers with another content type than DNS"
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        return "answers in a coding that was not asked for"
    length = headers.get(b"content-length", b"0").strip()
    if not length.isdigit() or len(length) > 9 or int(length) > MAX_BODY:
        return "answers with over 65535 octets"
    return ""


def aged(message: bytes, query: bytes, seconds: int) -> bytes:
    """`message` with TTLs less by the `seconds` it lay in an HTTP cache (RFC 8484 section 5.1)."""
    try:
        ttls = reply.scan(message, gate.read(query)).ttls
    except (gate.Refused, gate.Dropped, reply.Malformed):
        return message  # for the caller to judge
    patched = bytearray(message)
    for offset, ttl in ttls:
        patched[offset : offset + 4] = max(0, ttl - seconds).to_bytes(4, "big")
    return bytes(patched)
