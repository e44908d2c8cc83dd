"""The ways of machines with systemd-resolved: a drop-in that makes it ask blockerd, or its stub switched off. Pure.

No second server is named anywhere: resolved and libc move to it after one time-out and stay. What DHCP and router
advertisements say about resolvers is shut out where it comes in (`networkmanager`, `networkd`, `dhclient`), for
resolved asks the link's servers beside the global ones. Called by `system.plan`.
"""

from blockerd.system import dhclient, networkd, networkmanager
from blockerd.system.picture import Machine
from blockerd.system.steps import Command, File, Foreign, Step
from blockerd.system.wish import Wish

DROP_IN = "/etc/systemd/resolved.conf.d/50-blockerd.conf"
FALLBACK = "/run/systemd/resolved.conf.d/90-blockerd-fallback.conf"
"""What the guard writes while the filter is gone; read after the one above."""

RESOLV = "/etc/resolv.conf"
HEAD = "# Written by blockerd; `blockerd uninstall` takes it away again.\n"
_RESTART = ("systemctl", "restart", "systemd-resolved.service")
_FLUSH = ("resolvectl", "flush-caches")


def takeover(machine: Machine, wish: Wish) -> tuple[Step, ...]:
    """systemd-resolved stays and asks blockerd for everything."""
    return (
        back(),
        *_networks(machine, wish),
        File("systemd-resolved asks blockerd", DROP_IN, drop_in(wish, stub=True)),
        *_there(machine),
    )


def stub_off(machine: Machine, wish: Wish) -> tuple[Step, ...]:
    """The stub is off and /etc/resolv.conf leads to blockerd: doing only the first leaves a machine without DNS."""
    return (
        back(),
        *_networks(machine, wish),
        File("programs ask blockerd", RESOLV, resolv_conf(wish), foreign=Foreign.LEAVE),
        File("systemd-resolved without its stub", DROP_IN, drop_in(wish, stub=False)),
        *_there(machine),
    )


def drop_in(wish: Wish, *, stub: bool, servers: str = "") -> bytes:
    """resolved.conf(5): an empty assignment first, so that servers of other files do not stay beside ours."""
    lines = [
        "[Resolve]",
        "DNS=",
        f"DNS={servers or ' '.join(asked(wish))}",
        "FallbackDNS=",
        "Domains=~.",
        "DNSOverTLS=no",
        "DNSSEC=no",
    ]
    if not stub:
        lines.append("DNSStubListener=no")
    return (HEAD + "\n".join(lines) + "\n").encode()


def resolv_conf(wish: Wish, servers: tuple[str, ...] = ()) -> bytes:
    """resolv.conf(5) with our addresses alone."""
    lines = [f"nameserver {address}" for address in servers or asked(wish)]
    return (HEAD + "\n".join([*lines, "options edns0", ""])).encode()


def asked(wish: Wish) -> tuple[str, ...]:
    """The addresses that programs of this machine ask."""
    found = tuple(dict.fromkeys(wish.listen))
    local = tuple(address for address in found if address.startswith("127.") or address == "::1")
    return local or found


def _networks(machine: Machine, wish: Wish) -> tuple[Step, ...]:
    return (
        *networkmanager.steps(machine),
        *networkd.steps(machine),
        *dhclient.steps(machine),
    )


def back() -> Step:
    """Stands before the files that are taken away before it on the way back."""
    return Command("systemd-resolved reads its settings again", inverse=_RESTART)


def _there(machine: Machine) -> tuple[Step, ...]:
    """resolved forgets what the links were told: it keeps that over restarts."""
    links = [link.name for link in machine.links if link.resolvers]
    return (
        Command("systemd-resolved reads its settings again", forward=_RESTART),
        *(
            Command(
                f"{name}: its network's resolvers are no longer asked", ("resolvectl", "revert", name), may_fail=True
            )
            for name in links
        ),
        Command("old answers are forgotten", _FLUSH, may_fail=True),
    )
