"""Who may ask and whose attempts are recorded, once a home's other devices ask too. Pure: time is a parameter.

Only addresses of this home are answered, and those that a [[client]] names; each may ask so many questions a second,
so that no device costs the others their answers and a forged sender is not flooded. A device is recorded only where a
[[client]] says `enrolled = true`; this machine always, but for what it asks while another account is in front of it.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blockerd.dns.private import is_near

if TYPE_CHECKING:
    from blockerd.settings import Settings

RATE, BURST = 300.0, 1500.0
"""Questions a second, and at once after a quiet while, that a device may ask. A page takes some dozens."""

_MOST = 4096


@dataclass(slots=True)
class _Known:
    near: bool
    enrolled: bool
    here: bool
    tokens: float
    at: float


class Clients:
    """The devices of a home; `groups` are (networks in CIDR form, enrolled).

    `here` are the addresses that this machine answers at: asked there by itself, it is the sender at that address too.
    `another` says that somebody else's account is in front of it.
    """

    def __init__(self, groups: Iterable[tuple[Iterable[str], bool]] = (), here: Iterable[str] = ()) -> None:
        self._groups = [([ipaddress.ip_network(one) for one in networks], enrolled) for networks, enrolled in groups]
        self._here = frozenset(packed(host) for host in here)
        self._known: dict[bytes, _Known] = {}
        self.another = False

    def may_ask(self, address: bytes, now: float) -> bool:
        """True if the device at `address` (4 or 16 octets) is of this home and has not asked too much; counts it."""
        known = self._look(address, now)
        if known.here or not known.near:
            return known.near
        known.tokens = min(BURST, known.tokens + RATE * max(0.0, now - known.at))
        known.at = now
        if known.tokens < 1:
            return False
        known.tokens -= 1
        return True

    def near(self, address: bytes) -> bool:
        """True if the device at `address` is of this home."""
        return self._look(address, 0.0).near

    def enrolled(self, address: bytes) -> bool:
        """True if what the device at `address` asks for is recorded."""
        known = self._look(address, 0.0)
        return known.enrolled and not (known.here and self.another)

    def _look(self, address: bytes, now: float) -> _Known:
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            known = self._known[address] = self._judge(address, now)
        return known

    def _judge(self, address: bytes, now: float) -> _Known:
        """The group with the longest network that holds the address; none: of this home, not recorded."""
        at = ipaddress.ip_address(address)
        if at.is_loopback or address in self._here:
            return _Known(True, True, True, 0.0, now)
        held = [
            (network.prefixlen, enrolled)
            for networks, enrolled in self._groups
            for network in networks
            if network.version == at.version and at in network
        ]
        enrolled = max(held)[1] if held else False
        return _Known(bool(held) or is_near(address), enrolled, False, BURST, now)


def clients_of(settings: "Settings") -> Clients:
    """The devices that the settings name; this machine is known at each address at which it listens."""
    here = (endpoint.host for endpoint in (*settings.dns.listen, settings.proxy.listen))
    return Clients(((client.addresses, client.enrolled) for client in settings.client), here)


def packed(client: str) -> bytes:
    """The octets of an address as sockets tell it, without its scope."""
    return ipaddress.ip_address(client.partition("%")[0]).packed
