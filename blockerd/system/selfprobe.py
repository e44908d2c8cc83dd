"""Each minute, and at once when something changed: do programs of this machine still ask blockerd?

A process with a user of its own that the packet filter makes no exception for, so it sees what any program sees. Writes
what it saw into one file below /run, which `control` reads and records; judges by `system.drift`, changes nothing,
reaches nothing but this machine, the network's own resolvers, and one address by HTTPS that the belt should refuse.
`python -m blockerd.system.selfprobe` is started by the unit `blockerd-probe`.
"""

import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from blockerd import clock
from blockerd.model import TEST_NAME
from blockerd.system import drift, probe
from blockerd.system.apply import run
from blockerd.system.doh import EXAMPLE
from blockerd.system.look import look
from blockerd.system.notify import Notifier
from blockerd.system.picture import Machine, loopback
from blockerd.system.watched import Watched, watched_from

SEEN = Path("/run/blockerd-probe/seen.json")
EVERY, GLANCE, SETTLE = 60.0, 4.0, 2.0
"""Seconds between two probes, between two glances at what tells of a change, and from a change to its probe."""


@dataclass(frozen=True, slots=True)
class Sight:
    """One probe as `control` reads it. `at` is Unix µs; `offered` are resolvers that the networks have named."""

    at: int
    findings: tuple[drift.Finding, ...]
    offered: tuple[str, ...] = ()


def glance(root: Path = Path("/")) -> tuple[object, ...]:
    """What changes when the way of names does: cheap to read, compared and nothing else."""
    paths = (root / "etc/resolv.conf", root / "etc/hosts", root / "run/systemd/netif/leases")
    found: list[object] = []
    for path in paths:
        try:
            info = path.stat()
            found.append((info.st_mtime_ns, info.st_ino, info.st_size))
        except OSError:
            found.append(None)
    folder = root / "sys/class/net"
    links = []
    for name in sorted(os.listdir(folder)) if folder.is_dir() else []:
        try:
            links.append((name, (folder / name / "operstate").read_text("ascii").strip()))
        except OSError:
            continue
    return (*found, tuple(links))


def sight(watched: Watched, root: Path = Path("/"), number: Callable[[], str] = lambda: secrets.token_hex(8)) -> Sight:
    """Probes once; takes up to half a minute where nothing answers."""
    machine = look(root, run, live=False)
    offered = offers(machine)
    seen = drift.Seen(
        system=tuple(probe.system_path(number, 8.0)),
        direct=probe.filtered(watched.listen[0], TEST_NAME),
        stub=probe.leads_here("127.0.0.53", number) if machine.runs("systemd-resolved") else None,
        network=_worst([probe.leads_here(address, number) for address in offered[:2]]) if watched.belt else None,
        doh=probe.connects(EXAMPLE, 443, 1.0) if watched.belt else None,
        belt=watched.belt,
    )
    findings = [*drift.judge(seen), *drift.compare(machine, watched.known, watched.browsers, watched.listen)]
    if watched.hosts:
        findings += drift.hosts(watched.hosts, machine)
    findings += drift.proxies(machine.environment, watched.proxy)
    return Sight(clock.now_us(), tuple(findings), offered)


def offers(machine: Machine) -> tuple[str, ...]:
    """Resolvers of the networks that this machine is in, this machine itself left out."""
    found = [address for link in machine.links if link.up for address in (*link.offered, *link.resolvers)]
    return tuple(dict.fromkeys(one for one in found if not loopback([one]) and not one.startswith("fe80")))


def keep(seen: Sight, path: Path) -> None:
    """Replaces the file that `control` reads.

    Raises:
        OSError: it cannot be written.
    """
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(asdict(seen)), "utf-8")
    beside.chmod(0o644)
    beside.replace(path)


def read(path: Path = SEEN) -> Sight | None:
    """What the last probe saw; None where there is none that can be read."""
    try:
        got: dict[str, Any] = json.loads(path.read_bytes())
        findings = tuple(drift.Finding(str(one["key"]), str(one["text"]), bool(one["loss"])) for one in got["findings"])
        return Sight(int(got["at"]), findings, tuple(map(str, got["offered"])))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def watch(
    once: Callable[[], None],
    look_at: Callable[[], object] = glance,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Calls `once` each minute and after each change, for ever."""
    last, due = look_at(), clock()
    while True:
        now = look_at()
        if now != last:
            pause(SETTLE)  # a network that comes up does so in several steps
            last, due = look_at(), clock()
        if clock() >= due:
            due = clock() + EVERY
            once()
        pause(GLANCE)


def _worst(answers: Sequence[drift.Answer]) -> drift.Answer | None:
    return next((one for one in (drift.Answer.OPEN, drift.Answer.FILTERED) if one in answers), None)


def main(line: Sequence[str]) -> int:
    """Probes until ended; tells systemd that it lives."""
    watched = watched_from(line)
    notifier = Notifier.from_environment(os.environ)

    def once() -> None:
        try:
            keep(sight(watched), SEEN)
        except OSError as error:
            sys.stderr.write(f"{SEEN}: {error.strerror}\n")
        notifier.tell("WATCHDOG=1")

    notifier.tell("READY=1")
    watch(once)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
