"""What a self-probe judges, what becomes of it on record, and who records it."""

from pathlib import Path
from typing import Any

import pytest

from blockerd.control.probe import SILENT_US, ProbeNews, news
from blockerd.settings import load
from blockerd.system import drift, selfprobe
from blockerd.system.drift import Answer, Finding, Seen, judge
from blockerd.system.look import look
from blockerd.system.picture import Browser, Machine, NetLink, Vendor
from blockerd.system.selfprobe import Sight
from blockerd.system.wish import BrowserWish
from tests.system.machines import put

OURS = drift.OURS[0]
GOOD = Seen(system=(OURS, OURS), direct=Answer.FILTERED, stub=Answer.FILTERED, network=Answer.FILTERED, doh=False)


@pytest.mark.parametrize(
    ("seen", "keys"),
    [
        pytest.param(GOOD, [], id="all well"),
        pytest.param(Seen((OURS, "again"), Answer.FILTERED), [], id="one answer lost"),
        pytest.param(Seen(("none", "none"), Answer.FILTERED), ["elsewhere"], id="asks elsewhere"),
        pytest.param(Seen(("there 192.0.2.80",), Answer.FILTERED), ["elsewhere"], id="a resolver that knows all names"),
        pytest.param(Seen(("again", "again"), Answer.NONE), ["dead", "no-dns"], id="dead, no fallback"),
        pytest.param(Seen(("none",), Answer.NONE), ["dead", "elsewhere"], id="dead, another answers"),
        pytest.param(Seen((OURS,), Answer.OPEN), ["open"], id="test name let through"),
        pytest.param(Seen((OURS,), Answer.FILTERED, stub=Answer.OPEN), ["stub"], id="stub elsewhere"),
        pytest.param(Seen((OURS,), Answer.FILTERED, network=Answer.OPEN), [], id="no belt wanted"),
        pytest.param(
            Seen((OURS,), Answer.FILTERED, network=Answer.OPEN, doh=True, belt=True),
            ["belt-53", "belt-443"],
            id="no belt",
        ),
    ],
)
def test_each_sight_has_its_findings(seen: Seen, keys: list[str]):
    assert [one.key for one in judge(seen)] == keys


def test_what_changed_on_the_machine_is_found():
    machine = Machine(
        resolv_text="nameserver 127.0.0.1\nnameserver 192.0.2.1\n",
        links=(NetLink("wg0", kind="wireguard"), NetLink("tun9", kind="tun"), NetLink("eth0")),
        browsers=(Browser(Vendor.FIREFOX, "package", "/etc/firefox/policies/policies.json", b"{}"),),
    )
    found = {one.key: one.text for one in drift.compare(machine, ["tun9"], BrowserWish())}
    assert found.keys() == {"resolvers", "vpn-wg0", "policy-firefox"}
    assert "192.0.2.1" in found["resolvers"]
    assert "127" not in found["resolvers"]


