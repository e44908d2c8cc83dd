"""Which networks this machine is in and whom they name as resolver: a cheap glance, and a look when it has changed.

The kernel's own files say what links and routes there are; leases, NetworkManager, systemd-resolved and resolvconf say
which resolvers came with them and which domains a VPN calls its own. Changes nothing, needs no rights, and leaves out
what cannot be read. Called by `control.networks`.
"""

import ipaddress
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from blockerd.system.links import KEPT, REWRITTEN
from blockerd.system.links import read as read_taken
from blockerd.system.picture import NetLink, name_servers

Runner = Callable[[Sequence[str]], tuple[int, str]]

_WATCHED = (
    *("etc/resolv.conf", "run/systemd/resolve/resolv.conf", "run/systemd/resolve/netif", "run/systemd/netif/leases"),
    *("run/NetworkManager/resolv.conf", "run/resolvconf/interface", "run/resolvconf/interfaces", "run/dhcpcd"),
    *("var/lib/dhcp", "var/lib/NetworkManager", str(KEPT).lstrip("/")),
)
_LEASES = ("var/lib/dhcp/dhclient.{name}.leases", "var/lib/dhcp/dhclient.leases", "var/lib/dhclient/dhclient.leases")
_RESOLVCONF = (
    *("run/resolvconf/interface/{name}.*", "run/resolvconf/interface/{name}", "run/resolvconf/interfaces/{name}.*"),
    *("run/resolvconf/interfaces/{name}", "run/resolvconf/keys/{name}.*", "run/resolvconf/keys/{name}"),
    "run/dhcpcd/hook-state/resolv.conf/{name}.*",
)
_BASE = ("GENERAL.DEVICE", "IP4", "IP6", "DHCP4", "DHCP6")
_UP, _PPP, _NONE = 0x1, "512", "65534"
_NO_LINK = {"lo"}


@dataclass(frozen=True, slots=True)
class Glance:
    """What is read each second. `joined` are ways out of the machine but for tunnels, each with a number that grows
    whenever its cable or radio comes and goes: (link, gateway, number). `rest` is compared and nothing else.
    """

    joined: frozenset[tuple[str, str, int]] = frozenset()
    rest: tuple[object, ...] = ()


def glance(root: Path = Path("/")) -> Glance:
    """A few dozen small reads; no command."""
    folder = root / "sys/class/net"
    try:
        names = sorted(set(os.listdir(folder)) - _NO_LINK)
    except OSError:
        names = []
    changes = {name: _number(folder / name / "carrier_changes") for name in names}
    tunnels = {name for name in names if kind_of(folder / name)}
    joined = frozenset((name, via, changes.get(name, 0)) for name, via in _gateways(root) if name not in tunnels)
    state = tuple((name, _text(folder / name / "flags"), _text(folder / name / "operstate")) for name in names)
    return Glance(joined, (state, *(_stamp(root / path) for path in _WATCHED)))


def look(root: Path, run: Runner) -> tuple[NetLink, ...]:
    """Every link but the loopback: `offered` are resolvers that its network has named, asked or not.

    What `system.links` has taken from a link stands first; of a rewritten resolv.conf a VPN that is there is the cause.
    """
    folder = root / "sys/class/net"
    try:
        names = sorted(set(os.listdir(folder)) - _NO_LINK)
    except OSError:
        return ()
    managed = nmcli(run) if (root / "run/NetworkManager").exists() else {}
    resolved = (root / "run/systemd/resolve").exists()
    asked, domains = (resolvectl(run, "dns"), resolvectl(run, "domain")) if resolved else ({}, {})
    taken = {told.link: told for told in read_taken(root / str(KEPT).lstrip("/"))}
    found = []
    for name in names:
        kind = kind_of(folder / name)
        guarded = [taken[key] for key in (name, *([REWRITTEN] if kind else [])) if key in taken]
        leased, searched = leases(root, name, _text(folder / name / "ifindex"))
        told, named = managed.get(name, ((), ()))
        servers = (*(server for one in guarded for server in one.servers), *told, *leased)
        own = (*(domain for one in guarded for domain in one.domains), *domains.get(name, ()), *named, *searched)
        up = bool(_number(folder / name / "flags", 16) & _UP)
        asks = _addresses(asked.get(name, ()), name)
        found.append(NetLink(name, up, kind, asks, _addresses(servers, name), tuple(dict.fromkeys(own))))
    return tuple(found)


