"""Lookups through bootstrap servers against a scripted resolver, and which addresses may be connected to."""

import asyncio
import socket

import pytest

from blockerd.dns.stub import LookupFailed
from blockerd.lists.fetch.resolve import is_public, resolver
from blockerd.settings import Endpoint
from tests.fakes.packets import AAAA, A, a, record, response, type_of
from tests.fakes.upstream import Call, silent, stub_upstream

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
