"""Zones that another resolver is asked about for a while: a VPN's own names, the sign-in page of a strange network.

`control` writes the file, this process reads it and forgets each road when its time is over, whether or not `control`
still lives. The filter comes first on every road: it decides who answers, never whether a listed name is. Read by
`dns.process`.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from blockerd.policy.name import from_text
from blockerd.settings.address import Scheme, Upstream

FILE = "roads.json"
"""In the folder `run` of the state."""

_MOST = 64


@dataclass(frozen=True, slots=True)
class Road:
    """`zone` is a name in text, `server` a numeric address. `until` is CLOCK_BOOTTIME in µs, 0 for no end.

    `boot` is the boot it holds for.
    """

    zone: str
    server: str
    boot: str
    until: int = 0


def to_bytes(roads: Iterable[Road]) -> bytes:
    """The file's content."""
    return json.dumps([asdict(road) for road in roads]).encode()


def read(path: Path, boot: str, boottime: int) -> dict[bytes, Upstream]:
    """Zones in wire form with the resolver that is asked now; a file that cannot be read has none."""
    try:
        got = json.loads(path.read_bytes())
        roads = [Road(str(r["zone"]), str(r["server"]), str(r["boot"]), int(r["until"])) for r in got[:_MOST]]
        return {
            from_text(road.zone): Upstream(Scheme.UDP, road.server, 53)
            for road in roads
            if road.boot == boot and (not road.until or boottime < road.until)
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}
