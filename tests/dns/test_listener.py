"""The resolver on real sockets: merging, dead upstreams, policy changes between packets, UDP and TCP side by side."""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dns.message
import pytest

from blockerd import clock
from blockerd.dns import engine, exchange, listener
from blockerd.dns.engine import Engine
from blockerd.dns.listener import Resolver
from blockerd.dns.sockets import BindError, bind
from blockerd.dns.upstream import Upstreams
from blockerd.dns.wire import make_serve
from blockerd.journal import spool
from blockerd.policy.decide import Policy
from blockerd.policy.name import from_text
from blockerd.settings import Endpoint, Upstream
from tests.dns.corpus import cases
from tests.fakes.packets import a, opt, query, response
from tests.fakes.policies import Listing, policy
from tests.fakes.resolvers import engine_of
from tests.fakes.upstream import Call, StubUpstream, answer, silent, stub_upstream

BLOCKED = query("blocked.example")


@dataclass(slots=True)
class Running:
    """A resolver that serves; `ports` are UDP's and TCP's."""

    resolver: Resolver
    engine: Engine
    upstreams: Upstreams
    ports: tuple[int, int]
    problems: list[dict[str, object]] = field(default_factory=list)

    def adopt(self, policy_: Policy) -> None:
        """Another policy from the next packet on."""
        self.engine = engine_of(policy_, clock.now(), self.engine.cache)[0]
        self.resolver.change(self.engine, make_serve(self.engine.fast))

    async def ask(self, *packets: bytes, wait: float = 5.0) -> list[bytes]:
        """The answers to `packets`, sent at once from one socket; as many as come within `wait` seconds."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(("127.0.0.1", self.ports[0]))
            for packet in packets:
                sock.send(packet)
            found: list[bytes] = []
            try:
                async with asyncio.timeout(wait):
                    while len(found) < len(packets):
                        found.append(await loop.sock_recv(sock, 4096))
            except TimeoutError:
                pass
            return found


@pytest.fixture
def stub() -> Iterator[StubUpstream]:
    with stub_upstream() as running:
        yield running


def _run(
    tmp_path: Path, scenario: Callable[[Running], Awaitable[None]], *addresses: Upstream, policy_: Policy | None = None
) -> None:
    """Runs `scenario` against a resolver; no callback may have raised."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        pairs = bind([Endpoint("127.0.0.1", 0)])
        writer = spool.Writer(tmp_path, "dns", clock.now_us, clock.monotonic)
        engine = engine_of(policy_ or policy(Listing("listed.test")), clock.now())[0]
        upstreams = Upstreams(addresses, loop)
        resolver = Resolver(pairs, writer, upstreams, loop)
        ports = (pairs[0][0].getsockname()[1], pairs[0][1].getsockname()[1])
        running = Running(resolver, engine, upstreams, ports)
        loop.set_exception_handler(lambda _, context: running.problems.append(context))
        await resolver.go(engine, make_serve(engine.fast))
        try:
            await asyncio.wait_for(scenario(running), 25)
        finally:
            resolver.close()
            writer.close()
        assert running.problems == []

    asyncio.run(run())


