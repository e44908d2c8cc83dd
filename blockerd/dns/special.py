"""Names that no upstream is ever asked about, and what is answered instead. Pure.

localhost and invalid (RFC 6761), onion (RFC 7686), alt (RFC 9476), local (RFC 6762 section 22.1), home.arpa
(RFC 8375), resolver.arpa (RFC 9462 section 6.4), the reverse zones of private addresses (RFC 6303), and the names by
which programs ask whether they may go round this resolver. A name under `dns.local_domains` is asked there instead.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from blockerd.policy.name import from_text, suffixes


class Kind(Enum):
    """What is said of a special name."""

    NXDOMAIN = "the name does not exist here"
    NODATA = "the name exists and has nothing of this kind"
    LOOPBACK = "the machine's own addresses, else nothing"
    LOCAL = "a local domain: its own resolver is asked"


@dataclass(frozen=True, slots=True)
class Special:
    """The zone a name falls under and what is said. `empty_apex`: the zone's own name exists (RFC 6303 section 3)."""

    zone: bytes
    kind: Kind
    empty_apex: bool = False


def _private_reverse() -> tuple[str, ...]:
    """Reverse zones of addresses that only this home knows (RFC 6303 section 4, RFC 7793)."""
    shared = (f"{n}.100.in-addr.arpa" for n in range(64, 128))
    twelve = (f"{n}.172.in-addr.arpa" for n in range(16, 32))
    four = ("0.in-addr.arpa", "127.in-addr.arpa", "10.in-addr.arpa", "254.169.in-addr.arpa", "168.192.in-addr.arpa")
    documents = ("2.0.192.in-addr.arpa", "100.51.198.in-addr.arpa", "113.0.203.in-addr.arpa")
    end = "255.255.255.255.in-addr.arpa"
    loop = "1" + ".0" * 31 + ".ip6.arpa"
    none = "0" + ".0" * 31 + ".ip6.arpa"
    six = (
        "d.f.ip6.arpa",
        "8.e.f.ip6.arpa",
        "9.e.f.ip6.arpa",
        "a.e.f.ip6.arpa",
        "b.e.f.ip6.arpa",
        "8.b.d.0.1.0.0.2.ip6.arpa",
    )
    return (*shared, *twelve, *four, *documents, end, loop, none, *six)


_ZONES: dict[str, Kind] = {
    "localhost": Kind.LOOPBACK,
    "invalid": Kind.NXDOMAIN,
    "onion": Kind.NXDOMAIN,
    "alt": Kind.NXDOMAIN,
    "local": Kind.NXDOMAIN,
    "home.arpa": Kind.NXDOMAIN,
    "path.home.arpa": Kind.LOOPBACK,  # made-up names below it tell a self-probe whether a question came here
    "resolver.arpa": Kind.NODATA,
    "use-application-dns.net": Kind.NXDOMAIN,
    **dict.fromkeys(_private_reverse(), Kind.NXDOMAIN),
}
_RELAY = ("mask.icloud.com", "mask-h2.icloud.com", "mask-canary.icloud.com")
"""A lie about these stalls the client, so they do not exist (setting `dns.private_relay`)."""

_ENDS = tuple({from_text(".".join(zone.split(".")[-2:])) for zone in (*_ZONES, *_RELAY)})
"""Last labels of all special names: one look tells for nearly every question that it is none."""


def table(*, private_relay: str, local: Iterable[bytes] = ()) -> Mapping[bytes, Special]:
    """The special zones by wire name, as the settings want them; `local` are zones that a resolver at home knows."""
    zones = dict(_ZONES)
    if private_relay == "block":
        zones |= dict.fromkeys(_RELAY, Kind.NXDOMAIN)
    found = {from_text(z): Special(from_text(z), kind, z.endswith(".arpa")) for z, kind in zones.items()}
    return found | {zone: Special(zone, Kind.LOCAL) for zone in local if zone.endswith(_ENDS)}


def find(zones: Mapping[bytes, Special], name: bytes) -> Special | None:
    """The zone that covers `name`, the longest one."""
    if not name.endswith(_ENDS):
        return None
    return next((zones[suffix] for suffix in suffixes(name) if suffix in zones), None)
