"""No address of this machine or the home is reached, in any spelling; our own resolver is asked first."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from blockerd.proxy import resolve
from tests.e2e.stub import ADDRESS, Stub


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.1.1.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.1.1",
        ),
        *("100.64.0.1", "224.0.0.1", "::1", "::", "fe80::1%lo", "fc00::1", "fd00::1", "ff02::1", "::ffff:127.0.0.1"),
        "64:ff9b::7f00:1",
    ],
)
def test_addresses_of_machine_and_home_are_near(address: str):
    assert resolve.is_near(address)


@pytest.mark.parametrize("address", ["192.0.2.1", "172.32.0.1", "100.128.0.1", "2001:db8::1", "8.8.8.8", "name.test"])
def test_other_addresses_are_not(address: str):
    assert not resolve.is_near(address)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        *(("2130706433", "127.0.0.1"), ("0x7f000001", "127.0.0.1"), ("127.1", "127.0.0.1"), ("0", "0.0.0.0")),
        *(("[::1]", "::1"), ("::1", "::1"), ("0177.0.0.1", "127.0.0.1"), ("site.test", ""), ("1.2.3.4.5", "")),
    ],
)
def test_every_spelling_of_an_address_is_seen(text: str, address: str):
    assert resolve.literal(text) == address


System = Callable[..., Awaitable[resolve.Found]]


def _ask(servers: list[tuple[str, int]], host: str, system: System | None = None) -> list[str]:
    refused: list[str] = []

    async def nobody(*_: object, **__: object) -> resolve.Found:
        raise socket.gaierror(socket.EAI_NONAME, "nobody")

    guarded = resolve.guard(servers, system or nobody, refused.append)

    async def run() -> list[str]:
        try:
            return [entry[4][0] for entry in await guarded(host, 443)]
        except resolve.Refused:
            return ["refused", *refused]

    return asyncio.run(run())


def test_our_own_resolver_is_asked():
    with Stub() as stub:
        assert _ask([("127.0.0.1", stub.port)], "site.test") == [ADDRESS]
        assert stub.asked == 2


def test_a_name_that_leads_home_is_refused_and_told():
    async def home(*_: object, **__: object) -> resolve.Found:
        return [(socket.AF_INET, 1, 6, "", ("192.168.1.1", 443)), (socket.AF_INET6, 1, 6, "", ("::1", 443, 0, 0))]

    assert _ask([], "rebinding.test", home) == ["refused", "rebinding.test"]


def test_addresses_of_this_machine_are_known():
    assert resolve.is_own("127.0.0.1")
    assert not resolve.is_own("192.0.2.77")
    assert not resolve.is_own("2001:db8::77")


def test_of_mixed_answers_only_the_far_one_is_used():
    async def mixed(*_: object, **__: object) -> resolve.Found:
        return [(socket.AF_INET, 1, 6, "", ("127.0.0.1", 443)), (socket.AF_INET, 1, 6, "", ("192.0.2.9", 443))]

    assert _ask([], "mixed.test", mixed) == ["192.0.2.9"]


def test_the_system_is_asked_where_ours_does_not_answer():
    async def system(*_: object, **__: object) -> resolve.Found:
        return [(socket.AF_INET, 1, 6, "", ("192.0.2.9", 443))]

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    assert _ask([("127.0.0.1", port)], "site.test", system) == ["192.0.2.9"]


def test_a_name_that_our_resolver_withholds_is_not_asked_of_others():
    class Empty(Stub):
        def _serve(self) -> None:
            while (got := self._sock.recvfrom(4096))[0]:
                self._sock.sendto(got[0][:2] + b"\x81\x83" + got[0][4:], got[1])

    with Empty() as stub, pytest.raises(socket.gaierror):
        _ask([("127.0.0.1", stub.port)], "site.test")


@pytest.mark.parametrize("cut", range(0, 60, 7))
def test_a_reply_that_is_cut_off_gives_what_it_holds(cut: int):
    packet = b"\0\1\x81\x80\0\1\0\1\0\0\0\0\4site\4test\0\0\1\0\1\xc0\x0c\0\1\0\1\0\0\0\x1e\0\4\xc0\0\2\1"
    assert resolve.addresses(packet[:cut], 1) in ([], ["192.0.2.1"])
    assert resolve.addresses(packet, 1) == ["192.0.2.1"]
