"""dhclient, dhcpcd and WSL: what else writes /etc/resolv.conf, and how each is told to leave it. Pure.

dhclient's hook replaces the one function that writes the file, for DHCP and DHCPv6 alike; it sorts after the hooks of
other packages. dhcpcd's line stands first: one that follows `interface` is that interface's alone (dhcpcd.conf(5)).
Called by `resolved` and `resolvconf`.
"""

from blockerd.system.picture import Machine
from blockerd.system.steps import Command, File, Step, digest

HOOK = "/etc/dhcp/dhclient-enter-hooks.d/zz-blockerd"
_HOOK_TEXT = b"""# Written by blockerd; `blockerd uninstall` takes it away again.
make_resolv_conf() { :; }
"""
DHCPCD = "/etc/dhcpcd.conf"
WSL = "/etc/wsl.conf"
OPENRESOLV = "/etc/resolvconf.conf"
_NOTE = b"# Written by blockerd; `blockerd uninstall` takes it away again.\n"


def steps(machine: Machine) -> tuple[Step, ...]:
    """A hook for dhclient where it is installed, a line for dhcpcd, openresolv and WSL where they are."""
    found: list[Step] = []
    if machine.has("dhclient"):
        found.append(File("dhclient leaves /etc/resolv.conf alone", HOOK, _HOOK_TEXT))
    if (old := machine.file(DHCPCD)) is not None and b"nohook resolv.conf" not in _for_all(old):
        found += _dhcpcd(machine, _NOTE + b"nohook resolv.conf\n" + old)
    if (old := machine.file(OPENRESOLV)) is not None and b"resolvconf=NO" not in _lines(old):
        gap = b"" if not old or old.endswith(b"\n") else b"\n"
        found.append(_left_alone(machine, OPENRESOLV, old + gap + _NOTE + b"resolvconf=NO\n"))
    if machine.wsl:
        found.append(_wsl(machine.file(WSL)))
    return tuple(found)


def _dhcpcd(machine: Machine, content: bytes) -> tuple[Step, ...]:
    """Its file, and where it runs, the word that it shall read it again, on the way back too."""
    title, again = "dhcpcd reads its settings again", ("dhcpcd", "-n")
    file = _left_alone(machine, DHCPCD, content)
    if not machine.runs("dhcpcd"):
        return (file,)
    return (Command(title, inverse=again), file, Command(title, forward=again, may_fail=True))


def _left_alone(machine: Machine, path: str, content: bytes) -> Step:
    title = f"{path}: /etc/resolv.conf is left alone"
    return File(title, path, content, expect=digest(machine.file(path) or b""))


def _lines(content: bytes) -> list[bytes]:
    return [b" ".join(line.split()) for line in content.splitlines()]


def _for_all(content: bytes) -> list[bytes]:
    """The lines of a dhcpcd.conf(5) that hold for every interface: those above the first block."""
    found = _lines(content)
    blocks = (b"interface", b"ssid", b"profile", b"arping")
    return found[: next((at for at, line in enumerate(found) if line.split(b" ")[0] in blocks), None)]


def _wsl(old: bytes | None) -> Step:
    """`generateResolvConf = false` in the section [network], which may be there already."""
    lines = [] if old is None else old.decode("utf-8", "replace").splitlines()
    kept = [line for line in lines if line.replace(" ", "").lower().split("=")[0] != "generateresolvconf"]
    ours = "generateResolvConf = false"
    at = next((n for n, line in enumerate(kept) if line.strip().lower() == "[network]"), None)
    if at is None:
        kept += ["# Written by blockerd; `blockerd uninstall` takes it away again.", "[network]", ours]
    else:
        kept.insert(at + 1, ours)
    text = "\n".join(kept) + "\n"
    return File("WSL leaves /etc/resolv.conf alone", WSL, text.encode(), expect="" if old is None else digest(old))
