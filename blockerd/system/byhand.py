"""Browsers whose person has chosen a resolver by HTTPS in the browser's own settings. Reads one home, changes nothing.

Firefox then no longer asks the canary name, so nothing but its policy, or this look, tells. Called by `cli.doctor` for
the one who runs it.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_FIREFOX = (".mozilla/firefox", "snap/firefox/common/.mozilla/firefox", ".var/app/org.mozilla.firefox/.mozilla/firefox")
_CHROMIUM = {
    "Google Chrome": (".config/google-chrome", ".var/app/com.google.Chrome/config/google-chrome"),
    "Chromium": (
        *(".config/chromium", "snap/chromium/common/chromium"),
        ".var/app/org.chromium.Chromium/config/chromium",
    ),
    "Microsoft Edge": (".config/microsoft-edge", ".var/app/com.microsoft.Edge/config/microsoft-edge"),
    "Brave": (
        ".config/BraveSoftware/Brave-Browser",
        ".var/app/com.brave.Browser/config/BraveSoftware/Brave-Browser",
    ),
}
_TRR = re.compile(r'^user_pref\("network\.trr\.mode",\s*([23])\);', re.MULTILINE)


def chosen(home: Path) -> list[str]:
    """Names of the browsers under `home` that are set to ask a resolver by HTTPS."""
    return sorted({*_firefox(home), *_chromium(home)})


def _firefox(home: Path) -> Iterator[str]:
    for folder in _FIREFOX:
        with suppress(OSError):
            for prefs in (home / folder).glob("*/prefs.js"):
                if _TRR.search(prefs.read_text("utf-8", "replace")):
                    yield "Firefox"


def _chromium(home: Path) -> Iterator[str]:
    for name, folders in _CHROMIUM.items():
        for folder in folders:
            with suppress(OSError, ValueError, AttributeError):
                state = json.loads((home / folder / "Local State").read_bytes())
                if state.get("dns_over_https", {}).get("mode") == "secure":
                    yield name
