"""DNS over TCP for clients over real sockets: framing, pipelining, half-close, limits, hostile clients."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from blockerd.dns import tcp
from blockerd.dns.tcp import Connections
from tests.fakes.packets import query

Reply = Callable[[bytes], None]
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Server:
    """Connections behind a listening socket; queries for `late.*` wait until `release`."""

    def __init__(self) -> None:
        self.waiting: list[tuple[bytes, Reply]] = []
        self.handled = 0
        self.open = 0
        self.problems: list[dict[str, object]] = []

    def handle(self, packet: bytes, client: str, reply: Reply) -> None:
        assert client == "127.0.0.1"
        self.handled += 1
        if b"late" in packet:
            self.waiting.append((packet, reply))
        elif b"none" in packet:
            reply(b"")
        else:
            reply(_answer(packet))

    def release(self) -> None:
        waiting, self.waiting = self.waiting, []
        for packet, reply in reversed(waiting):
            reply(_answer(packet))

    async def connect(self, limit: int = 2**16) -> Stream:
        return await asyncio.open_connection("127.0.0.1", self.port, limit=limit)

    port = 0


def _answer(packet: bytes) -> bytes:
    return packet[:2] + b"\x81\x80" + packet[4:] + b"\xc0\x0c\x00\x10\x00\x01" + bytes(5) + b"\x40" + bytes(64)


def _run(scenario: Callable[[Server, Connections], Awaitable[None]]) -> Server:
    """Runs `scenario` against a server; nothing may be left open, nothing may have surprised the loop."""

    async def run() -> Server:
        loop = asyncio.get_running_loop()
        server = Server()
        loop.set_exception_handler(lambda _, context: server.problems.append(context))
        connections = Connections(server.handle, loop)
        listening = await loop.create_server(connections.protocol, "127.0.0.1", 0)
        server.port = listening.sockets[0].getsockname()[1]
        await asyncio.wait_for(scenario(server, connections), 20)
        connections.close()
        listening.close()
        await _until(lambda: not connections.open)
        assert connections.clients == {}
        return server

    server = asyncio.run(run())
    assert server.problems == []
    return server


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - waits for what the other side of a socket does
            await asyncio.sleep(0.002)


def _frame(name: str, qid: int = 1) -> bytes:
    packet = query(name, qid=qid)
    return len(packet).to_bytes(2, "big") + packet


async def _read(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))


def test_pipelined_questions_are_all_answered():
    async def scenario(server: Server, _: Connections) -> None:
        reader, writer = await server.connect()
        writer.write(b"".join(_frame(f"n{qid}.test", qid) for qid in range(300)))
        got = [await _read(reader) for _ in range(300)]
        assert [int.from_bytes(answer[:2], "big") for answer in got] == list(range(300))
        writer.close()

    _run(scenario)


def test_answers_come_in_any_order_with_their_own_ids():
    async def scenario(server: Server, _: Connections) -> None:
        reader, writer = await server.connect()
        writer.write(_frame("late1.test", 1) + _frame("late2.test", 2) + _frame("now.test", 3))
        assert (await _read(reader))[:2] == b"\x00\x03"
        server.release()
        assert [(await _read(reader))[:2] for _ in range(2)] == [b"\x00\x02", b"\x00\x01"]
        writer.close()

    _run(scenario)


def test_questions_in_segments_of_one_octet_are_answered():
    async def scenario(server: Server, _: Connections) -> None:
        reader, writer = await server.connect()
        for octet in _frame("a.test", 7) + _frame("b.test", 8):
            writer.write(bytes((octet,)))
            await writer.drain()
            await asyncio.sleep(0)
        assert [(await _read(reader))[:2] for _ in range(2)] == [b"\x00\x07", b"\x00\x08"]
        writer.close()

    _run(scenario)


def test_a_half_closed_connection_still_gets_its_answers_and_ends():
    async def scenario(server: Server, _: Connections) -> None:
        reader, writer = await server.connect()
        writer.write(_frame("late.test", 5) + _frame("now.test", 6))
        writer.write_eof()
        assert (await _read(reader))[:2] == b"\x00\x06"
        await _until(lambda: bool(server.waiting))
        server.release()
        assert (await _read(reader))[:2] == b"\x00\x05"
        assert await reader.read() == b""
        writer.close()

    _run(scenario)


@pytest.mark.parametrize("octets", [b"", b"\x00", b"\x00\x40", b"\x00\x40abc", b"\xff\xff" + b"x" * 500])
def test_a_silent_connection_is_closed(octets: bytes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tcp, "IDLE", 0.1)

    async def scenario(server: Server, connections: Connections) -> None:
        reader, writer = await server.connect()
        writer.write(octets)
        began = connections.loop.time()
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        assert 0.08 < connections.loop.time() - began < 1
        writer.close()

    assert _run(scenario).handled == 0


@pytest.mark.parametrize("octets", [b"\x00\x00", b"\x00\x0b" + b"x" * 11])
def test_a_frame_too_short_for_a_header_ends_the_connection(octets: bytes):
    async def scenario(server: Server, _: Connections) -> None:
        reader, writer = await server.connect()
        writer.write(octets + _frame("a.test"))
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()

    assert _run(scenario).handled == 0


def test_a_web_request_is_only_a_long_frame_that_never_ends(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tcp, "IDLE", 0.1)

    async def scenario(server: Server, _: Connections) -> None:
        reader, writer = await server.connect()
        writer.write(b"GET / HTTP/1.1\r\nHost: site.test\r\n\r\n")
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()

    assert _run(scenario).handled == 0


def test_a_query_without_an_answer_keeps_the_connection():
    async def scenario(server: Server, _: Connections) -> None:
        reader, writer = await server.connect()
        writer.write(_frame("none.test", 1) * 150 + _frame("a.test", 2))
        assert (await _read(reader))[:2] == b"\x00\x02"
        writer.close()

    _run(scenario)


def test_a_client_over_its_cap_is_turned_away_and_the_others_stay(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tcp, "MOST_PER_CLIENT", 3)

    async def scenario(server: Server, connections: Connections) -> None:
        kept = [await server.connect() for _ in range(3)]
        await _until(lambda: len(connections.open) == 3)
        reader, writer = await server.connect()
        writer.write(_frame("a.test"))
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
        for number, (reader, writer) in enumerate(kept):
            writer.write(_frame("a.test", number))
            assert (await _read(reader))[:2] == bytes((0, number))
        kept[0][1].close()
        await _until(lambda: len(connections.open) == 2)
        reader, writer = await server.connect()
        writer.write(_frame("a.test", 9))
        assert (await _read(reader))[:2] == b"\x00\x09"
        for _, each in [*kept, (reader, writer)]:
            each.close()

    _run(scenario)


def test_the_questions_under_way_are_bounded_and_go_on_when_answered():
    async def scenario(server: Server, _: Connections) -> None:
        reader, writer = await server.connect()
        writer.write(b"".join(_frame(f"late{qid}.test", qid) for qid in range(250)))
        got = set()
        for under_way in (100, 100, 50):
            await _until(partial(_at_least, server, under_way))
            assert len(server.waiting) == under_way
            server.release()
            got |= {(await _read(reader))[:2] for _ in range(under_way)}
        assert len(got) == 250
        writer.close()

    _run(scenario)


def test_many_questions_answered_at_once_behind_99_slow_ones_do_not_nest():
    """Each answer makes room for the next question; 5,000 of them in one buffer must not be 5,000 calls deep."""

    async def scenario(server: Server, _: Connections) -> None:
        reader, writer = await server.connect()
        writer.write(b"".join(_frame(f"late{qid}.test", qid) for qid in range(99)))
        await _until(lambda: len(server.waiting) == 99)
        writer.write(_frame("a.test", 500) * 5000)
        got = [await _read(reader) for _ in range(5000)]
        assert {answer[:2] for answer in got} == {b"\x01\xf4"}
        server.release()
        assert len({(await _read(reader))[:2] for _ in range(99)}) == 99
        writer.close()

    _run(scenario)


def test_a_client_that_takes_no_answers_is_not_read_from():
    """Else it could have us hold answers without end: each question of 24 octets makes one of 100."""

    async def scenario(server: Server, connections: Connections) -> None:
        reader, writer = await server.connect(limit=1024)
        writer.transport.set_write_buffer_limits(high=1 << 26)
        count = 100_000
        writer.write(_frame("a.test", 3) * count)
        await _stands_still(lambda: server.handled)
        assert 0 < server.handled < count
        (held,) = connections.open
        assert held._transport is not None
        assert held._transport.get_write_buffer_size() < 1 << 20
        for _ in range(count):
            assert (await _read(reader))[:2] == b"\x00\x03"
        writer.close()

    _run(scenario)


def test_a_client_that_drips_is_closed_like_a_silent_one(monkeypatch: pytest.MonkeyPatch):
    """64 of them would lock out all programs of this machine."""
    monkeypatch.setattr(tcp, "IDLE", 0.2)

    async def scenario(server: Server, connections: Connections) -> None:
        _, writer = await server.connect()
        await _until(lambda: len(connections.open) == 1)
        writer.write(b"\x01\x00")
        began = connections.loop.time()
        while connections.open:
            writer.write(b"x")
            await asyncio.sleep(0.02)
            assert connections.loop.time() - began < 3
        writer.close()

    assert _run(scenario).handled == 0


def test_answers_under_way_to_a_client_that_takes_none_are_bounded(monkeypatch: pytest.MonkeyPatch):
    """A hundred questions that were read before it stopped taking answers can make 64 kB each."""
    monkeypatch.setattr(tcp, "MOST_HELD", 200_000)

    async def scenario(server: Server, connections: Connections) -> None:
        _, writer = await server.connect(limit=1024)
        (held,) = connections.open
        assert held._transport is not None
        held._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        writer.write(b"".join(_frame(f"late{qid}.test", qid) for qid in range(100)))
        await _until(lambda: len(server.waiting) == 100)
        transport, most = held._transport, 0
        for packet, reply in server.waiting:
            reply(packet + bytes(64_000))
            most = max(most, transport.get_write_buffer_size())
        assert most < 200_000 + 2 * 65536
        await _until(lambda: not connections.open)
        writer.close()

    _run(scenario)


def _at_least(server: Server, count: int) -> bool:
    return len(server.waiting) >= count


async def _stands_still(count: Callable[[], int]) -> None:
    """Waits until a count that moves has stopped for a while."""
    still, last = 0, -1
    while still < 20:
        await asyncio.sleep(0.01)
        still, last = (still + 1 if count() == last and last > 0 else 0), count()
