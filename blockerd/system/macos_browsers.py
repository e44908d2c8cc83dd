"""Browser policies on a Mac: managed property lists, laid into what is there. Pure.

The Chromium family reads /Library/Managed Preferences, Firefox /Library/Preferences with a switch of its own. All five
are written, for an app may be in a person's own folder, or come later. Called by `system.macos` and its look.
"""

import plistlib
from typing import Any
from xml.parsers.expat import ExpatError

from blockerd.system.browsers import values
from blockerd.system.macos_picture import Mac
from blockerd.system.picture import Browser, Vendor
from blockerd.system.steps import Command, File, Step, digest
from blockerd.system.wish import BrowserWish, Wish

_MANAGED = "/Library/Managed Preferences"
PLACES = {
    Vendor.FIREFOX: "/Library/Preferences/org.mozilla.firefox.plist",
    Vendor.CHROME: f"{_MANAGED}/com.google.Chrome.plist",
    Vendor.CHROMIUM: f"{_MANAGED}/org.chromium.Chromium.plist",
    Vendor.EDGE: f"{_MANAGED}/com.microsoft.Edge.plist",
    Vendor.BRAVE: f"{_MANAGED}/com.brave.Browser.plist",
}
_READ_AGAIN = ("killall", "cfprefsd")


def policies(machine: Mac, wish: Wish) -> tuple[Step, ...]:
    """A property list for each browser whose present one can be read; none where policies were declined."""
    if wish.browsers is None:
        return ()
    files = [_file(browser, wish.browsers) for browser in machine.lists if parsed(browser.content) is not None]
    return (
        Command("macOS reads preferences again", inverse=_READ_AGAIN),
        *files,
        Command("macOS reads preferences again", forward=_READ_AGAIN, may_fail=True),
    )


def ours(vendor: Vendor, wish: BrowserWish) -> dict[str, Any]:
    """What the list says; Firefox takes the content of its `policies`, and only with the switch."""
    said = values(vendor, wish)
    return {"EnterprisePoliciesEnabled": True, **said["policies"]} if vendor is Vendor.FIREFOX else said


def parsed(content: bytes | None) -> dict[str, Any] | None:
    """The dictionary of a property list, XML or binary; empty where there is none, None where it is no such thing."""
    if content is None:
        return {}
    try:
        got = plistlib.loads(content)
    except (plistlib.InvalidFileException, ExpatError, ValueError, OverflowError, IndexError, TypeError):
        return None
    return got if isinstance(got, dict) else None


def _file(browser: Browser, wish: BrowserWish) -> File:
    old = browser.content
    merged = _over(parsed(old) or {}, ours(browser.vendor, wish))
    form = plistlib.FMT_BINARY if old is not None and old.startswith(b"bplist") else plistlib.FMT_XML
    return File(
        f"{browser.vendor}: encrypted DNS off", browser.policy, plistlib.dumps(merged, fmt=form, sort_keys=False),
        owner="root:wheel", expect="" if old is None else digest(old),
    )  # fmt: skip


def _over(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
