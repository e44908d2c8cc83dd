"""DoT over real TLS: framing, pipelining, padding, who is believed, and every way for an upstream to misbehave."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from blockerd.dns import secure_dial, secure_link
from blockerd.dns.secure import Channel, padded
from tests.fakes.packets import a, opt, query, response
from tests.fakes.tlsupstream import (
    NAME,
    Authority,
    Call,
    Handler,
    TlsUpstream,
    answer,
    given_up,
    opened,
    run,
    silent,
    tls_upstream,
    until,
)

ASKED = query("site.test", qid=0x4242, edns=opt())


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@asynccontextmanager
async def pair(authority: Authority, handler: Handler = answer) -> AsyncIterator[tuple[TlsUpstream, Channel]]:
    async with tls_upstream(authority.server(NAME), handler) as server, opened(server.tls(), authority) as channel:
        yield server, channel


def named(number: int, *, qid: int = 7) -> bytes:
    return query(f"n{number}.site.test", qid=qid, edns=opt())


def numbered(call: Call) -> None:
    """An address that says which name was asked for."""
    call.send(numbered_answer(call.packet))


def numbered_answer(packet: bytes) -> bytes:
    number = int(packet[14 : 13 + packet[12]])
    return response(packet, [a(b"\xc0\x0c", f"192.0.{number >> 8}.{number & 255}")])


def number_in(message: bytes) -> int:
    return int.from_bytes(message[-2:], "big")


def test_an_answer_comes_back_under_the_id_of_the_question(authority: Authority):
    async def scenario() -> None:
        async with pair(authority) as (_, channel):
            reply = await channel.ask(ASKED)
            assert reply == response(ASKED, [a(b"\xc0\x0c")])

    run(scenario)


def test_the_query_on_the_wire_is_padded_and_otherwise_the_same(authority: Authority):
    async def scenario() -> None:
        async with pair(authority) as (server, channel):
            await channel.ask(ASKED)
            sent = server.calls[0].packet
            assert len(sent) == 128
            assert sent[2 : len(ASKED) - 2] == ASKED[2:-2]
            length, code, count = struct.unpack("!HHH", sent[len(ASKED) - 2 : len(ASKED) + 4])
            assert (code, length, count) == (12, count + 4, 128 - len(ASKED) - 4)
            assert sent[len(ASKED) + 4 :] == bytes(count)

    run(scenario)


@pytest.mark.parametrize("length", [*range(1, 64, 7), 59, 60, 61, 62, 63])
def test_padding_makes_every_length_a_multiple_of_128(length: int):
    asked = query([b"x" * length, b"y" * 60, b"test"], edns=opt(do=True))
    made = padded(asked)
    assert len(made) % 128 == 0
    assert len(made) - len(asked) in range(4, 132)
    assert made[: len(asked) - 2] == asked[:-2]


@pytest.mark.parametrize(
    "asked",
    [
        query("site.test"),
        query("site.test", edns=opt(options=b"\x00\x03\x00\x00")),
        query([b"\x00\x00\x29" + bytes(8)]),
    ],
    ids=["no EDNS", "options of its own", "a name like an OPT record"],
)
def test_what_does_not_end_in_our_own_opt_record_is_left_as_it_is(asked: bytes):
    assert padded(asked) == asked


def test_questions_share_one_connection_and_may_be_answered_in_any_order(authority: Authority):
    waiting: list[Call] = []

    def handler(call: Call) -> None:
        waiting.append(call)
        if len(waiting) == 60:
            for one in reversed(waiting):
                numbered(one)

    async def scenario() -> None:
        async with pair(authority, handler) as (server, channel):
            replies = await asyncio.gather(*(channel.ask(named(n)) for n in range(60)))
            assert [number_in(reply) for reply in replies] == list(range(60))
            assert {reply[:2] for reply in replies} == {b"\x00\x07"}, "all asked under the same ID"
            assert len({call.packet[:2] for call in server.calls}) == 60
            assert len(server.connections) == 1

    run(scenario)


def test_a_connection_is_kept(authority: Authority):
    async def scenario() -> None:
        async with pair(authority) as (server, channel):
            for _ in range(5):
                await channel.ask(ASKED)
            assert len(server.connections) == 1
            assert server.connections[0].alpn is None
            assert server.sni == [NAME]

    run(scenario)


def test_the_protocol_is_offered_by_its_registered_name(authority: Authority):
    async def scenario() -> None:
        context = authority.server(NAME, alpn=["dot"])
        async with tls_upstream(context) as server, opened(server.tls(), authority) as channel:
            await channel.ask(ASKED)
            assert server.connections[0].alpn == "dot"

    run(scenario)


def test_a_message_of_64_kilobytes_arrives_whole(authority: Authority):
    large = ASKED + bytes(65535 - len(ASKED))

    async def scenario() -> None:
        async with pair(authority, lambda call: call.send(call.packet[:2] + large[2:])) as (_, channel):
            assert await channel.ask(ASKED) == large

    run(scenario)


def test_answers_that_come_octet_by_octet_and_several_in_one_piece_are_told_apart(authority: Authority):
    waiting: list[Call] = []

    def handler(call: Call) -> None:
        waiting.append(call)
        if len(waiting) == 3:
            octets = b"".join(_framed(numbered_answer(one.packet)) for one in waiting)
            for octet in octets[:50]:
                call.connection.raw(bytes((octet,)))
            call.connection.raw(octets[50:])

    async def scenario() -> None:
        async with pair(authority, handler) as (_, channel):
            replies = await asyncio.gather(*(channel.ask(named(n)) for n in range(3)))
            assert [number_in(reply) for reply in replies] == [0, 1, 2]

    run(scenario)


def _framed(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message


def _answer_and_hang_up(call: Call) -> None:
    numbered(call)
    call.connection.hang_up()


def test_an_upstream_that_closes_after_each_answer_is_asked_on_a_new_connection(authority: Authority):
    async def scenario() -> None:
        async with pair(authority, _answer_and_hang_up) as (server, channel):
            for n in range(3):
                assert number_in(await channel.ask(named(n))) == n
            assert len(server.connections) == 3

    run(scenario)


def test_questions_left_by_an_upstream_that_closes_after_each_answer_are_asked_again(authority: Authority):
    async def scenario() -> None:
        async with pair(authority, _answer_and_hang_up) as (server, channel):
            replies = await asyncio.gather(*(channel.ask(named(n)) for n in range(6)))
            assert [number_in(reply) for reply in replies] == list(range(6))
            assert len(server.connections) <= 6

    run(scenario)


def test_a_connection_that_ends_without_an_answer_is_made_anew_once(authority: Authority):
    async def scenario() -> None:
        async with pair(authority, lambda call: call.connection.hang_up()) as (server, channel):
            with pytest.raises(ConnectionError):
                await channel.ask(ASKED)
            assert len(server.connections) == 2
            assert len(server.calls) == 2

    run(scenario)


def test_a_connection_that_was_cut_while_idle_is_made_anew(authority: Authority):
    async def scenario() -> None:
        async with pair(authority) as (server, channel):
            await channel.ask(ASKED)
            server.connections[0].transport.abort()
            await channel.ask(ASKED)
            assert len(server.connections) == 2

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


def test_a_connection_with_a_question_on_it_is_not_idle(authority: Authority, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(secure_link, "IDLE", 0.02)

    async def scenario() -> None:
        async with pair(authority, lambda call: call.later(0.2, numbered_answer(call.packet))) as (server, channel):
            assert number_in(await channel.ask(named(1))) == 1
            assert len(server.calls) == 1

    run(scenario)


def test_an_idle_connection_is_let_go_though_the_upstream_does_not_say_goodbye(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(secure_link, "IDLE", 0.05)
    monkeypatch.setattr(secure_dial, "_SHUTDOWN_SECONDS", 0.1)

    async def scenario() -> None:
        async with pair(authority) as (server, channel):
            await channel.ask(ASKED)
            server.connections[0].transport.pause_reading()
            link = channel._link  # type: ignore[attr-defined]
            await until(lambda: link._transport is None)

    run(scenario)


@pytest.mark.parametrize("octets", [b"\x00\x00", b"\x00\x0b" + bytes(11), b"\x00\x01\xff"])
def test_a_length_that_no_message_has_ends_the_connection(octets: bytes, authority: Authority):
    async def scenario() -> None:
        async with pair(authority, lambda call: call.connection.raw(octets)) as (server, channel):
            for _ in range(2):
                with pytest.raises(OSError, match="no DNS message"):
                    await channel.ask(ASKED)
            assert len(server.connections) == 2, "not asked twice for one question"

    run(scenario)


def test_an_answer_to_an_unknown_id_is_passed_over(authority: Authority):
    def handler(call: Call) -> None:
        for number in range(1, 5):
            other = (int.from_bytes(call.packet[:2], "big") + number) & 0xFFFF
            call.send(other.to_bytes(2, "big") + ASKED[2:])
        numbered(call)

    async def scenario() -> None:
        async with pair(authority, handler) as (_, channel):
            assert number_in(await channel.ask(named(9))) == 9

    run(scenario)


def test_a_silent_connection_is_not_asked_again(authority: Authority):
    def handler(call: Call) -> None:
        if call.connection.number:
            numbered(call)

    async def scenario() -> None:
        async with pair(authority, handler) as (server, channel):
            await given_up(channel, named(1), lambda: len(server.calls) == 1)
            assert number_in(await channel.ask(named(2))) == 2
            assert len(server.connections) == 2
            await until(lambda: not server.connections[0].open)

    run(scenario)


def test_questions_that_wait_for_a_silent_connection_are_asked_on_the_next(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(secure_link, "MOST", 1)

    async def scenario() -> None:
        async with pair(authority, _all_but_n0) as (server, channel):
            loop = asyncio.get_running_loop()
            slow = loop.create_task(channel.ask(named(0)))
            await until(lambda: len(server.calls) == 1)
            second = loop.create_task(channel.ask(named(2)))
            await asyncio.sleep(0)
            slow.cancel()
            assert number_in(await second) == 2
            assert [call.connection.number for call in server.calls] == [0, 1]

    run(scenario)


def _all_but_n0(call: Call) -> None:
    if call.packet[13:15] != b"n0":
        numbered(call)


def test_a_question_given_up_ends_no_connection_that_answers_others(authority: Authority):
    async def scenario() -> None:
        async with pair(authority, _all_but_n0) as (server, channel):
            slow = asyncio.get_running_loop().create_task(channel.ask(named(0)))
            await until(lambda: len(server.calls) == 1)
            assert number_in(await channel.ask(named(1))) == 1
            slow.cancel()
            assert number_in(await channel.ask(named(2))) == 2
            assert len(server.connections) == 1

    run(scenario)


def test_a_late_answer_reaches_nobody(authority: Authority):
    calls: list[Call] = []

    def handler(call: Call) -> None:
        calls.append(call)
        if len(calls) == 2:
            numbered(call)
        if len(calls) == 3:
            numbered(calls[0])
            numbered(call)

    async def scenario() -> None:
        async with pair(authority, handler) as (_, channel):
            slow = asyncio.get_running_loop().create_task(channel.ask(named(0)))
            await until(lambda: len(calls) == 1)
            assert number_in(await channel.ask(named(1))) == 1
            slow.cancel()
            assert number_in(await channel.ask(named(2))) == 2

    run(scenario)


def test_ids_wrap_and_pass_over_those_under_way(authority: Authority):
    async def scenario() -> None:
        async with pair(authority, _all_but_n0) as (server, channel):
            loop = asyncio.get_running_loop()
            slow = loop.create_task(channel.ask(named(0)))
            await until(lambda: len(server.calls) == 1)
            held = int.from_bytes(server.calls[0].packet[:2], "big")
            channel._link._next = (held - 1) & 0xFFFF  # type: ignore[attr-defined]
            for n in (1, 2, 3):
                assert number_in(await channel.ask(named(n))) == n
            used = [int.from_bytes(call.packet[:2], "big") for call in server.calls]
            assert used == [held, *((held + step) & 0xFFFF for step in (-1, 1, 2))]
            slow.cancel()

    run(scenario)


def test_one_octet_at_a_time_without_end_is_given_up(authority: Authority):
    sent: list[int] = []

    def handler(call: Call) -> None:
        octets = iter(b"\x01\x00" + bytes(256))
        loop = asyncio.get_running_loop()

        def one() -> None:
            if call.connection.open:
                call.connection.raw(bytes((next(octets),)))
                sent.append(call.connection.number)
                loop.call_later(0.01, one)

        one()

    async def scenario() -> None:
        async with pair(authority, handler) as (server, channel):
            for number in range(2):
                await given_up(channel, ASKED, lambda number=number: sent.count(number) > 5)  # type: ignore[misc]
            assert len(server.connections) == 2

    run(scenario)


def test_questions_beyond_a_thousand_wait_and_when_given_up_leave_nothing(authority: Authority):
    async def scenario() -> None:
        async with pair(authority, silent) as (server, channel):
            loop = asyncio.get_running_loop()
            asking = [loop.create_task(channel.ask(ASKED)) for _ in range(secure_link.MOST + 500)]
            await until(lambda: len(server.calls) == secure_link.MOST)
            link = channel._link  # type: ignore[attr-defined]
            assert len(link._waiting) == 500
            for task in asking:
                task.cancel()
            assert all(isinstance(error, asyncio.CancelledError) for error in await _errors(asking))
            await until(lambda: not server.connections[0].open)
            assert not link.pending
            assert not link._waiting

    run(scenario)


async def _errors(tasks: list[asyncio.Task[bytes]]) -> list[bytes | BaseException]:
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_an_upstream_that_does_not_read_fills_no_memory(authority: Authority):
    async def scenario() -> None:
        async with pair(authority) as (server, channel):
            await channel.ask(ASKED)
            server.connections[0].transport.pause_reading()
            link = channel._link  # type: ignore[attr-defined]
            link._transport.set_write_buffer_limits(high=1000)
            link.pause_writing()
            asking = [asyncio.get_running_loop().create_task(channel.ask(ASKED)) for _ in range(50)]
            await until(lambda: len(link._waiting) == 50)
            assert not link.pending
            server.connections[0].transport.resume_reading()
            link.resume_writing()
            assert len(await asyncio.gather(*asking)) == 50

    run(scenario)


def test_closing_ends_questions_under_way_and_takes_no_more(authority: Authority):
    async def scenario() -> None:
        async with pair(authority, silent) as (server, channel):
            asking = asyncio.get_running_loop().create_task(channel.ask(ASKED))
            await until(lambda: len(server.calls) == 1)
            channel.close()
            with pytest.raises(ConnectionError):
                await asking
            with pytest.raises(ConnectionError):
                await channel.ask(ASKED)
            assert len(server.connections) == 1

    run(scenario)
