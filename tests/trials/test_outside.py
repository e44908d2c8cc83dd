"""What a client sees of a real resolver: cut answers, TCP, flags, case, merging (T06, T07, T15, T16, T18)."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.install import wait_until
from tests.fakes.packets import AD, CD, QR, RA, RD, RRSIG, TC, a, opt, option, query, record, response
from tests.trials.asking import Asked, after, ask_all, latencies, percentile
from tests.trials.figures import note
from tests.trials.reading import records
from tests.trials.server import Server, framed
from tests.trials.stub import Call, Stub, upstream

LARGE = 250
BLOCKED = query("blocked.example", edns=opt())
BEGUN = (b"", b"\x00", b"\x00\xff", framed(BLOCKED)[:20])
"""What silent clients have sent so far: nothing, half a length, a length, half a question."""


def answers(call: Call) -> None:
    """Answers by the first label of the name."""
    packet, asked = call.packet, call.packet[12:]
    first = call.name.partition(".")[0].lower()
    if first.startswith("large"):
        full = [a(b"\xc0\x0c", f"192.0.2.{n}") for n in range(LARGE)]
        call.send(response(packet, full) if call.stream else response(packet, flags=QR | RD | RA | TC))
    elif first.startswith("slow"):
        call.later(0.15, response(packet, [a(b"\xc0\x0c")]))
    elif first.startswith("lower"):
        call.send(response(packet[:12] + asked.lower(), [a(b"\xc0\x0c")]))
    else:
        do = packet[-4] & 0x80
        signature = [record(b"\xc0\x0c", RRSIG, b"\x00\x01\x0d\x02" + bytes(14) + b"\x00" + bytes(64))] if do else []
        flags = QR | RD | RA | (AD if first.startswith("signed") else 0) | packet[3] & CD
        call.send(response(packet, [a(b"\xc0\x0c"), *signature], [], [opt(do=bool(do))], flags=flags))


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    with upstream(answers) as running:
        yield running


@pytest.fixture(scope="module")
def server(stub: Stub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("outside"), stub.port) as running:
        yield running


@pytest.mark.parametrize(("edns", "room"), [(b"", 512), (opt(), 1232), (opt(size=4096), 1232), (opt(size=600), 600)])
def test_a_4_kb_answer_is_cut_over_udp_and_whole_over_tcp(server: Server, edns: bytes, room: int):
    packet = query("large.test", edns=edns)
    got = server.udp(packet)
    assert got is not None
    assert got[2] & 2
    assert len(got) <= room
    (whole,) = server.tcp(packet)
    assert not whole[2] & 2
    assert sum(not one.section for one in records(whole)) == LARGE


def test_a_cut_answer_of_an_upstream_without_tcp_is_servfail_within_5_seconds(tmp_path: Path):
    with upstream(answers, tcp=False) as stub, Server(tmp_path, stub.port) as server, server.socket() as sock:
        (asked,) = ask_all(sock, [query("large.test")])
        assert asked.rcode == 2
        assert asked.seconds < 5


def test_20_pipelined_questions_are_answered_in_any_order(server: Server):
    names = [f"{'slow' if n % 3 == 0 else 'quick'}{n}.test" for n in range(20)]
    asked = [query(name, qid=n) for n, name in enumerate(names)]
    got = server.tcp(*asked)
    assert sorted(one[:2] for one in got) == [one[:2] for one in asked]
    assert [int.from_bytes(one[:2], "big") % 3 for one in got[-7:]] == [0] * 7, "the slow ones come last"
    for one in got:
        packet = asked[int.from_bytes(one[:2], "big")]
        assert one[12 : len(packet)] == packet[12:]


def test_a_question_in_segments_of_one_octet_is_answered(server: Server):
    with socket.create_connection(("127.0.0.1", server.port), 5) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in framed(query("pieces.test", edns=opt())):
            sock.send(bytes((octet,)))
        head = sock.recv(2, socket.MSG_WAITALL)
        assert len(sock.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)) > 12


def test_a_half_closed_connection_still_gets_its_answers(server: Server):
    with socket.create_connection(("127.0.0.1", server.port), 5) as sock, sock.makefile("rb") as stream:
        sock.sendall(framed(query("slow-half.test")) + framed(BLOCKED))
        sock.shutdown(socket.SHUT_WR)
        data = stream.read()
    sizes = int.from_bytes(data[:2], "big"), len(data)
    assert sizes[1] > sizes[0] + 2
    assert len(data) == 4 + sizes[0] + int.from_bytes(data[2 + sizes[0] :][:2], "big")


def _idle(server: Server, stack: ExitStack, count: int, sent: bytes) -> list[socket.socket]:
    """Connections of four clients that say `sent` and then nothing."""
    made = []
    for number in range(count):
        sock = socket.create_connection(("127.0.0.1", server.port), 5, (f"127.0.0.{2 + number % 4}", 0))
        made.append(stack.enter_context(sock))
        if sent:
            sock.sendall(sent)
    return made


def test_200_idle_connections_hinder_nobody_and_leave_no_descriptor(server: Server):
    before = server.descriptors()
    with ExitStack() as stack:
        for sent in BEGUN:
            _idle(server, stack, 50, sent)
        wait_until(lambda: server.descriptors() >= before + 200)
        assert server.blocks()
        (got,) = server.tcp(BLOCKED)
        assert got[3] & 15 == 3
    wait_until(lambda: server.descriptors() <= before)


def test_one_client_does_not_take_all_connections(server: Server):
    """Whatever the cap is: another client still gets its answer while one holds as many as it is given."""
    with ExitStack() as stack:
        for _ in range(300):
            try:
                stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 5, ("127.0.0.6", 0)))
            except OSError:
                continue
        with socket.create_connection(("127.0.0.1", server.port), 5, ("127.0.0.7", 0)) as sock:
            sock.sendall(framed(BLOCKED))
            assert len(sock.recv(4096)) > 12


@pytest.mark.soak
def test_slow_tcp_clients_cost_udp_nothing_and_are_closed_in_time(tmp_path: Path):
    with upstream(answers) as stub, Server(tmp_path, stub.port) as server, ExitStack() as stack:
        sock = stack.enter_context(server.socket())
        alone = latencies(sock, BLOCKED, after(1000))
        before, opened = server.descriptors(), time.monotonic()
        idle = [
            one for sent in (b"", b"\x00", b"\x00\xff", framed(BLOCKED)[:20]) for one in _idle(server, stack, 50, sent)
        ]
        ended = threading.Event()
        thread = threading.Thread(target=_drip, args=(server, ended))
        thread.start()
        meanwhile = latencies(sock, BLOCKED, after(1500))
        wait_until(lambda: server.descriptors() <= before + 1, 30)
        closed_after = time.monotonic() - opened
        ended.set()
        thread.join(10)
        assert all(one.recv(1) == b"" for one in idle)
        wait_until(lambda: server.descriptors() <= before)
        p99, calm, longest = percentile(meanwhile, 0.99) * 1000, percentile(alone, 0.99) * 1000, max(meanwhile) * 1000
        note("T07", f"UDP p99 {p99:.2f} ms (alone {calm:.2f}), longest {longest:.1f} ms; idle ones closed after "
             f"{closed_after:.1f} s; descriptors {before} before and after")  # fmt: skip
        assert p99 < 10


def _drip(server: Server, ended: threading.Event) -> None:
    """One client whose questions come octet by octet, again and again."""
    with socket.create_connection(("127.0.0.1", server.port), 5) as sock:
        while not ended.is_set():
            for octet in framed(BLOCKED):
                sock.send(bytes((octet,)))
                if ended.wait(0.005):
                    return


def test_do_brings_signatures_and_cd_is_handed_on_and_back(server: Server, stub: Stub):
    for name, form, flags in (("plain1.test", opt(), RD), ("do1.test", opt(do=True), RD), ("cd1.test", opt(), RD | CD)):
        reply = server.udp(query(name, edns=form, flags=flags))
        assert reply is not None
        assert any(one.type == RRSIG for one in records(reply)) is (form == opt(do=True))
        assert reply[3] & 0x10 == flags & CD
        asked = next(call.packet for call in stub.calls if call.name == name)
        assert asked[3] & 0x10 == flags & CD
        assert asked[-4] & 0x80 == form[7] & 0x80


@pytest.mark.parametrize("form", [b"", opt(), opt(do=True)])
def test_ad_comes_from_the_upstream_alone(server: Server, form: bytes):
    shape = f"{len(form)}{form[-4:].hex()}"
    for name, want in ((f"signed{shape}.test", True), (f"unsigned{shape}.test", False), ("blocked.example", False)):
        for _ in range(3):  # from the upstream, from the cache, by the hot path
            reply = server.udp(query(name, edns=form, flags=RD | AD))
            assert reply is not None
            assert bool(reply[3] & 0x20) is want, name


def test_the_client_gets_its_own_case_back(server: Server):
    for name in ("CaSe.TeSt", "cAsE.tEsT", "case.test", "CASE.TEST"):
        reply = server.udp(query(name))
        assert reply is not None
        assert reply[12:22] == query(name)[12:22]


def test_an_upstream_that_lowers_case_is_understood(server: Server, stub: Stub):
    with server.socket() as sock:
        (asked,) = ask_all(sock, [query("LoweR1.test")])
    assert asked.rcode == 0
    assert asked.reply is not None
    assert asked.reply[12:24] == asked.packet[12:24]
    assert len([call for call in stub.calls if call.name == "lower1.test"]) <= 3


def test_1000_equal_questions_are_one_upstream_packet(server: Server, stub: Stub):
    """Also where they differ in case, cookie, client subnet or size (CVE-2020-25686, CVE-2025-5994)."""
    names = ("slow-merge.test", "SLOW-merge.test", "Slow-Merge.Test", "sloW-mergE.tesT")
    subnet = option(8, b"\x00\x01\x18\x00\xc0\x00\x02")
    forms = (
        b"",
        opt(),
        opt(size=4096),
        opt(options=option(10, b"c" * 8)),
        opt(options=option(10, b"d" * 8)),
        opt(options=subnet),
    )
    packets = [query(names[n % 4], edns=forms[n // 4 % len(forms)]) for n in range(1000)]
    with server.socket() as sock:
        got: list[Asked] = ask_all(sock, packets, window=1000, rate=20_000)
    assert [one.rcode for one in got] == [0] * 1000
    assert all(one.reply and one.reply[12:28] == one.packet[12:28] for one in got), "each has its own case"
    asked = [call for call in stub.calls if call.name == "slow-merge.test"]
    assert len(asked) == 1
    assert b"\x00\x08\x00\x07" not in asked[0].packet, "nobody's subnet is passed on"
