"""How long the addresses of a named upstream are kept, and when they are asked for again."""

import asyncio

import pytest

from blockerd.dns import bootstrap, stub
from blockerd.dns.bootstrap import Bootstrap
from blockerd.dns.stub import LookupFailed
from blockerd.settings import Endpoint
from tests.fakes.packets import a, response
from tests.fakes.upstream import Handler, Stubs, StubUpstream, both, forbid_the_system, made_stubs, of_type_a, silent

NAME = "dns.example"
V6 = "2001:db8::53"

stubs = pytest.fixture(made_stubs)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same course of events in a tenth of the time; and nobody asks the system."""
    for name, seconds in {"PATIENCE": 0.2, "PATIENCE_IN_ALL": 0.4, "STALE_PATIENCE": 0.1}.items():
        monkeypatch.setattr(bootstrap, name, seconds)
    monkeypatch.setattr(stub, "RESEND", 0.05)
    forbid_the_system(monkeypatch)


class Clock:
    """Seconds, set by the test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def kept(server: StubUpstream, clock: Clock) -> Bootstrap:
    return Bootstrap(NAME, [Endpoint("127.0.0.1", server.port)], now=clock)


@pytest.mark.parametrize("host", ["192.0.2.53", V6])
def test_a_literal_address_needs_nobody(host: str):
    made = Bootstrap(host, ())
    made.doubt()
    assert asyncio.run(made.addresses()) == (host,)


@pytest.mark.parametrize(("ttl", "seconds"), [(0, 60), (300, 300), (10**6, 86400)])
def test_an_answer_is_kept_for_its_ttl_a_minute_to_a_day(ttl: int, seconds: int, stubs: Stubs):
    server, clock = stubs(of_type_a(a(b"\xc0\x0c", ttl=ttl))), Clock()

    async def scenario() -> None:
        made = kept(server, clock)
        await made.addresses()
        clock.now += seconds - 1
        await made.addresses()
        assert len(server.calls) == 2
        clock.now += 2
        await made.addresses()
        assert len(server.calls) == 4

    asyncio.run(scenario())


@pytest.mark.parametrize("later", [silent, lambda call: call.send(response(call.packet, rcode=2))])
def test_addresses_stay_in_use_while_no_new_ones_can_be_had(later: Handler, stubs: Stubs):
    server, clock = stubs(both), Clock()

    async def scenario() -> None:
        made = kept(server, clock)
        expected = await made.addresses()
        server.handler = later
        clock.now += 301
        assert await made.addresses() == expected
        asked = len(server.calls)
        clock.now += 59
        assert await made.addresses() == expected
        assert len(server.calls) == asked, "not asked again within a minute"
        server.handler = of_type_a(a(b"\xc0\x0c", "192.0.2.77"))
        clock.now += 2
        assert await made.addresses() == ("192.0.2.77",)

    asyncio.run(scenario())


def test_addresses_in_doubt_are_asked_for_again_with_all_patience(stubs: Stubs, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bootstrap, "STALE_PATIENCE", 0.01)
    server, clock = stubs(both), Clock()

    async def scenario() -> None:
        made = kept(server, clock)
        expected = await made.addresses()
        slow = of_type_a(a(b"\xc0\x0c", "192.0.2.77"))
        server.handler = lambda call: call.server.at(0, lambda: slow(call)) if len(server.calls) > 4 else None
        made.doubt()
        assert await made.addresses() == ("192.0.2.77",) != expected

    asyncio.run(scenario())


def test_a_name_that_was_never_found_is_asked_for_each_time(stubs: Stubs):
    server, clock = stubs(silent), Clock()

    async def scenario() -> None:
        made = kept(server, clock)
        with pytest.raises(LookupFailed):
            await made.addresses()
        server.handler = both
        assert await made.addresses() == ("192.0.2.1", V6)

    asyncio.run(scenario())
