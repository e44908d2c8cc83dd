"""Kinds of machine inside a room: which programs look after resolvers there, and a person who sets blockerd up.

Each kind is a script that makes a freshly booted room one; it is run again after a restart, but for what lies on the
disk. Called by the tests of this folder.
"""

import json
import shutil
import time
from collections.abc import Sequence

from tests.room.room import ROOT, Room

DISK = {
    "desktop": "ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf",
    "server": """ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
systemctl mask --now NetworkManager.service 2>/dev/null
mkdir -p /etc/systemd/network
printf '[Match]\\nName=home0\\n[Network]\\nDHCP=yes\\nIPv6AcceptRA=yes\\n' >/etc/systemd/network/10-home.network
systemctl enable --now systemd-networkd.service 2>/dev/null""",
    "plain": """systemctl mask --now NetworkManager.service systemd-resolved.service 2>/dev/null
rm -f /etc/resolv.conf; echo nameserver 192.0.2.1 >/etc/resolv.conf""",
    "manager": """systemctl mask --now systemd-resolved.service 2>/dev/null
rm -f /etc/resolv.conf /usr/sbin/resolvconf  # the latter is another name of resolvectl
systemctl restart NetworkManager.service""",
    "beside": "rm -f /etc/resolv.conf; echo nameserver 192.0.2.1 >/etc/resolv.conf",
    "wsl": """systemctl mask --now NetworkManager.service systemd-resolved.service 2>/dev/null
mkdir -p /mnt/wsl; echo nameserver 192.0.2.1 >/mnt/wsl/resolv.conf; ln -sf /mnt/wsl/resolv.conf /etc/resolv.conf
printf '[boot]\\nsystemd=true\\n' >/etc/wsl.conf""",
}
"""What is on the disk of each kind. beside: systemd-resolved runs, and libnss-resolve asks it, but no file names it."""

NETWORK = {
    "desktop": """nmcli dev set home0 managed yes
nmcli -t -f NAME con | grep -qx home || nmcli con add type ethernet ifname home0 con-name home >/dev/null
nmcli con up home >/dev/null""",
    "server": "networkctl reload; networkctl reconfigure home0",
    "plain": "dhclient -nw home0 2>/dev/null; true",
    "wsl": """echo 5.15.167.4-microsoft-standard-WSL2 >/tmp/osrelease
mount --bind /tmp/osrelease /proc/sys/kernel/osrelease
ip addr add 192.0.2.77/24 dev home0; ip addr add 2001:db8:1::77/64 dev home0 nodad""",
}
NETWORK["manager"] = NETWORK["beside"] = NETWORK["desktop"]
"""How each gets its addresses, at each start."""

WAYS = {
    "desktop": "auto", "server": "auto", "plain": "auto", "stub-off": "stub_off", "manager": "auto", "wsl": "auto",
}  # fmt: skip
"""A kind of machine to `--way`; stub-off is a desktop."""

KINDS = {
    "desktop": "systemd-resolved kept, NetworkManager",
    "server": "systemd-resolved kept, systemd-networkd",
    "stub-off": "systemd-resolved without its stub, NetworkManager",
    "manager": "no systemd-resolved, NetworkManager",
    "plain": "no systemd-resolved, dhclient",
    "wsl": "WSL 2 (its files and kernel name; the kernel itself is this one)",
}
"""What each kind stands for, in the table of docs/install-matrix.md."""


def home_of(kind: str) -> str:
    """The machine of a kind."""
    return "desktop" if kind == "stub-off" else kind


TYPED = ("I am 18 or older and this is my own decision", "", "192.0.2.1", "")


def furnish(room: Room, kind: str) -> None:
    """Boots a room, makes it one of this kind, with its network up."""
    room.boot()
    room.sh(DISK[kind])
    if kind in ("manager", "beside"):
        room.timeless = frozenset({"/etc/resolv.conf"})  # NetworkManager writes it at each start
    connect(room, kind)


def connect(room: Room, kind: str) -> None:
    """Plugs the network in, and waits until names resolve."""
    for name in ("lan.sh", "keys.py", "cut.py"):
        shutil.copy(ROOT / "tests/room" / name, room.tree / "tmp" / name)
    room.sh("bash /tmp/lan.sh")
    room.sh(NETWORK[kind])
    wait(lambda: "192.0.2." in room.sh("ip -br -4 addr show home0"), "an address")
    wait(lambda: "2001:db8:1:" in room.sh("ip -br -6 addr show home0"), "an IPv6 address")
    wait(lambda: resolves(room), "names")


def wait(condition: object, what: str, seconds: float = 30.0) -> float:
    """Waits for a condition; how long it took."""
    began = time.monotonic()
    while not condition():  # type: ignore[operator]
        assert time.monotonic() - began < seconds, f"no {what} within {seconds} s"
        time.sleep(0.1)
    return time.monotonic() - began


def left_behind(room: Room, before: dict[str, str]) -> dict[str, tuple[str, str]]:
    """What is another than before; NetworkManager may need a moment to write /etc/resolv.conf again."""
    end = time.monotonic() + 5
    while (found := room.changed(before)) and time.monotonic() < end:
        time.sleep(0.2)
    return found


def resolves(room: Room, name: str = "example.com", user: str = "root") -> bool:
    """True if a program of the room finds an address."""
    as_user = () if user == "root" else ("runuser", "-u", user, "--")
    return room.try_run(*as_user, "getent", "ahosts", name).returncode == 0


_AS_CONTROL = r"""
python='/opt/blockerd/bin/python -c "from blockerd.journal import clocks; print(clocks.timedated())"'
sed -e "s|^ExecStart=.*|ExecStart=$python|" -e 's/^Type=.*/Type=oneshot/' -e '/^Restart/d' -e '/^Watchdog/d' \
  -e '/^Runtime/d' -e '/^ExecStopPost/d' -e '/^\[Service/a StandardOutput=file:/run/said' \
  /etc/systemd/system/blockerd-control.service >/run/systemd/system/asks.service
systemctl daemon-reload; systemctl start asks.service; cat /run/said
"""


def said_of_ntp(room: Room) -> str:
    """What a process with the rights of `control`'s unit, hears when it asks whether NTP keeps the clock."""
    return room.sh(_AS_CONTROL).strip()


def set_up(room: Room, typed: Sequence[str] = TYPED) -> str:
    """A person runs `blockerd setup` and types."""
    return room.run("python3", "/tmp/keys.py", json.dumps(typed), "blockerd", "setup")


def asked(room: Room) -> str:
    """What the home's router was asked."""
    return (room.tree / "tmp/lan/questions").read_text("utf-8", "replace")


_EVENTS = (
    "import json, sqlite3; c = sqlite3.connect('file:/var/lib/blockerd/journal.sqlite?mode=ro', uri=True); "
    "print(json.dumps([[k, json.loads(p).get('what', '')] for k, p in c.execute('SELECT kind, payload FROM events')]))"
)


def recorded(room: Room) -> list[tuple[str, str]]:
    """(kind, what) of each event in the log, in order."""
    return [(kind, what) for kind, what in json.loads(room.run("python3", "-c", _EVENTS))]
