"""Reads the picture of this machine; changes nothing. What cannot be read is left out of the picture, never guessed.

Files are read below `root`, commands go through a runner, so that a tree and canned output make any machine. Called by
`cli.install`, `system.doctor` and the self-probe.
"""

import os
import platform
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from blockerd.system.browsers import PLACES
from blockerd.system.dhclient import DHCPCD, OPENRESOLV, WSL
from blockerd.system.picture import Browser, Holder, Machine, NetLink, Resolv

Runner = Callable[[Sequence[str]], tuple[int, str]]

_FILES = (DHCPCD, OPENRESOLV, WSL, "/etc/hosts", "/etc/nsswitch.conf")
_TOOLS = (
    *("systemctl", "loginctl", "resolvectl", "networkctl", "nmcli", "dhclient", "nft", "resolvconf"),
    *("useradd", "runuser"),
)
_NETWORKS = ("etc/systemd/network", "run/systemd/network", "usr/lib/systemd/network", "lib/systemd/network")
_TARGETS = (
    ("/run/systemd/resolve/stub-resolv.conf", Resolv.STUB),
    ("/usr/lib/systemd/resolv.conf", Resolv.STUB),
    ("/lib/systemd/resolv.conf", Resolv.STUB),
    ("/run/systemd/resolve/resolv.conf", Resolv.UPLINK),
    ("/run/NetworkManager/", Resolv.NETWORKMANAGER),
    ("/run/resolvconf/", Resolv.RESOLVCONF),
    ("/etc/resolvconf/", Resolv.RESOLVCONF),
)


def look(root: Path, run: Runner, *, live: bool = True) -> Machine:
    """The machine whose files are under `root`; `live` False asks the kernel nothing, for trees in tests."""
    kind, text, target = _resolv(root)
    return Machine(
        system="linux",
        wsl=_wsl(root),
        resolv=kind,
        resolv_text=text,
        resolv_target=target,
        units=_units(run),
        tools=frozenset(tool for tool in _TOOLS if _has(root, tool)),
        holders=holders() if live else (),
        links=links(run, root),
        networks=_networks(root),
        browsers=tuple(_browsers(root)),
        files=tuple((path, found) for path in _FILES if (found := _bytes(root / path.lstrip("/"))) is not None),
        users=_users(root),
        fixed=_fixed(root, run) if live else frozenset(),
        environment=_environment(root),
    )


def holders() -> tuple[Holder, ...]:
    """Who listens on port 53; programs of other users are seen by root alone."""
    found = []
    with suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("inet"):
            local = connection.laddr
            listens = connection.status == psutil.CONN_LISTEN or connection.type == 2
            if local and local.port == 53 and listens and not connection.raddr:
                found.append(_holder("udp" if connection.type == 2 else "tcp", local.ip, connection.pid or 0))
    return tuple(sorted(set(found), key=lambda one: (one.address, one.transport)))


def links(run: Runner, root: Path = Path("/")) -> tuple[NetLink, ...]:
    """Every interface but the loopback, with what systemd-resolved asks and what its network offered.

    From the kernel's own files: `ip` gives up where it may not drop rights (a sandboxed service).
    """
    servers, domains = _per_link(run, "dns"), _per_link(run, "domain")
    named = _nmcli(run)
    found = []
    for folder in sorted((root / "sys/class/net").glob("*")):
        name = folder.name
        if name == "lo" or not (folder / "ifindex").exists():
            continue
        found.append(
            NetLink(
                name=name,
                up=bool(int(_word(folder / "flags") or "0", 16) & _IFF_UP),
                kind=_kind(folder),
                resolvers=servers.get(name, ()),
                offered=named.get(name, ()) or leased(root, name, _word(folder / "ifindex")),
                domains=domains.get(name, ()),
            )
        )
    return tuple(found)


_IFF_UP = 1
_TYPES = {"512": "ppp", "65534": "tun"}
"""ARPHRD_PPP and ARPHRD_NONE of <linux/if_arp.h>."""


def _kind(folder: Path) -> str:
    """What made a link, as far as it says: wireguard, tun, ppp."""
    told = re.search(r"^DEVTYPE=(\w+)$", (_bytes(folder / "uevent") or b"").decode("ascii", "replace"), re.MULTILINE)
    if told:
        return told[1]
    return "tun" if (folder / "tun_flags").exists() else _TYPES.get(_word(folder / "type"), "")


def _word(path: Path) -> str:
    return (_bytes(path) or b"").decode("ascii", "replace").strip()


def leased(root: Path, name: str, index: str) -> tuple[str, ...]:
    """Resolvers that DHCP has named for a link, as systemd-networkd or dhclient keep them."""
    text = (_bytes(root / f"run/systemd/netif/leases/{index}") or b"").decode("ascii", "replace")
    found = [word for line in text.splitlines() if line.startswith("DNS=") for word in line[4:].split()]
    kept = (
        _bytes(root / f"var/lib/dhcp/dhclient.{name}.leases") or _bytes(root / "var/lib/dhcp/dhclient.leases")
    ) or b""
    for lease in kept.decode("ascii", "replace").split("lease {")[-1:]:
        if f'"{name}"' in lease:
            found += re.findall(r"[\d.]+", "".join(re.findall(r"option domain-name-servers ([^;]*);", lease)))
    return tuple(dict.fromkeys(found))