def test_a_proxy_and_an_edited_hosts_file_are_found(tmp_path: Path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (tmp_path / "etc/environment").write_text('# none\nhttps_proxy="http://192.0.2.7:3128"\nLANG=C\n')
    machine = look(tmp_path, lambda _: (1, ""), live=False)
    assert [one.key for one in drift.proxies(machine.environment)] == ["proxy"]
    assert drift.proxies(machine.environment, "192.0.2.7:3128") == []
    digest = drift.hosts_digest(machine)
    assert drift.hosts(digest, machine) == []
    (tmp_path / "etc/hosts").write_text("127.0.0.1 localhost\n192.0.2.5 site.test\n")
    assert [one.key for one in drift.hosts(digest, look(tmp_path, lambda _: (1, ""), live=False))] == ["hosts"]


def test_resolvers_that_dhcp_has_named_are_known(tmp_path: Path):
    for name, index, flags in (("eth0", "2", "0x1003"), ("eth1", "3", "0x1002"), ("lo", "1", "0x9")):
        put(tmp_path, f"/sys/class/net/{name}/ifindex", index.encode())
        put(tmp_path, f"/sys/class/net/{name}/flags", flags.encode())
    leases = tmp_path / "run/systemd/netif/leases"
    leases.mkdir(parents=True)
    (leases / "2").write_text("ADDRESS=192.0.2.50\nDNS=192.0.2.1 192.0.2.2\n")
    dhclient = tmp_path / "var/lib/dhcp/dhclient.eth1.leases"
    dhclient.parent.mkdir(parents=True)
    old, new = "198.51.100.1", "198.51.100.9"
    lease = 'lease {{\n  interface "eth1";\n  option domain-name-servers {};\n}}\n'
    dhclient.write_text(lease.format(old) + lease.format(new))
    machine = look(tmp_path, lambda _: (1, ""), live=False)
    assert [link.offered for link in machine.links] == [("192.0.2.1", "192.0.2.2"), (new,)]
    assert selfprobe.offers(machine) == ("192.0.2.1", "192.0.2.2"), "a link that is down offers nothing"


@pytest.mark.parametrize(
    ("name", "file", "content", "tunnel"),
    [
        ("home", "uevent", "DEVTYPE=wireguard\nINTERFACE=home\n", True),
        ("vpn", "tun_flags", "0x1002", True),
        ("dsl", "type", "512", True),
        ("eth0", "type", "1", False),
        ("wlan0", "uevent", "DEVTYPE=wlan\n", False),
        ("wg7", "type", "1", True),
    ],
)
def test_a_vpn_is_known_by_what_the_kernel_says_of_its_link(
    name: str, file: str, content: str, tunnel: bool, tmp_path: Path
):
    put(tmp_path, f"/sys/class/net/{name}/ifindex", b"4")
    put(tmp_path, f"/sys/class/net/{name}/{file}", content.encode())
    (link,) = look(tmp_path, lambda _: (1, ""), live=False).links
    assert link.tunnel is tunnel


def test_begin_and_end_of_a_way_are_told_once_each_and_a_sign_once():
    lost = {"elsewhere": "programs ask another resolver", "hosts": "edited"}
    assert news({}, lost) == [
        {"kind": "resolver-path", "what": "elsewhere", "old": "", "new": "programs ask another resolver"},
        {"kind": "bypass-sign", "what": "hosts", "detail": "edited"},
    ]
    assert news(lost, lost) == []
    assert news(lost, {}) == [
        {"kind": "resolver-path", "what": "elsewhere", "old": "programs ask another resolver", "new": ""}
    ]


class Desk:
    """A `ProbeNews` whose clock and files a test holds."""

    def __init__(self, folder: Path) -> None:
        (folder / "run").mkdir()
        config = folder / "blockerd.toml"
        config.write_text('[state]\ndir = "."\n[dns]\nlisten = ["127.0.0.1:53"]\n')
        self.seen = folder / "seen.json"
        self.events: list[dict[str, Any]] = []
        self.settings = load(config, {}, folder)
        self.at = 1_700_000_000_000_000
        self.restart()

    def restart(self) -> None:
        """As `control` does: what it knew is gone, what it kept is not."""
        self.probe_news = ProbeNews(self.settings, self.events.append, self.seen)

    def look(
        self, *findings: Finding, offered: tuple[str, ...] = (), later: int = 1_000_000, fresh: bool = True
    ) -> None:
        self.at += later
        if fresh:
            selfprobe.keep(Sight(self.at, findings, offered), self.seen)
        self.probe_news.look(self.at)

    def told(self) -> list[tuple[str, str, str]]:
        events, self.events[:] = list(self.events), []
        return [(one["kind"], one["what"], one.get("new", one.get("detail", ""))) for one in events]


def test_nothing_is_told_where_nothing_was_installed(tmp_path: Path):
    desk = Desk(tmp_path)
    desk.look(fresh=False)
    desk.look(fresh=False, later=SILENT_US + 1)
    assert desk.told() == []
    assert not (tmp_path / "probe.json").exists()


def test_a_restart_of_control_tells_nothing_twice(tmp_path: Path):
    desk = Desk(tmp_path)
    lost = Finding("elsewhere", "programs ask another resolver", True)
    desk.look(lost)
    assert desk.told() == [("resolver-path", "elsewhere", "programs ask another resolver")]
    desk.restart()
    desk.look(lost)
    assert desk.told() == []
    desk.restart()
    desk.look()
    assert desk.told() == [("resolver-path", "elsewhere", "")]


def test_a_vpn_is_recorded_by_whoever_counts_its_hours(tmp_path: Path):
    desk = Desk(tmp_path)
    desk.look(Finding("vpn-wg0", "a VPN is up: wg0", True))
    assert desk.told() == []


def test_a_probe_that_was_stopped_is_a_loss_itself(tmp_path: Path):
    desk = Desk(tmp_path)
    desk.look(offered=("192.0.2.1",))
    desk.told()
    desk.look(fresh=False, later=SILENT_US + 1)
    assert ("resolver-path", "probe", "the self-probe does not run") in desk.told()
    desk.look()
    assert ("resolver-path", "probe", "") in desk.told()


def test_a_probe_whose_file_systemd_took_away_is_a_loss_itself(tmp_path: Path):
    desk = Desk(tmp_path)
    desk.look()
    assert desk.told() == []
    desk.seen.unlink()
    desk.look(fresh=False)
    desk.look(fresh=False, later=SILENT_US)
    assert desk.told() == [], "it may be starting again"
    desk.look(fresh=False)
    desk.look(fresh=False)
    assert desk.told() == [("resolver-path", "probe", "the self-probe does not run")]
    desk.restart()
    desk.look(fresh=False)
    desk.look(fresh=False, later=SILENT_US + 1)
    assert desk.told() == []
    desk.look()
    assert desk.told() == [("resolver-path", "probe", "")]


def test_the_probe_runs_each_minute_and_soon_after_a_change():
    now, seen, probed = 0.0, [1], list[float]()

    class Enough(Exception):
        pass

    def pause(seconds: float) -> None:
        nonlocal now
        now += seconds
        if now >= 100:
            seen[0] = 2
        if now >= 130:
            raise Enough

    with pytest.raises(Enough):
        selfprobe.watch(lambda: probed.append(now), lambda: seen[0], lambda: now, pause)
    assert probed[:2] == [0.0, 60.0]
    assert 100 <= probed[2] <= 110
