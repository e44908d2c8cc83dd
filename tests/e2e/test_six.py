"""The resolver where there is no IPv4 at all: asked, answered, filtered and forwarded over IPv6 as over IPv4."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.e2e import six
from tests.e2e.install import NOERROR, NXDOMAIN, ROOT, environment
from tests.trials.namespace import ALONE, alone

pytestmark = [pytest.mark.needs_tool("ip", "iproute2"), pytest.mark.needs_kernel("user namespaces", ALONE)]
WAYS = [(server, way) for server in ("::1", six.HOME) for way in ("udp", "tcp")]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("six")
    command = alone(sys.executable, "-m", "tests.e2e.six", str(folder))
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    got: dict[str, Any] = json.loads(done.stdout)
    return got


@pytest.mark.parametrize(("server", "way"), WAYS)
def test_a_name_with_ipv6_addresses_alone_is_answered(server: str, way: str, told: dict[str, Any]):
    for name in ("open.test", "translated.test"):
        assert told[f"{name} AAAA {server} {way}"] == [NOERROR, 0, 1]
        assert told[f"{name} A {server} {way}"] == [NOERROR, 0, 0], "no address of the other kind, and no failure"


@pytest.mark.parametrize(("server", "way"), WAYS)
def test_a_listed_name_is_blocked_in_both_kinds(server: str, way: str, told: dict[str, Any]):
    for kind in ("A", "AAAA"):
        assert told[f"listed.test {kind} {server} {way}"] == [NXDOMAIN, 0, 0]


@pytest.mark.parametrize(("server", "way"), WAYS)
def test_an_address_of_the_home_is_dropped_also_behind_nat64(server: str, way: str, told: dict[str, Any]):
    for name in ("home.rebind.test", "translated.rebind.test"):
        assert told[f"{name} AAAA {server} {way}"] == [NOERROR, 0, 0]


@pytest.mark.parametrize("server", ["::1", six.HOME])
def test_an_answer_too_large_for_a_datagram_is_fetched_and_given_over_tcp(server: str, told: dict[str, Any]):
    assert told[f"large.test AAAA {server} udp"] == [NOERROR, 1, 0]
    assert told[f"large.test AAAA {server} tcp"] == [NOERROR, 0, six.MANY]


def test_programs_of_the_machine_get_the_same(told: dict[str, Any]):
    assert "2001:db8::80" in told["getent open.test"]
    assert told["getent listed.test"] == ""


def test_no_listed_name_reached_the_upstream(told: dict[str, Any]):
    assert "open.test" in told["upstream"]
    assert "listed.test" not in told["upstream"]
