"""Asking upstreams over real sockets: what is believed, who is asked next, how long and how often."""

import asyncio
import errno
import gc
import socket

import pytest

from blockerd.dns import exchange, upstream
from blockerd.dns.upstream import Upstreams
from blockerd.settings import Scheme, Upstream
from tests.fakes import packets
from tests.fakes.packets import a, opt, query, response
from tests.fakes.upstream import Call, Handler, Stubs, answer, dead_port, made_stubs, silent

ASKED = query("site.test", qid=0, edns=opt())
TRUE = "192.0.2.1"
REAL = exchange.WAITS, exchange.IN_ALL


@pytest.fixture
def _tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same course of events in a tenth of the time, for those who wait for silence. The others have all the time
    there is: on a busy machine an answer may take longer than a tenth of the shortest wait."""
    monkeypatch.setattr(exchange, "WAITS", {n: tuple(s / 10 for s in waits) for n, waits in REAL[0].items()})
    monkeypatch.setattr(exchange, "STREAM_WAIT", 0.15)
    monkeypatch.setattr(exchange, "IN_ALL", 0.46)


stubs = pytest.fixture(made_stubs)


def _ask(*addresses: Upstream, asked: bytes = ASKED) -> tuple[bytes | None, float, Upstreams]:
    """Asks once: the reply, the seconds it took, and the upstreams as they then stand."""
    ((reply, seconds),), made = _ask_all(addresses, [asked])
    return reply, seconds, made


def _ask_all(addresses: tuple[Upstream, ...], asked: list[bytes]) -> tuple[list[tuple[bytes | None, float]], Upstreams]:
    async def run() -> tuple[list[tuple[bytes | None, float]], Upstreams]:
        loop = asyncio.get_running_loop()
        made = Upstreams(addresses, loop)
        found: list[asyncio.Future[tuple[bytes | None, float]]] = []
        for one in asked:
            future: asyncio.Future[tuple[bytes | None, float]] = loop.create_future()
            found.append(future)
            began = loop.time()
            made.ask(one, lambda reply, _, f=future, t=began: f.set_result((reply, loop.time() - t)))  # type: ignore[misc]
        results = list(await asyncio.wait_for(asyncio.gather(*found), 30))
        assert made.pending == 0
        return results, made

    return asyncio.run(run())


def _address(reply: bytes | None) -> str | None:
    return ".".join(map(str, reply[-4:])) if reply else None


def _forged(call: Call, which: str) -> bytes:
    asked, lie = call.packet, [a(b"\xc0\x0c", "203.0.113.66")]
    true = response(asked, lie)
    return {
        "id": response(asked, lie, qid=int.from_bytes(asked[:2], "big") ^ 1),
        "name": response(query("site.tesu", qid=int.from_bytes(asked[:2], "big")), lie),
        "type": response(query("site.test", 28, qid=int.from_bytes(asked[:2], "big")), lie),
        "class": response(query("site.test", qid=int.from_bytes(asked[:2], "big"), qclass=3), lie),
        "qr": true[:2] + b"\x01" + true[3:],
        "opcode": true[:2] + b"\xa1" + true[3:],
        "no question": true[:4] + b"\x00\x00" + true[6:],
        "garbage": b"\xff" * 40,
        "empty": b"",
        "id alone": asked[:2],
        "the query": asked,
    }[which]


KINDS = ["id", "name", "type", "class", "qr", "opcode", "no question", "garbage", "empty", "id alone", "the query"]


@pytest.mark.parametrize("which", KINDS)
def test_a_forged_reply_is_dropped_and_the_true_one_awaited(which: str, stubs: Stubs):
    def handler(call: Call) -> None:
        for _ in range(50):
            call.send(_forged(call, which))
        call.later(0.03, response(call.packet, [a(b"\xc0\x0c", TRUE)]))

    stub = stubs(handler)
    reply, seconds, _ = _ask(stub.address())
    assert _address(reply) == TRUE
    assert seconds >= 0.03
    assert len(stub.calls) == 1, "no second query: the first one is still open"


def test_a_reply_from_another_port_is_not_heard(stubs: Stubs):
    def handler(call: Call) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(response(call.packet, [a(b"\xc0\x0c", "203.0.113.66")]), ("127.0.0.1", call.port))
        call.later(0.02, response(call.packet, [a(b"\xc0\x0c", TRUE)]))

    assert _address(_ask(stubs(handler).address())[0]) == TRUE


def test_a_refused_port_leads_to_the_next_upstream_within_50_ms(stubs: Stubs):
    dead, stub = Upstream(Scheme.UDP, "127.0.0.1", dead_port()), stubs()
    reply, seconds, made = _ask(dead, stub.address())
    assert _address(reply) == TRUE
    assert seconds < 0.05
    first = exchange.order(made.servers, made.loop.time(), lambda count: b"\1" * count)[0]
    assert first.address == stub.address(), "the dead one is asked last from now on"


@pytest.mark.usefixtures("_tenth")
def test_silence_leads_to_the_next_upstream(stubs: Stubs):
    quiet, stub = stubs(silent), stubs()
    reply, seconds, made = _ask(quiet.address(), stub.address())
    assert _address(reply) == TRUE
    assert 0.045 < seconds < 0.2
    assert [server.failures for server in made.servers] == [1, 0]


@pytest.mark.parametrize("rcode", [2, 5])
@pytest.mark.parametrize("scheme", [Scheme.UDP, Scheme.TCP])
def test_an_upstream_that_only_says_no_leads_to_the_next(rcode: int, scheme: Scheme, stubs: Stubs):
    unwilling = stubs(lambda call: call.send(response(call.packet, rcode=rcode)))
    stub = stubs()
    assert _address(_ask(unwilling.address(scheme), stub.address())[0]) == TRUE
    reply, _, _ = _ask(unwilling.address(scheme))
    assert reply is not None
    assert reply[3] & 15 == rcode, "where there is no other, its word is passed on"


@pytest.mark.parametrize("rcode", [0, 3])
def test_a_plain_answer_is_not_asked_for_again(rcode: int, stubs: Stubs):
    first, second = stubs(lambda call: call.send(response(call.packet, rcode=rcode))), stubs()
    _ask(first.address(), second.address())
    assert (len(first.calls), len(second.calls)) == (1, 0)


def _cut_over_udp(call: Call) -> None:
    if call.stream:
        call.send(response(call.packet, [a(b"\xc0\x0c", f"192.0.2.{n}") for n in range(200)]))
    else:
        call.send(response(call.packet, flags=packets.QR | packets.TC))


def test_a_cut_answer_is_fetched_over_tcp_from_the_same_upstream(stubs: Stubs):
    stub, other = stubs(_cut_over_udp), stubs()
    reply, _, _ = _ask(stub.address(), other.address())
    assert reply is not None
    assert reply[6:8] == (200).to_bytes(2, "big")
    assert len(other.calls) == 0
    assert [call.stream for call in stub.calls] == [False, True]


def test_a_cut_answer_without_tcp_leads_to_the_next_upstream(stubs: Stubs):
    stub, other = stubs(_cut_over_udp, tcp=False), stubs()
    reply, seconds, _ = _ask(stub.address(), other.address())
    assert _address(reply) == TRUE
    assert seconds < 0.1


def test_a_tcp_upstream_is_asked_over_tcp_alone(stubs: Stubs):
    stub = stubs()
    assert _address(_ask(stub.address(Scheme.TCP))[0]) == TRUE
    assert [call.stream for call in stub.calls] == [True]


def _cut_then_silent(call: Call) -> None:
    if not call.stream:
        call.later(0.02, response(call.packet, flags=packets.QR | packets.TC))


@pytest.mark.parametrize("handler", [silent, _cut_then_silent, lambda call: call.send(b"\xff" * 30)])
@pytest.mark.usefixtures("_tenth")
def test_when_nobody_answers_it_ends_in_time(handler: Handler, stubs: Stubs):
    """All tries and detours together stay below 5 s, here 0.5 s (RELIABILITY: SERVFAIL within 5 s)."""
    stub, other = stubs(handler), stubs(handler)
    for addresses in ((stub.address(),), (stub.address(), other.address())):
        reply, seconds, _ = _ask(*addresses)
        assert reply is None
        assert seconds < 0.5
    assert len(stub.over(stream=False)) <= 3 + 3, "at most three tries a question"


def test_the_real_time_outs_end_within_5_seconds():
    assert max(sum(waits) for waits in REAL[0].values()) <= REAL[1] < 5


def test_without_upstreams_and_with_dead_ones_alone_it_ends_at_once():
    dead = [Upstream(Scheme.UDP, "127.0.0.1", dead_port()), Upstream(Scheme.TCP, "127.0.0.1", dead_port())]
    for addresses in ((), tuple(dead)):
        reply, seconds, _ = _ask(*addresses)
        assert not reply
        assert seconds < 0.05


@pytest.mark.usefixtures("_tenth")
def test_an_upstream_for_an_encrypted_channel_is_never_asked_in_the_clear(stubs: Stubs):
    stub = stubs()
    for scheme in (Scheme.TLS, Scheme.HTTPS):
        assert _ask(stub.address(scheme))[0] is None
    assert stub.calls == []


def test_without_descriptors_it_ends_without_an_answer_and_without_an_exception(monkeypatch: pytest.MonkeyPatch):
    def none_left(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    async def run() -> list[bytes | None]:
        made = Upstreams((Upstream(Scheme.UDP, "127.0.0.1", 9),), asyncio.get_running_loop())
        got: list[bytes | None] = []
        with monkeypatch.context() as patch:
            patch.setattr(socket, "SocketType", none_left)
            made.ask(ASKED, lambda reply, _: got.append(reply))
        assert made.pending == 0
        return got

    assert asyncio.run(run()) == [b""], "not even asked"


def test_a_socket_that_cannot_be_waited_for_is_no_socket(monkeypatch: pytest.MonkeyPatch):
    """ENOSPC is what epoll says beyond fs.epoll.max_user_watches."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def run() -> list[bytes | None]:
        made = Upstreams((Upstream(Scheme.UDP, "127.0.0.1", 9),), asyncio.get_running_loop())
        got: list[bytes | None] = []
        monkeypatch.setattr(made.sockets, "watch", full)
        made.hold()
        for _ in range(3):
            made.ask(ASKED, lambda reply, _: got.append(reply))
        made.release()
        assert made.pending == 0
        return got

    assert asyncio.run(run()) == [b"", b"", b""]


