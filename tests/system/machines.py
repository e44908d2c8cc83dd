"""Machines to plan for, and trees of files that look like one: nothing here is the machine the tests run on.

Called by the tests of this folder.
"""

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from blockerd.system.picture import Browser, Machine, NetLink, Resolv, Vendor
from blockerd.system.plan import plan
from blockerd.system.steps import Command, File, Step, told
from blockerd.system.wish import Wish

STUB = "nameserver 127.0.0.53\noptions edns0 trust-ad\n"
TOOLS = frozenset({"systemctl", "resolvectl", "nmcli", "nft", "useradd", "runuser"})

DESKTOP = Machine(
    resolv=Resolv.STUB,
    resolv_text=STUB,
    resolv_target="/run/systemd/resolve/stub-resolv.conf",
    units=frozenset({"systemd-resolved.service", "NetworkManager.service"}),
    tools=TOOLS | {"dhclient"},
    links=(NetLink("wlan0", resolvers=("192.0.2.1", "2001:db8::1")), NetLink("eth0")),
    browsers=(
        Browser(
            Vendor.FIREFOX, "package", "/etc/firefox/policies/policies.json", b'{"policies": {"BlockAbout": true}}'
        ),
        Browser(Vendor.CHROMIUM, "package", "/etc/chromium/policies/managed/blockerd.json"),
    ),
)
SERVER = Machine(
    resolv=Resolv.STUB,
    resolv_text=STUB,
    units=frozenset({"systemd-resolved.service", "systemd-networkd.service"}),
    tools=frozenset({"systemctl", "resolvectl", "networkctl", "nft", "useradd", "runuser"}),
    networks=("/etc/systemd/network/10-lan.network", "/run/systemd/network/10-netplan-eth0.network"),
)
PLAIN = Machine(
    resolv=Resolv.FILE,
    resolv_text="nameserver 192.0.2.1\n",
    units=frozenset({"dhcpcd.service"}),
    tools=frozenset({"systemctl", "dhclient", "useradd", "runuser"}),
    files=(("/etc/dhcpcd.conf", b"hostname\n"),),
)
WSL = Machine(
    wsl=True,
    resolv=Resolv.OTHER,
    resolv_text="nameserver 172.16.0.1\n",
    tools=frozenset({"systemctl", "useradd", "runuser"}),
    files=(("/etc/wsl.conf", b"[network]\nhostname = box\ngenerateResolvConf = true\n"),),
)
MACHINES = {"desktop": DESKTOP, "server": SERVER, "plain": PLAIN, "wsl": WSL}


def again(machine: Machine, wish: Wish) -> list[Step]:
    """The steps for a machine on which all of ours runs; files that must be as at the first look are left out."""
    ours = {
        step.forward[-1]
        for step in plan(machine, wish).steps
        if isinstance(step, Command) and "restart" in told(step)[0]
    }
    then = replace(machine, units=machine.units | ours, users=frozenset({wish.places.user, wish.places.probe_user}))
    return [step for step in plan(then, wish).steps if not (isinstance(step, File) and step.expect is not None)]


def tree(root: Path, machine: Machine) -> None:
    """Makes the files of `machine` below `root`."""
    (root / "etc").mkdir(parents=True)
    resolv = root / "etc/resolv.conf"
    if machine.resolv_target:
        resolv.symlink_to(machine.resolv_target)
    else:
        resolv.write_text(machine.resolv_text)
        os.utime(resolv, ns=(1_700_000_000_123_456_789,) * 2)
    for path, content in machine.files:
        put(root, path, content)
    for browser in machine.browsers:
        if browser.content is not None:
            put(root, browser.policy, browser.content)
            (root / browser.policy.lstrip("/")).chmod(0o600)
    put(root, "/etc/passwd", b"root:x:0:0:root:/root:/bin/bash\n")
    put(root, "/etc/passwd-", b"older\n")


def put(root: Path, path: str, content: bytes) -> None:
    """Writes one file of the tree."""
    at = root / path.lstrip("/")
    at.parent.mkdir(parents=True, exist_ok=True)
    at.write_bytes(content)


def picture(root: Path) -> dict[str, tuple[str, str, int]]:
    """Everything below `root`: kind, content and mode, and the times of files."""
    found = {}
    for path in sorted(root.rglob("*")):
        info = path.lstat()
        mode = stat.S_IMODE(info.st_mode)
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            found[name] = ("link", os.readlink(path), 0)
        elif path.is_dir():
            found[name] = ("folder", "", mode)
        else:
            found[name] = (f"file {info.st_mtime_ns}", path.read_bytes().hex(), mode)
    return found


class System:
    """The system's commands on a tree: those that write files do, the others are remembered."""

    def __init__(self, root: Path, refuse: Callable[[Sequence[str]], bool] = lambda _: False) -> None:
        self.root = root
        self.ran: list[tuple[str, ...]] = []
        self._refuse = refuse

    def run(self, words: Sequence[str]) -> tuple[int, str]:
        """A runner for `apply.Applier`."""
        self.ran.append(tuple(words))
        if self._refuse(words):
            return 1, "the system says no"
        passwd, backup = self.root / "etc/passwd", self.root / "etc/passwd-"
        lines = passwd.read_text().splitlines(keepends=True)
        if words[0] == "useradd":
            backup.write_text("".join(lines))
            passwd.write_text("".join([*lines, f"{words[-1]}:x:994:994::/nonexistent:/usr/sbin/nologin\n"]))
        elif words[0] == "userdel":
            left = [line for line in lines if not line.startswith(f"{words[-1]}:")]
            if left == lines:
                return 6, f"user '{words[-1]}' does not exist"
            backup.write_text("".join(lines))
            passwd.write_text("".join(left))
        return 0, ""
