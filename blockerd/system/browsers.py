"""Browser policies: encrypted DNS off and locked, so that the browser asks the system like everybody else. Pure.

Laid into what is there already and taken out again; a policy that an administrator has set otherwise is kept in the
manifest. Firefox reads one file, the Chromium family a folder of them. Called by `system.plan` and `system.drift`.
"""

import json
from typing import Any

from blockerd.system.merge import added_to
from blockerd.system.picture import Browser, Machine, Vendor
from blockerd.system.steps import File, Foreign, Step, digest
from blockerd.system.wish import BrowserWish, Wish

PLACES: tuple[tuple[Vendor, str, str, tuple[str, ...]], ...] = (
    (Vendor.FIREFOX, "package", "/etc/firefox/policies/policies.json",
     ("/usr/bin/firefox", "/usr/bin/firefox-esr", "/usr/lib/firefox", "/usr/lib/firefox-esr", "/opt/firefox")),
    (Vendor.FIREFOX, "snap", "/etc/firefox/policies/policies.json", ("/snap/bin/firefox",)),
    (Vendor.FIREFOX, "flatpak",
     "/var/lib/flatpak/extension/org.mozilla.firefox.systemconfig/{arch}/stable/policies/policies.json",
     ("/var/lib/flatpak/app/org.mozilla.firefox",)),
    (Vendor.CHROME, "package", "/etc/opt/chrome/policies/managed/blockerd.json",
     ("/usr/bin/google-chrome", "/usr/bin/google-chrome-stable", "/opt/google/chrome")),
    (Vendor.CHROME, "flatpak", "/etc/opt/chrome/policies/managed/blockerd.json",
     ("/var/lib/flatpak/app/com.google.Chrome",)),
    (Vendor.CHROMIUM, "package", "/etc/chromium/policies/managed/blockerd.json",
     ("/usr/bin/chromium", "/usr/lib/chromium")),
    (Vendor.CHROMIUM, "package", "/etc/chromium-browser/policies/managed/blockerd.json",
     ("/usr/bin/chromium-browser",)),
    (Vendor.CHROMIUM, "snap", "/etc/chromium-browser/policies/managed/blockerd.json", ("/snap/bin/chromium",)),
    (Vendor.CHROMIUM, "snap", "/var/snap/chromium/current/policies/managed/blockerd.json", ("/snap/bin/chromium",)),
    (Vendor.CHROMIUM, "flatpak",
     "/var/lib/flatpak/extension/org.chromium.Chromium.Extension.system-policies/{arch}/1/policies/managed/blockerd.json",
     ("/var/lib/flatpak/app/org.chromium.Chromium",)),
    (Vendor.EDGE, "package", "/etc/opt/edge/policies/managed/blockerd.json",
     ("/usr/bin/microsoft-edge", "/usr/bin/microsoft-edge-stable", "/opt/microsoft/msedge")),
    (Vendor.BRAVE, "package", "/etc/brave/policies/managed/blockerd.json",
     ("/usr/bin/brave-browser", "/usr/bin/brave", "/opt/brave.com/brave")),
    (Vendor.BRAVE, "snap", "/etc/brave/policies/managed/blockerd.json", ("/snap/bin/brave",)),
    (Vendor.BRAVE, "flatpak", "/etc/brave/policies/managed/blockerd.json",
     ("/var/lib/flatpak/app/com.brave.Browser",)),
)  # fmt: skip
"""Browser, how it was installed, its policy file, and what tells that it is there."""


def policies(machine: Machine, wish: Wish) -> tuple[Step, ...]:
    """A policy file for each browser that is there; none where browser policies were declined."""
    if wish.browsers is None:
        return ()
    by_path = {browser.policy: browser for browser in machine.browsers}
    return tuple(_file(browser, wish.browsers) for browser in by_path.values() if _readable(browser))


def values(vendor: Vendor, wish: BrowserWish) -> dict[str, Any]:
    """What the policy says; the names are those of the vendors' own policy lists."""
    if vendor is Vendor.FIREFOX:
        return {"policies": _firefox(wish)}
    found: dict[str, Any] = {"DnsOverHttpsMode": "off", "BuiltInDnsClientEnabled": False}
    if wish.quic:
        found["QuicAllowed"] = False
    if wish.safe_search:
        found["ForceGoogleSafeSearch"] = True
    if wish.private_mode:
        found |= {"IncognitoModeAvailability": 1, "BrowserGuestModeEnabled": False}
        if vendor is Vendor.EDGE:
            found["InPrivateModeAvailability"] = found.pop("IncognitoModeAvailability")
    if vendor is Vendor.BRAVE:
        found |= {"TorDisabled": True, "BraveVPNDisabled": True}
    return found


def holds(content: bytes | None, vendor: Vendor, wish: BrowserWish) -> bool:
    """True if a policy file still says what we want of it."""
    try:
        return content is not None and _within(values(vendor, wish), json.loads(content))
    except ValueError:
        return False


def overruled(browser: Browser, wish: BrowserWish) -> str:
    """The name of a file that sets one of our policies otherwise and is read after ours; "" for none."""
    ours = values(browser.vendor, wish)
    for name, content in browser.beside:
        try:
            theirs = json.loads(content)
        except ValueError:
            continue
        if isinstance(theirs, dict) and any(theirs.get(key, value) != value for key, value in ours.items()):
            return name
    return ""


def unreadable(machine: Machine) -> list[Browser]:
    """Browsers whose policy file is not JSON: those are left alone and told."""
    return [browser for browser in machine.browsers if not _readable(browser)]


def _firefox(wish: BrowserWish) -> dict[str, Any]:
    found: dict[str, Any] = {
        "DNSOverHTTPS": {"Enabled": False, "Locked": True},
        "Preferences": {"network.trr.mode": {"Value": 5, "Status": "locked"}},
    }
    if wish.quic:
        found["Preferences"]["network.http.http3.enable"] = {"Value": False, "Status": "locked"}
    if wish.private_mode:
        found["DisablePrivateBrowsing"] = True
    return found


def _file(browser: Browser, wish: BrowserWish) -> File:
    old = browser.content
    return File(
        f"{browser.vendor} ({browser.package}): encrypted DNS off",
        browser.policy,
        added_to(old, values(browser.vendor, wish)),
        foreign=Foreign.UNMERGE,
        expect="" if old is None else digest(old),
    )


def _readable(browser: Browser) -> bool:
    try:
        return browser.content is None or not browser.content.strip() or isinstance(json.loads(browser.content), dict)
    except ValueError:
        return False


def _within(wanted: dict[str, Any], got: object) -> bool:
    if not isinstance(got, dict):
        return False
    return all(_within(v, got.get(k)) if isinstance(v, dict) else got.get(k) == v for k, v in wanted.items())
