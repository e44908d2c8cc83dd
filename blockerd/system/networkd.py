"""systemd-networkd: resolvers from DHCP, DHCPv6 and router advertisements are not used (systemd.network(5)). Pure.

A drop-in for each network file, whoever wrote it (netplan writes below /run), leaves the files themselves alone. An
empty `DNS=` clears what they name; `Domains=` stays, for a link without servers of its own is asked nothing.
Called by `resolved` and `resolvconf`.
"""

from pathlib import PurePosixPath

from blockerd.system.picture import Machine
from blockerd.system.steps import Command, File, Step

_TEXT = b"""# Written by blockerd; `blockerd uninstall` takes it away again.
[Network]
DNS=
DNSDefaultRoute=no
[DHCPv4]
UseDNS=no
[DHCPv6]
UseDNS=no
[IPv6AcceptRA]
UseDNS=no
"""
_RELOAD = ("networkctl", "reload")


def steps(machine: Machine) -> tuple[Step, ...]:
    """One drop-in for each .network file; nothing where networkd does not run."""
    if not machine.runs("systemd-networkd"):
        return ()
    names = sorted({PurePosixPath(path).name for path in machine.networks})
    return (
        Command("systemd-networkd reads its settings again", inverse=_RELOAD),
        *(
            File(
                f"{name}: resolvers of the network are not used",
                f"/etc/systemd/network/{name}.d/90-blockerd.conf",
                _TEXT,
            )
            for name in names
        ),
        Command("systemd-networkd reads its settings again", forward=_RELOAD, may_fail=True),
    )
