"""A strange network and a VPN inside one namespace: whose resolver is asked about which names, and what is recorded.

`unshare --user --map-root-user --net --mount python -m tests.e2e.roads FOLDER`; prints as JSON what was seen. The
hotel's resolver answers every name with its own page at a private address, the VPN's likewise. Called by test_roads.py.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from blockerd.dns.roads import Road, to_bytes
from blockerd.journal.entry import ResolverPath
from blockerd.journal.read import View
from blockerd.process import boot_id
from tests.e2e.install import Install, wait_until
from tests.fakes.packets import a, name_of, response, type_of
from tests.fakes.upstream import stub_upstream
from tests.trials.namespace import up

HOTEL, VPN, UPSTREAM = "10.9.9.9", "10.8.8.8", "192.0.2.1"
"""What each resolver answers every name with; the upstream's address is that of `fakes.upstream`."""
GATEWAY, GATEWAY2, INSIDE = "192.168.77.1", "192.168.78.1", "192.168.90.53"
PROBE, LISTED_PROBE, OPEN = "connectivity-check.ubuntu.com", "www.ibook.info", "open.test"
SIGN_IN = "login.hotel.example"
CONFIG = '[privacy]\nlevel = "name"\n'


def main(folder: Path) -> int:
    """The course of events."""
    subprocess.run(["mount", "-t", "sysfs", "none", "/sys"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
    up()
    _link("home0", "192.168.77.20/24", GATEWAY)
    asked: dict[str, list[str]] = {"hotel": [], "vpn": []}
    for address, page, by in ((GATEWAY, HOTEL, "hotel"), (GATEWAY2, HOTEL, "hotel"), (INSIDE, VPN, "vpn")):
        _ip("addr", "add", f"{address}/32", "dev", "lo")
        threading.Thread(target=_resolver, args=(address, page, asked[by]), daemon=True).start()
    with stub_upstream() as stub:
        install = Install(folder, stub.port, dns="")
        install.configure(install.add_list("adult", f"{LISTED_PROBE}\n") + CONFIG)
        try:
            install.run()
            said = {**_strange_network(install), **_vpn(install), **_alone(install)}
            said["log"] = [one["names"] for one in install.log()]
        finally:
            install.end()
        said["entries"] = _entries(install)
        said["asked"] = {who: sorted(set(names)) for who, names in asked.items()}
        said["upstream"] = sorted({call.name for call in stub.calls})
    sys.stdout.write(json.dumps(said))
    return 0


def _strange_network(install: Install) -> dict[str, Any]:
    """A lease names a resolver; the window opens, is closed, opened with a name, and opens for a new network."""
    before = _address(install, PROBE)
    _lease("home0", GATEWAY)
    seconds = wait_until(lambda: _told(install, "window"))
    wait_until(lambda: _address(install, PROBE) == HOTEL)
    found: dict[str, Any] = {
        "before": before, "opened in": seconds, "status": install.call("status").stdout,
        "during": {name: _address(install, name) for name in (PROBE, LISTED_PROBE, OPEN, SIGN_IN, "blocked.example")},
    }  # fmt: skip
    found["close"] = install.call("portal", "close").stdout
    wait_until(lambda: _address(install, PROBE) == UPSTREAM)
    found["status closed"] = install.call("portal", "status").returncode
    found["open"] = install.call("portal", "open", SIGN_IN, "blocked.example").stdout
    wait_until(lambda: _address(install, SIGN_IN) == HOTEL)
    found["named"] = {name: _address(install, name) for name in (OPEN, "blocked.example")}
    install.call("portal", "close")
    wait_until(lambda: _address(install, SIGN_IN) == UPSTREAM)
    _link("cafe0", "192.168.78.20/24", GATEWAY2)
    _lease("cafe0", GATEWAY2)
    wait_until(lambda: _told(install, "window"))
    killed = install.pid("control")
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: install.pid("control") not in (0, killed))
    found["after a kill"] = wait_until(lambda: install.call("portal", "status").returncode == 0, 15)
    install.call("portal", "close")
    return found


def _vpn(install: Install) -> dict[str, Any]:
    """A VPN comes with domains of its own, one of them listed, one too wide, and goes."""
    subprocess.run(["mkdir", "-p", "/run/resolvconf/interface"], check=True)
    text = f"nameserver {INSIDE}\nsearch corp.example internal blocked.example com\n"
    Path("/run/resolvconf/interface/wg0.test").write_text(text)
    _ip("link", "add", "wg0", "type", "veth", "peer", "name", "wg0peer")
    _ip("link", "set", "wg0", "up")
    wait_until(lambda: _address(install, "wiki.corp.example") == VPN)
    names = ("git.internal", "blocked.example", "x.blocked.example", "example.com", OPEN)
    found = {"vpn": {name: _address(install, name) for name in names}, "vpn status": _status(install)["vpn"]}
    _ip("link", "del", "wg0")
    wait_until(lambda: _address(install, "wiki.corp.example") == UPSTREAM)
    wait_until(lambda: not _told(install, "vpn"))
    return found


def _alone(install: Install) -> dict[str, Any]:
    """With nobody to keep the file, `dns` ends a road by itself; a torn file has none."""
    install.end()
    install.start("dns")
    install.wait_answering()
    path = install.var / "run/roads.json"
    until = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000 + 1_500_000
    path.write_bytes(to_bytes([Road("road.test", (INSIDE,), until)], boot_id(), {}))
    wait_until(lambda: _address(install, "road.test") == VPN, 1.0)
    wait_until(lambda: _address(install, "road.test") == UPSTREAM, 3.0)
    late = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000 - until
    path.write_bytes(b'{"boot": "' + boot_id().encode() + b'", "roads": [{')
    return {"late": late, "torn": _address(install, OPEN)}


def _address(install: Install, name: str) -> str:
    """The address that `name` gets, "" for none."""
    reply = install.ask(name)
    return socket.inet_ntoa(reply.data[-4:]) if reply.answers else ""


def _status(install: Install) -> dict[str, Any]:
    got: dict[str, Any] = json.loads(install.call("status", "--json").stdout)
    return got


def _told(install: Install, what: str) -> object:
    """What the file that `dns` reads says of the window, or of VPNs."""
    try:
        return json.loads((install.var / "run/roads.json").read_bytes())[what]
    except OSError:
        return None


def _entries(install: Install) -> list[list[str]]:
    with closing(View(install.var / "journal.sqlite", install.var / "spool")) as view:
        entries = view.entries(0, 1 << 60, ["resolver-path"])
    return [[one.what, one.old, one.new, one.detail] for one in entries if isinstance(one, ResolverPath)]


def _link(name: str, address: str, gateway: str) -> None:
    _ip("link", "add", name, "type", "veth", "peer", "name", f"{name}peer")
    _ip("addr", "add", address, "dev", name)
    for each in (f"{name}peer", name):
        _ip("link", "set", each, "up")
    _ip("route", "add", "default", "via", gateway, "dev", name, "metric", str(100 + len(os.listdir("/sys/class/net"))))


def _lease(name: str, server: str) -> None:
    """What systemd-networkd keeps of a lease."""
    folder = Path("/run/systemd/netif/leases")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / Path(f"/sys/class/net/{name}/ifindex").read_text().strip()).write_text(f"ADDRESS=1\nDNS={server}\n")


def _resolver(address: str, page: str, asked: list[str]) -> None:
    """Answers every question for an address with `page`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((address, 53))
        while True:
            query, client = sock.recvfrom(2048)
            asked.append(name_of(query).lower())
            sock.sendto(response(query, [a(b"\xc0\x0c", page)] if type_of(query) == 1 else []), client)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
