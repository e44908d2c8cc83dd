"""dhclient, dhcpcd and WSL: what else writes /etc/resolv.conf, and how each is told to leave it. Pure.

dhclient's hook replaces the one function that writes the file, for DHCP and DHCPv6 alike; it sorts after the hooks of
other packages. Called by `resolved` and `resolvconf`.
"""

from blockerd.system.picture import Machine
from blockerd.system.steps import File, Step, digest

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
    for path, line, wanted in (
        (DHCPCD, b"nohook resolv.conf\n", machine.file(DHCPCD) is not None),
        (OPENRESOLV, b"resolvconf=NO\n", machine.file(OPENRESOLV) is not None),
    ):
        if wanted and line not in (machine.file(path) or b""):
            found.append(_with(machine, path, line))
    if machine.wsl:
        found.append(_wsl(machine.file(WSL)))
    return tuple(found)


def _with(machine: Machine, path: str, line: bytes) -> Step:
    """The file with one more line at its end."""
    old = machine.file(path) or b""
    gap = b"" if not old or old.endswith(b"\n") else b"\n"
    return File(f"{path}: /etc/resolv.conf is left alone", path, old + gap + _NOTE + line, expect=digest(old))


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
