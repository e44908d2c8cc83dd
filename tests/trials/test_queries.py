"""Query seeds and their mutations against a real resolver (T01, T02, T05): right refusals, no growth, nothing long."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.packets import opt, query
from tests.trials.asking import ask_all
from tests.trials.figures import note
from tests.trials.generate import seeds
from tests.trials.mutate import mutate
from tests.trials.seed import Chance, Kind, Seed, load, read_text, text
from tests.trials.server import Server
from tests.trials.stub import Stub, upstream

PROBE = query("blocked.example", edns=opt())
EVERY = 250
"""Packets between two probes. Together they fit into the kernel's buffer, so that a lost probe is the resolver's."""


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    with upstream() as running:
        yield running


@pytest.fixture(scope="module")
def server(stub: Stub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("queries"), stub.port, dns="cache_entries = 1000") as running:
        yield running


def test_the_committed_seeds_are_what_the_generator_makes():
    assert text(seeds()) == read_text(), "run: python -m tests.trials.generate"


def test_5000_seeds_of_which_none_is_there_twice():
    for kind in Kind:
        packets = [seed.packet for seed in load(kind)]
        assert len(set(packets)) == len(packets) == 2500


def test_each_query_seed_ends_as_the_rfcs_ask_for(server: Server):
    """Dropped ones are asked in a row with a probe behind each, so a reply to one of them is seen."""
    wrong = []
    with server.socket() as sock:
        answered = [seed for seed in load(Kind.QUERY) if seed.outcome != "drop"]
        for seed, asked in zip(answered, ask_all(sock, [seed.packet for seed in answered]), strict=True):
            got = outcome(asked.reply)
            if got != seed.outcome and not (seed.outcome == "answer" and got in ("0", "2", "3")):
                wrong.append(f"{seed.title}: {got} in place of {seed.outcome}: {seed.packet.hex()}")
    assert wrong == []


def test_responses_and_short_packets_are_answered_by_nothing(server: Server):
    dropped = [seed for seed in load(Kind.QUERY) if seed.outcome == "drop"]
    with server.socket(1) as sock:
        for seed in dropped:
            sock.send(seed.packet)
            sock.send(b"\xfe\xed" + PROBE[2:])
            assert sock.recv(4096)[:2] == b"\xfe\xed", seed.title
    assert server.blocks()


def test_no_datagram_is_longer_than_the_client_takes_or_1232(server: Server):
    """T05: 512 without EDNS; sizes below 512 count as 512 (RFC 6891 section 6.2.3)."""
    answered = [seed for seed in load(Kind.QUERY) if seed.outcome != "drop"]
    with server.socket() as sock:
        pairs = list(zip(answered, ask_all(sock, [seed.packet for seed in answered]), strict=True))
    assert [seed.title for seed, asked in pairs if asked.reply and len(asked.reply) > _room(seed)] == []
    sent, got = sum(len(seed.packet) for seed, _ in pairs), sum(len(asked.reply or b"") for _, asked in pairs)
    assert got < 2 * sent, "no amplifier over the whole set"


def test_mutated_queries_at_full_rate_leave_it_answering(server: Server):
    _mutated(server, 20_000, 7)


@pytest.mark.soak
def test_a_million_mutated_queries_at_full_rate_do_not_grow_it(tmp_path: Path, stub: Stub):
    with Server(tmp_path, stub.port, dns="cache_entries = 1000") as server:
        _mutated(server, 100_000, 1)
        stub.calls.clear()
        before = server.rss_mb()
        replies, due, sent, got = _mutated(server, 900_000, 2, lambda: stub.calls.clear())
        growth = server.rss_mb() - before
        note("T02", f"1,000,000 sent; of the later 900,000 {due:,} may be answered and {replies:,} were; every "
             f"probe (each {EVERY}) answered, no reply to QR=1, RSS {growth:+.1f} MB from 100,000 on")  # fmt: skip
        note("T05", f"no datagram over its limit; {got / sent:.2f} octets out for each octet in, over T02")
        assert growth < 5


def _mutated(server: Server, count: int, number: int, now_and_then: object = None) -> tuple[int, int, int, int]:
    """Sends mutations as fast as the probes come back; replies, packets that may have one, octets sent, octets got."""
    chance = Chance(number)
    pool = [seed.packet for seed in load(Kind.QUERY)]
    under_way: list[bytes] = [b""] * 0x8000
    replies = due = sent = got = 0
    with server.socket() as sock, server.socket(5) as probe:
        sock.setblocking(False)
        for at in range(count):
            packet = _marked(mutate(chance.one(pool), chance, 0, pool)[:1400], at)
            if packet:
                under_way[at & 0x7FFF] = packet
                sent, due = sent + len(packet), due + (len(packet) >= 12 and not packet[2] & 0x80)
                sock.send(packet)
            if at % EVERY == EVERY - 1:
                probe.send(PROBE)
                assert probe.recv(4096)[3] & 15 == 3, f"after {at} packets"
                for size in _replies(sock, under_way):
                    replies, got = replies + 1, got + size
                if callable(now_and_then):
                    now_and_then()
    assert replies >= 0.99 * due, "some of the last are still under way"
    return replies, due, sent, got


def _marked(packet: bytes, at: int) -> bytes:
    """Its number as ID, the top bit set where it is a response, so that a reply to one shows."""
    if len(packet) < 3:
        return packet
    return (at & 0x7FFF | (packet[2] & 0x80) << 8).to_bytes(2, "big") + packet[2:]


def _replies(sock: socket.socket, under_way: list[bytes]) -> Iterator[int]:
    """Sizes of the replies that are there, each judged."""
    while True:
        try:
            reply = sock.recv(65535)
        except BlockingIOError:
            return
        number = int.from_bytes(reply[:2], "big")
        assert number < 0x8000, "a response was answered"
        packet = under_way[number]
        assert len(packet) >= 12, "a packet without a whole header was answered"
        assert reply[2] & 0x80
        assert len(reply) <= (1232 if packet[10:12] == b"\x00\x01" else 512), packet.hex()
        yield len(reply)


def outcome(reply: bytes | None) -> str:
    """The rcode, its upper part out of the OPT record where there is one."""
    if reply is None:
        return "nothing"
    extended = reply[-6] if reply[11] and reply[-11:-8] == b"\x00\x00\x29" else 0
    return str(reply[3] & 15 | extended << 4)


def _room(seed: Seed) -> int:
    """The longest answer that this client takes over UDP, as far as we give it."""
    if seed.outcome != "answer" or seed.packet[10:12] != b"\x00\x01":
        return 512
    at = 12
    while seed.packet[at]:
        at += 1 + seed.packet[at]
    return min(1232, max(512, int.from_bytes(seed.packet[at + 8 : at + 10], "big")))
