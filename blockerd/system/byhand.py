"""What a person has set by hand in the browsers and the session of one home: a resolver by HTTPS, a proxy.

A browser set so no longer asks this machine for names, and nothing but its policy, or this look, tells. Changes
nothing; reads settings alone, no history and no bookmark. Called by the agent, as the person themselves.
"""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from blockerd.system.drift import Finding, proxies

_FIREFOX = (
    *(".mozilla/firefox", "snap/firefox/common/.mozilla/firefox", ".config/mozilla/firefox"),
    ".var/app/org.mozilla.firefox/.mozilla/firefox",
)
_CHROMIUM = {
    "Google Chrome": (".config/google-chrome", ".var/app/com.google.Chrome/config/google-chrome"),
    "Chromium": (
        *(".config/chromium", "snap/chromium/common/chromium"),
        ".var/app/org.chromium.Chromium/config/chromium",
    ),
    "Microsoft Edge": (".config/microsoft-edge", ".var/app/com.microsoft.Edge/config/microsoft-edge"),
    "Brave": (
        *(".config/BraveSoftware/Brave-Browser", "snap/brave/current/.config/BraveSoftware/Brave-Browser"),
        ".var/app/com.brave.Browser/config/BraveSoftware/Brave-Browser",
    ),
}
_PREF = re.compile(r'^user_pref\("([^"]+)",\s*(.*)\);\s*$', re.MULTILINE)
_TRR = "network.trr.mode"
_TRR_ON = (2, 3)
"""TRR first, TRR only (firefox-source-docs, DNS over HTTPS); 0 leaves it to Firefox, which then asks the canary."""

_PROXY, _PROXY_ON = "network.proxy.type", (1, 2)
"""Manual, and by a PAC address; 4 and 5 are found out by Firefox or the system."""

_FIXED = ("fixed_servers", "pac_script")
_SHELL = (".profile", ".bash_profile", ".bashrc", ".zprofile", ".zshenv", ".pam_environment")
_MOST = 4 << 20


def findings(home: Path, own_proxy: str = "") -> list[Finding]:
    """All of it below `home`; `own_proxy` is the address of blockerd's own proxy, which is none of it."""
    doh = [Finding(f"doh-{_key(name)}", f"{name} is set to ask a resolver by HTTPS", True) for name in chosen(home)]
    proxied = [
        Finding(f"proxy-{_key(name)}", f"{name} is set to use a proxy", True) for name in led_away(home, own_proxy)
    ]
    return [*doh, *proxied, *proxies(_assignments(home), own_proxy)]


def chosen(home: Path) -> list[str]:
    """Names of the browsers under `home` that are set to ask a resolver by HTTPS."""
    firefox = ["Firefox" for prefs in _firefox(home) if prefs.get(_TRR) in _TRR_ON]
    chromium = [name for name, state in _read(home, "Local State") if _at(state, "dns_over_https", "mode") == "secure"]
    return sorted({*firefox, *chromium})


def led_away(home: Path, own_proxy: str = "") -> list[str]:
    """Names of the browsers under `home` that are set to use a proxy of another."""
    host = own_proxy.rpartition(":")[0]
    firefox = [
        "Firefox"
        for prefs in _firefox(home)
        if prefs.get(_PROXY) in _PROXY_ON and not (host and prefs.get("network.proxy.http") == host)
    ]
    chromium = [
        name
        for name, prefs in _read(home, "*/Preferences")
        if _at(prefs, "proxy", "mode") in _FIXED and not (host and host in str(_at(prefs, "proxy", "server")))
    ]
    return sorted({*firefox, *chromium})


def _firefox(home: Path) -> Iterator[dict[str, Any]]:
    """The settings of each Firefox profile; user.js is read at each start and has the last word."""
    for folder in _FIREFOX:
        for profile in sorted({path.parent for path in (home / folder).glob("*/[pu]*.js")}):
            text = _text(profile / "prefs.js") + "\n" + _text(profile / "user.js")
            found: dict[str, Any] = {}
            for name, value in _PREF.findall(text):
                with suppress(ValueError):
                    found[name] = json.loads(value)
            yield found


def _read(home: Path, pattern: str) -> Iterator[tuple[str, Any]]:
    for name, folders in _CHROMIUM.items():
        for folder in folders:
            for path in sorted((home / folder).glob(pattern)):
                with suppress(ValueError, RecursionError):
                    yield name, json.loads(_text(path))


def _at(thing: object, *keys: str) -> object:
    for key in keys:
        thing = thing.get(key) if isinstance(thing, dict) else None
    return thing


def _assignments(home: Path) -> Iterable[tuple[str, str]]:
    """Variables that a session of this home sets at its start (environment.d(5), a login shell's files)."""
    paths = [*sorted((home / ".config/environment.d").glob("*.conf")), *(home / name for name in _SHELL)]
    for line in "\n".join(map(_text, paths)).splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and name.isidentifier():
            yield name, value.strip("\"' ")


def _key(name: str) -> str:
    return name.lower().replace(" ", "-")


def _text(path: Path) -> str:
    """The content, "" for what cannot be read or is too long to be settings."""
    try:
        if path.stat().st_size > _MOST:
            return ""
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
