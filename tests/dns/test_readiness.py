"""Many sockets and deadlines on one loop: nothing early, nothing twice, what is put off comes right after the turn."""

import asyncio
import socket
import weakref
from contextlib import ExitStack
from functools import partial

from blockerd.dns.readiness import ROW, Deadlines, Readiness


def test_deadlines_come_in_their_order_and_none_too_early():
    async def run() -> list[tuple[float, float]]:
        loop = asyncio.get_running_loop()
        deadlines, start, all_came = Deadlines(loop), loop.time(), asyncio.Event()
        came: list[tuple[float, float]] = []

        def told(when: float) -> None:
            came.append((when, loop.time()))
            if len(came) == 7:
                all_came.set()

        for number in (12, 3, 7, 3, 0, 5):
            deadlines.at(start + number * ROW, partial(told, start + number * ROW))
        late = start + 2 * ROW
        deadlines.at(start + ROW, lambda: deadlines.at(late, partial(told, late)))
        await asyncio.wait_for(all_came.wait(), 10)
        return came

    came = asyncio.run(run())
    assert [when for when, _ in came] == sorted(when for when, _ in came)
    assert all(when <= at for when, at in came)


def test_a_deadline_that_raises_costs_no_other_its_turn():
    async def run() -> tuple[list[int], list[str]]:
        loop = asyncio.get_running_loop()
        deadlines, came, told, done = Deadlines(loop), list[int](), list[str](), asyncio.Event()
        loop.set_exception_handler(lambda _, context: told.append(str(context["exception"])))

        def call(number: int) -> None:
            came.append(number)
            if number % 2:
                raise ValueError(f"number {number}")
            if number == 4:
                done.set()

        when = loop.time() + ROW
        for number in range(4):
            deadlines.at(when, partial(call, number))
        deadlines.at(when + 5 * ROW, partial(call, 4))
        await asyncio.wait_for(done.wait(), 5)
        return came, told

    assert asyncio.run(run()) == ([0, 1, 2, 3, 4], ["number 1", "number 3"])


def test_after_its_end_no_deadline_is_told():
    async def run() -> list[int]:
        deadlines, came = Deadlines(asyncio.get_running_loop()), [0]
        now = asyncio.get_running_loop().time()
        deadlines.at(now, deadlines.end)
        for number in range(5):
            deadlines.at(now + number * ROW, lambda number=number: came.append(number))  # type: ignore[misc]
        await asyncio.sleep(8 * ROW)
        return came

    assert asyncio.run(run()) == [0, 0], "the one of the same row is told with it"


def test_a_dropped_deadline_is_not_told_and_nothing_of_it_is_kept():
    class Call:
        def __init__(self, number: int) -> None:
            self.number = number

        def __call__(self) -> None:
            came.append(self.number)

    came: list[int] = []

    async def run() -> int:
        loop = asyncio.get_running_loop()
        deadlines, when = Deadlines(loop), loop.time() + 3 * ROW
        calls = [Call(number) for number in range(100)]
        for call in calls:
            deadlines.at(when, call)
        for call in calls[1:]:
            deadlines.drop(when, call)
        deadlines.drop(when, calls[1])
        deadlines.drop(when + 1, calls[0])
        kept = [weakref.ref(call) for call in calls]
        del calls, call
        left = sum(one() is not None for one in kept)
        await asyncio.sleep(8 * ROW)
        deadlines.at(loop.time(), done := Call(100))
        await asyncio.sleep(4 * ROW)
        deadlines.drop(when, done)
        return left

    assert asyncio.run(run()) == 1, "all but the first are gone before their time"
    assert came == [0, 100]


def test_what_is_put_off_is_done_once_when_all_that_could_be_read_was():
    async def run() -> list[str]:
        readiness, told = Readiness(asyncio.get_running_loop()), []
        with ExitStack() as stack:
            pairs = [[stack.enter_context(one) for one in socket.socketpair()] for _ in range(3)]

            def flush() -> None:
                told.append("flushed")

            def read(number: int) -> None:
                told.append(f"read {number}")
                pairs[number][0].recv(9)
                readiness.after(flush)

            for number, (near, far) in enumerate(pairs):
                readiness.watch(near, lambda number=number: read(number))  # type: ignore[misc]
                far.send(b"x")
            readiness.after(flush)
            await asyncio.sleep(0.05)
            readiness.end()
        return told

    told = asyncio.run(run())
    assert told[0] == told[-1] == "flushed", "at once outside of a turn"
    assert sorted(told[1:-1]) == ["read 0", "read 1", "read 2"]
