"""Sixty scripted minutes on a real desktop: what is in front, keys, locks, sleep, videos, steps of the clock.

Windows and their switches are real; the clock and the idle counter are the script's, and so is the truth to compare
with. Called by the tests of the agent and of the whole way.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from blockerd.screentime.agent import Agent, Setup
from blockerd.screentime.buffer import Buffer
from blockerd.screentime.clocks import Instant
from blockerd.screentime.heartbeat import SECOND
from blockerd.screentime.probe import Probe, Sample
from blockerd.screentime.probes.x11 import X11Probe
from blockerd.screentime.titles import Rules
from blockerd.screentime.track import Window
from tests.e2e.install import wait_until
from tests.fakes.desktop import Desktop

WALL = 1_795_370_400 * SECOND
TIMEOUT = 180


class Script:
    """The seconds of a session: what is in front, when keys are pressed, locks, sleep, steps of the wall clock.

    It is the desktop's clock and idle counter, the login session, and the truth to compare with.
    """

    def __init__(self, wall: int = WALL) -> None:
        self.wall = wall  # Unix µs at the beginning of the boot line
        self.at = 1000  # seconds on the boot line
        self.asleep = 0
        self.step = 0
        self.pressed = 1000
        self.locked = False
        self.playing = ""

    def clock(self) -> Instant:
        at = self.at * SECOND
        return Instant(at, self.wall + at + self.step * SECOND, at - self.asleep * SECOND)

    def held(self) -> bool:
        return self.locked

    def media(self, app: str, pid: int) -> bool:
        return app == self.playing

    def presenting(self) -> bool:
        return bool(self.playing)

    def descriptors(self) -> tuple[int, ...]:
        return ()

    def close(self) -> None:
        """Nothing to give back."""


class Timed:
    """A real probe with the idle counter of the script."""

    def __init__(self, probe: Probe, script: Script) -> None:
        self._probe, self._script = probe, script

    def sample(self) -> Sample:
        return replace(self._probe.sample(), idle=(self._script.at - self._script.pressed) * SECOND)

    def fullscreen(self) -> bool:
        return self._probe.fullscreen()

    def descriptors(self) -> tuple[int, ...]:
        return self._probe.descriptors()

    def close(self) -> None:
        """The probe lives longer than one agent."""


def agent_of(
    script: Script, probe: Probe, place: Path, rules: Rules | None = None, socket: Path | None = None
) -> tuple[Agent, Buffer]:
    """An agent of the script's session, and its buffer in `place`."""
    buffer = Buffer(place, lambda: "me")
    socket = socket or place / "none.sock"
    setup = Setup("x11", socket, rules or Rules(), TIMEOUT * SECOND, script.clock, lambda: "boot-1")
    return Agent(setup, probe, script, buffer), buffer


def steps(seed: int) -> list[tuple[str, int]]:
    """Sixty minutes: (what, seconds). The same for the same seed."""
    chance = random.Random(seed)
    found: list[tuple[str, int]] = []
    while sum(length for _, length in found) < 3600 - 400:
        what = chance.choices(
            ["editor", "browser", "mail", "idle", "lock", "sleep", "video", "forward", "back"],
            [6, 6, 4, 2, 2, 1, 1, 1, 1],
        )[0]
        length = chance.randint(190, 400) if what in ("idle", "video") else chance.randint(5, 120)
        found.append((what, 0 if what in ("forward", "back") else length))
    return [*found, ("editor", 3600 - sum(length for _, length in found))]


class Hour:
    """Sixty minutes played on `screen`; `truth` is what was done, `agent` and `buffer` the ones that run now.

    After each second of a step `then` is called with its number.
    """

    def __init__(
        self,
        screen: Desktop,
        place: Path,
        then: Callable[["Hour", int], None],
        script: Script,
        socket: Path | None = None,
    ) -> None:
        self.script, self.truth = script, Counter[str]()
        self.windows = {app: screen.window(app) for app in ("editor", "browser", "mail", "player")}
        self._screen, self._place, self._then, self._socket = screen, place, then, socket
        self._x11 = X11Probe(titles=False, display=screen.name)
        self._probe = Timed(self._x11, self.script)
        self._front = "player"
        self._start()

    def play(self, what: str, length: int) -> None:
        script = self.script
        if what in self.windows or what == "video":
            self._bring("player" if what == "video" else what)
        script.locked = what == "lock"
        script.playing = self._front if what == "video" else ""
        script.step += 3000 if what == "forward" else -3000 if what == "back" else 0
        if what in self.windows or what == "video":
            script.pressed = script.at
        if what == "sleep":
            script.at += length
            script.asleep += length
        for second in range(0 if what == "sleep" else length):
            self.agent.look()
            script.at += 1
            self._lived(what, last=second == length - 1)
            self._then(self, second)
        self.agent.look()

    def killed(self) -> None:
        """Nothing is closed in order; the next agent finds what is there."""
        self.buffer.close()
        self._start()

    def close(self) -> None:
        self.buffer.close()
        self._x11.close()
        for window in self.windows.values():
            self._screen.close(window)

    def _start(self) -> None:
        self.agent, self.buffer = agent_of(self.script, self._probe, self._place, socket=self._socket)

    def _bring(self, app: str) -> None:
        self._front = app
        self._screen.activate(self.windows[app])
        wait_until(lambda: self._x11.sample().window == Window(app), 2)

    def _lived(self, what: str, *, last: bool) -> None:
        """A second in front of an app: keys at every second, in a video only at its end."""
        if what in self.windows or what == "video":
            self.truth[self._front] += 1
            if what != "video" or last:
                self.script.pressed = self.script.at
