"""kill -9 of the process that stores and of the one that records, at 1,000 questions a second (T50).

Nothing acknowledged is missing, nothing is there twice, the log verifies, and storing goes on within two seconds. Fifty
runs under `soak`.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random

import apsw
import pytest

from blockerd.journal.append import Journal
from blockerd.journal.check import check
from blockerd.journal.outcome import DrainState
from blockerd.model import Attempt
from tests.journal.spooling import START, Spool, counts, everything

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="not run here: fork")

RATE, BURST = 1000, 10
RESTART = 2.0


class Recorder:
    """A child that records BURST questions at a time, RATE a second, and acknowledges each burst after its write."""

    def __init__(self, folder: Path, run: int):
        self._read, write = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(self._read)
            _record(folder, run, write)
        os.close(write)

    def end(self):
        """Kills it; the bursts it had acknowledged."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        told = b""
        while more := os.read(self._read, 65536):
            told += more
        os.close(self._read)
        return len(told)


def _record(folder: Path, run: int, write: int):
    spool = Spool(folder, start=START + run * 1_000_000)
    began, burst = time.monotonic(), 0
    while True:
        while time.monotonic() < began + burst * BURST / RATE:
            pass
        spool.at = START + run * 1_000_000 + burst * 10_000
        spool.ask(*(f"run-{run}-{(burst * BURST + n) % 40}.test" for n in range(BURST)))
        os.write(write, b".")
        burst += 1


def _store(path: Path, folder: Path):
    """A child that stores what is recorded, until it is killed; its pid."""
    child = os.fork()
    if not child:
        journal = Journal(path, lambda: START + 86_400_000_000)
        while True:
            journal.drain(folder)
            time.sleep(0.01)  # as control pauses between two drains
    return child


def storm(home: Path, runs: int):
    """Kills both at random moments, `runs` times; the longest restart in seconds."""
    path, folder, chance = home / "journal.sqlite", home / "spool", Random(50)
    acknowledged, longest = 0, 0.0
    for run in range(runs):
        recorder, writer = Recorder(folder, run), _store(path, folder)
        for _ in range(2):
            time.sleep(chance.uniform(0.05, 0.3))  # a moment that nothing announces is what is being tested
            os.kill(writer, signal.SIGKILL)
            os.waitpid(writer, 0)
            writer = _store(path, folder)
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        bursts = recorder.end()
        began = time.monotonic()
        journal = Journal(path, lambda: START + 86_400_000_000)
        assert journal.drain(folder).state == DrainState.OK
        longest = max(longest, time.monotonic() - began)
        journal.close()
        acknowledged += bursts * BURST
        by_run = _by_run(everything(path, folder))
        # The last burst may have been written and not acknowledged; none is there twice.
        assert 0 <= by_run[run] - bursts * BURST <= BURST
    assert 0 <= sum(by_run.values()) - acknowledged <= runs * BURST
    with closing(apsw.Connection(str(path))) as db:
        assert check(db).broken == ()
    return longest


def _by_run(attempts: list[Attempt]):
    found: Counter[int] = Counter()
    for site, count in counts(attempts).items():
        found[int(site.split("-")[1])] += count
    return found


def test_five_storms_lose_and_double_nothing(tmp_path: Path):
    assert storm(tmp_path, 5) <= RESTART


@pytest.mark.soak
def test_fifty_storms_lose_and_double_nothing(tmp_path: Path, record_property: Callable[[str, object], None]):
    longest = storm(tmp_path, 50)
    record_property("longest restart, seconds", round(longest, 3))
    assert longest <= RESTART
