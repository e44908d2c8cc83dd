"""What a machine looks like before anything is changed: plain values that a plan is made from. Pure.

Filled by `system.look` on a real machine and by hand in tests; nothing here asks the system.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Resolv(StrEnum):
    """Who /etc/resolv.conf belongs to."""

    MISSING = "nobody: it is missing"
    FILE = "a plain file"
    STUB = "systemd-resolved's stub"
    UPLINK = "systemd-resolved's list of uplinks"
    RESOLVCONF = "resolvconf"
    NETWORKMANAGER = "NetworkManager"
    OTHER = "a link somewhere else"


class Vendor(StrEnum):
    """A browser whose policies are known."""

    FIREFOX = "Firefox"
    CHROME = "Google Chrome"
    CHROMIUM = "Chromium"
    EDGE = "Microsoft Edge"
    BRAVE = "Brave"

    @property
    def many(self) -> bool:
        """True where policies are a folder of files, False where they are one file."""
        return self is not Vendor.FIREFOX


@dataclass(frozen=True, slots=True)
class Holder:
    """A program that listens on port 53. `transport` is udp or tcp; unit and program are "" where unknown."""

    transport: str
    address: str
    pid: int = 0
    program: str = ""
    unit: str = ""

    def named(self) -> str:
        """As a person reads it."""
        unit = f", {self.unit}" if self.unit else ""
        who = f"{self.program} (pid {self.pid}{unit})" if self.program else "a program that only root can see"
        return f"{self.transport} {self.address}: {who}"


@dataclass(frozen=True, slots=True)
class NetLink:
    """A network interface: `resolvers` are asked for it, `offered` is what its network has named, asked or not."""

    name: str
    up: bool = True
    kind: str = ""
    resolvers: tuple[str, ...] = ()
    offered: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()

    @property
    def tunnel(self) -> bool:
        """True for what a VPN makes."""
        return self.kind in ("tun", "wireguard", "ipsec", "ppp") or self.name.startswith(("tun", "tap", "wg", "ppp"))


@dataclass(frozen=True, slots=True)
class Browser:
    """An installed browser: where its policy file goes, and what is in it now (None: there is none).

    `beside` are files of the same folder that the browser reads after it: (name, content).
    """

    vendor: Vendor
    package: str
    policy: str
    content: bytes | None = None
    beside: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine. Paths are absolute on it; `files` holds the content of those settings files that plans look at.

    `units` are the running ones, `tools` the commands that exist, `environment` what /etc/environment sets.
    """

    system: str = "linux"
    wsl: bool = False
    resolv: Resolv = Resolv.FILE
    resolv_text: str = ""
    resolv_target: str = ""
    units: frozenset[str] = frozenset()
    tools: frozenset[str] = frozenset()
    holders: tuple[Holder, ...] = ()
    links: tuple[NetLink, ...] = ()
    networks: tuple[str, ...] = ()
    browsers: tuple[Browser, ...] = ()
    files: tuple[tuple[str, bytes], ...] = ()
    users: frozenset[str] = frozenset()
    fixed: frozenset[str] = frozenset()
    environment: tuple[tuple[str, str], ...] = ()

    def runs(self, unit: str) -> bool:
        """True if the unit `unit`.service is active."""
        return f"{unit}.service" in self.units

    def has(self, tool: str) -> bool:
        """True if the command exists."""
        return tool in self.tools

    def file(self, path: str) -> bytes | None:
        """The content of a settings file, None where it does not exist or was not looked at."""
        return dict(self.files).get(path)

    @property
    def resolvers(self) -> tuple[str, ...]:
        """The name servers that /etc/resolv.conf and the links name, without repetition."""
        of_links = [address for link in self.links for address in link.resolvers]
        return tuple(dict.fromkeys([*name_servers(self.resolv_text), *of_links]))


def name_servers(text: str) -> list[str]:
    """The addresses in `nameserver` lines of a resolv.conf(5)."""
    lines = (line.split("#")[0].split() for line in text.splitlines())
    return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]


def loopback(addresses: Iterable[str]) -> bool:
    """True if there are addresses and all lead to this machine."""
    found = list(addresses)
    return bool(found) and all(address.startswith("127.") or address == "::1" for address in found)
