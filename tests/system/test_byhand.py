"""What a person has set by hand in a browser or a session, seen in one home, and told to the record once."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from blockerd.control.probe import HandNews
from blockerd.system.browsers import overruled, values
from blockerd.system.byhand import chosen, findings, led_away
from blockerd.system.drift import compare
from blockerd.system.look import look
from blockerd.system.picture import Browser, Machine, Vendor
from blockerd.system.wish import BrowserWish
from tests.e2e.install import Install, wait_until

FIREFOX, CHROMIUM = ".mozilla/firefox/ab12.default", ".config/chromium"


def _put(home: Path, path: str, text: str) -> None:
    at = home / path
    at.parent.mkdir(parents=True, exist_ok=True)
    at.write_text(text)


def _keys(home: Path, own: str = "") -> list[str]:
    return [one.key for one in findings(home, own)]


@pytest.mark.parametrize(
    ("path", "text", "keys"),
    [
        (f"{FIREFOX}/prefs.js", 'user_pref("network.trr.mode", 3);\n', ["doh-firefox"]),
        (f"{FIREFOX}/user.js", 'user_pref("network.trr.mode", 2);\n', ["doh-firefox"]),
        (f"{FIREFOX}/prefs.js", 'user_pref("network.trr.mode", 5);\nuser_pref("x", "network.trr.mode");\n', []),
        (f"{FIREFOX}/prefs.js", '// user_pref("network.trr.mode", 3);\n', []),
        ("snap/firefox/common/.mozilla/firefox/p/prefs.js", 'user_pref("network.trr.mode", 2);', ["doh-firefox"]),
        (f"{FIREFOX}/prefs.js", 'user_pref("network.proxy.type", 1);\n', ["proxy-firefox"]),
        (f"{FIREFOX}/prefs.js", 'user_pref("network.proxy.type", 5);\n', []),
        (f"{CHROMIUM}/Local State", '{"dns_over_https": {"mode": "secure", "templates": "x"}}', ["doh-chromium"]),
        (f"{CHROMIUM}/Local State", '{"dns_over_https": {"mode": "automatic"}}', []),
        (f"{CHROMIUM}/Local State", '{"dns_over_https": [', []),
        (f"{CHROMIUM}/Local State", "[1]", []),
        (
            f"{CHROMIUM}/Default/Preferences",
            '{"proxy": {"mode": "fixed_servers"}}',
            ["proxy-chromium"],
        ),
        (f"{CHROMIUM}/Default/Preferences", '{"proxy": {"mode": "system"}}', []),
        (".config/google-chrome/Local State", '{"dns_over_https": {"mode": "secure"}}', ["doh-google-chrome"]),
        (".config/environment.d/x.conf", "https_proxy=http://192.0.2.9:3128\n", ["proxy"]),
        (".profile", 'export ALL_PROXY="socks5://127.0.0.1:9050"\n', ["proxy"]),
        (".bashrc", "# https_proxy=x\nno_proxy=localhost\nhttp_proxy=\n", []),
    ],
)
def test_a_choice_by_hand_is_seen_where_browsers_and_sessions_keep_it(
    path: str, text: str, keys: list[str], tmp_path: Path
):
    _put(tmp_path, path, text)
    assert _keys(tmp_path) == keys


def test_blockerds_own_proxy_is_no_other(tmp_path: Path):
    own = "127.0.0.1:8054"
    _put(
        tmp_path,
        f"{FIREFOX}/prefs.js",
        'user_pref("network.proxy.type", 1);\nuser_pref("network.proxy.http", "127.0.0.1");',
    )
    _put(tmp_path, ".profile", f"export https_proxy=http://{own}\n")
    assert _keys(tmp_path, own) == []
    assert led_away(tmp_path) == ["Firefox"]


def test_of_several_browsers_each_is_named_once(tmp_path: Path):
    for number in (1, 2):
        _put(tmp_path, f".mozilla/firefox/{number}.x/prefs.js", 'user_pref("network.trr.mode", 3);')
    _put(tmp_path, ".var/app/com.brave.Browser/config/BraveSoftware/Brave-Browser/Local State",
         '{"dns_over_https": {"mode": "secure"}}')  # fmt: skip
    assert chosen(tmp_path) == ["Brave", "Firefox"]


def test_a_home_that_cannot_be_read_says_nothing(tmp_path: Path):
    _put(tmp_path, f"{CHROMIUM}/Local State", "x" * (5 << 20))
    (tmp_path / FIREFOX / "prefs.js").mkdir(parents=True)
    assert _keys(tmp_path) == []


def test_a_choice_is_recorded_once_for_each_user_over_restarts_and_again_when_made_again(tmp_path: Path):
    events: list[dict[str, Any]] = []

    def tell(found: object, uid: int = 1000) -> dict[str, Any]:
        return HandNews(tmp_path, events.append).take({"do": "signs", "found": found}, uid)

    doh = {"doh-firefox": "Firefox is set to ask a resolver by HTTPS"}
    assert tell(doh) == {"taken": 1}
    tell(doh)
    assert events == [{"kind": "bypass-sign", "what": "doh-firefox", "detail": doh["doh-firefox"]}]
    tell(doh, 1001)
    assert len(events) == 2
    tell({})
    tell(doh)
    assert len(events) == 3
    assert tell({"made-up": "x", "elsewhere": "y"}) == {"taken": 0}, "an agent says nothing but what it is for"
    wrongs: tuple[object, ...] = (None, [], {str(n): "" for n in range(99)})
    for wrong in wrongs:
        assert "error" in tell(wrong)


@pytest.mark.once
def test_an_agents_word_is_in_the_record_soon(tmp_path: Path):
    from blockerd.screentime.link import ask

    install = Install(tmp_path, 9)
    try:
        install.start("control")
        socket = install.var / "run" / "control.sock"
        wait_until(socket.exists, said=install.said)
        request = {"do": "signs", "found": {"doh-chromium": "Chromium is set to ask a resolver by HTTPS"}}
        assert asyncio.run(ask(socket, request, 5)) == {"taken": 1}
        wait_until(lambda: str(os.getuid()) in json.loads((install.var / "byhand.json").read_text()))
        wait_until(lambda: _recorded(install) == ["doh-chromium"])
    finally:
        install.end()


def _recorded(install: Install) -> list[str]:
    from blockerd.journal.entry import BypassSign
    from blockerd.journal.read import View

    with View(install.var / "journal.sqlite", install.var / "spool") as view:
        return [one.what for one in view.entries(0, 1 << 60, ["bypass-sign"]) if isinstance(one, BypassSign)]


@pytest.mark.parametrize("vendor", [Vendor.CHROME, Vendor.CHROMIUM, Vendor.EDGE, Vendor.BRAVE])
def test_a_file_that_is_read_after_ours_and_says_otherwise_is_told(vendor: Vendor):
    wish = BrowserWish()
    ours = json.dumps(values(vendor, wish)).encode()

    def told(*beside: tuple[str, bytes]) -> list[str]:
        browser = Browser(vendor, "package", "/x/blockerd.json", ours, beside)
        return [one.text for one in compare(Machine(browsers=(browser,)), (), wish)]

    assert told() == []
    assert told(("it.json", b'{"HomepageLocation": "x"}'), ("n.json", b"{not json"), ("l.json", b"[1]")) == []
    assert told(("same.json", b'{"DnsOverHttpsMode": "off"}')) == []
    assert told(("zz.json", b'{"DnsOverHttpsMode": "secure"}')) == [f"{vendor}: zz.json overrules its policy"]


def test_only_files_that_are_read_later_are_looked_at(tmp_path: Path):
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/chromium").touch()
    for name in ("aa.json", "blockerd.json", "zz.json"):
        _put(tmp_path, f"etc/chromium/policies/managed/{name}", '{"DnsOverHttpsMode": "secure"}')
    (browser,) = look(tmp_path, lambda _: (1, ""), live=False).browsers
    assert [name for name, _ in browser.beside] == ["zz.json"]
    assert overruled(browser, BrowserWish()) == "zz.json"


def test_the_snap_of_chromium_is_told_in_both_places_it_may_read(tmp_path: Path):
    _put(tmp_path, "snap/bin/chromium", "")
    found = look(tmp_path, lambda _: (1, ""), live=False).browsers
    assert [browser.policy for browser in found] == [
        "/etc/chromium-browser/policies/managed/blockerd.json",
        "/var/snap/chromium/current/policies/managed/blockerd.json",
    ]


DOCUMENTED = {
    Vendor.CHROME: {"DnsOverHttpsMode", "BuiltInDnsClientEnabled", "QuicAllowed", "ForceGoogleSafeSearch",
                    "IncognitoModeAvailability", "BrowserGuestModeEnabled"},
    Vendor.EDGE: {"DnsOverHttpsMode", "BuiltInDnsClientEnabled", "QuicAllowed", "ForceGoogleSafeSearch",
                  "InPrivateModeAvailability", "BrowserGuestModeEnabled"},
}  # fmt: skip
DOCUMENTED[Vendor.CHROMIUM] = DOCUMENTED[Vendor.CHROME]
DOCUMENTED[Vendor.BRAVE] = DOCUMENTED[Vendor.CHROME] | {"TorDisabled", "BraveVPNDisabled"}
"""Names in chromeenterprise.google/policies, learn.microsoft.com/deployedge and support.brave.com (Group Policy)."""


@pytest.mark.parametrize("vendor", DOCUMENTED)
def test_every_name_is_one_that_the_vendor_documents(vendor: Vendor):
    assert set(values(vendor, BrowserWish(private_mode=True, quic=True))) == DOCUMENTED[vendor]
