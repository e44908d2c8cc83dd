"""Browser policies: what they say, how they lie in what is there already, and what real browsers make of them."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from blockerd.system.browsers import holds, policies, unreadable, values
from blockerd.system.merge import added_to, taken_out
from blockerd.system.picture import Browser, Machine, Vendor
from blockerd.system.plan import plan
from blockerd.system.wish import BrowserWish, Wish
from tests.e2e.install import ROOT, environment
from tests.system.machines import PLAIN
from tests.trials.namespace import ALONE, NETWORK, alone

ALL = BrowserWish(safe_search=True, private_mode=True, quic=True)


@pytest.mark.parametrize("vendor", Vendor)
def test_encrypted_dns_is_off_and_locked_in_each(vendor: Vendor):
    said = values(vendor, BrowserWish())
    if vendor is Vendor.FIREFOX:
        assert said["policies"]["DNSOverHTTPS"] == {"Enabled": False, "Locked": True}
    else:
        assert said["DnsOverHttpsMode"] == "off"


@pytest.mark.parametrize("vendor", Vendor)
def test_private_windows_stay_unless_the_person_wants_them_gone(vendor: Vendor):
    words = ("Incognito", "InPrivate", "PrivateBrowsing", "GuestMode", "QuicAllowed", "http3")
    assert not any(word in json.dumps(values(vendor, BrowserWish())) for word in words)
    assert any(word in json.dumps(values(vendor, ALL)) for word in words[:3])


@pytest.mark.parametrize("vendor", Vendor)
@pytest.mark.parametrize("before", [None, b"", b'{"policies": {"BlockAboutConfig": true}, "HomepageLocation": "x"}'])
def test_what_was_laid_in_comes_out_again(vendor: Vendor, before: bytes | None):
    ours = values(vendor, ALL)
    laid = added_to(before, ours)
    assert holds(laid, vendor, ALL)
    was = json.loads(before or b"{}")
    assert json.loads(taken_out(laid, ours, was)) == was


def test_a_value_of_an_administrator_comes_back():
    before = b'{"DnsOverHttpsMode": "secure"}'
    ours = values(Vendor.CHROME, BrowserWish())
    assert json.loads(added_to(before, ours))["DnsOverHttpsMode"] == "off"
    assert json.loads(taken_out(added_to(before, ours), ours, json.loads(before))) == {"DnsOverHttpsMode": "secure"}


def test_a_file_that_is_no_json_is_left_alone_and_told():
    broken = Browser(Vendor.FIREFOX, "package", "/etc/firefox/policies/policies.json", b"{not json")
    machine = Machine(browsers=(broken,))
    assert policies(machine, Wish()) == ()
    assert unreadable(machine) == [broken]
    notes = plan(replace(PLAIN, browsers=(broken,)), Wish()).notes
    assert any("policies.json is no JSON and stays as it is: Firefox may" in note for note in notes)


def test_a_policy_that_was_taken_away_no_longer_holds():
    assert not holds(None, Vendor.BRAVE, BrowserWish())
    assert not holds(b"{}", Vendor.BRAVE, BrowserWish())
    assert holds(added_to(None, values(Vendor.BRAVE, BrowserWish())), Vendor.BRAVE, BrowserWish())


@pytest.mark.soak
@pytest.mark.needs_kernel("a user, network and mount namespace of one's own", ALONE)
@pytest.mark.needs_kernel("a pair of virtual network cards in it", NETWORK)
class TestRealBrowsers:
    """A person's own choice of a resolver by HTTPS holds without the policy, and no longer with it, in every mode."""

    @pytest.mark.needs_tool("chromium")
    @pytest.mark.needs_tool("xvfb-run", "xvfb")
    def test_chromium(self, tmp_path: Path):
        said = _said(tmp_path, "chromium")
        assert "the page is here" not in said["no policy"], "it asks its own resolver, which leads nowhere"
        for mode in ("window", "private", "portable"):
            assert "the page is here" in said[mode], f"{mode}: {said[mode][-500:]}"
            assert "ERR_NAME_NOT_RESOLVED" in said[f"{mode} blocked"], mode
        assert "guest.test" in said["guest"].split()
        assert "blocked.example" not in said["guest"]

    @pytest.mark.needs_tool("firefox-esr")
    def test_firefox(self, tmp_path: Path):
        said = _said(tmp_path, "firefox")
        assert "the page is here" not in said["no policy"], "it asks its own resolver, which leads nowhere"
        for mode in ("window", "private", "portable"):
            assert "the page is here" in said[mode], f"{mode}: {said[mode][-500:]}"
            assert said[f"{mode} blocked"] == "dnsNotFound", mode
        assert said["private windows"] == "False"


def _said(tmp_path: Path, kind: str) -> dict[str, str]:
    done = subprocess.run(
        alone(sys.executable, "-m", "tests.system.browse", str(tmp_path / kind), kind),
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    got: dict[str, str] = json.loads(done.stdout)
    return got
