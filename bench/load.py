"""Drives a server and says what an answered query cost it: dnsperf, flood.c, and roundtrip.c for one query at a time.

A sample that lost queries or got other answers than expected says so itself; nothing is averaged away here.
Called by run and the single benchmarks with a server that is already up.
"""

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.process import LOAD_CORE, BenchError, compiled, cpu_seconds, pinned, waits

OUTSTANDING = 100  # dnsperf's own default
RCODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")


@dataclass(frozen=True, slots=True)
class Load:
    """What dnsperf reported of one run."""

    sent: int
    answered: int
    lost: int
    qps: float
    rcodes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """Cost of one run: µs of server CPU per answered query, and how many queries one sleep of the server covered."""

    load: Load
    cpu_us: float
    per_wait: float


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """Microseconds of a look-up with nothing else going on."""

    p50: float
    p99: float
    worst: float
    lost: int
    nxdomain: int
    noerror: int


def dnsperf(
    port: int, queries: Path, *, seconds: float = 0, once: bool = False, qps: int = 0, outstanding: int = OUTSTANDING
) -> Load:
    """Send the file for `seconds`, in rotation or `once` at most; `qps` 0 is as fast as the client can."""
    program = shutil.which("dnsperf")
    if program is None:
        raise BenchError("bench: dnsperf is not installed; apt-get install dnsperf")
    command = [
        program,
        "-s",
        "127.0.0.1",
        "-p",
        str(port),
        "-d",
        str(queries),
        "-q",
        str(outstanding),
        "-b",
        "4096",
        "-t",
        "3",
    ]
    command += ["-n", "1"] if once else []
    command += ["-l", str(max(1, round(seconds)))] if seconds or not once else []
    command += ["-Q", str(qps)] if qps else []
    done = subprocess.run(pinned(LOAD_CORE, command), capture_output=True, text=True, check=False)
    if "Queries completed" not in done.stdout:
        raise BenchError(f"bench: dnsperf gave no result: {(done.stderr or done.stdout).strip()[-200:]}")
    return parse(done.stdout)


def parse(text: str) -> Load:
    """Read dnsperf's closing statistics."""

    def number(pattern: str) -> float:
        found = re.search(pattern + r":\s+([\d.]+)", text)
        return float(found[1]) if found else 0.0

    codes = re.search(r"Response codes:\s+(.*)", text)
    rcodes = {word: int(count) for word, count in re.findall(r"([A-Z]+) (\d+) \(", codes[1])} if codes else {}
    sent, answered, lost = (int(number(f"Queries {what}")) for what in ("sent", "completed", "lost"))
    return Load(sent, answered, lost, number("Queries per second"), rcodes)


def flood(port: int, queries: Path, seconds: float) -> Load:
    """Send the file in rotation in batches, with 512 outstanding: the server gets no pause and full batches."""
    with queries.open() as source:
        command = pinned(LOAD_CORE, [compiled("flood"), str(port), str(seconds)])
        done = subprocess.run(command, stdin=source, capture_output=True, text=True, check=True)
    sent, answered, lost, qps, *codes = done.stdout.split()
    rcodes = {name: int(count) for name, count in zip(RCODES, codes, strict=True) if count != "0"}
    return Load(int(sent), int(answered), int(lost), float(qps), rcodes)


def sample(pid: int, drive: Callable[[], Load]) -> Sample:
    """Let `drive` load the server and divide the CPU it used meanwhile by the queries it answered."""
    cpu, slept = cpu_seconds(pid), waits(pid)
    load = drive()
    cpu, slept = cpu_seconds(pid) - cpu, waits(pid) - slept
    answered = max(1, load.answered)
    return Sample(load, cpu * 1e6 / answered, answered / max(1, slept))


def wrong(load: Load, expected: dict[str, float], lost_allowed: float = 0.0) -> str:
    """Empty when all was answered as expected; `expected` maps an rcode to its share of the answers."""
    if load.lost > lost_allowed * load.sent:
        return f"{load.lost} of {load.sent} lost"
    for rcode, share in expected.items():
        got = load.rcodes.get(rcode, 0) / max(1, load.answered)
        if abs(got - share) > (0.01 if 0 < share < 1 else 0):
            return f"{rcode} {got:.2%} of the answers where {share:.0%} was right"
    return ""


def one_at_a_time(port: int, queries: Path, count: int) -> RoundTrip:
    """Ask `count` questions of the file, each after the answer to the one before."""
    with queries.open() as source:
        command = pinned(LOAD_CORE, [compiled("roundtrip"), str(port), str(count)])
        done = subprocess.run(command, stdin=source, capture_output=True, text=True, check=True)
    p50, p99, worst, lost, nxdomain, noerror, _ = done.stdout.split()
    return RoundTrip(float(p50), float(p99), float(worst), int(lost), int(nxdomain), int(noerror))
