"""What heavy answers and many names cost (T34, T35): processor time a message, memory, entries kept."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.process import compiled
from tests.e2e.install import free_port, wait_until
from tests.fakes.packets import QR, RA, RD, TC, TXT, a, query, record, response
from tests.trials.asking import ask_all
from tests.trials.figures import note
from tests.trials.server import Server
from tests.trials.stub import Call, upstream
from tests.trials.upstreams import dripping

OWN = b"\xc0\x0c"
SHAPES = {
    "one record of 65 kB": [record(OWN, 65300, b"x" * 65_400)],
    "4,000 A records": [a(OWN, f"192.0.{n >> 8 & 3}.{n & 255}") for n in range(4000)],
    "240 TXT records of 255": [record(OWN, TXT, b"\xff" + b"t" * 255)] * 240,
    "255 records of others": [a("other.test"), *(a(f"n{n}.other.test") for n in range(254))],
    "256 A records": [a(OWN, f"192.0.2.{n}") for n in range(256)],
    "64 kB of pointers": [record(OWN, 65400, OWN * 32_000), a(b"\xc0\x40")],
}


def _heavy(call: Call) -> None:
    number = int(call.name[1:].partition("-")[0]) if call.name[1:2].isdigit() else 0
    packet = response(call.packet, list(SHAPES.values())[number])[:65535]
    call.send(packet if call.stream else response(call.packet, flags=QR | RD | RA | TC))


def _cost(server: Server, number: int, times: int) -> float:
    """Milliseconds of processor time a message."""
    with server.socket() as sock:
        before = server.cpu_seconds()
        asked = ask_all(sock, [query(f"s{number}-{n}.heavy.test") for n in range(times)], window=2)
        spent = server.cpu_seconds() - before
    assert all(one.rcode in (0, 2) for one in asked)
    return spent * 1000 / times


def test_the_largest_answers_cost_less_than_50_ms_each(tmp_path: Path):
    with upstream(_heavy) as stub, Server(tmp_path, stub.port) as server:
        costs = {shape: _cost(server, number, 10) for number, shape in enumerate(SHAPES)}
        assert {shape: cost for shape, cost in costs.items() if cost >= 50} == {}
        assert server.blocks()


@pytest.mark.soak
def test_the_figures_of_heavy_answers(tmp_path: Path):
    with upstream(_heavy) as stub, Server(tmp_path, stub.port) as server:
        costs = {shape: _cost(server, number, 100) for number, shape in enumerate(SHAPES)}
    with dripping(100_000) as fast, dripping(2_000) as slow:
        for number, drip in enumerate((fast, slow)):
            with Server(tmp_path / str(number), f"tcp://127.0.0.1:{drip.port}") as server:
                assert server.udp(query("drip.test"), 11)
                wait_until(lambda drip=drip: drip.cut, 11)  # type: ignore[misc]
    told = "; ".join(f"{shape} {cost:.1f} ms" for shape, cost in costs.items())
    note("T34", f"{told}; connections at 100 and 2 kB/s cut after {max(fast.cut):.1f} and {max(slow.cut):.1f} s")
    assert max(costs.values()) < 50
    assert max(*fast.cut, *slow.cut) <= 10


def test_the_cache_holds_no_more_than_it_may(tmp_path: Path):
    with upstream() as stub, Server(tmp_path, stub.port, dns="cache_entries = 500") as server:
        with server.socket() as sock:
            ask_all(sock, (query(f"n{n}.many.test") for n in range(2000)), window=48)
        wait_until(lambda: server.forwarded() >= 2000, 5)
        assert 480 <= server.status()["cache"] <= 500, "full, and some room made at a time"


@contextmanager
def _quick_stub() -> Iterator[int]:
    port = free_port()
    process = subprocess.Popen([compiled("stub"), str(port)])
    try:
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.mark.soak
@pytest.mark.needs_tool("cc", "gcc")
def test_two_million_names_stay_within_entries_and_memory(tmp_path: Path):
    answered, most = 0, 0.0
    with _quick_stub() as upstream, Server(tmp_path, upstream) as server:
        before, began = server.rss_mb(), time.monotonic()
        for part in range(40):
            answered += _ask_once(server, range(part * 50_000, (part + 1) * 50_000))
            most = max(most, server.rss_mb())
        seconds = time.monotonic() - began
        wait_until(lambda: server.forwarded() >= answered, 10)
        entries = server.status()["cache"]
    note("T35", f"{entries:,} entries (50,000 configured) after {answered:,} names, RSS {before:.0f} → {most:.0f} MB, "
         f"{answered / seconds:,.0f} a second")  # fmt: skip
    assert answered >= 1_999_000
    assert entries <= 50_000
    assert most < 256


def _ask_once(server: Server, numbers: range) -> int:
    """Asks each name; how many were answered."""
    with server.socket() as sock:
        asked = ask_all(sock, (query(f"n{number}.many.test") for number in numbers), window=64)
    return sum(one.rcode == 0 for one in asked)
