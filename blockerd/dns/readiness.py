"""Waiting for many short-lived sockets and many deadlines at the price of few: one timer, one entry in the loop.

asyncio makes an object and a system call for each socket that comes and goes and for each timer that is set and
cancelled; a forwarded question has one of each. Here the sockets are in an epoll set of their own, which the loop
watches as one (Linux; elsewhere the loop watches each). Deadlines of one moment are in one row: setting or dropping
one costs no more where there are many, and nothing of one that was dropped is kept.
Called by `dns.upstream` and `dns.listener`; one event loop, one thread.
"""

import asyncio
import select
import socket
from collections.abc import Callable, Iterator
from heapq import heappop, heappush

_AT_ONCE = 128

ROW = 0.002
"""Seconds of one row of deadlines: none is told earlier than it is set, and none much later."""


class Readiness:
    """Calls back when a socket can be read. A socket that is closed needs no removing."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[int, Callable[[], None]] = {}
        self._turn = False
        self._after: set[Callable[[], None]] = set()
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        if self._epoll:
            loop.add_reader(self._epoll.fileno(), self._ready, self._epoll)

    def watch(self, sock: socket.SocketType, call: Callable[[], None]) -> None:
        """Calls `call` each time `sock` can be read, or has an error to tell.

        Raises:
            OSError: the system takes no more of them.
        """
        descriptor = sock.fileno()
        if self._epoll:
            self._epoll.register(descriptor, select.EPOLLIN)
            self._waiting[descriptor] = call
        else:
            self._loop.add_reader(descriptor, call)

    def close(self, sock: socket.SocketType) -> None:
        """Closes `sock`, which was given to `watch`."""
        if self._epoll:
            self._waiting.pop(sock.fileno(), None)
        else:
            self._loop.remove_reader(sock.fileno())
        sock.close()

    def after(self, call: Callable[[], None]) -> None:
        """Calls `call` when all that can be read now has been, once however often it is asked for; or at once."""
        if self._turn:
            self._after.add(call)
        else:
            call()

    def end(self) -> None:
        """Stops watching; the sockets stay as they are."""
        if self._epoll and not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def _ready(self, epoll: "select.epoll") -> None:
        self._turn = True
        try:
            for descriptor, _ in epoll.poll(0, _AT_ONCE):
                call = self._waiting.get(descriptor)  # one called before may have closed it
                if call:
                    call()
        finally:
            self._turn = False
            after, self._after = self._after, set()
            for call in after:
                call()


class Deadlines:
    """Calls back at times of the loop's clock."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._rows: dict[int, dict[Callable[[], None], None]] = {}
        self._order: list[int] = []
        self._timer: asyncio.TimerHandle | None = None

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Calls `call` at `when`, or a moment later."""
        number = int(when / ROW) + 1
        row = self._rows.get(number)
        if row is None:
            row = self._rows[number] = {}
            heappush(self._order, number)
            self._arm(number)
        row[call] = None

    def drop(self, when: float, call: Callable[[], None]) -> None:
        """Takes back what `at` was given, unless its time has come; a timer of the loop is not touched for it."""
        row = self._rows.get(int(when / ROW) + 1)
        if row and row.pop(call, self) is None and not row:
            row.clear()  # which gives back the room of those that were in it

    def end(self) -> None:
        """Calls nobody any more."""
        self._rows.clear()
        self._order.clear()
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        """Calls all whose time has come; what one raises is the loop's to tell, and those behind it are called next."""
        self._timer = None
        order = self._order
        row: Iterator[Callable[[], None]] = iter(())
        try:
            while order and order[0] * ROW <= self._loop.time():
                row = iter(self._rows.pop(heappop(order)))
                for call in row:
                    call()
        finally:
            for call in row:
                self.at(self._loop.time(), call)
            if order:
                self._arm(order[0])

    def _arm(self, number: int) -> None:
        """Has the loop call for this row, unless it will before: one called may have set a later time meanwhile."""
        when = number * ROW
        if self._timer and self._timer.when() <= when:
            return
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._due)
