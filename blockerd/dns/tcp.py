"""DNS over TCP for clients (RFC 7766): framed by two octets of length, pipelined, answered in any order.

A connection that is idle, a client with too many of them, a frame that never ends: each costs one connection and
nothing else. Half-closed connections still get their answers.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

IDLE = 10.0
"""Seconds a connection may go without a whole question or an answer (RFC 7766 section 6.2.3)."""

MOST, MOST_PER_CLIENT = 256, 64
MOST_UNDER_WAY = 100
"""Questions of one connection that wait for their answers; the next is read when one is answered."""

MOST_HELD = 1 << 20
"""Octets of answers that a client may leave untaken; with more, its connection is ended."""

Handle = Callable[[bytes, str, Callable[[bytes], None]], None]
"""(packet, client, reply): answers by calling `reply` with the message, b"" for nothing, now or later, exactly once."""


class Connections:
    """The open connections of a process; `protocol` is the factory for `loop.create_server`.

    Connections of clients that `admit` does not know are ended at once.
    """

    def __init__(
        self, handle: Handle, loop: asyncio.AbstractEventLoop, admit: Callable[[str], bool] = lambda client: True
    ) -> None:
        self.handle = handle
        self.admit = admit
        self.loop = loop
        self.open: set[Connection] = set()
        self.clients: Counter[str] = Counter()

    def protocol(self) -> "Connection":
        """A new connection."""
        return Connection(self)

    def close(self) -> None:
        """Ends all connections."""
        for connection in list(self.open):
            connection.abort()


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, owner: Connections) -> None:
        self._owner = owner
        self._data = bytearray()
        self._client = ""
        self._under_way = 0
        self._ended = False
        self._busy = False
        self._full = False
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the connection if there is room for it."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._client = str(transport.get_extra_info("peername")[0])
        owner = self._owner
        owner.open.add(self)
        owner.clients[self._client] += 1
        crowded = len(owner.open) > MOST or owner.clients[self._client] > MOST_PER_CLIENT
        if crowded or not owner.admit(self._client):
            transport.abort()
            return
        self._last = owner.loop.time()
        self._timer = owner.loop.call_later(IDLE, self._idle)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        self._transport = None
        if self._timer:
            self._timer.cancel()
        self._owner.open.discard(self)
        self._owner.clients[self._client] -= 1
        if not self._owner.clients[self._client]:
            del self._owner.clients[self._client]

    def data_received(self, data: bytes) -> None:
        """Takes octets; whole frames are handled at once."""
        self._data += data
        self._frames()

    def eof_received(self) -> bool:
        """The client is done asking; what is under way is still answered."""
        self._ended = True
        if not self._under_way:
            self._finish()
        return True

    def pause_writing(self) -> None:
        """The client does not take its answers: no more of its questions are read until it does."""
        self._full = True

    def resume_writing(self) -> None:
        """It takes them again."""
        self._full = False
        self._frames()

    def abort(self) -> None:
        """Ends the connection now."""
        if self._transport:
            self._transport.abort()

    def _frames(self) -> None:
        """Handles the frames at hand. One that is answered at once comes back here, and the loop under way goes on."""
        if self._busy:
            return
        self._busy = True
        try:
            self._each_frame()
        finally:
            self._busy = False
        if self._transport:
            pause = self._full or self._under_way >= MOST_UNDER_WAY
            (self._transport.pause_reading if pause else self._transport.resume_reading)()

    def _each_frame(self) -> None:
        while not self._full and self._under_way < MOST_UNDER_WAY and len(self._data) >= 2:
            end = 2 + int.from_bytes(self._data[:2], "big")
            if end < 14:
                self.abort()
                return
            if len(self._data) < end:
                return
            packet = bytes(self._data[2:end])
            del self._data[:end]
            self._under_way += 1
            self._last = self._owner.loop.time()
            self._owner.handle(packet, self._client, self._reply)

    def _reply(self, answer: bytes) -> None:
        self._under_way -= 1
        if self._transport is None or self._transport.is_closing():
            return
        if answer and self._full and self._transport.get_write_buffer_size() > MOST_HELD:
            self.abort()
            return
        if answer:
            self._last = self._owner.loop.time()
            self._transport.write(len(answer).to_bytes(2, "big") + answer)
        if self._ended and not self._under_way:
            self._finish()
        else:
            self._frames()

    def _finish(self) -> None:
        if self._transport:
            self._transport.close()

    def _idle(self) -> None:
        """Ends the connection when nothing came of it for IDLE seconds, also where a frame comes octet by octet."""
        left = self._last + IDLE - self._owner.loop.time()
        if left > 0.01:
            self._timer = self._owner.loop.call_later(left, self._idle)
            return
        self.abort()
