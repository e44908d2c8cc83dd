"""Upstreams that are silent, lossy, slow or not there at all (T30 to T33): blocked and cached names do not notice."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.install import ROOT, environment, wait_until
from tests.fakes.packets import a, opt, query, response
from tests.trials.asking import after, ask_all, latencies, percentile
from tests.trials.figures import note
from tests.trials.namespace import ALONE, alone
from tests.trials.server import Server
from tests.trials.stub import Call, upstream
from tests.trials.upstreams import Lossy, black_hole

BLOCKED = query("blocked.example", edns=opt())
CACHED = query("cached.test", edns=opt())


def _flood(server: Server, rate: int, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.trials.flood", str(server.port), str(rate), str(seconds), "n"]
    return subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)


def _said(flood: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = flood.communicate(timeout=60)
    assert flood.returncode == 0
    got: dict[str, Any] = json.loads(out)
    return got


def _answers(server: Server, name: str) -> bool:
    reply = server.udp(query(name), timeout=1)
    return reply is not None and reply[3] & 15 == 0 and bool(reply[7])


def test_a_black_holed_upstream_ends_in_servfail_and_blocks_go_on(tmp_path: Path):
    with black_hole() as hole, Server(tmp_path, hole.port) as server:
        flood = _flood(server, 1000, 1.2)
        with server.socket() as sock:
            probes = ask_all(sock, [BLOCKED] * 300, window=1, rate=300)
        assert [one.rcode for one in probes] == [3] * 300
        said = _said(flood)
        assert said["rcodes"] == {"2": 1200}, "each is told that nobody answered"
        assert said["longest"] < 5
        hole.answering.set()
        wait_until(lambda: _answers(server, "back.test"), 6)


@pytest.mark.soak
def test_a_black_holed_upstream_at_2000_new_names_a_second_for_a_minute(tmp_path: Path):
    with black_hole() as hole, Server(tmp_path, hole.port) as server, server.socket() as sock:
        alone_ = latencies(sock, BLOCKED, after(2000))
        before, idle = server.rss_mb(), server.descriptors()
        flood = _flood(server, 2000, 60)
        most = [0]
        took = latencies(sock, BLOCKED, lambda: _watch(server, most) or flood.poll() is not None)
        said = _said(flood)
        growth = server.rss_mb() - before
        hole.answering.set()
        back = wait_until(lambda: _answers(server, "back.test"), 10)
    p50, p99 = (percentile(took, part) * 1000 for part in (0.5, 0.99))
    calm = " / ".join(f"{percentile(alone_, part) * 1000:.2f}" for part in (0.5, 0.99))
    note("T30", f"blocked p50 {p50:.2f} ms, p99 {p99:.2f} ms (without load {calm}), {len(took):,} asked; of "
         f"{said['asked']:,} others all SERVFAIL, the longest after {said['longest']:.2f} s; "
         f"{most[0] - idle:,} sockets at most; RSS {growth:+.1f} MB; answers {back:.1f} s "
         f"after the upstream's return")  # fmt: skip
    assert said["rcodes"] == {"2": 120_000}
    assert said["longest"] < 5
    assert growth < 20
    assert back <= 5
    assert p50 < 1
    assert p99 < 5


def _watch(server: Server, most: list[int]) -> bool:
    """Remembers the most descriptors; looks at every hundredth call only."""
    most.append(0)
    if len(most) > 100:
        most[:] = [max(most[0], server.descriptors())]
    return False


@pytest.mark.parametrize(("count", "least"), [(200, 0.96), pytest.param(5000, 0.99, marks=pytest.mark.soak)])
def test_a_fifth_of_all_packets_lost_each_way_is_hardly_noticed(tmp_path: Path, count: int, least: float):
    """T31. The small run has room for bad luck: its goal is one percent of 200 names."""
    with (
        upstream(Lossy(31)) as one, upstream(Lossy(32)) as two, Server(tmp_path, one.port, two.port) as server,
        server.socket() as sock,
    ):  # fmt: skip
        asked = ask_all(sock, [query(f"n{n}.lossy.test") for n in range(count)], window=200)
        packets = len(one.calls) + len(two.calls)
    good = [each.seconds for each in asked if each.rcode == 0 and each.seconds <= 5]
    if count > 1000:
        note("T31", f"{len(good) / count:.2%} of {count:,} answered within 5 s (p50 {percentile(good, 0.5) * 1000:.0f} "
             f"ms, p99 {percentile(good, 0.99):.2f} s), {packets / count:.2f} upstream packets a question")  # fmt: skip
    assert len(good) >= least * count
    assert packets <= 2 * count


def _slow(call: Call) -> None:
    cached = call.name == "cached.test"
    call.later(0 if cached else 3, response(call.packet, [a(b"\xc0\x0c", ttl=3600)]))


def test_while_an_upstream_takes_its_time_others_are_answered_first(tmp_path: Path):
    """T32, by order instead of by time: 200 blocked and cached ones come before any of 20 slow ones."""
    slow = [query(f"n{n}.slow.test") for n in range(20)]
    quick = [BLOCKED, CACHED] * 100
    with upstream(_slow) as stub, Server(tmp_path, stub.port) as server, server.socket() as sock:
        assert server.udp(CACHED)
        for packet in slow:
            sock.send(packet)
        wait_until(lambda: len(stub.calls) >= 21)
        with server.socket() as other:
            got = ask_all(other, quick, window=1)
        assert [one.rcode for one in got] == [3, 0] * 100
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(4096)


@pytest.mark.soak
def test_blocked_and_cached_names_with_an_upstream_of_3_seconds(tmp_path: Path):
    with upstream(_slow) as stub, Server(tmp_path, stub.port) as server, server.socket() as sock:
        assert server.udp(CACHED)
        before = {packet: latencies(sock, packet, after(2000)) for packet in (BLOCKED, CACHED)}
        flood = _flood(server, 200, 15)
        wait_until(lambda: len(stub.calls) > 100)
        during = {packet: latencies(sock, packet, after(2000)) for packet in (BLOCKED, CACHED)}
        thread = threading.Thread(target=flood.communicate)
        thread.start()
        thread.join(60)
    more = [(percentile(during[packet], 0.5) - percentile(before[packet], 0.5)) * 1000 for packet in (BLOCKED, CACHED)]
    note("T32", f"p50 of blocked names {more[0]:+.3f} ms, of cached ones {more[1]:+.3f} ms, with 600 questions waiting")
    assert max(more) < 1


def _offline(tmp_path: Path) -> dict[str, float]:
    done = subprocess.run(
        alone(sys.executable, "-m", "tests.trials.offline", str(tmp_path / "offline")),
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    got: dict[str, float] = json.loads(done.stdout)
    return got


@pytest.mark.needs_kernel("a user and network namespace of one's own", ALONE)
def test_without_a_network_it_starts_blocks_and_recovers_alone(tmp_path: Path):
    """T33: no route to the upstream at all, then a network that brings one."""
    assert _offline(tmp_path).keys() == {"ready", "servfail", "back"}


@pytest.mark.soak
@pytest.mark.needs_kernel("a user and network namespace of one's own", ALONE)
def test_the_figures_of_a_start_without_a_network(tmp_path: Path):
    said = _offline(tmp_path)
    note("T33", f"blocks {said['ready']:.2f} s after its start, SERVFAIL after {said['servfail'] * 1000:.1f} ms, "
         f"answers {said['back']:.2f} s after the network came")  # fmt: skip
    assert said["ready"] < 3
