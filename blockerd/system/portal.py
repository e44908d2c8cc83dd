"""Whom this machine asks about a few names for a while: its network about sign-in pages, a VPN about its own. Pure.

A network that asks for a sign-in answers a handful of well-known names with its own page. For some minutes after a
network change, or when asked, those names go to the resolver that the network named, then no longer. A window opens
nothing that is listed: the filter decides first. Times are CLOCK_BOOTTIME in µs. Called by `control.networks`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from blockerd.policy.name import BadName, from_text, public_suffix, suffix_rules, suffixes, to_text
from blockerd.system.picture import NetLink, loopback

PROBES = (
    *("nmcheck.gnome.org", "connectivity-check.ubuntu.com", "network-test.debian.org"),  # NetworkManager, GNOME
    *("fedoraproject.org", "ping.archlinux.org", "conncheck.opensuse.org", "networkcheck.kde.org"),
    *("captive.apple.com", "gsp1.apple.com", "www.appleiphonecell.com", "www.airport.us", "www.thinkdifferent.us"),
    *("www.ibook.info", "www.itools.info"),  # Apple, older systems
    *("www.msftconnecttest.com", "ipv6.msftconnecttest.com", "www.msftncsi.com", "ipv6.msftncsi.com"),  # Windows
    "dns.msftncsi.com",
    *("connectivitycheck.gstatic.com", "connectivitycheck.android.com", "clients3.google.com"),  # Android
    *("connectivitycheck.platform.hicloud.com", "connect.rom.miui.com", "play.googleapis.com"),
    "www.gstatic.com",  # Chromium
    *("detectportal.firefox.com", "detectportal.brave-http-only.com"),  # Firefox, Brave
)
"""Names by which systems and browsers notice a sign-in page."""

MINUTE = 60_000_000
MOST_NAMES = 8
_MOST_KNOWN = 64

CHANGE, ASKED = "network change", "asked for"
"""Why a window was opened."""
OVER = "time over"

Joined = frozenset[tuple[str, str, int]]


@dataclass(frozen=True, slots=True)
class Window:
    """Open until `until`; `names` are those of the sign-in page itself, where it was asked for with them."""

    until: int
    why: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Net:
    """What is remembered of boot `boot`: networks that were joined, the open window, the links of VPNs that are up."""

    boot: str
    known: Joined = frozenset()
    window: Window | None = None
    vpn: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Zone:
    """A name, with all below it, that `servers` are asked about until `until` (0: while it is said)."""

    name: str
    servers: tuple[str, ...]
    until: int = 0


Event = dict[str, Any]


def seen(net: Net, links: Sequence[NetLink], joined: Joined, now: int, minutes: int) -> tuple[Net, list[Event]]:
    """What a look at the links changes, with what is to be recorded. A window opens once the network's resolver is
    known, and a network is joined once: a cable or radio that comes again is another number in `joined`."""
    net, events = passed(net, now)
    if joined - net.known and resolvers(links, joined):
        net = replace(net, known=joined if len(net.known) > _MOST_KNOWN else net.known | joined)
        if minutes:
            net, more = opened(net, (), now, minutes, CHANGE)
            events += more
    up = tuple(sorted(link.name for link in links if link.tunnel and link.up))
    if up != net.vpn:
        events.append(_event("vpn", ", ".join(net.vpn), ", ".join(up)))
        net = replace(net, vpn=up)
    return net, events


def opened(net: Net, names: Sequence[str], now: int, minutes: int, why: str) -> tuple[Net, list[Event]]:
    """The window open for `minutes` from now on, no shorter than it was; an open one gives no second record."""
    before = net.window
    until = now + minutes * MINUTE
    if before is None:
        return replace(net, window=Window(until, why, tuple(names))), [_event("portal", "closed", "open", why)]
    kept = tuple(dict.fromkeys((*before.names, *names)))[-MOST_NAMES:]
    return replace(net, window=Window(max(before.until, until), before.why, kept)), []


def closed(net: Net, why: str) -> tuple[Net, list[Event]]:
    """The window closed, if it was open."""
    if net.window is None:
        return net, []
    return replace(net, window=None), [_event("portal", "open", "closed", why)]


def passed(net: Net, now: int) -> tuple[Net, list[Event]]:
    """The window closed where its time is over."""
    return closed(net, OVER) if net.window and net.window.until <= now else (net, [])


def resolvers(links: Iterable[NetLink], joined: Joined) -> tuple[str, ...]:
    """The resolvers that the networks out of this machine have named; those in use where no network named any."""
    ways = {name for name, _, _ in joined}
    out = [link for link in links if link.name in ways and link.up and not link.tunnel]
    for found in ([a for link in out for a in link.offered], [a for link in out for a in link.resolvers]):
        if others := tuple(dict.fromkeys(one for one in found if not loopback([one]))):
            return others
    return ()


def zones(net: Net, links: Sequence[NetLink], joined: Joined) -> list[Zone]:
    """Who is asked about which names now: a VPN about its own, and about sign-in pages the network while it is open."""
    found = {}
    if net.window and (servers := resolvers(links, joined)):
        names = (*PROBES, *net.window.names)
        found = {name: Zone(name, servers, net.window.until) for name in names}
    for link in links:
        servers = tuple(one for one in (*link.resolvers, *link.offered) if not loopback([one]))
        if link.tunnel and link.up and servers:
            found |= {name: Zone(name, servers) for name in own(link.domains)}
    return list(found.values())


def own(domains: Iterable[str]) -> list[str]:
    """Domains that a VPN may call its own: not all names, nor all of a public ending such as com or co.uk."""
    found = []
    for domain in domains:
        try:
            wire = from_text(domain.lstrip("~").removeprefix("*."))
        except BadName:  # "~." too, which stands for every name: those stay with the upstreams that were chosen
            continue
        if not _public(wire):
            found.append(to_text(wire))
    return list(dict.fromkeys(found))


def _public(wire: bytes) -> bool:
    """True for a public ending; one that nobody has registered (corp, lan) is a network's own."""
    if public_suffix(wire, private=False) != wire:
        return False
    return len(suffixes(wire)) > 1 or wire in suffix_rules()[0].rules


def _event(what: str, old: str, new: str, detail: str = "") -> Event:
    return {"kind": "resolver-path", "what": what, "old": old, "new": new, "detail": detail}
