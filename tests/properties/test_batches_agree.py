"""Both kinds of batch over real sockets: the same packets in, the same answers out, to the same clients."""

import platform
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blockerd.dns.batch import Batch, MultiBatch, SingleBatch, open_batch
from blockerd.dns.wire import BATCH, SLOT, make_serve
from tests.dns.corpus import cases
from tests.fakes.packets import opt, query
from tests.fakes.policies import Listing, policy
from tests.fakes.resolvers import engine_of

pytestmark = pytest.mark.needs_kernel("recvmmsg and sendmmsg", platform.system() == "Linux")


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


CORPUS = [case.packet for case in cases()] + [
    query(name, qtype, edns=edns)
    for name in ("blocked.example", "Www.Listed.TEST", "site.test", "a.b.c.listed.test", "x" * 63 + ".listed.test")
    for qtype in (1, 28, 65)
    for edns in (b"", opt(), opt(do=True))
]


class Served:
    """A UDP socket served by one kind of batch the way the listener does it, without a loop."""

    def __init__(self, kind: type[Batch], family: int = socket.AF_INET) -> None:
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.sock.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self.sock.setblocking(False)
        self.batch = kind(self.sock)  # type: ignore[call-arg]
        self.engine = engine_of(policy(Listing("listed.test")), 0.0)[0]
        self.clients: list[tuple[str, int]] = []

    def __enter__(self) -> "Served":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def turn(self) -> int:
        """Takes what waits and answers it; how many packets came."""
        batch, serve, came = self.batch, make_serve(self.engine.fast), 0
        while lengths := batch.receive():
            came += len(lengths)
            self.clients += [batch.client(index) for index in range(len(lengths))]
            sizes, rest = serve(batch.buffer, batch.offsets, lengths, [], [], 0.0)
            left = [index if index >= 0 else ~index for index in rest]
            batch.send(sizes, [index for index in left if not self._plain(index, lengths[index], sizes)])
        return came

    def _plain(self, index: int, length: int, sizes: list[int]) -> bool:
        offset = self.batch.offsets[index]
        answer = self.engine.handle(bytes(self.batch.buffer[offset : offset + length]), "127.0.0.1", 0.0)
        if not isinstance(answer, bytes):
            return False
        self.batch.buffer[offset : offset + len(answer)] = answer
        sizes[index] = len(answer)
        return True


_NEEDS_IPV6 = pytest.mark.needs_kernel("IPv6 on loopback", _has_ipv6())


@pytest.fixture
def client() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.setblocking(False)
        yield sock


def _answers(served: Served, packets: list[bytes]) -> list[bytes]:
    """What a client gets that sends all `packets` before any is read; loopback keeps their order."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.setblocking(False)
        for packet in packets:
            sock.sendto(packet, served.sock.getsockname())
        assert served.turn() == len(packets)
        assert {port for _, port in served.clients[-len(packets) :]} <= {sock.getsockname()[1]}
        return list(_drained(sock))


def _drained(sock: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            yield sock.recv(4096)
        except BlockingIOError:
            return


@settings(max_examples=30)
@given(
    picks=st.lists(st.integers(0, len(CORPUS) - 1), max_size=150), noise=st.lists(st.binary(max_size=60), max_size=5)
)
def test_both_kinds_answer_alike(picks: list[int], noise: list[bytes]):
    packets = [CORPUS[pick] for pick in picks] + noise
    with Served(SingleBatch) as single, Served(MultiBatch) as multi:
        assert _answers(multi, packets) == _answers(single, packets)


def test_the_whole_corpus_twice_through_one_socket():
    with Served(SingleBatch) as single, Served(MultiBatch) as multi:
        for _ in range(2):
            got = _answers(multi, CORPUS)
            assert got == _answers(single, CORPUS)
            assert len(got) > len(CORPUS) // 2


@pytest.mark.parametrize("kind", [SingleBatch, MultiBatch])
@pytest.mark.parametrize("count", [1, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH])
def test_every_client_gets_its_own_answer(kind: type[Batch], count: int):
    with Served(kind) as served, ExitStack() as stack:
        clients = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(count)]
        for number, sock in enumerate(clients):
            sock.settimeout(5)
            sock.sendto(query("blocked.example" if number % 3 else "site.test", qid=number), served.sock.getsockname())
        assert served.turn() == count
        for number, sock in enumerate(clients):
            if number % 3:
                assert sock.recv(4096)[:2] == number.to_bytes(2, "big")
            assert served.clients[number] == ("127.0.0.1", sock.getsockname()[1])


@pytest.mark.parametrize("kind", [SingleBatch, MultiBatch])
@pytest.mark.parametrize("length", [SLOT - 1, SLOT, SLOT + 1, 9000])
def test_a_packet_longer_than_a_slot_harms_nobody(kind: type[Batch], length: int):
    with Served(kind) as served:
        head = query("blocked.example")
        answers = _answers(served, [head, head + bytes(length - len(head)), head])
        assert [answer[3] & 15 for answer in answers] == [3, 1, 3]


@pytest.mark.parametrize("kind", [SingleBatch, MultiBatch])
def test_a_client_that_has_gone_does_not_keep_the_others_from_their_answers(kind: type[Batch], client: socket.socket):
    with Served(kind) as served:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
            for _ in range(5):
                gone.sendto(query("blocked.example"), served.sock.getsockname())
        for number in range(5):
            client.sendto(query("blocked.example", qid=number), served.sock.getsockname())
        assert served.turn() == 10
        assert [answer[:2] for answer in _drained(client)] == [bytes((0, number)) for number in range(5)]


@pytest.mark.parametrize("kind", [SingleBatch, MultiBatch])
@_NEEDS_IPV6
def test_ipv6_clients_are_named_and_answered(kind: type[Batch]):
    with Served(kind, socket.AF_INET6) as served, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind(("::1", 0))
        sock.settimeout(5)
        sock.sendto(query("blocked.example"), served.sock.getsockname()[:2])
        assert served.turn() == 1
        assert sock.recv(4096)[3] & 15 == 3
        assert served.clients == [("::1", sock.getsockname()[1])]


@pytest.mark.parametrize("kind", [SingleBatch, MultiBatch])
@pytest.mark.parametrize("family", [socket.AF_INET, pytest.param(socket.AF_INET6, marks=_NEEDS_IPV6)])
def test_answers_given_later_reach_those_who_asked(kind: type[Batch], family: socket.AddressFamily):
    """More than fit a batch, one of them to a client that has gone, and of any size that UDP gets."""
    with Served(kind, family) as served, ExitStack() as stack:
        asked: dict[bytes, tuple[socket.socket, bytes]] = {}
        for number in range(BATCH + 9):
            sock = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            sock.settimeout(5)
            sock.sendto(query("site.test"), served.sock.getsockname()[:2])
            assert len(served.batch.receive()) == 1
            asked[served.batch.sender(0)] = sock, bytes([number]) * (1 + number * 16)
        next(iter(asked.values()))[0].close()
        for sender, (_, answer) in asked.items():
            served.batch.later(sender, answer)
        served.batch.flush()
        served.batch.flush()
        for sock, answer in list(asked.values())[1:]:
            assert sock.recv(4096) == answer


@pytest.mark.parametrize("kind", [SingleBatch, MultiBatch])
def test_nothing_waiting_is_nothing_taken(kind: type[Batch]):
    with Served(kind) as served:
        assert list(served.batch.receive()) == []


def test_linux_gets_the_one_for_many():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        assert isinstance(open_batch(sock), MultiBatch)