@pytest.mark.parametrize(("scheme", "place"), [(Scheme.UDP, "_open"), (Scheme.TCP, "_judge")])
def test_whatever_goes_wrong_nobody_waits_for_ever(
    scheme: Scheme, place: str, stubs: Stubs, monkeypatch: pytest.MonkeyPatch
):
    def odd(*_: object) -> None:
        raise ValueError("a surprise")

    monkeypatch.setattr(upstream._Asking, place, odd)
    assert _ask(stubs().address(scheme))[0] is None


def test_what_is_held_is_sent_together_and_answered_like_any_other(stubs: Stubs):
    stub = stubs()

    async def run() -> list[bytes | None]:
        made = Upstreams((stub.address(),), asyncio.get_running_loop())
        got: asyncio.Queue[bytes | None] = asyncio.Queue()
        made.hold()
        for number in range(40):
            made.ask(query(f"n{number}.test", qid=0, edns=opt()), lambda reply, _: got.put_nowait(reply))
        await asyncio.sleep(0.05)
        assert not stub.calls
        made.release()
        made.release()
        replies = [await got.get() for _ in range(40)]
        assert made.pending == 0
        return replies

    got = asyncio.run(asyncio.wait_for(run(), 10))
    assert {_address(reply) for reply in got} == {TRUE}
    assert len({call.port for call in stub.calls}) > 35, "each from a port of its own"


