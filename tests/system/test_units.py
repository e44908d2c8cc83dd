"""The units as systemd itself judges them, and the packet filter's rules as nft reads them."""

import re
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest

from blockerd.system import nftables, units, watchdog
from blockerd.system.drift import Answer
from blockerd.system.picture import Machine, NetLink
from blockerd.system.watched import Watched, watched_from, words
from blockerd.system.wish import BrowserWish, Way, Wish

WISH = Wish(fallback="192.0.2.9", proxy=True, chat_ports=True, browsers=BrowserWish(private_mode=True))
LAN = Wish(listen=("192.0.2.2", "2001:db8::2"), fallback="192.0.2.9")
MACHINE = Machine(tools=frozenset({"nft"}), links=(NetLink("wg0", kind="wireguard"),))
TEXTS = {
    units.DNS: units.dns_unit(WISH.places),
    units.CONTROL: units.control_unit(WISH.places),
    units.PROXY: units.proxy_unit(WISH.places),
    units.PROBE: units.probe_unit(WISH, MACHINE),
    units.WATCHDOG: units.watchdog_unit(WISH, Way.PLAIN),
    f"resolved-{units.WATCHDOG}": units.watchdog_unit(WISH, Way.RESOLVED),
    f"lan-{units.WATCHDOG}": units.watchdog_unit(LAN, Way.PLAIN),
    units.AGENT: units.agent_unit(WISH.places, "root"),
    nftables.UNIT: units.belt_unit(nftables.RULES),
}
MOST = 2.0


@pytest.mark.needs_tool("systemd-analyze", "systemd")
@pytest.mark.parametrize("name", TEXTS)
def test_every_unit_is_as_closed_as_it_can_be(name: str, tmp_path: Path):
    path = tmp_path / name
    path.write_text(TEXTS[name])
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST * 10:.0f}", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"exposure level for \S+: (\d+\.\d)", done.stdout)
    assert found, done.stderr
    assert float(found.group(1)) <= MOST
    assert done.returncode == 0, done.stdout[-300:]


@pytest.mark.needs_tool("systemd-analyze", "systemd")
@pytest.mark.parametrize("name", TEXTS)
def test_systemd_finds_nothing_wrong_with_a_unit(name: str, tmp_path: Path):
    path = tmp_path / name
    program = tmp_path / "true"
    program.symlink_to("/bin/true")
    path.write_text(re.sub(r"(ExecStart=)\S+", rf"\g<1>{program}", TEXTS[name]))
    done = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if name in line and "Unit blockerd-" not in line]
    assert ours == []


def test_only_the_resolver_may_bind_a_low_port():
    for name, text in TEXTS.items():
        assert ("CAP_NET_BIND_SERVICE" in text) == (name == units.DNS)


def test_the_resolver_waits_for_no_network():
    assert "network-online" not in TEXTS[units.DNS]
    assert "Before=nss-lookup.target" in TEXTS[units.DNS]


@pytest.mark.parametrize(
    ("listen", "allowed"),
    [
        pytest.param(("127.0.0.1", "::1"), "localhost", id="loopback"),
        pytest.param(("192.0.2.2", "127.0.0.1"), "localhost", id="loopback is there too"),
        pytest.param(LAN.listen, "localhost 192.0.2.2 2001:db8::2", id="not on loopback"),
    ],
)
def test_the_guard_may_reach_the_filter_that_it_asks_and_nobody_else(
    listen: tuple[str, ...], allowed: str, monkeypatch: pytest.MonkeyPatch
):
    text = units.watchdog_unit(Wish(listen=listen), Way.PLAIN)
    assert re.findall("IPAddress.*", text) == ["IPAddressDeny=any", f"IPAddressAllow={allowed}"]
    asked: list[str] = []

    def filtered(address: str, _name: str) -> Answer:
        asked.append(address)
        return Answer.FILTERED

    monkeypatch.setattr(watchdog, "filtered", filtered)
    monkeypatch.setattr(watchdog, "watch", lambda *_, alive, **__: alive())
    words = re.search(r"blockerd\.system\.watchdog (.*)", text)
    assert words
    assert watchdog.main(words.group(1).split()) == 0
    (address,) = asked
    assert ip_address(address).is_loopback or address in allowed.split()


def test_what_the_probe_looks_after_survives_its_command_line():
    for watched in (
        Watched(("127.0.0.1", "::1")),
        Watched(("127.0.0.1",), True, "ab12", ("wg0", "tun1"), BrowserWish(private_mode=True), "127.0.0.1:8054"),
        Watched(("::1",), browsers=BrowserWish(safe_search=False)),
    ):
        assert watched_from(words(watched)) == watched


