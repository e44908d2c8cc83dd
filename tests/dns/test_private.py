"""Which addresses mean something only at home, held against the standard library's registry of them."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.dns.private import is_near, is_private

_PRIVATE = [
    ipaddress.ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"),
        *("::/128", "::1/128", "fc00::/7", "fe80::/10", "fec0::/10"),
    )
]


def _held(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return any(address.version == network.version and address in network for network in _PRIVATE)


@given(st.binary(min_size=4, max_size=4))
def test_every_ipv4_address_is_judged_as_its_networks_say(octets: bytes):
    plain = _held(ipaddress.IPv4Address(octets))
    assert is_private(octets) is plain
    assert is_private(bytes(10) + b"\xff\xff" + octets) is plain, "mapped into IPv6"
    assert is_private(b"\x00\x64\xff\x9b" + bytes(8) + octets) is plain, "by way of NAT64"


@given(st.binary(min_size=16, max_size=16))
def test_every_ipv6_address_is_judged_as_its_networks_say(octets: bytes):
    address = ipaddress.IPv6Address(octets)
    if octets[:12] not in (bytes(10) + b"\xff\xff", b"\x00\x64\xff\x9b" + bytes(8)):
        assert is_private(octets) is _held(address)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        *(("192.168.1.7", True), ("127.0.0.1", True), ("0.0.0.0", False), ("0.1.2.3", False), ("192.0.2.1", False)),
        *(("fe80::1", True), ("fd00::1", True), ("::", False), ("2001:db8::1", False), ("::ffff:10.0.0.1", True)),
        *(("64:ff9b::10.0.0.1", False), ("::ffff:192.0.2.1", False)),
    ],
)
def test_a_client_of_the_home_asks_from_an_address_of_the_home(text: str, near: bool):
    assert is_near(ipaddress.ip_address(text).packed) is near