def test_of_an_answered_question_nothing_is_held_until_its_deadline(stubs: Stubs):
    """At ten thousand questions a second it was 6 MB that came and never went."""
    stub = stubs()

    async def run() -> int:
        made = Upstreams((stub.address(),), asyncio.get_running_loop())
        got: asyncio.Queue[bytes | None] = asyncio.Queue()
        for number in range(40):
            made.ask(query(f"n{number}.test", qid=0, edns=opt()), lambda reply, _: got.put_nowait(reply))
        for _ in range(40):
            await got.get()
        await asyncio.sleep(0)
        gc.collect()
        return sum(isinstance(one, exchange.Try | upstream._Asking) for one in gc.get_objects())

    assert asyncio.run(asyncio.wait_for(run(), 10)) == 0


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("well", [0, 1])
def test_a_packet_that_this_machine_does_not_let_out_leads_to_the_next_upstream_at_once(
    held: bool, well: int, monkeypatch: pytest.MonkeyPatch, stubs: Stubs
):
    """As a firewall does with EPERM; where no packet gets out nobody was asked, and no failure is to be remembered."""
    stub = stubs()

    class Walled(socket.socket):
        def send(self, *data: object) -> int:
            if self.getpeername()[1] != stub.port or not well:
                raise OSError(errno.EPERM, "Operation not permitted")
            return super().send(*data)  # type: ignore[arg-type]

    async def run() -> bytes | None:
        loop = asyncio.get_running_loop()
        made = Upstreams((Upstream(Scheme.UDP, "127.0.0.1", 9), stub.address()), loop)
        done: asyncio.Future[bytes | None] = loop.create_future()
        if held:
            made.hold()
        made.ask(ASKED, lambda reply, _: done.set_result(reply))
        if held:
            made.release()
        reply = await asyncio.wait_for(done, 0.5)
        assert made.pending == 0
        return reply

    monkeypatch.setattr(socket, "SocketType", Walled)
    reply = asyncio.run(run())
    assert _address(reply) == TRUE if well else reply == b""