def _environment(root: Path) -> tuple[tuple[str, str], ...]:
    """The assignments in /etc/environment, which every login takes up (pam_env(8))."""
    lines = (_bytes(root / "etc/environment") or b"").decode("utf-8", "replace").splitlines()
    pairs = (line.strip().removeprefix("export ").partition("=") for line in lines if not line.strip().startswith("#"))
    return tuple((name.strip(), value.strip("\"' ")) for name, equals, value in pairs if equals)


def _holder(transport: str, address: str, pid: int) -> Holder:
    if not pid:
        return Holder(transport, address)
    try:
        program = psutil.Process(pid).name()
        unit = _unit_of(Path(f"/proc/{pid}/cgroup").read_text("ascii", "replace"))
    except (psutil.Error, OSError):
        return Holder(transport, address, pid)
    return Holder(transport, address, pid, program, unit)


def _unit_of(cgroup: str) -> str:
    names = re.findall(r"/([^/\n]+\.(?:service|scope))", cgroup)
    return names[-1] if names else ""


def _resolv(root: Path) -> tuple[Resolv, str, str]:
    path = root / "etc/resolv.conf"
    text = (_bytes(path) or b"").decode("utf-8", "replace")
    if not path.is_symlink():
        return (Resolv.FILE if path.exists() else Resolv.MISSING), text, ""
    target = os.readlink(path)
    whole = os.path.normpath(target if target.startswith("/") else f"/etc/{target}")
    if not text:  # an absolute link below another root leads out of it
        text = (_bytes(root / whole.lstrip("/")) or b"").decode("utf-8", "replace")
    kind = next((kind for start, kind in _TARGETS if whole.startswith(start)), Resolv.OTHER)
    return kind, text, target


def _wsl(root: Path) -> bool:
    release = (_bytes(root / "proc/sys/kernel/osrelease") or b"").lower()
    return b"microsoft" in release or b"wsl" in release


def _units(run: Runner) -> frozenset[str]:
    code, said = run(("systemctl", "list-units", "--type=service", "--state=active", "--plain", "--no-legend"))
    return frozenset(line.split()[0] for line in said.splitlines() if line.strip()) if code == 0 else frozenset()


def _has(root: Path, tool: str) -> bool:
    folders = ("usr/sbin", "usr/bin", "sbin", "bin", "usr/local/sbin", "usr/local/bin")
    return any((root / folder / tool).exists() for folder in folders) or (
        root == Path("/") and shutil.which(tool) is not None
    )


def _networks(root: Path) -> tuple[str, ...]:
    """The network files in force: a name stands once, in the first folder that has it."""
    found: dict[str, str] = {}
    for folder in _NETWORKS:
        for path in sorted((root / folder).glob("*.network")):
            if not (path.is_symlink() and os.readlink(path) == "/dev/null"):
                found.setdefault(path.name, f"/{folder}/{path.name}")
    return tuple(sorted(found.values()))


def _browsers(root: Path) -> Iterable[Browser]:
    arch = platform.machine()
    seen = set()
    for vendor, package, policy, signs in PLACES:
        path = policy.format(arch=arch)
        if path in seen or not any((root / sign.lstrip("/")).exists() for sign in signs):
            continue
        seen.add(path)
        here = root / path.lstrip("/")
        yield Browser(vendor, package, path, _bytes(here), tuple(_read_after(here)) if vendor.many else ())


def _read_after(path: Path) -> Iterable[tuple[str, bytes]]:
    """Files that Chromium reads after `path`: the last one by name has the last word."""
    for other in sorted(path.parent.glob("*")):
        if other.name > path.name and (content := _bytes(other)) is not None:
            yield other.name, content


def _users(root: Path) -> frozenset[str]:
    text = (_bytes(root / "etc/passwd") or b"").decode("utf-8", "replace")
    return frozenset(line.split(":")[0] for line in text.splitlines() if ":" in line)


def _fixed(root: Path, run: Runner) -> frozenset[str]:
    """What cannot be changed: an immutable file, a read-only /etc."""
    found = set()
    code, said = run(("lsattr", "-d", str(root / "etc/resolv.conf")))
    if code == 0 and "i" in said.split()[0]:
        found.add("/etc/resolv.conf")
    if os.geteuid() == 0 and os.statvfs(root / "etc").f_flag & os.ST_RDONLY:
        found.add("/etc")
    return frozenset(found)


def _per_link(run: Runner, what: str) -> dict[str, tuple[str, ...]]:
    """`resolvectl dns` and `resolvectl domain`: "Link 2 (eth0): 192.0.2.1 2001:db8::1"."""
    code, said = run(("resolvectl", what))
    if code:
        return {}
    found = re.findall(r"^Link \d+ \(([^)]+)\):[ \t]*(.*)$", said, re.MULTILINE)
    return {name: tuple(rest.split()) for name, rest in found}


def _nmcli(run: Runner) -> dict[str, tuple[str, ...]]:
    code, said = run(("nmcli", "-t", "-f", "GENERAL.DEVICE,IP4.DNS,IP6.DNS", "device", "show"))
    found: dict[str, list[str]] = {}
    device = ""
    for line in said.splitlines() if code == 0 else ():
        key, _, value = line.partition(":")
        if key == "GENERAL.DEVICE":
            device = value
        elif value and ".DNS" in key:
            found.setdefault(device, []).append(value.replace("\\:", ":"))
    return {name: tuple(addresses) for name, addresses in found.items()}


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