def test_equal_questions_of_200_clients_are_one_upstream_packet(tmp_path: Path, stub: StubUpstream):
    """Also where they differ in case, in options or in the AD flag (CVE-2020-25686)."""
    stub.handler = lambda call: call.later(0.2, response(call.packet, [a(b"\xc0\x0c")]))

    async def scenario(running: Running) -> None:
        names = ["site.test", "SITE.test", "Site.Test", "sitE.tesT"]
        edns = [b"", opt(), opt(size=4096), opt(options=b"\x00\x0a\x00\x08cookiecc")]
        packets = [query(names[n % 4], qid=n, flags=0x100 | (n & 1) << 5, edns=edns[n // 4 % 4]) for n in range(200)]
        got = await running.ask(*packets)
        assert {int.from_bytes(one[:2], "big") for one in got} == set(range(200))
        assert all(dns.message.from_wire(one).answer for one in got)
        by_id = {one[:2]: one for one in got}
        assert all(by_id[packet[:2]][12:27] == packet[12:27] for packet in packets), "each has its own case"
        assert len(stub.calls) == 1

    _run(tmp_path, scenario, stub.address())


def test_a_dead_upstream_delays_no_blocked_name_and_ends_in_servfail(
    tmp_path: Path, stub: StubUpstream, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(exchange, "WAITS", dict.fromkeys(exchange.WAITS, (0.1, 0.1, 0.1)))
    monkeypatch.setattr(engine, "FAILED_FOR", 0.2)
    stub.handler = silent

    async def scenario(running: Running) -> None:
        loop = asyncio.get_running_loop()
        waiting = asyncio.ensure_future(running.ask(*(query(f"n{n}.test", qid=n) for n in range(50))))  # noqa: TID251
        for _ in range(20):
            began = loop.time()
            (got,) = await running.ask(BLOCKED)
            assert got[3] & 15 == 3
            assert loop.time() - began < 0.05
        assert [one[3] & 15 for one in await waiting] == [2] * 50
        stub.handler = answer
        (got,) = await running.ask(query("n1.test"))
        assert got[3] & 15 == 2, "not for a moment"
        while got[3] & 15:
            (got,) = await running.ask(query("n1.test"))
        assert dns.message.from_wire(got).answer, "a name that once had no answer is asked for again"

    _run(tmp_path, scenario, stub.address())


def test_too_few_descriptors_leave_no_name_behind(tmp_path: Path, stub: StubUpstream, monkeypatch: pytest.MonkeyPatch):
    async def scenario(running: Running) -> None:
        def none_left(*_: object) -> socket.socket:
            raise OSError(errno.EMFILE, "Too many open files")

        with monkeypatch.context() as patch:
            patch.setattr(socket, "SocketType", none_left)
            (got,) = await running.ask(query("site.test"))
            assert got[3] & 15 == 2
        (got,) = await running.ask(query("site.test"))
        assert dns.message.from_wire(got).answer

    _run(tmp_path, scenario, stub.address())


def test_a_change_of_policy_holds_from_the_next_packet_on(tmp_path: Path, stub: StubUpstream):
    async def scenario(running: Running) -> None:
        packet = query("www.site.test", edns=opt())
        for _ in range(3):  # from the upstream, from the cache, by the hot path
            (got,) = await running.ask(packet)
            assert got[3] & 15 == 0
        running.adopt(policy(Listing("site.test")))
        for _ in range(3):
            (got,) = await running.ask(packet)
            assert got[3] & 15 == 3
        running.adopt(policy())
        (got,) = await running.ask(packet)
        assert dns.message.from_wire(got).answer

    _run(tmp_path, scenario, stub.address())


def test_one_who_asks_after_a_rewrite_came_does_not_share_the_answer_to_another_name(
    tmp_path: Path, stub: StubUpstream
):
    stub.handler = lambda call: call.later(0.3, response(call.packet, [a(b"\xc0\x0c")]))

    async def scenario(running: Running) -> None:
        first = asyncio.ensure_future(running.ask(query("site.test", qid=1)))  # noqa: TID251
        await asyncio.sleep(0.05)
        running.adopt(running.engine.policy)
        running.engine.safe = {from_text("site.test"): from_text("forcesafe.site.test")}
        (second,) = await running.ask(query("site.test", qid=2))
        read = dns.message.from_wire(second)
        assert [rrset.name.to_text() for rrset in read.answer] == ["site.test.", "forcesafe.site.test."]
        assert dns.message.from_wire((await first)[0]).answer
        assert sorted(call.name.lower() for call in stub.calls) == ["forcesafe.site.test", "site.test"]

    _run(tmp_path, scenario, stub.address())


async def _expired(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has site.test asked once, and its answer's time be over."""
    await running.ask(query("site.test"))
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + 900)


def _ttl(answer: bytes) -> int:
    return dns.message.from_wire(answer).answer[0].ttl


def test_the_patience_with_one_question_does_not_end_that_with_the_next(
    tmp_path: Path, stub: StubUpstream, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(listener, "PATIENCE", 1.0)

    async def scenario(running: Running) -> None:
        await _expired(running, monkeypatch)
        stub.handler = lambda call: call.send(response(call.packet, [a(b"\xc0\x0c", ttl=0)]))
        (got,) = await running.ask(query("site.test"))
        assert _ttl(got) == 0
        await asyncio.sleep(0.7)
        stub.handler = lambda call: call.later(0.6, response(call.packet, [a(b"\xc0\x0c", ttl=0)]))
        (got,) = await running.ask(query("site.test"))
        assert _ttl(got) == 0, "the upstream is well: no old answer"

    _run(tmp_path, scenario, stub.address())


@pytest.mark.parametrize("cleared", [0.1, 0.4])
def test_where_nothing_old_is_left_one_waits_for_the_upstream(
    cleared: float, tmp_path: Path, stub: StubUpstream, monkeypatch: pytest.MonkeyPatch
):
    """A SIGHUP replaces the cache before or after the client's patience ends."""
    monkeypatch.setattr(listener, "PATIENCE", 0.25)

    async def scenario(running: Running) -> None:
        await _expired(running, monkeypatch)
        stub.handler = lambda call: call.later(0.9, response(call.packet, [a(b"\xc0\x0c", ttl=77)]))
        first = asyncio.ensure_future(running.ask(query("site.test", qid=1)))  # noqa: TID251
        await asyncio.sleep(cleared)
        running.engine.cache.clear()
        (second,) = await running.ask(query("site.test", qid=2))
        assert [_ttl(one) for one in (*await first, second)] == [77 if cleared < 0.25 else 30, 77]

    _run(tmp_path, scenario, stub.address())


def test_the_odd_queries_leave_a_resolver_that_answers(tmp_path: Path, stub: StubUpstream):
    async def scenario(running: Running) -> None:
        for case in cases():
            if case.outcome == "answer":
                continue
            got = await running.ask(case.packet, BLOCKED, wait=0.1 if case.outcome == "drop" else 5.0)
            assert len(got) == (1 if case.outcome == "drop" else 2), case.name
            assert [one for one in got if one[:2] == BLOCKED[:2] and one[3] & 15 == 3], case.name
        assert not stub.calls

    _run(tmp_path, scenario, stub.address())


def test_udp_cuts_and_tcp_answers_whole(tmp_path: Path, stub: StubUpstream):
    def many(call: Call) -> None:
        packet = response(call.packet, [a(b"\xc0\x0c", f"192.0.2.{n}") for n in range(150)])
        call.send(packet if call.stream else response(call.packet, flags=0x8380))

    stub.handler = many

    async def scenario(running: Running) -> None:
        packet = query("site.test")
        (got,) = await running.ask(packet)
        assert got[2] & 2
        assert len(got) <= 512
        reader, writer = await asyncio.open_connection("127.0.0.1", running.ports[1])
        writer.write(b"".join(len(one).to_bytes(2, "big") + one for one in (packet, BLOCKED)))
        sizes = []
        for _ in range(2):
            one = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            sizes.append(len(dns.message.from_wire(one).answer[:1] and dns.message.from_wire(one).answer[0]))
        assert sizes == [150, 0]
        writer.close()

    _run(tmp_path, scenario, stub.address())


def test_an_attempt_is_spooled_before_the_answer_leaves(tmp_path: Path, stub: StubUpstream):
    async def scenario(running: Running) -> None:
        await running.ask(*(query("www.listed.test", qid=n) for n in range(100)))
        records = [record for path in spool.segments(tmp_path) for record in spool.read(path)]
        assert sum(record.count for record in records if record.kind is spool.RecordKind.ATTEMPTS) == 100

    _run(tmp_path, scenario, stub.address())


def test_what_the_hot_path_answers_is_counted_like_the_rest(tmp_path: Path, stub: StubUpstream):
    async def scenario(running: Running) -> None:
        for packet in (*(query("www.listed.test", edns=opt()),) * 3, *(query("site.test"),) * 4):
            await running.ask(packet)
        got = running.engine.counters
        assert (got.queries, got.blocked, got.cached, got.forwarded) == (7, 3, 3, 1)

    _run(tmp_path, scenario, stub.address())


def test_a_taken_port_is_refused_and_nothing_stays_bound():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken, socket.socket(socket.AF_INET) as free:
        taken.bind(("127.0.0.1", 0))
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        with pytest.raises(BindError, match=str(taken.getsockname()[1])):
            bind([Endpoint("127.0.0.1", port), Endpoint("127.0.0.1", taken.getsockname()[1])])
    for udp, tcp in bind([Endpoint("127.0.0.1", port)]):
        udp.close()
        tcp.close()
