"""Window titles, where they are switched on: what is taken out before anything is written down. Pure.

A title is dropped as a whole or kept as a whole, control characters aside; nothing is guessed from it. Called by
`agent` between the probe and the record.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from blockerd.screentime.intake import TITLE_CHARS
from blockerd.screentime.track import Window

BROWSERS = frozenset({
    "firefox", "firefox-esr", "librewolf", "torbrowser", "tor browser", "chromium", "chromium-browser", "google-chrome",
    "chrome", "brave-browser", "brave", "vivaldi-stable", "vivaldi", "opera", "microsoft-edge", "msedge", "epiphany",
    "org.gnome.epiphany", "falkon", "konqueror", "safari", "com.apple.safari", "org.mozilla.firefox", "navigator",
    "org.chromium.chromium", "com.google.chrome", "qutebrowser", "min", "midori", "waterfox", "floorp", "zen",
})  # fmt: skip
"""Apps as probes name them, in lower case, whose time may be time at a site."""

HIDDEN = (
    "*private browsing*",
    "*incognito*",
    "*inprivate*",
    "*private window*",
    "*password*",
    "*keepass*",
    "*bitwarden*",
)
"""Titles that are never kept."""


@dataclass(frozen=True, slots=True)
class Rules:
    """`on`: whether titles are read at all; `hide`: patterns (`*`, `?`, any case) of apps and titles not kept."""

    on: bool = False
    hide: Sequence[str] = HIDDEN


def kept(window: Window, rules: Rules) -> Window:
    """`window` as it may be written down. Titles of browsers name sites, so they are never kept."""
    app = printable(window.app) or "unnamed"
    if not rules.on or app in BROWSERS:
        return Window(app)
    title = printable(window.title)[:TITLE_CHARS]
    hidden = any(fnmatchcase(text.lower(), pattern.lower()) for text in (app, title) for pattern in rules.hide)
    return Window(app, "" if hidden else title)


def is_browser(app: str) -> bool:
    """Whether time in `app` may be time at a site."""
    return app in BROWSERS


def printable(text: str) -> str:
    """`text` without what a terminal or a table cannot show, single-spaced."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