@pytest.mark.usefixtures("_tenth")
def test_more_than_the_most_questions_are_refused_at_once(monkeypatch: pytest.MonkeyPatch, stubs: Stubs):
    monkeypatch.setattr(upstream, "MAX_PENDING", 5)
    results, _ = _ask_all((stubs(silent).address(),), [ASKED] * 8)
    assert [seconds < 0.05 for _, seconds in results] == [False] * 5 + [True] * 3


def test_ids_and_ports_are_new_for_each_query(stubs: Stubs):
    stub = stubs()
    for _ in range(4):
        _ask_all((stub.address(),), [query(f"n{number}.test", qid=0, edns=opt()) for number in range(100)])
    ids = {call.packet[:2] for call in stub.calls}
    ports = {call.port for call in stub.calls}
    assert len(stub.calls) == 400
    assert len(ids) > 380
    assert len(ports) > 200
    assert len({call.packet[2:].lower() for call in stub.calls}) == 100
    assert len({call.packet[12:] for call in stub.calls}) > 300, "and mostly a case of its own"


@pytest.mark.usefixtures("_tenth")
def test_a_retry_has_an_id_and_a_port_of_its_own(stubs: Stubs):
    stub = stubs(silent)
    _ask(stub.address())
    assert len(stub.calls) == 3
    assert len({call.packet[:2] for call in stub.calls}) == len({call.port for call in stub.calls}) == 3


@pytest.mark.usefixtures("_tenth")
def test_an_upstream_in_bad_health_comes_back_when_it_answers(stubs: Stubs):
    ill = [True]
    stub = stubs(lambda call: None if ill[0] else answer(call))

    async def run() -> None:
        loop = asyncio.get_running_loop()
        made = Upstreams((stub.address(),), loop)
        for failures in (3, 0):
            done = loop.create_future()
            made.ask(ASKED, lambda reply, _, done=done: done.set_result(reply))  # type: ignore[misc]
            await done
            assert made.servers[0].failures == failures
            ill[0] = False
        assert made.servers[0].latency > 0

    asyncio.run(run())
