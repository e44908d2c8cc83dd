"""What a Mac looks like before anything is changed, and how the output of its tools is read. Pure.

The tools speak English whatever the system's language is, but for the names of network services, which people choose.
What is not understood is left out, never guessed. Filled by `system.macos_look`, planned for by `system.macos`.
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address

from blockerd.system.picture import Browser, Machine, NetLink
from blockerd.system.trust import Root

NETWORKS = ("networksetup", "-listallnetworkservices")
RESOLVERS = ("scutil", "--dns")


@dataclass(frozen=True, slots=True)
class Service:
    """A network service as System Settings lists them. `servers` is empty where the network names the resolvers."""

    name: str
    servers: tuple[str, ...] = ()
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the Mac."""

    name: str
    uid: int


@dataclass(frozen=True, slots=True)
class Mac(Machine):
    """One Mac. `lists` are the property lists with browser policies, `loaded` the labels that launchd has, `person` the
    one who installs, whose screen time it is.
    """

    services: tuple[Service, ...] = ()
    lists: tuple[Browser, ...] = ()
    loaded: frozenset[str] = frozenset()
    person: Person | None = None
    root: Root | None = None


def names(said: str) -> list[tuple[str, bool]]:
    """The services that `networksetup -listallnetworkservices` names, each with whether it is switched on.

    The first line explains the asterisk, which stands before the name of one that is switched off.
    """
    lines = [line.rstrip("\r") for line in said.splitlines() if line.strip()]
    if lines and _EXPLAINS.search(lines[0]):
        lines = lines[1:]
    return [(line.removeprefix("*"), not line.startswith("*")) for line in lines if line.removeprefix("*").strip()]


def servers(said: str) -> tuple[str, ...] | None:
    """The resolvers that `networksetup -getdnsservers` names, empty for "There aren't any".

    None where it is neither: an error, whose text must never be taken for "there are none".
    """
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if lines and all(_is_address(line) for line in lines):
        return tuple(lines)
    return () if any(_NONE.search(line) for line in lines) else None


def links(said: str) -> tuple[NetLink, ...]:
    """The resolvers that `scutil --dns` knows for single interfaces: what networks and VPNs have named.

    Every Mac has tunnels of the system's own; only one with a resolver is told of.
    """
    found: dict[str, list[str]] = {}
    domains: dict[str, list[str]] = {}
    for block in re.split(r"^resolver #\d+\s*$", said, flags=re.MULTILINE)[1:]:
        device = _DEVICE.search(block)
        addresses = [address for address in _SERVER.findall(block) if _is_address(address)]
        if device and addresses:
            known = found.setdefault(device[1], [])
            known += [address for address in addresses if address not in known]
            domains.setdefault(device[1], []).extend(_DOMAIN.findall(block))
    return tuple(
        NetLink(
            name, kind="tun" if name.startswith(_TUNNELS) else "", resolvers=tuple(known), domains=tuple(domains[name])
        )
        for name, known in found.items()
    )


def _is_address(text: str) -> bool:
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


_EXPLAINS = re.compile(r"\basterisk\b.*\bdisabled\b", re.IGNORECASE)
_NONE = re.compile(r"^There aren['\u2019]t any DNS Servers set on ", re.IGNORECASE)
_DEVICE = re.compile(r"^\s*if_index\s*:\s*\d+\s*\(([^)]+)\)", re.MULTILINE)
_SERVER = re.compile(r"^\s*nameserver\[\d+\]\s*:\s*(\S+)", re.MULTILINE)
_DOMAIN = re.compile(r"^\s*(?:search )?domain(?:\[\d+\])?\s*:\s*(\S+)", re.MULTILINE)
_TUNNELS = ("utun", "ipsec", "ppp", "tun", "tap", "wg")
