"""The resolver on a home's network: who is answered, who is recorded, over IPv4 and IPv6, UDP and TCP (C1, C4)."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.e2e import home
from tests.e2e.install import NXDOMAIN, ROOT, environment
from tests.trials.namespace import ALONE, alone

pytestmark = [pytest.mark.needs_tool("ip", "iproute2"), pytest.mark.needs_kernel("user namespaces", ALONE)]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("home")
    command = alone(sys.executable, "-m", "tests.e2e.home", str(folder))
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    got: dict[str, Any] = json.loads(done.stdout)
    return got


@pytest.mark.parametrize("how", ["udp", "tcp"])
@pytest.mark.parametrize(
    ("device", "answered"),
    [
        *((home.ENROLLED, True), (home.OTHER, True), (home.NAMED, True), (home.SIX, True)),
        *((home.STRANGER, False), (home.SIX_STRANGER, False)),
    ],
)
def test_devices_of_the_home_are_filtered_and_strangers_get_no_answer(
    device: str, answered: bool, how: str, told: dict[str, Any]
):
    assert told["got"][f"{device} {how}"] == (NXDOMAIN if answered else None)


def test_a_device_that_is_not_enrolled_leaves_no_trace_on_the_disk(told: dict[str, Any]):
    assert {client for client, _ in told["recorded"]} == {home.ENROLLED, home.SIX, "127.0.0.1"}
    assert told["others_on_disk"] == []


def test_an_enrolled_device_is_recorded_over_every_way(told: dict[str, Any]):
    names = {name for client, name in told["recorded"] if client == home.ENROLLED}
    assert names == {"udp.listed.test", "tcp.listed.test", "slow.listed.test", "calm.listed.test"}


def test_names_that_are_not_listed_are_answered_from_outside(told: dict[str, Any]):
    assert told["got"]["open"] == 0
    assert told["got"]["slow"] == [NXDOMAIN, NXDOMAIN]


def test_a_device_that_floods_is_held_back_and_costs_the_others_nothing(told: dict[str, Any]):
    assert told["flood"] < 3000
    assert told["got"]["after the flood"] == NXDOMAIN
