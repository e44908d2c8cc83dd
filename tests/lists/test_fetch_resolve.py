"""Lookups through bootstrap servers against a scripted resolver, and which addresses may be connected to."""

import asyncio
import socket

import pytest

from blockerd.lists.fetch.resolve import LookupFailed, is_public, resolver
from blockerd.settings import Endpoint
from tests.fakes.packets import AAAA, QR, RA, RD, TC, A, a, cname, record, response, type_of
from tests.fakes.upstream import Call, Handler, dead_port, silent, stub_upstream

V6 = "2a00:1450::5"


def _both(call: Call) -> None:
    if type_of(call.packet) == A:
        call.send(response(call.packet, [a(b"\xc0\x0c", "9.1.1.1")]))
    elif type_of(call.packet) == AAAA:
        call.send(response(call.packet, [record(b"\xc0\x0c", AAAA, socket.inet_pton(socket.AF_INET6, V6))]))


def _ask(port: int, host: str = "lists.test", *, patience: float = 2.0, before: tuple[int, ...] = ()) -> list[str]:
    servers = [Endpoint("127.0.0.1", number) for number in (*before, port)]
    return list(asyncio.run(resolver(servers, patience)(host)))


def test_both_kinds_of_address_are_found_ipv4_first():
    with stub_upstream(_both) as stub:
        assert _ask(stub.port) == ["9.1.1.1", V6]
        assert {call.name for call in stub.calls} == {"lists.test"}


def test_ids_and_ports_differ_from_question_to_question():
    with stub_upstream(_both) as stub:
        for _ in range(8):
            _ask(stub.port)
        assert len({call.packet[:2] for call in stub.calls}) > 12
        assert len({call.port for call in stub.calls}) > 8


def test_aliases_are_followed_and_addresses_of_others_are_not_taken():
    def play(call: Call) -> None:
        if type_of(call.packet) != A:
            call.send(response(call.packet))
            return
        chain = [cname(b"\xc0\x0c", "cdn.test"), a("cdn.test", "9.1.1.2"), a("elsewhere.test", "9.6.6.6")]
        call.send(response(call.packet, chain))

    with stub_upstream(play) as stub:
        assert _ask(stub.port) == ["9.1.1.2"]


def test_forged_answers_are_let_go():
    def play(call: Call) -> None:
        forged = [a(b"\xc0\x0c", "9.6.6.6")]
        number = int.from_bytes(call.packet[:2], "big")
        call.send(response(call.packet, forged, qid=number ^ 1))
        call.send(response(call.packet, forged, flags=RD))
        call.send(response(call.packet[:12] + b"\x05other\x04test\x00" + call.packet[-4:], forged))
        _both(call)

    with stub_upstream(play) as stub:
        assert _ask(stub.port) == ["9.1.1.1", V6]


def test_a_truncated_answer_is_asked_for_again_over_tcp():
    def play(call: Call) -> None:
        if call.stream:
            _both(call)
        else:
            call.send(response(call.packet, flags=QR | RD | RA | TC))

    with stub_upstream(play) as stub:
        assert _ask(stub.port) == ["9.1.1.1", V6]


@pytest.mark.parametrize(
    "play",
    [
        lambda call: call.send(response(call.packet, rcode=2)),
        lambda call: call.send(response(call.packet, [a(b"\xc0\x0c")])[:-3]),
        lambda call: call.send(response(call.packet, [record(b"\xc0\x0c", type_of(call.packet), b"\1\2")])),
    ],
    ids=["servfail", "cut", "odd-length"],
)
def test_the_next_server_is_asked_where_one_gives_nothing(play: Handler):
    with stub_upstream(play) as bad, stub_upstream(_both) as good:
        assert _ask(good.port, before=(dead_port(), bad.port)) == ["9.1.1.1", V6]


def test_no_answer_and_no_address_are_told_apart():
    with stub_upstream(silent) as stub, pytest.raises(LookupFailed, match="gives no answer"):
        _ask(stub.port, patience=0.2)
    with stub_upstream(lambda call: call.send(response(call.packet, rcode=3))) as stub:  # noqa: SIM117 - two stubs
        with pytest.raises(LookupFailed, match="gives no address"):
            _ask(stub.port)


def test_an_address_is_its_own_answer_and_a_bad_name_is_none():
    with stub_upstream(_both) as stub:
        assert _ask(stub.port, "9.1.1.9") == ["9.1.1.9"]
        assert stub.calls == []
        with pytest.raises(LookupFailed, match="no name"):
            _ask(stub.port, "a..b")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "255.255.255.255", "224.0.0.1", "240.0.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "203.0.113.9", "::", "::1",
        "::ffff:127.0.0.1", "::ffff:9.1.1.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001::1", "fe80::1",
        "fe80::1%lo", "fc00::1", "fd12::1", "ff02::1", "fec0::1", "2001:db8::1", "3fff::1", "100::1", "localhost", "",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused(address: str):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["9.1.1.1", "185.1.2.3", "2a00:1450::5", "2606:50c0:8000::153"])
def test_a_public_address_is_taken(address: str):
    assert is_public(address)
