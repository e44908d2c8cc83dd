"""Forged replies while the true one is awaited (T20), and how far ports and IDs can be guessed (T21).

Whoever forges here knows more than an attacker would: the port always, the ID mostly. From another address it is done
with a second loopback address; a blind attacker with the upstream's own address needs a namespace (`blind`).
"""

import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from tests.e2e.install import ROOT, environment
from tests.fakes.packets import QR, RA, RD, a, opt, query, question_end, response
from tests.trials.asking import Asked, ask_all
from tests.trials.chi import evenly
from tests.trials.figures import note
from tests.trials.namespace import ALONE, alone
from tests.trials.seed import LIE
from tests.trials.server import Server
from tests.trials.stub import Call, Stub, upstream

TRUE = bytes((192, 0, 2, 1))
CLASSES = ("id", "port", "source", "question", "case", "qr", "garbage")
LATER = 0.2
BURSTS = 20


class Forger:
    """The upstream and all who speak in its name: `count` forged replies a query, the true one at the end."""

    def __init__(self, count: int, stack: ExitStack) -> None:
        self.count = count
        self.sent = dict.fromkeys(CLASSES, 0)
        self._other = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._neighbour = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._other.bind(("127.0.0.1", 0))
        self._chance = random.Random(20)

    def stand_beside(self, port: int) -> None:
        """Takes the upstream's port on another address."""
        self._neighbour.bind(("127.0.0.2", port))

    def __call__(self, call: Call) -> None:
        """Forges over UDP alone: nobody speaks into another's TCP connection."""
        kind = "" if call.stream else call.name.split("-")[0].lower()
        for burst in range(BURSTS if kind in CLASSES else 0):
            call.server.at(time.monotonic() + LATER * burst / BURSTS, lambda: self._burst(call, kind))
        call.later(LATER if kind in CLASSES else 0, response(call.packet, [a(b"\xc0\x0c", "192.0.2.1")]))

    def _burst(self, call: Call, kind: str) -> None:
        way = {"port": self._other, "source": self._neighbour}.get(kind)
        for _ in range(self.count // BURSTS):
            packet = self._forged(call.packet, kind)
            if way is None:
                call.send(packet)
            else:
                way.sendto(packet, ("127.0.0.1", call.port))
            self.sent[kind] += 1

    def _forged(self, asked: bytes, kind: str) -> bytes:
        lie, chance = [a(b"\xc0\x0c", "203.0.113.66")], self._chance
        number = int.from_bytes(asked[:2], "big")
        if kind == "id":
            return response(asked, lie, qid=number ^ chance.randrange(1, 0x10000))
        if kind == "question":
            end = question_end(asked)
            body = bytearray(asked[:end])
            body[chance.choice((13, 14, end - 3, end - 1))] ^= 1
            return response(bytes(body), lie)
        if kind == "case":
            letters = [at for at in range(12, question_end(asked) - 5) if asked[at : at + 1].isalpha()]
            body = bytearray(asked)
            for at in chance.sample(letters, chance.randint(1, len(letters))):
                body[at] ^= 0x20
            return response(bytes(body), lie)
        if kind == "qr":
            return response(asked, lie, flags=(RD | RA) & ~QR)
        if kind == "garbage":
            return chance.choice((b"", asked[:2], asked[:12])) + chance.randbytes(chance.randrange(80))
        return response(asked, lie)


def _attack(server: Server, rounds: int, at_once: int, kinds: tuple[str, ...]) -> list[Asked]:
    found = []
    for turn in range(rounds):
        with server.socket() as sock:
            packets = [query(f"{kind}-{turn}-{n}.forgery.test", edns=opt()) for kind in kinds for n in range(at_once)]
            found += ask_all(sock, packets, window=len(packets))
    return found


def _unharmed(server: Server, asked: list[Asked]) -> None:
    """The true answer each time, and the true one again out of the cache."""
    assert [one.packet for one in asked if one.reply is None or LIE in one.reply or TRUE not in one.reply] == []
    with server.socket() as sock:
        again = ask_all(sock, [one.packet for one in asked])
    assert [one.packet for one in again if one.reply is None or LIE in one.reply or TRUE not in one.reply] == []


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def _begin(stack: ExitStack, tmp_path: Path, count: int) -> tuple[Forger, Stub, Server]:
    forger = Forger(count, stack)
    stub = stack.enter_context(upstream(forger))
    forger.stand_beside(stub.port)
    return forger, stub, stack.enter_context(Server(tmp_path, stub.port))


def test_forged_replies_of_each_class_are_not_believed(stack: ExitStack, tmp_path: Path):
    forger, stub, server = _begin(stack, tmp_path, 200)
    asked = _attack(server, 1, 3, CLASSES)
    _unharmed(server, asked)
    assert all(count >= 3 * 200 for count in forger.sent.values()), forger.sent
    other = [call for call in stub.calls if not call.name.startswith("case")]
    assert len(other) <= 3 * len(asked), "a forgery is no reason to ask again and again"
    assert all(one.seconds >= LATER for one in asked if not _name(one).startswith(b"case")), "nobody answered earlier"


@pytest.mark.soak
def test_100000_forged_replies_of_each_class_are_not_believed(stack: ExitStack, tmp_path: Path):
    forger, stub, server = _begin(stack, tmp_path, 500)
    for kind in CLASSES:
        _unharmed(server, _attack(server, 10, 20, (kind,)))
    assert all(count >= 100_000 for count in forger.sent.values()), forger.sent
    sent = ", ".join(f"{kind} {count:,}" for kind, count in forger.sent.items())
    note("T20", f"0 accepted, 0 cached, {200 * len(CLASSES):,} of {200 * len(CLASSES):,} true answers came ({sent}); "
         f"{len(stub.calls):,} upstream packets for {200 * len(CLASSES):,} questions")  # fmt: skip


def _name(one: Asked) -> bytes:
    return one.packet[13 : 13 + one.packet[12]]


@pytest.mark.needs_kernel("a user and network namespace of one's own", ALONE)
def test_a_blind_forger_with_the_upstreams_address_does_not_hit(tmp_path: Path):
    """10,000 guesses at port and ID with the right source address and question, from a raw socket."""
    _blind(tmp_path, 10_000)


@pytest.mark.soak
@pytest.mark.needs_kernel("a user and network namespace of one's own", ALONE)
def test_100000_blind_guesses_do_not_hit(tmp_path: Path):
    said = _blind(tmp_path, 100_000)
    note("T20 blind", f"{said} with the upstream's address, random ports and IDs: 0 accepted")


def _blind(tmp_path: Path, count: int) -> str:
    done = subprocess.run(
        alone(sys.executable, "-m", "tests.trials.blind", str(tmp_path / "blind"), str(count)),
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


COUNT = 10_000


def test_ports_and_ids_of_10000_queries_are_spread_evenly(tmp_path: Path):
    """Once in a thousand an even spread looks uneven; twice in a row it does not."""
    with upstream() as stub, Server(tmp_path, stub.port) as server:
        least, ports = _least(server, stub, "first")
        if least <= 0.001:
            least, ports = _least(server, stub, "second")
        assert least > 0.001
        assert ports >= 8000


@pytest.mark.soak
def test_the_figures_of_ports_and_ids(tmp_path: Path):
    with upstream() as stub, Server(tmp_path, stub.port) as server:
        least, ports = _least(server, stub, "figures")
    note(
        "T21",
        f"{ports:,} distinct ports of {COUNT:,}, least p of six chi-square tests {least:.3f}, IDs not the client's",
    )


def _least(server: Server, stub: Stub, label: str) -> tuple[float, int]:
    """The least p of all tests, and how many ports there were."""
    stub.calls.clear()
    with server.socket() as sock:
        asked = ask_all(sock, (query(f"{label}{n}.spread.test") for n in range(COUNT)), window=48)
    assert sum(one.rcode == 0 for one in asked) == COUNT
    ids = [int.from_bytes(call.packet[:2], "big") for call in stub.calls]
    ports = [call.port for call in stub.calls]
    clients = {one.packet[12:]: one.packet[:2] for one in asked}
    same = sum(
        call.packet[:2] == clients.get(call.packet[12 : question_end(call.packet)].lower()) for call in stub.calls
    )
    assert same <= 6, "an ID equals the client's by chance only, 0.15 times in 10,000"
    low, high = (int(word) for word in Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    cells = [(port - low) * 64 // (high + 1 - low) for port in ports if low <= port <= high] or [0]
    return min(
        evenly([number >> 8 for number in ids], 256),
        evenly([number & 255 for number in ids], 256),
        evenly([(b - a) & 255 for a, b in pairwise(ids)], 256),
        evenly([(b - a) >> 8 & 255 for a, b in pairwise(ids)], 256),
        evenly(cells, 64) if len(cells) > COUNT // 2 else evenly([port >> 8 for port in ports], 256),
        evenly([(b - a) % 64 for a, b in pairwise(cells)], 64),
    ), len(set(ports))
