"""Which part of an install leads the machine's questions to blockerd, and so is taken back by `rescue-network`. Pure.

Belt and guard go with their units, so that a start of the machine brings neither back. The rest stays: services,
record, locks, browser policies. Called by `cli.install`.
"""

from blockerd.system import dhclient, macos, nftables, resolved, units
from blockerd.system import networkmanager as manager
from blockerd.system.steps import Undo

UNITS = (units.DNS, units.CONTROL)
"""Started again first: where the filter only had ended, nothing else is changed."""

_PATHS = {
    resolved.DROP_IN,
    resolved.RESOLV,
    manager.CONF,
    dhclient.HOOK,
    dhclient.DHCPCD,
    dhclient.OPENRESOLV,
    dhclient.WSL,
}
_WORDS = {"systemd-resolved.service", "NetworkManager.service", "networkctl", resolved.FALLBACK, "daemon-reload"}
_UNITS = {nftables.UNIT, units.WATCHDOG}
_WORDS |= _UNITS
_PATHS |= {path for name in _UNITS for path in (units.unit_path(name), units.wanted_by("multi-user.target", name))}

_PATHS |= {macos.daemon_path(label) for label in (macos.NETWORK, macos.BELT)}
_WORDS |= {f"system/{label}" for label in (macos.NETWORK, macos.BELT)} | {
    "dhcpcd", "networksetup", "dscacheutil", "mDNSResponder", "pfctl", "belt-down", "ipconfig.exe",
}  # fmt: skip
_CMDLETS = ("DnsClientNrptRule", "DnsClientServerAddress", "NetFirewallRule")


def is_network(undo: Undo) -> bool:
    """True for a change that decides whom programs ask."""
    if undo.kind == "command":
        return bool(_WORDS & set(undo.command)) or any(name in word for word in undo.command for name in _CMDLETS)
    return undo.path in _PATHS or undo.path.startswith("/etc/systemd/network/")
