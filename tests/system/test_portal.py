"""When a sign-in window opens and closes, who is asked meanwhile, and which domains a VPN may call its own."""

from dataclasses import replace
from pathlib import Path

import pytest

from blockerd.control.networks import restored
from blockerd.dns.roads import Road, to_bytes
from blockerd.policy.name import from_text
from blockerd.system.picture import NetLink
from blockerd.system.portal import (
    ASKED,
    CHANGE,
    MINUTE,
    PROBES,
    Net,
    Window,
    closed,
    opened,
    own,
    passed,
    resolvers,
    seen,
    zones,
)  # fmt: skip

HOME = NetLink("wlan0", offered=("192.0.2.1",), resolvers=("127.0.0.1",))
JOINED = frozenset({("wlan0", "010200C0", 3)})
NET = Net("boot")
TUNNEL = NetLink("wg0", kind="wireguard", resolvers=("10.8.0.1",), domains=("~corp.example", "internal"))


def test_a_new_network_opens_the_window_once_its_resolver_is_known():
    waiting = replace(HOME, offered=(), resolvers=())
    net, events = seen(NET, [waiting], JOINED, 0, 10)
    assert (net, events) == (NET, [])
    net, events = seen(net, [HOME], JOINED, MINUTE, 10)
    assert net.window == Window(11 * MINUTE, CHANGE)
    assert [(e["what"], e["old"], e["new"], e["detail"]) for e in events] == [("portal", "closed", "open", CHANGE)]
    assert seen(net, [HOME], JOINED, 2 * MINUTE, 10) == (net, []), "the same network is no change"


def test_a_cable_or_radio_that_comes_again_is_a_change_and_extends_an_open_window_without_another_record():
    net, _ = seen(NET, [HOME], JOINED, 0, 10)
    net, events = seen(net, [HOME], frozenset({("wlan0", "010200C0", 5)}), 4 * MINUTE, 10)
    assert net.window == Window(14 * MINUTE, CHANGE)
    assert events == []


def test_the_window_closes_when_its_time_is_over_and_that_is_recorded():
    net, _ = seen(NET, [HOME], JOINED, 0, 10)
    assert passed(net, 10 * MINUTE - 1) == (net, [])
    net, (event,) = passed(net, 10 * MINUTE)
    assert net.window is None
    assert (event["new"], event["detail"]) == ("closed", "time over")


def test_with_zero_minutes_it_never_opens_by_itself():
    net, events = seen(NET, [HOME], JOINED, 0, 0)
    assert (net.window, events) == (None, [])
    assert seen(net, [HOME], JOINED, 1, 10)[0].window is None, "and not later for the same network"


def test_asked_for_with_a_name_it_stays_open_no_shorter_and_closing_twice_is_one_record():
    net, _ = seen(NET, [HOME], JOINED, 0, 10)
    net, events = opened(net, ["login.hotel.example"], 1, 5, ASKED)
    assert net.window == Window(10 * MINUTE, CHANGE, ("login.hotel.example",))
    assert events == []
    assert {zone.name for zone in zones(net, [HOME], JOINED)} == {*PROBES, "login.hotel.example"}
    net, events = closed(net, ASKED)
    assert len(events) == 1
    assert closed(net, ASKED) == (net, [])
    assert zones(net, [HOME], JOINED) == []


def test_the_networks_own_resolver_is_the_one_it_named_not_the_one_in_use_nor_this_machine():
    other = NetLink("eth0", offered=("198.51.100.1",))
    assert resolvers([HOME, other], JOINED) == ("192.0.2.1",), "only a way out of the machine counts"
    assert resolvers([replace(HOME, offered=("127.0.0.1",), resolvers=("192.0.2.9", "::1"))], JOINED) == ("192.0.2.9",)
    assert resolvers([replace(HOME, up=False)], JOINED) == ()
    assert resolvers([replace(HOME, kind="tun")], JOINED) == ()


def test_a_vpn_comes_and_goes_on_record_and_only_while_it_is_up_its_domains_are_its_own():
    net, (event,) = seen(NET, [TUNNEL], frozenset(), 0, 10)
    assert (event["what"], event["old"], event["new"]) == ("vpn", "", "wg0")
    assert [(zone.name, zone.servers) for zone in zones(net, [TUNNEL], frozenset())] == [
        ("corp.example", ("10.8.0.1",)), ("internal", ("10.8.0.1",)),
    ]  # fmt: skip
    down = replace(TUNNEL, up=False)
    net, (event,) = seen(net, [down], frozenset(), 0, 10)
    assert (event["old"], event["new"]) == ("wg0", "")
    assert zones(net, [down], frozenset()) == []


@pytest.mark.parametrize("domain", ["~.", ".", "", "com", "~co.uk", "foo.ck", "de", "not a name"])
def test_a_vpn_cannot_call_all_names_or_a_public_ending_its_own(domain: str):
    assert own([domain]) == []


@pytest.mark.parametrize(
    "domain", ["corp", "corp.local", "~corp.example", "example.co.uk", "10.in-addr.arpa", "*.a.test"]
)
def test_but_a_name_that_somebody_may_have_is_its_own(domain: str):
    assert own([domain, domain]) == [domain.removeprefix("~").removeprefix("*.")]


def test_every_probe_is_a_name_of_its_own():
    assert len({from_text(name) for name in PROBES}) == len(PROBES)


def test_a_window_that_ended_while_nobody_looked_is_recorded_as_ended_then(tmp_path: Path):
    path = tmp_path / "roads.json"
    told = {"window": {"until": 5_000, "why": CHANGE, "names": []}, "vpn": ["wg0"], "known": sorted(JOINED)}
    path.write_bytes(to_bytes([Road("a.test", ("192.0.2.1",))], "boot", told))
    assert restored(path, "boot", 4_000, 1_000_000) == (Net("boot", JOINED, Window(5_000, CHANGE)), [])
    net, (event,) = restored(path, "boot", 7_000, 1_000_000)
    assert (net, event["new"], event["at"]) == (Net("boot", JOINED), "closed", 998_000)
    net, (event,) = restored(path, "another", 10, 1_000_000)
    assert (net, event["detail"]) == (Net("another"), "restart")
    path.write_bytes(b"torn")
    assert restored(path, "boot", 0, 0) == (NET, [])
