"""One encrypted connection with many questions on it, and the channel that keeps one such connection open.

A connection that ends before it answered is made anew once; one on which a question was given up without any answer
since is asked no more (a laptop that slept, a router that forgot). Refuses nothing by itself: how questions and
answers look on the wire is for the subclasses in `secure_tls` and `secure_https`. Called by `dns.secure`.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

IDLE = 30.0
"""Seconds that a connection is kept without a question on it (RFC 7766 section 6.2.3, RFC 7858 section 3.4)."""

OPEN_SECONDS = 4.5
"""What it may take in all to find the upstream's address, to connect and to shake hands."""

MOST = 1000
"""Questions under way on one connection; others wait for their turn."""

Dial = Callable[[], Awaitable["Link"]]


class Ended(ConnectionError):
    """The connection is over, and the question was not answered: it may be asked again on another one."""


class Asked:
    """A question on a connection: the message, what it waits on, and its number there (-1 until it was sent)."""

    __slots__ = ("answer", "key", "query")

    def __init__(self, query: bytes, answer: asyncio.Future[bytes]) -> None:
        self.query = query
        self.answer = answer
        self.key = -1


class Link(asyncio.Protocol, ABC):
    """A connection. `answers` counts what it brought; once `retired` it takes no further question."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.answers = 0
        self.retired = False
        self.pending: dict[int, Asked] = {}
        self.ended: Callable[[], None] = lambda: None
        self._waiting: deque[Asked] = deque()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last = loop.time()
        self._full = self._due = False

    @abstractmethod
    def frame(self, asked: Asked) -> bytes:
        """Gives `asked` its key and says what to send for it. Raises OSError when the connection is of no use."""

    @abstractmethod
    def take(self, data: bytes) -> bytes:
        """Reads what came, settles questions, and says what to send for it. Raises OSError for nonsense."""

    def room(self) -> int:
        """How many more questions may be on the wire."""
        return MOST - len(self.pending)

    def drop(self, key: int) -> bytes:
        """What to send when the question `key` is given up."""
        return b""

    @property
    def usable(self) -> bool:
        """True while it takes questions."""
        return self._transport is not None and not self.retired and not self._transport.is_closing()

    def put(self, query: bytes) -> Asked:
        """Asks; whatever is asked in one pass of the loop goes out as one write."""
        asked = Asked(query, self.loop.create_future())
        self._waiting.append(asked)
        self._more()
        return asked

    def give_up(self, asked: Asked, answers: int) -> None:
        """Nobody waits for `asked` any more; `answers` is what the connection had brought when it was put."""
        if self.pending.pop(asked.key, None):
            self._write(self.drop(asked.key))
        elif asked in self._waiting:
            self._waiting.remove(asked)
        if self.answers == answers:
            self.retired = True
            _fail(self._waiting, Ended("the upstream does not answer"))
            self._waiting.clear()
        self._settled()

    def settle(self, key: int, answer: bytes | OSError) -> None:
        """The end of the question `key`: its answer, or why there is none. Unknown keys are late answers."""
        asked = self.pending.pop(key, None)
        if asked is None or asked.answer.done():
            return
        if isinstance(answer, bytes):
            self.answers += 1
            asked.answer.set_result(answer)
        else:
            asked.answer.set_exception(answer)

    def abort(self) -> None:
        """Ends the connection now."""
        if self._transport:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is done."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._timer = self.loop.call_later(IDLE, self._idle)

    def data_received(self, data: bytes) -> None:
        """Takes octets; nonsense ends the connection."""
        self._last = self.loop.time()
        try:
            self._write(self.take(data))
        except OSError as error:
            self._end(error)
            return
        self._settled()

    def pause_writing(self) -> None:
        """The upstream does not read: questions wait here."""
        self._full = True

    def resume_writing(self) -> None:
        """It reads again."""
        self._full = False
        self._more()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells everybody who waits."""
        self._transport = None
        if self._timer:
            self._timer.cancel()
        self._fail(Ended(str(exc) if exc else "the upstream ended the connection"))
        self.ended()

    def _more(self) -> None:
        if self._waiting and not self._due:
            self._due = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._due = False
        if self._transport is None or self._transport.is_closing():
            self._fail(Ended("the upstream ended the connection"))
            return
        frames: list[bytes] = []
        try:
            while self._waiting and not self._full and self.room() > 0:
                asked = self._waiting[0]
                frames.append(self.frame(asked))
                self.pending[asked.key] = self._waiting.popleft()
        except OSError as error:
            self._end(error)
            return
        self._last = self.loop.time()
        self._write(b"".join(frames))

    def _write(self, data: bytes) -> None:
        if data and self._transport and not self._transport.is_closing():
            self._transport.write(data)

    def _settled(self) -> None:
        """What was answered makes room for others; a retired connection ends with its last question."""
        if self.retired and not self.pending and not self._waiting:
            self.abort()
        self._more()

    def _end(self, why: OSError) -> None:
        self._fail(why)
        self.abort()

    def _fail(self, why: OSError) -> None:
        _fail((*self.pending.values(), *self._waiting), why)
        self.pending.clear()
        self._waiting.clear()

    def _idle(self) -> None:
        left = self._last + IDLE - self.loop.time()
        if left > 0.01 or self.pending:
            self._timer = self.loop.call_later(max(left, 1.0), self._idle)
        elif self._transport:
            self.retired = True
            self._transport.close()


def _fail(questions: Iterable[Asked], why: OSError) -> None:
    for asked in questions:
        if not asked.answer.done():
            asked.answer.set_exception(why)


class Kept:
    """A channel (`dns.secure.Channel`) that keeps the connection which `dial` makes; `prepare` is done to queries."""

    def __init__(self, dial: Dial, prepare: Callable[[bytes], bytes]) -> None:
        self._dial = dial
        self._prepare = prepare
        self._link: Link | None = None
        self._links: set[Link] = set()
        self._opening: asyncio.Task[Link] | None = None
        self._closed = False

    async def ask(self, query: bytes) -> bytes:
        """As `Channel.ask`."""
        message = self._prepare(query)
        again = True
        while True:
            link = self._link if self._link and self._link.usable else await self._opened()
            answers = link.answers
            asked = link.put(message)
            try:
                return query[:2] + (await asked.answer)[2:]
            except asyncio.CancelledError:
                link.give_up(asked, answers)
                raise
            except Ended:
                # One that brought something since, though not this answer, is of the kind that closes after each.
                if link.answers == answers:
                    if not again:
                        raise
                    again = False

    def close(self) -> None:
        """As `Channel.close`."""
        self._closed = True
        if self._opening:
            self._opening.cancel()
        for link in tuple(self._links):
            link.abort()

    async def _opened(self) -> Link:
        """A connection that takes questions. Made once for all who ask, and not ended by one who gives up."""
        if self._closed:
            raise ConnectionError("the channel is closed")
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._open())
            self._opening.add_done_callback(self._opening_done)
        opening = self._opening
        await asyncio.wait((opening,))
        if opening.cancelled():
            raise ConnectionError("the channel is closed")
        return opening.result()

    async def _open(self) -> Link:
        async with asyncio.timeout(OPEN_SECONDS):
            link = await self._dial()
        link.ended = lambda: self._links.discard(link)
        if link.usable:  # else it is over already, and nobody will say so again
            self._links.add(link)
        self._link = link
        return link

    def _opening_done(self, task: asyncio.Task[Link]) -> None:
        self._opening = None
        if not task.cancelled():
            task.exception()  # seen here, as all who waited may have gone