@pytest.mark.needs_tool("nft", "nftables")
@pytest.mark.parametrize(
    "wish",
    [
        pytest.param(WISH, id="everything"),
        pytest.param(Wish(doh_addresses=()), id="no addresses"),
        pytest.param(Wish(listen=("127.0.0.1",)), id="IPv4 alone"),
        pytest.param(Wish(listen=("192.0.2.2", "2001:db8::2")), id="not on loopback"),
    ],
)
def test_nft_takes_the_rules_and_one_delete_takes_them_away(wish: Wish, tmp_path: Path):
    path = tmp_path / "belt.nft"
    path.write_text(nftables.rules(wish).replace('"blockerd"', "65534"))
    script = (
        f"nft -f {path} && nft -f {path} && nft list table inet blockerd >{tmp_path}/listed && "
        f'{" ".join(nftables.DELETE)} && test -z "$(nft list ruleset)"'
    )
    done = subprocess.run(["unshare", "-rn", "sh", "-c", script], capture_output=True, text=True, check=False)
    if "Operation not permitted" in done.stderr and "unshare" in done.stderr:
        pytest.skip("not run here: a network namespace of one's own")
    assert done.returncode == 0, done.stderr
    listed = (tmp_path / "listed").read_text()
    assert "dport 853 reject" in listed
    assert ("8.8.8.8" in listed) == bool(wish.doh_addresses)
    assert ("6667" in listed) == wish.chat_ports


LINKS = """ip link set lo up && ip link add out0 type veth peer name far0 && ip link set out0 up && ip link set far0 up
ip addr add 192.0.2.2/24 dev out0 && ip addr add 2001:db8::2/64 dev out0 nodad"""

ASKS = """
import socket, sys
ours = []
for address in sys.argv[1].split(","):
    ours.append(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM))
    ours[-1].bind((address, 53))
    ours[-1].settimeout(0.3)
for address in sys.argv[2:]:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as out:
        try:
            out.sendto(address.encode(), (address, 53))
        except PermissionError:
            print(address, "refused")
            continue
    heard = []
    for one in ours:
        try:
            heard.append(one.recv(99).decode())
        except TimeoutError:
            pass
    print(address, "heard" if address in heard else "past us")
"""
"""What becomes of a datagram to port 53 of each address: ours listen on those of the first argument."""


@pytest.mark.needs_tool("nft", "nftables")
@pytest.mark.parametrize(
    ("listen", "fates"),
    [
        pytest.param(("127.0.0.1", "::1"), ("heard", "heard"), id="both families"),
        pytest.param(("127.0.0.1",), ("heard", "refused"), id="IPv4 alone"),
        pytest.param(("::1",), ("refused", "heard"), id="IPv6 alone"),
        pytest.param(("192.0.2.2", "2001:db8::2"), ("heard", "heard"), id="not on loopback"),
        pytest.param(("127.0.0.1", "192.0.2.2"), ("heard", "refused"), id="two addresses"),
    ],
)
def test_port_53_leads_to_us_or_nowhere_over_each_family(
    listen: tuple[str, ...], fates: tuple[str, str], tmp_path: Path
):
    path, asks = tmp_path / "belt.nft", tmp_path / "asks.py"
    path.write_text(nftables.rules(Wish(listen=listen)).replace('"blockerd"', "65534"))
    asks.write_text(ASKS)
    there, fallback = ("192.0.2.53", "2001:db8::53"), ("192.0.2.9", "2001:db8::9")
    script = (
        f"{LINKS} && nft -f {path} && nft add element inet blockerd fallback4 '{{ {fallback[0]} }}' && "
        f"nft add element inet blockerd fallback6 '{{ {fallback[1]} }}' && "
        f"{sys.executable} -I {asks} {','.join(listen)} {' '.join((*there, *fallback))}"
    )
    done = subprocess.run(["unshare", "-rn", "sh", "-c", script], capture_output=True, text=True, check=False)
    if "Operation not permitted" in done.stderr and "unshare" in done.stderr:
        pytest.skip("not run here: a network namespace of one's own")
    assert done.returncode == 0, done.stderr
    wanted = [*zip(there, fates, strict=True), *((one, "past us") for one in fallback)]
    assert done.stdout.splitlines() == [" ".join(pair) for pair in wanted]
