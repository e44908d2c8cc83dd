"""Finds the addresses of a list's host by asking the bootstrap servers, and says which addresses may be connected to.

Called by `fetch.http`.
"""

import ipaddress
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from blockerd.dns.stub import look_up
from blockerd.settings import Endpoint

PATIENCE = 3.0
"""Seconds that one server has to answer."""

Resolve = Callable[[str], Coroutine[Any, Any, Sequence[str]]]
"""From a host to its numeric addresses, best first. Raises LookupFailed."""

_V6 = ipaddress.ip_network("2000::/3")
# Inside 2000::/3, and yet a way to addresses that are not public, or to nowhere (IANA special-purpose registry).
_V6_EXCEPT = tuple(map(ipaddress.ip_network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))


def is_public(address: str) -> bool:
    """True for a unicast address of the open internet; loopback, private, link-local, reserved and mapped ones are not.

    IPv4 inside IPv6 (mapped, NAT64, 6to4, Teredo) is refused as a whole: it could name any of the others.
    """
    try:
        at = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(at, ipaddress.IPv6Address):
        return at in _V6 and not any(at in net for net in _V6_EXCEPT)
    return at.is_global and not (at.is_multicast or at.is_reserved or at in ipaddress.ip_network("192.0.0.0/24"))


def resolver(servers: Sequence[Endpoint], patience: float = PATIENCE) -> Resolve:
    """A `Resolve` that asks `servers` in their order; IPv4 addresses come first."""

    async def resolve(host: str) -> Sequence[str]:
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            addresses, _ = await look_up(host, servers, patience)
            return addresses

    return resolve
