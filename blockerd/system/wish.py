"""What a person wants of an install: ports, belts, browsers, and where program, settings and state are. Pure.

Made by `cli.install` from the settings and the command line; read by every file that plans a part.
"""

from dataclasses import dataclass
from enum import StrEnum

from blockerd.system.doh import ADDRESSES


class Way(StrEnum):
    """How the machine's questions are led to blockerd."""

    RESOLVED = "systemd-resolved asks blockerd"
    STUB_OFF = "systemd-resolved's stub is off, programs ask blockerd"
    PLAIN = "/etc/resolv.conf names blockerd"
    MACOS = "every network service names blockerd"
    WINDOWS = "one NRPT rule leads everything to blockerd"
    ADAPTERS = "every network adapter names blockerd"


@dataclass(frozen=True, slots=True)
class Places:
    """Absolute paths. `program` is the `blockerd` command, whose folder also has its `python`."""

    program: str = "/opt/blockerd/bin/blockerd"
    config: str = "/etc/blockerd/blockerd.toml"
    state: str = "/var/lib/blockerd"
    user: str = "blockerd"
    probe_user: str = "blockerd-probe"

    @property
    def owner(self) -> str:
        """User and group of what the service writes."""
        return f"{self.user}:{self.user}"


@dataclass(frozen=True, slots=True)
class BrowserWish:
    """What browser policies say beside encrypted DNS being off."""

    safe_search: bool = True
    private_mode: bool = False
    """True: private windows and guest profiles are not offered. The filter works in them all the same."""
    quic: bool = False
    """True: QUIC is off too, which only the proxy needs."""


@dataclass(frozen=True, slots=True)
class Wish:
    """`way` None lets the plan choose. `listen` are the addresses (port 53) that dns.listen has.

    `belt` is the table of the packet filter; `chat_ports` adds IRC and NNTP to it; `fallback` is a filtering resolver
    for the time when the daemon is dead, "" for none. `agent` is screen time, for the user `person` alone.
    """

    places: Places = Places()
    listen: tuple[str, ...] = ("127.0.0.1", "::1")
    way: Way | None = None
    belt: bool = True
    chat_ports: bool = False
    doh_addresses: tuple[str, ...] = ADDRESSES
    fallback: str = ""
    proxy: bool = False
    proxy_address: str = ""
    agent: bool = True
    person: str = ""
    browsers: BrowserWish | None = BrowserWish()
