"""The signs of life of `control`: start, unclean start, beats, stop, and that the clock or the zone was set.

Hands events to the spool, from where they reach the log like everything else, also while the journal cannot be written.
A small file keeps the run number and the last sign, so that an end without a stop is noticed at the next start.
Refuses nothing: a file that cannot be written costs precision, never the process. Called by `control`.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from blockerd.journal import alive
from blockerd.journal.clocks import Clocks
from blockerd.journal.ended import ending, note_of

BEAT_US = 900_000_000
"""From one beat to the next (15 min), on the clock that runs on through sleep."""

STEP_US = 2_000_000
"""A wall clock that moves this much against the clock that is never set was set."""

DOUBT_US = 86_400_000_000
"""A computer that was off for longer (1 day) may have a clock that is wrong."""

SLEW = 500
"""A clock that is being slewed gains or loses one part in this many at most."""

KEEP_US = 60_000_000
"""From one note of the last sign to the next."""

Record = Callable[[dict[str, Any]], object]


@dataclass(frozen=True, slots=True)
class Memory:
    """What the small file keeps of the last run: its number, boot, last sign, time zones, and whether it said stop."""

    run: int = 0
    boot: str = ""
    wall: int = 0
    boottime: int = 0
    monotonic: int = 0
    stopped: bool = True
    machine_zone: str = ""
    settings_zone: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a beat tells beside the clocks: counters of dns and the digest of the policy in force."""

    counters: Mapping[str, int]
    policy: str


