"""Sign-in pages and VPNs on a real network: who is asked, what stays shut, what is recorded (K4, K5)."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.e2e import roads
from tests.e2e.install import ROOT, environment
from tests.e2e.roads import HOTEL, LISTED_PROBE, OPEN, PROBE, SIGN_IN, UPSTREAM, VPN
from tests.trials.namespace import NETWORK, alone

pytestmark = [
    pytest.mark.once,
    pytest.mark.needs_tool("ip", "iproute2"),
    pytest.mark.needs_kernel("network cards in a namespace", NETWORK),
]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("roads")
    command = alone(sys.executable, "-m", "tests.e2e.roads", str(folder))
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    got: dict[str, Any] = json.loads(done.stdout)
    return got


def test_a_new_network_is_asked_about_its_sign_in_page_within_seconds(told: dict[str, Any]):
    assert told["before"] == UPSTREAM
    assert told["during"][PROBE] == HOTEL, "a private address of the network's own is let through"
    assert told["opened in"] < 8
    assert "Sign-in window      open for 10 minutes (network change); listed names stay shut" in told["status"]


def test_while_the_window_is_open_every_other_name_goes_its_usual_way_and_listed_ones_stay_shut(told: dict[str, Any]):
    assert told["during"] == {PROBE: HOTEL, LISTED_PROBE: "", OPEN: UPSTREAM, SIGN_IN: UPSTREAM, "blocked.example": ""}
    assert told["named"] == {OPEN: UPSTREAM, "blocked.example": ""}
    assert not {LISTED_PROBE, OPEN, "blocked.example"} & set(told["asked"]["hotel"])


def test_listed_names_are_recorded_as_ever(told: dict[str, Any]):
    assert [LISTED_PROBE] in told["log"]


def test_a_person_closes_the_window_and_opens_it_with_the_sign_in_pages_name(told: dict[str, Any]):
    assert told["close"] == "Sign-in window: closed. Every name goes the usual way.\n"
    assert told["status closed"] == 1
    assert told["open"].splitlines() == [
        "Sign-in window: open for 10 minutes (asked for). Listed names stay shut.",
        f"Sign-in names are asked of {roads.GATEWAY}, which this network named.",
        f"Also asked there: {SIGN_IN}, blocked.example",
    ]


def test_a_window_outlives_a_killed_control(told: dict[str, Any]):
    assert told["after a kill"] < 15


def test_a_vpns_own_domains_go_to_its_resolver_and_the_filter_still_decides_first(told: dict[str, Any]):
    assert told["vpn"] == {
        "git.internal": VPN, "blocked.example": "", "x.blocked.example": "", "example.com": UPSTREAM, OPEN: UPSTREAM,
    }  # fmt: skip
    assert told["vpn status"] == ["wg0"]
    assert set(told["asked"]["vpn"]) == {"wiki.corp.example", "git.internal", "road.test"}


def test_what_opened_closed_came_and_went_is_in_the_record(told: dict[str, Any]):
    assert told["entries"] == [
        ["portal", "closed", "open", "network change"],
        ["portal", "open", "closed", "asked for"],
        ["portal", "closed", "open", "asked for"],
        ["portal", "open", "closed", "asked for"],
        ["portal", "closed", "open", "network change"],
        ["portal", "open", "closed", "asked for"],
        ["vpn", "", "wg0", ""],
        ["vpn", "wg0", "", ""],
    ]


def test_a_road_ends_in_time_though_nobody_keeps_the_file(told: dict[str, Any]):
    assert 0 <= told["late"] < 1_000_000
    assert told["torn"] == UPSTREAM
