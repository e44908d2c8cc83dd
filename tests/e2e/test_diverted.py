"""Programs that honour no proxy settings are led to the proxy by the packet filter, QUIC is refused, undo is exact."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.e2e.install import ROOT, environment
from tests.e2e.proxied import LISTED
from tests.e2e.test_proxy import READY
from tests.trials.namespace import NETWORK

pytestmark = [
    pytest.mark.once,
    pytest.mark.needs_tool("ip", "iproute2"),
    pytest.mark.needs_tool("nft", "nftables"),
    pytest.mark.needs_tool("curl"),
    pytest.mark.needs_kernel("root with networks of its own", NETWORK and os.geteuid() == 0),
    pytest.mark.skipif(not READY, reason="the proxy has no environment: make setup-proxy"),
]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("diverted")
    command = ["unshare", "--net", "--mount", sys.executable, "-m", "tests.e2e.diverted", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    got: dict[str, Any] = json.loads(done.stdout)
    return got


def test_a_listed_host_is_closed_in_the_handshake_and_hears_nothing(told: dict[str, Any]):
    assert told["listed"] == [35, 0]
    assert told["listed http"] == [0, 403]
    assert LISTED not in told["handshakes"]


def test_others_pass_and_pages_are_judged(told: dict[str, Any]):
    assert [told[what] for what in ("open", "other", "board")] == [[0, 200], [0, 200], [0, 403]], told["said"]


def test_quic_is_refused_so_that_browsers_fall_back(told: dict[str, Any]):
    assert (told["quic before"], told["quic"]) == ("sent", "refused")


def test_undo_leaves_no_rule_and_the_way_as_it_was(told: dict[str, Any]):
    assert told["rules left"] == ""
    assert told["undone"] == [0, 200]