def kind_of(link: Path) -> str:
    """wireguard, tun or ppp for what a VPN makes, else ""; the network card of a virtual machine is none."""
    if (link / "brport").exists():
        return ""
    if "DEVTYPE=wireguard" in _text(link / "uevent").split():
        return "wireguard"
    number = _text(link / "type")
    if number == _PPP:
        return "ppp"
    named = link.name.startswith(("tun", "tap", "wg", "ppp"))
    return "tun" if named or number == _NONE or (link / "tun_flags").exists() else ""


def leases(root: Path, name: str, index: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(Resolvers, domains) that DHCP or a VPN has named for a link, from the files of whoever asked for them."""
    servers: list[str] = []
    domains: list[str] = []
    for line in _text(root / "run/systemd/netif/leases" / (index or "-")).splitlines():
        if line.startswith("DNS="):
            servers += line[4:].split()
    for path in (root / each.format(name=name) for each in _LEASES):
        lease = _text(path).rpartition("lease {")[2]
        if f'interface "{name}"' in lease:
            for given in re.findall(r"option domain-name-servers ([^;]*);", lease):
                servers += [word.strip() for word in given.split(",")]
    for pattern in _RESOLVCONF:
        for path in sorted(root.glob(pattern.format(name=name))):
            text = _text(path)
            servers += name_servers(text)
            words = (line.split() for line in text.splitlines())
            domains += [each for line in words if line and line[0] in ("search", "domain") for each in line[1:]]
    return tuple(dict.fromkeys(servers)), tuple(dict.fromkeys(domains))


def nmcli(run: Runner) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """By link (resolvers, domains) as NetworkManager has them; those of DHCP come first, used or not."""
    code, said = run(("nmcli", "-t", "-f", ",".join(_BASE), "device", "show"))
    first: dict[str, list[str]] = {}
    then: dict[str, list[str]] = {}
    domains: dict[str, list[str]] = {}
    device = ""
    for line in said.splitlines() if code == 0 else ():
        key, _, value = line.replace("\\:", "\0").partition(":")
        value = value.replace("\0", ":")
        if key == "GENERAL.DEVICE":
            device = value
        elif ".OPTION" in key:
            option, _, given = value.partition(" = ")
            if option in ("domain_name_servers", "dhcp6_name_servers", "dhcp6_domain_name_servers"):
                first.setdefault(device, []).extend(given.split())
        elif ".DNS" in key and value:
            then.setdefault(device, []).append(value)
        elif (".DOMAIN" in key or ".SEARCHES" in key) and value:
            domains.setdefault(device, []).append(value)
    return {
        name: ((*first.get(name, ()), *then.get(name, ())), tuple(domains.get(name, ())))
        for name in (*first, *then, *domains)
    }


def resolvectl(run: Runner, what: str) -> dict[str, tuple[str, ...]]:
    """`resolvectl dns` or `resolvectl domain` by link: "Link 2 (eth0): 192.0.2.1 2001:db8::1"."""
    code, said = run(("resolvectl", "--no-pager", what))
    found = re.findall(r"^Link \d+ \(([^)]+)\):[ \t]*(.*)$", said, re.MULTILINE) if code == 0 else ()
    return {name: tuple(rest.split()) for name, rest in found}


def _addresses(words: Iterable[str], link: str) -> tuple[str, ...]:
    """Numeric addresses among `words`; one that holds on its link only is told which."""
    found = []
    for word in words:
        try:
            address = ipaddress.ip_address(word.partition("#")[0].partition("%")[0])
        except ValueError:
            continue
        found.append(f"{address}%{link}" if address.version == 6 and address.is_link_local else str(address))
    return tuple(dict.fromkeys(found))


def _gateways(root: Path) -> Iterable[tuple[str, str]]:
    """(link, gateway as the kernel writes it) of each default route, IPv4 and IPv6."""
    for line in _text(root / "proc/net/route").splitlines()[1:]:
        words = line.split()
        if len(words) > 7 and words[1] == words[7] == "00000000":
            yield words[0], words[2]
    for line in _text(root / "proc/net/ipv6_route").splitlines():
        words = line.split()
        if len(words) == 10 and words[1] == "00" and words[9] not in _NO_LINK:
            yield words[9], words[4]


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        info = path.stat()
    except OSError:
        return ()
    return info.st_mtime_ns, info.st_ino, info.st_size


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _number(path: Path, base: int = 10) -> int:
    try:
        return int(_text(path) or "0", base)
    except ValueError:
        return 0
