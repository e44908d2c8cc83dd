"""Zones that another resolver is asked about for a while: the sign-in page of a strange network, a VPN's own names.

`control` finds them and writes the file; this process reads it, and forgets each road when its time is over, whether or
not `control` still lives. A road says who is asked, never whether a listed name is opened: the filter decides before.
Refuses what is no address of another machine. Written by `control.networks`, read by `dns.process`.
"""

import ipaddress
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from blockerd.policy.name import from_text
from blockerd.settings import Scheme, Upstream

FILE = "roads.json"
"""In the folder `run` of the state."""

MOST = 256
_PORT = 53


@dataclass(frozen=True, slots=True)
class Road:
    """`zone` is a name in text, with all below it; `servers` are numeric addresses, the first is asked first.

    `until` is CLOCK_BOOTTIME in µs, 0 for as long as the file says so.
    """

    zone: str
    servers: tuple[str, ...]
    until: int = 0


@dataclass(frozen=True, slots=True)
class Roads:
    """What holds now: zones in wire form, and the CLOCK_BOOTTIME (µs) at which the first of them ends, 0 for never."""

    zones: Mapping[bytes, tuple[Upstream, ...]] = field(default_factory=dict)
    end: int = 0


def to_bytes(roads: Iterable[Road], boot: str, told: Mapping[str, object]) -> bytes:
    """The file's content; it holds for the boot `boot` alone. `told` is what others want to find there."""
    lines = [{"zone": road.zone, "servers": list(road.servers), "until": road.until} for road in roads]
    return json.dumps({**told, "boot": boot, "roads": lines}).encode()


def read(path: Path, boot: str, boottime: int) -> Roads:
    """The roads in force at `boottime` of `boot`; none where the file is missing, torn or of another boot."""
    try:
        got = json.loads(path.read_bytes())
        if got["boot"] != boot:
            return Roads()
        roads = [
            Road(str(one["zone"]), tuple(map(str, one["servers"])), int(one["until"])) for one in got["roads"][:MOST]
        ]
        live = [road for road in roads if not road.until or boottime < road.until]
        zones = {from_text(road.zone): tuple(map(_server, road.servers)) for road in live if road.servers}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return Roads()
    return Roads(zones, min((road.until for road in live if road.until), default=0))


class Following:
    """The roads in force, of the file at `path`; `boot` tells which boot this is."""

    def __init__(self, path: Path, boot: Callable[[], str]) -> None:
        self._path = path
        self._boot = boot
        self._roads = Roads()
        self._stamp: tuple[int, ...] = ()

    @property
    def zones(self) -> Mapping[bytes, tuple[Upstream, ...]]:
        """Whom to ask, by zone."""
        return self._roads.zones

    def poll(self, boottime: int) -> bool:
        """True where other zones or servers hold at `boottime` (CLOCK_BOOTTIME in µs) than at the last look."""
        try:
            stat = self._path.stat()
            stamp: tuple[int, ...] = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        except OSError:
            stamp = ()
        if stamp == self._stamp and not 0 < self._roads.end <= boottime:
            return False
        self._stamp, before = stamp, self._roads
        self._roads = read(self._path, self._boot(), boottime) if stamp else Roads()
        return self._roads.zones != before.zones


def elsewhere(server: str) -> bool:
    """True for the numeric address of another machine; what leads back to this one would ask in circles."""
    try:
        address = ipaddress.ip_address(server)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return not (mapped.is_loopback or mapped.is_unspecified or mapped.is_multicast)


def _server(text: str) -> Upstream:
    if not elsewhere(text):
        raise ValueError(f"{text} is no address of another machine")
    return Upstream(Scheme.UDP, text, _PORT)
