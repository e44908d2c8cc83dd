"""How `control` tells that it lives: its pulse with the facts of this install, lost events, and when to forget.

Introduces the journal's pulse to the policy, to what dns says of itself and to the settings. Called by `control`.
"""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blockerd import clock
from blockerd.journal import clocks
from blockerd.journal.pulse import Facts, Pulse, machine_zone
from blockerd.journal.spool import Writer
from blockerd.lists.snapshot import digest_of, read_pointer
from blockerd.process import alive_file, boot_id
from blockerd.settings import Settings

LOOK_EVERY = 5.0
"""Seconds between two looks at the clocks."""

DAY_US, SETTLED_US = 86_400_000_000, 3_600_000_000
"""From one forgetting to the next, and for how long a clock is in doubt after it was set (µs)."""

LEAP_US = 7 * DAY_US
"""A clock this far (µs) ahead of the last run may make forget what is still to be kept."""


class Life:
    """The signs of life of this process. `record` puts an event into the spool."""

    def __init__(self, settings: Settings, record: Callable[[dict[str, Any]], object]) -> None:
        self.settings = settings
        folder = settings.state.dir
        self._pulse = Pulse(
            folder, alive_file(settings, "dns"), boot_id(), record, clocks.read, self._facts, self._zones
        )
        self._look_at = 0.0
        self._pruned_at: int | None = None

    def start(self) -> None:
        """Records the start."""
        self._pulse.start(os.environ)

    def look(self, writer: Writer) -> None:
        """Called often: beats, clock steps, and what `writer` could not keep."""
        now = clock.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_EVERY
        self._pulse.look()
        writer.flush()
        writer.tell_lost()

    def stop(self, why: str) -> None:
        """Records the stop; `why` unless the whole machine is going down."""
        self._pulse.stop("shutdown" if shutting_down() else why)

    def doubt(self) -> int:
        """For how long (µs) the wall clock is still in doubt, 0 where it is not.

        It is for an hour after it was set, or after a start far from where the last run ended; NTP ends that at once.
        """
        left = self._left()
        return 0 if left and clocks.synchronised() else left

    def time_to_prune(self) -> bool:
        """True once a day, but not while what the clock says of age may be wrong: within an hour after it was set, and
        in a run that began a week ahead of the last one, for a day; there NTP may say so before."""
        leapt = self._pulse.leap > LEAP_US and _left(DAY_US, self._pulse.began)
        if self._left() or (leapt and not clocks.synchronised()):
            return False
        return self._pruned_at is None or not _left(DAY_US, self._pruned_at)

    def _left(self) -> int:
        """What is left (µs) of the hour."""
        since = self._pulse.doubted_at
        return 0 if since is None else _left(SETTLED_US, since)

    def pruned(self) -> None:
        """Says that it was done."""
        self._pruned_at = clocks.read().boottime

    def _facts(self) -> Facts:
        folder = self.settings.state.dir
        pointer = read_pointer(folder)
        policy = digest_of(f"{pointer.inputs} {pointer.state_digest}".encode()) if pointer else ""
        return Facts(dns_counters(folder / "run" / "dns.json"), policy)

    def _zones(self) -> tuple[str, str]:
        return machine_zone(), self.settings.time.zone


def _left(time: int, since: int) -> int:
    """What is left (µs) of `time` that began at `since` (BOOTTIME, µs)."""
    return max(0, since + time - clocks.read().boottime)


def dns_counters(path: Path) -> dict[str, int]:
    """What dns counts, as it last said; nothing where it says nothing."""
    try:
        counters = json.loads(path.read_bytes())["counters"]
        return {str(name): count for name, count in counters.items() if type(count) is int}
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return {}


def shutting_down(marker: Path = Path("/run/systemd/system")) -> bool:
    """True if the system's service manager says that the machine is being shut down; asked where there is one."""
    if not marker.is_dir():
        return False
    command = ["systemctl", "is-system-running"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=0.5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return said.stdout.strip() == "stopping"
