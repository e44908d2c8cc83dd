"""Links, resolvers and domains read from a tree that looks like a machine's own files, and from what its tools say."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from blockerd.system.network import glance, kind_of, look

ROUTE = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
SIX = f"{'0' * 32} 00 {'0' * 32} 00 %s 00000400 00000001 00000000 00000003 %8s\n"
NMCLI = r"""GENERAL.DEVICE:wlan0
IP4.ADDRESS[1]:192.0.2.20/24
IP4.DNS[1]:127.0.0.1
IP4.SEARCHES[1]:lan
IP6.DNS[1]:fe80\:\:1
DHCP4.OPTION[1]:domain_name = lan
DHCP4.OPTION[2]:domain_name_servers = 192.0.2.1 192.0.2.2
DHCP6.OPTION[1]:dhcp6_name_servers = 2001\:db8\:\:1

GENERAL.DEVICE:wg0
IP4.DNS[1]:10.8.0.1
IP4.DOMAIN[1]:corp.example
"""
RESOLVECTL = {
    "dns": "Global: 127.0.0.1 ::1\nLink 3 (wlan0):\nLink 4 (wg0): 10.8.0.1#dns.corp.example 10.8.0.2",
    "domain": "Global: ~.\nLink 4 (wg0): ~corp.example ~.",
}


def _put(root: Path, path: str, text: str = "") -> None:
    at = root / path
    at.parent.mkdir(parents=True, exist_ok=True)
    at.write_text(text)


def _link(root: Path, name: str, index: int, *, up: bool = True, **more: str) -> None:
    files = {"ifindex": str(index), "flags": "0x1003" if up else "0x1002", "operstate": "up", "type": "1", **more}
    for file, text in ({"carrier_changes": "2"} | files).items():
        _put(root, f"sys/class/net/{name}/{file}", f"{text}\n")


def _silent(_words: Sequence[str]) -> tuple[int, str]:
    return 127, "no such command"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    _link(tmp_path, "lo", 1)
    _link(tmp_path, "wlan0", 3)
    _link(tmp_path, "wg0", 4, uevent="DEVTYPE=wireguard\nINTERFACE=wg0", type="65534")
    rest = "0\t0\t0\n"
    _put(tmp_path, "proc/net/route", ROUTE + "".join((
        f"wlan0\t00000000\t010200C0\t0003\t0\t0\t600\t00000000\t{rest}",
        f"wlan0\t000200C0\t00000000\t0001\t0\t0\t600\t00FFFFFF\t{rest}",
        f"wg0\t00000000\t00000000\t0001\t0\t0\t5\t00000000\t{rest}",
    )))  # fmt: skip
    return tmp_path


def test_a_glance_tells_ways_out_from_tunnels_and_counts_the_times_of_a_cable(machine: Path):
    first = glance(machine)
    assert first.joined == {("wlan0", "010200C0", 2)}
    _put(machine, "proc/net/ipv6_route", SIX % ("fe800000000000000000000000000001", "wlan0") + SIX % ("0" * 32, "lo"))
    assert glance(machine).joined - first.joined == {("wlan0", "fe800000000000000000000000000001", 2)}
    _put(machine, "sys/class/net/wlan0/carrier_changes", "4\n")
    assert ("wlan0", "010200C0", 4) in glance(machine).joined


def test_a_glance_changes_with_a_lease_a_link_or_a_resolver_file(machine: Path):
    seen = {glance(machine)}
    for path in (
        "run/systemd/netif/leases/3",
        "etc/resolv.conf",
        "run/systemd/resolve/netif/4",
        "run/resolvconf/interface/x",
    ):
        _put(machine, path, "x")
        assert glance(machine) not in seen, path
        seen.add(glance(machine))
    _link(machine, "tun0", 9)
    assert glance(machine) not in seen


def test_networkmanager_and_systemd_resolved_tell_what_they_were_given(machine: Path):
    for folder in ("run/NetworkManager", "run/systemd/resolve"):
        (machine / folder).mkdir(parents=True)

    def run(words: Sequence[str]) -> tuple[int, str]:
        return 0, NMCLI if words[0] == "nmcli" else RESOLVECTL[words[-1]]

    vpn, wlan = look(machine, run)
    assert wlan.offered == ("192.0.2.1", "192.0.2.2", "2001:db8::1", "127.0.0.1", "fe80::1%wlan0")
    assert (wlan.tunnel, wlan.up, wlan.domains) == (False, True, ("lan",))
    assert (vpn.tunnel, vpn.resolvers, vpn.offered) == (True, ("10.8.0.1", "10.8.0.2"), ("10.8.0.1",))
    assert vpn.domains == ("~corp.example", "~.", "corp.example")


def test_without_their_folders_no_tool_is_called_which_would_start_its_service(machine: Path):
    def run(words: Sequence[str]) -> tuple[int, str]:
        raise AssertionError(words)

    assert [link.name for link in look(machine, run)] == ["wg0", "wlan0"]


OLD, NEW, OTHER = (
    f'lease {{\n  interface "{link}";\n  option domain-name-servers {servers};\n}}\n'
    for link, servers in (("wlan0", "192.0.2.9"), ("wlan0", "192.0.2.1,192.0.2.2"), ("eth9", "192.0.2.9"))
)


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("run/systemd/netif/leases/3", "ADDRESS=192.0.2.20\nDNS=192.0.2.1 192.0.2.2\n", ("192.0.2.1", "192.0.2.2")),
        ("var/lib/dhcp/dhclient.leases", OLD + NEW, ("192.0.2.1", "192.0.2.2")),
        ("var/lib/dhcp/dhclient.leases", OTHER, ()),
        ("run/resolvconf/interface/wlan0.dhclient", "domain lan\nnameserver 192.0.2.1\n", ("192.0.2.1",)),
        ("run/resolvconf/interfaces/wlan0", "nameserver 192.0.2.1\n", ("192.0.2.1",)),
        ("run/dhcpcd/hook-state/resolv.conf/wlan0.dhcp", "nameserver 192.0.2.1\n", ("192.0.2.1",)),
        ("run/systemd/netif/leases/3", "DNS=not-an-address\n", ()),
    ],
)
def test_leases_are_read_wherever_they_are_kept(path: str, text: str, found: tuple[str, ...], machine: Path):
    _put(machine, path, text)
    assert {link.name: link.offered for link in look(machine, _silent)} == {"wlan0": found, "wg0": ()}


def test_what_was_taken_from_a_vpn_is_still_its_own(machine: Path):
    told = [
        {"link": "wg0", "servers": ["10.8.0.1"], "domains": ["corp.example"]},
        {"link": "resolv.conf", "servers": ["10.8.0.9"], "domains": ["lab.example"]},
    ]
    before = glance(machine)
    _put(machine, "run/blockerd-guard/links.json", json.dumps(told))
    assert glance(machine) != before
    vpn, wlan = look(machine, _silent)
    assert (vpn.offered, vpn.domains) == (("10.8.0.1", "10.8.0.9"), ("corp.example", "lab.example"))
    assert (wlan.offered, wlan.domains) == ((), ())


def test_a_virtual_machines_card_is_no_vpn(tmp_path: Path):
    _link(tmp_path, "vnet0", 5, tun_flags="0x1002")
    _link(tmp_path, "tun7", 6, type="65534")
    _link(tmp_path, "ppp0", 7, type="512")
    _link(tmp_path, "eth0", 8)
    (tmp_path / "sys/class/net/vnet0/brport").mkdir()
    folder = tmp_path / "sys/class/net"
    assert [kind_of(folder / name) for name in ("vnet0", "tun7", "ppp0", "eth0")] == ["", "tun", "ppp", ""]


def test_a_machine_of_which_nothing_can_be_read_has_no_links(tmp_path: Path):
    assert look(tmp_path, _silent) == ()
    assert glance(tmp_path).joined == frozenset()
