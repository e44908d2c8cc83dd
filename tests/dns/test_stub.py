"""How a stub resolver of our own finds addresses: whom it asks, and what it believes."""

import asyncio

import pytest

from blockerd.dns import stub
from blockerd.dns.reply import Malformed
from blockerd.dns.stub import LookupFailed, addresses_in, look_up
from blockerd.settings import Endpoint
from tests.fakes.packets import AAAA, QR, TC, A, a, aaaa, cname, query, record, response, soa, type_of
from tests.fakes.upstream import (
    Call,
    Handler,
    Stubs,
    StubUpstream,
    both,
    dead_port,
    forbid_the_system,
    made_stubs,
    of_type_a,
    silent,
)  # fmt: skip

NAME = "dns.example"
V6 = "2001:db8::53"
PATIENCE = 0.2

stubs = pytest.fixture(made_stubs)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same course of events in a tenth of the time; and nobody asks the system."""
    monkeypatch.setattr(stub, "RESEND", 0.05)
    forbid_the_system(monkeypatch)


def found(*servers: StubUpstream | int) -> tuple[tuple[str, ...], int]:
    ports = [server if isinstance(server, int) else server.port for server in servers]
    return asyncio.run(look_up(NAME, [Endpoint("127.0.0.1", port) for port in ports], PATIENCE))


def test_both_kinds_of_addresses_are_asked_for_and_ipv4_comes_first(stubs: Stubs):
    server = stubs(both)
    assert found(server) == (("192.0.2.1", V6), 300)
    assert {(call.name, type_of(call.packet)) for call in server.calls} == {(NAME, A), (NAME, AAAA)}


def test_ids_and_ports_differ_from_query_to_query(stubs: Stubs):
    server = stubs(both)
    for _ in range(10):
        found(server)
    assert len({call.packet[:2] for call in server.calls}) > 15
    assert len({call.port for call in server.calls}) > 10


def test_aliases_are_followed_and_the_shortest_ttl_counts(stubs: Stubs):
    server = stubs(of_type_a(cname(b"\xc0\x0c", "x.example", 77), a("x.example", "192.0.2.9", 500)))
    assert found(server) == (("192.0.2.9",), 77)


@pytest.mark.parametrize(
    "records",
    [
        [a("other.example", "203.0.113.66"), a(b"\xc0\x0c")],
        [aaaa(b"\xc0\x0c"), a(b"\xc0\x0c")],
        [a(b"\xc0\x0c", "0.0.0.0"), a(b"\xc0\x0c", "224.0.0.1"), a(b"\xc0\x0c")],
    ],
    ids=["another name", "another type", "no host"],
)
def test_only_what_was_asked_for_is_taken(records: list[bytes], stubs: Stubs):
    assert found(stubs(of_type_a(*records)))[0] == ("192.0.2.1",)


@pytest.mark.parametrize(
    "odd",
    [record(b"\xc0\x0c", A, bytes((203, 0, 113, 66)), rclass=3), record(b"\xc0\x0c", A, b"\x01\x02\x03")],
    ids=["another class", "another length"],
)
def test_an_answer_with_a_record_that_cannot_be_meant_is_not_believed(odd: bytes, stubs: Stubs):
    assert found(stubs(of_type_a(odd, a(b"\xc0\x0c"))), stubs(both))[0] == ("192.0.2.1", V6)


def test_forged_answers_are_passed_over_and_the_true_one_awaited(stubs: Stubs):
    def handler(call: Call) -> None:
        lie = [a(b"\xc0\x0c", "203.0.113.66")]
        number = int.from_bytes(call.packet[:2], "big")
        call.send(response(call.packet, lie, qid=number ^ 1))
        call.send(response(query("dns.exampla", type_of(call.packet), qid=number), lie))
        call.send(b"\xff" * 20)
        call.send(call.packet)
        call.later(0.02, response(call.packet, [a(b"\xc0\x0c")]))

    assert found(stubs(handler))[0] == ("192.0.2.1",)


def test_a_lost_datagram_is_sent_again(stubs: Stubs):
    seen: list[int] = []

    def handler(call: Call) -> None:
        seen.append(type_of(call.packet))
        if seen.count(seen[-1]) > 1:
            both(call)

    assert found(stubs(handler))[0] == ("192.0.2.1", V6)


def test_a_cut_answer_is_fetched_over_tcp(stubs: Stubs):
    def handler(call: Call) -> None:
        if call.stream:
            both(call)
        else:
            call.send(response(call.packet, flags=QR | TC))

    assert found(stubs(handler))[0] == ("192.0.2.1", V6)


def test_one_kind_of_address_is_enough(stubs: Stubs):
    assert found(stubs(lambda call: both(call) if type_of(call.packet) == AAAA else None))[0] == (V6,)


@pytest.mark.parametrize(
    "handler",
    [
        silent,
        lambda call: call.send(response(call.packet, rcode=2)),
        lambda call: call.send(response(call.packet, rcode=5)),
        lambda call: call.send(response(call.packet, [], [soa("example")], rcode=3)),
        lambda call: call.send(response(call.packet, [], [soa("example")])),
        lambda call: call.send(response(call.packet, [a(b"\xc0\x0c")])[:-2]),
    ],
    ids=["silent", "SERVFAIL", "REFUSED", "NXDOMAIN", "no data", "cut short"],
)
def test_a_server_without_an_address_leads_to_the_next(handler: Handler, stubs: Stubs):
    assert found(stubs(handler), stubs(both))[0] == ("192.0.2.1", V6)
    with pytest.raises(LookupFailed, match=rf"{NAME}: 127.0.0.1:\d+ gives no"):
        found(stubs(handler))


def test_a_dead_server_leads_to_the_next(stubs: Stubs):
    assert found(dead_port(), stubs(both))[0] == ("192.0.2.1", V6)


def test_without_servers_a_name_has_no_address():
    with pytest.raises(LookupFailed, match="no bootstrap server"):
        found()


def test_a_message_that_says_it_cannot_tell_is_no_answer():
    asked = query(NAME)
    with pytest.raises(Malformed):
        addresses_in(response(asked, rcode=2), asked)


@pytest.mark.parametrize("host", ["a..example", "x" * 64 + ".example"])
def test_what_is_no_name_has_no_address(host: str):
    with pytest.raises(LookupFailed, match="is no name"):
        asyncio.run(look_up(host, [Endpoint("127.0.0.1", 9)], PATIENCE))
