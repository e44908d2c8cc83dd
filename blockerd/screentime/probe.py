"""What every probe offers, which one a session gets, and the one that says "unknown". Imports no platform.

The session type decides first: under Wayland an X11 probe would see a few windows and miss the rest. Called by
`agent`, which opens the chosen probe.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from blockerd.screentime.track import Window

DESKTOP = Window("desktop")
"""In front where no window has the focus."""


class ProbeError(Exception):
    """The probe cannot be had or its desktop is gone; the message is one line: what, and what to do."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: the window in front (None: cannot be told), µs since the last input (None: cannot be told), the pid
    of the window's process (0 unknown), and whether the desktop itself says that the user is shut out."""

    window: Window | None
    idle: int | None
    pid: int = 0
    held: bool = False


class Probe(Protocol):
    """A desktop. `descriptors` become readable when a new look is worth it at once."""

    def sample(self) -> Sample:
        """One look, in at most a second.

        Raises:
            ProbeError: the desktop is gone for good.
        """

    def fullscreen(self) -> bool:
        """Whether the window in front fills the screen; False where that cannot be told."""

    def descriptors(self) -> tuple[int, ...]:
        """File descriptors to wait on."""

    def close(self) -> None:
        """Gives everything back."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The probe for a session: its `name` ("unknown": none), and `why` for people."""

    name: str
    why: str
    experimental: bool = False


def choose(environ: Mapping[str, str], platform: str) -> Choice:
    """The probe for the session that `environ` tells of, on `sys.platform` `platform`."""
    if platform == "win32":
        return Choice("windows", "Windows", experimental=True)
    if platform == "darwin":
        return Choice("macos", "macOS", experimental=True)
    kind = environ.get("XDG_SESSION_TYPE", "").lower()
    if kind == "wayland" or (kind != "x11" and environ.get("WAYLAND_DISPLAY")):
        return _wayland(environ)
    if kind == "x11" or (kind in ("", "unspecified") and environ.get("DISPLAY")):
        if environ.get("DISPLAY"):
            return Choice("x11", "X11 session")
        return Choice("unknown", "an X11 session without DISPLAY: start the agent inside the session")
    return Choice("unknown", f"no desktop in this session (type {kind or 'not set'})")


def _wayland(environ: Mapping[str, str]) -> Choice:
    desktops = environ.get("XDG_CURRENT_DESKTOP", "").lower().split(":")
    if "gnome" in desktops or "ubuntu" in desktops:
        return Choice("gnome", "GNOME on Wayland")
    if "kde" in desktops:
        return Choice("kde", "KDE Plasma on Wayland", experimental=True)
    if environ.get("SWAYSOCK"):
        return Choice("sway", "sway", experimental=True)
    named = environ.get("XDG_CURRENT_DESKTOP") or "an unnamed desktop"
    return Choice("unknown", f"{named} on Wayland tells no program which window is in front; use an X11 session")


def open_probe(choice: Choice, *, titles: bool) -> Probe:
    """The probe that `choice` names.

    Raises:
        ProbeError: its libraries or its desktop cannot be had.
    """
    if choice.name == "unknown":
        return Unknown()
    try:
        module = importlib.import_module(f"blockerd.screentime.probes.{choice.name}")
    except ImportError as error:
        raise ProbeError(f"{error.name or error} is missing: install blockerd[agent]") from None
    probe: Probe = module.open_probe(titles=titles)
    return probe


class Unknown:
    """A session that cannot be measured; it says so and guesses nothing."""

    def sample(self) -> Sample:
        """Nothing is known."""
        return Sample(None, None)

    def fullscreen(self) -> bool:
        """Nothing is known."""
        return False

    def descriptors(self) -> tuple[int, ...]:
        """None."""
        return ()

    def close(self) -> None:
        """Nothing to give back."""