class Pulse:
    """The signs of one run. `record` takes events, `clocks` reads the clocks, `zones` gives (machine's, settings').

    `folder` holds the small file, `marks` is the file of the alive marks of dns.
    """

    def __init__(
        self,
        folder: Path,
        marks: Path,
        boot: str,
        record: Record,
        clocks: Callable[[], Clocks],
        facts: Callable[[], Facts],
        zones: Callable[[], tuple[str, str]],
    ) -> None:
        self._path = folder / "journal-run.json"
        self._marks = marks
        self._record = record
        self._clocks = clocks
        self._facts = facts
        self._zones = zones
        self._last = Memory(boot=boot)
        self._beat_at = 0
        self._before = self._base = Clocks(0, 0, 0)
        self.doubted_at: int | None = None
        """When (BOOTTIME, µs) the wall clock was last set, or where it stands far from where the last run left it."""
        self.began = self.leap = 0
        """When (BOOTTIME, µs) this run began, and how far (µs, 0 for less than a day) the clock stood ahead of the last
        one then: a long time off, or a clock that is wrong."""

    @property
    def run(self) -> int:
        """The number of this run, from 1."""
        return self._last.run

    def start(self, environ: Mapping[str, str]) -> None:
        """Records the start and, where the last run wrote no stop, how it seems to have ended."""
        now, before = self._clocks(), _load(self._path)
        ended = ending(environ, note_of(self._path.parent / "run", "control"))
        zones = self._zones()
        known = before or Memory()
        run = known.run + 1 if before else now.wall // 1_000_000  # a number never used, where the file is unreadable
        self._last = replace(self._last, run=run, machine_zone=zones[0], settings_zone=zones[1])
        self._before = self._base = now
        self.began = now.boottime
        if before is None:
            self._record({"kind": "repair", "at": now.wall, "what": "run number unreadable", "file": self._path.name})
        if not known.stopped:
            self._unclean(now, known, ended)
        if known.boot and known.boot == self._last.boot:
            self._base = Clocks(known.wall, known.boottime, known.monotonic)
            self._steps(now)
        elif known.run and not -STEP_US <= now.wall - known.wall <= DOUBT_US:
            self.doubted_at, self.leap = now.boottime, max(0, now.wall - known.wall)
        if known.run:
            self._zone_steps(now, (known.machine_zone, known.settings_zone), zones)
        self._record({"kind": "start", "process": "control", **self._signs(now)})
        self._keep(now, stopped=False)
        self._beat(now)

    def look(self) -> None:
        """Every few seconds: a beat where it is time, and what happened to the clocks meanwhile."""
        now, zones = self._clocks(), self._zones()
        self._steps(now)
        self._zone_steps(now, (self._last.machine_zone, self._last.settings_zone), zones)
        self._last = replace(self._last, machine_zone=zones[0], settings_zone=zones[1])
        slept = (now.boottime - now.monotonic) - (self._last.boottime - self._last.monotonic)
        if now.boottime - self._beat_at >= BEAT_US or slept > STEP_US:
            self._beat(now)
        if now.boottime - self._last.boottime >= KEEP_US or slept > STEP_US:
            self._keep(now, stopped=False)

    def stop(self, why: str) -> None:
        """Records the stop."""
        now = self._clocks()
        self._record({"kind": "stop", "process": "control", "why": why, **self._signs(now)})
        self._keep(now, stopped=True)

    def _signs(self, now: Clocks) -> dict[str, Any]:
        return {
            "at": now.wall, "boot": self._last.boot, "run": self._last.run, "boottime": now.boottime,
            "monotonic": now.monotonic,
        }  # fmt: skip

    def _beat(self, now: Clocks) -> None:
        facts, mark = self._facts(), alive.read(self._marks)
        said = {} if mark is None else {
            "at": mark.wall_us, "boot": mark.boot, "run": mark.run, "boottime": mark.boottime_us,
            "monotonic": mark.monotonic_us,
        }  # fmt: skip
        event = {"kind": "beat", "counters": dict(facts.counters), "policy": facts.policy, "mark": said}
        self._record({**event, **self._signs(now)})
        self._beat_at = now.boottime

    def _unclean(self, now: Clocks, known: Memory, ended: str) -> None:
        why = ended if known.boot == self._last.boot else "power cut or reset"
        self._record({
            "kind": "unclean", "at": now.wall, "process": "control", "last": known.wall, "boot": known.boot,
            "run": known.run, "boottime": known.boottime, "monotonic": known.monotonic, "why": why,
        })  # fmt: skip

    def _steps(self, now: Clocks) -> None:
        """A jump since the last look; or a drift since the last one known that no slewing makes."""
        jump, drift = _moved(self._before, now), _moved(self._base, now)
        self._before = now
        step = jump if abs(jump) > STEP_US else drift
        if abs(step) <= STEP_US + (0 if step == jump else (now.boottime - self._base.boottime) // SLEW):
            return
        self._base, self.doubted_at = now, now.boottime
        boot, run = self._last.boot, self._last.run
        event = {"kind": "clock-step", "at": now.wall, "step": step, "boot": boot, "run": run, "boottime": now.boottime}
        self._record(event)

    def _zone_steps(self, now: Clocks, before: tuple[str, str], after: tuple[str, str]) -> None:
        for where, old, new in zip(("machine", "settings"), before, after, strict=True):
            if old != new:
                self._record({"kind": "zone-step", "at": now.wall, "old": old, "new": new, "where": where})

    def _keep(self, now: Clocks, *, stopped: bool) -> None:
        self._last = replace(self._last, wall=now.wall, boottime=now.boottime, monotonic=now.monotonic, stopped=stopped)
        beside = self._path.with_suffix(".new")
        try:
            fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(json.dumps(asdict(self._last)).encode())
            beside.replace(self._path)
        except OSError:
            return


def _moved(before: Clocks, now: Clocks) -> int:
    """How far (µs) the wall clock moved against the one that is never set."""
    return (now.wall - before.wall) - (now.boottime - before.boottime)


def machine_zone(link: Path = Path("/etc/localtime")) -> str:
    """The zone that this machine is set to, as its files say; "" where they do not."""
    try:
        target = os.readlink(link)
    except OSError:
        return ""
    return target.partition("zoneinfo/")[2] or target


def _load(path: Path) -> Memory | None:
    """What the small file keeps; an empty memory where there is no file, None where it cannot be read."""
    try:
        kept = json.loads(path.read_bytes())
        fields = asdict(Memory())
        return Memory(**{name: type(value)(kept[name]) for name, value in fields.items()})
    except FileNotFoundError:
        return Memory()
    except (OSError, ValueError, TypeError, LookupError):
        return None
