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
        in a run that began far ahead of the last one, until NTP says so too."""
        if self._left() or (self._pulse.leapt and not clocks.synchronised()):
            return False
        return self._pruned_at is None or clocks.read().boottime - self._pruned_at >= DAY_US

    def _left(self) -> int:
        """What is left (µs) of the hour."""
        since = self._pulse.doubted_at
        return 0 if since is None else max(0, since + SETTLED_US - clocks.read().boottime)

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
