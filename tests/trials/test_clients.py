"""Real clients on a machine whose only resolver is blockerd: the same answers from each, private window or not.

Each test makes that machine anew: a user, network and mount namespace with a network card, port 53 and resolv.conf.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.install import ROOT, environment
from tests.trials.figures import note
from tests.trials.namespace import ALONE, NETWORK, alone

ADDRESS = "192.0.2.80"
pytestmark = [
    pytest.mark.needs_kernel("a user, network and mount namespace of one's own", ALONE),
    pytest.mark.needs_tool("ip", "iproute2"),
    pytest.mark.needs_kernel("a pair of virtual network cards in it", NETWORK),
]


def _said(tmp_path: Path, kind: str) -> dict[str, str]:
    done = subprocess.run(
        alone(sys.executable, "-m", "tests.trials.browse", str(tmp_path / kind), kind),
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    got: dict[str, str] = json.loads(done.stdout)
    return got


@pytest.mark.needs_tool("dig", "dnsutils")
@pytest.mark.needs_tool("kdig", "knot-dnsutils")
def test_dig_kdig_and_getaddrinfo_say_the_same(tmp_path: Path):
    said = _said(tmp_path, "lookups")
    for program in ("dig", "dig tcp", "kdig", "kdig tcp"):
        assert "NOERROR" in said[f"{program} open"]
        assert ADDRESS in said[f"{program} open"]
        assert "NXDOMAIN" in said[f"{program} blocked"]
        assert ADDRESS not in said[f"{program} blocked"]
    assert said["getaddrinfo open"] == f"['{ADDRESS}']\n"
    assert said["getaddrinfo blocked"] in ("error -2\n", "error -5\n"), "EAI_NONAME or EAI_NODATA"
    assert ADDRESS in said["getent open"]
    assert said["getent blocked"] == ""


@pytest.mark.soak
@pytest.mark.needs_tool("chromium")
def test_chromium_shows_open_pages_and_no_blocked_ones(tmp_path: Path):
    said = _said(tmp_path, "chromium")
    for window in ("normal", "private", "second profile"):
        assert "the page is here" in said[window], said[window]
        assert "picture is not here" in said[window], "a blocked name inside an open page"
    for window in ("blocked", "blocked private"):
        assert "ERR_NAME_NOT_RESOLVED" in said[window], said[window]
        assert "the page is here" not in said[window]
    assert "blocked.example" not in said["hosts"]
    note("Chromium", _version("chromium") + "normal window, incognito, second profile: same answers")


@pytest.mark.soak
@pytest.mark.needs_tool("firefox-esr")
def test_firefox_shows_open_pages_and_no_blocked_ones(tmp_path: Path):
    said = _said(tmp_path, "firefox")
    for window in ("normal 1", "private", "normal 2"):
        assert "the page is here" in said[window], said[window]
        assert "picture is not here" in said[window], "a blocked name inside an open page"
    for window in ("blocked 1", "blocked private", "blocked 2"):
        assert said[window] == "dnsNotFound"
    assert "blocked.example" not in said["hosts"]
    note("Firefox", _version("firefox-esr") + "normal window, private window, second profile: same answers")


def _version(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return " ".join(word for word in done.stdout.split() if word[0].isdigit())[:20].split()[0] + "; "
