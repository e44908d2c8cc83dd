"""NetworkManager: it no longer tells anybody which resolvers a network has. Pure.

`dns=none` leaves /etc/resolv.conf alone, `systemd-resolved=false` keeps DHCP's, DHCPv6's and router-advertised
resolvers from systemd-resolved; connections themselves are not touched. Called by `resolved` and `resolvconf`.
"""

from blockerd.system.picture import Machine
from blockerd.system.steps import Command, File, Step

CONF = "/etc/NetworkManager/conf.d/90-blockerd.conf"
_TEXT = b"""# Written by blockerd; `blockerd uninstall` takes it away again.
[main]
dns=none
systemd-resolved=false
"""
_RELOAD = ("systemctl", "try-reload-or-restart", "NetworkManager.service")


def steps(machine: Machine) -> tuple[Step, ...]:
    """Nothing where NetworkManager is not installed."""
    if not (machine.runs("NetworkManager") or machine.has("nmcli")):
        return ()
    return (
        Command("NetworkManager reads its settings again", inverse=_RELOAD),
        File("NetworkManager leaves resolvers alone", CONF, _TEXT),
        Command("NetworkManager reads its settings again", forward=_RELOAD, may_fail=True),
    )
