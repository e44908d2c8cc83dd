"""The way of machines without systemd-resolved: /etc/resolv.conf is a plain file of ours, and who would rewrite it is
told not to. Pure.

The former link or file comes back byte for byte; one that a network has rewritten since is newer than ours and stays.
Called by `system.plan`.
"""

from blockerd.system import dhclient, networkd, networkmanager
from blockerd.system.picture import Machine
from blockerd.system.resolved import RESOLV, resolv_conf
from blockerd.system.steps import File, Foreign, Step
from blockerd.system.wish import Wish


def takeover(machine: Machine, wish: Wish) -> tuple[Step, ...]:
    """Those who write the file first, then the file."""
    return (
        *networkmanager.steps(machine),
        *networkd.steps(machine),
        *dhclient.steps(machine),
        File("programs ask blockerd", RESOLV, resolv_conf(wish), foreign=Foreign.LEAVE),
    )
