"""Twenty thousand questions a second for a minute: what is stored keeps up with what is recorded."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from blockerd import clock
from blockerd.journal.append import BATCH, Journal
from blockerd.journal.check import check
from blockerd.journal.outcome import DrainState
from tests.journal.spooling import Spool, counts, everything

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="not run here: fork")

RATE, BURST, SITES = 20_000, 64, 5_000
PAUSE = 0.5
"""Seconds between two drains, as control pauses."""


def _record(folder: Path, seconds: float) -> None:
    """Records BURST questions at a time, RATE a second, at the time of the clock."""
    spool = Spool(folder)
    began, asked = time.monotonic(), 0
    while asked < RATE * seconds:
        while time.monotonic() < began + asked / RATE:
            time.sleep(0.0005)
        spool.at = clock.now_us()
        spool.ask(*(f"site-{(asked + n) * 7919 % SITES}.test" for n in range(BURST)))
        asked += BURST


def flood(home: Path, seconds: float):
    """(longest lag in seconds of the newest stored question behind the clock at the end of a drain, transactions)."""
    folder, longest, transactions = home / "spool", 0.0, 0
    folder.mkdir()
    child = os.fork()
    if not child:
        code = 1
        try:
            _record(folder, seconds)
            code = 0
        finally:
            os._exit(code)
    journal = Journal(home / "journal.sqlite", lambda: clock.now_us())
    running = True
    try:
        while running:
            running = os.waitpid(child, os.WNOHANG) == (0, 0)
            began, lag = time.monotonic(), 0.0
            drained = journal.drain(folder)
            assert drained.state == DrainState.OK
            if drained.questions:
                transactions += -(-drained.questions // BATCH)
                newest = journal.query("SELECT max(last_us) FROM attempts")[0][0]
                lag = (clock.now_us() - newest) / 1e6
            longest = max(longest, lag, time.monotonic() - began)
            time.sleep(PAUSE)
    finally:
        if running:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    journal.drain(folder)
    journal.close()
    asked = -(-round(RATE * seconds) // BATCH) * BATCH
    assert sum(counts(everything(journal.path, folder)).values()) == asked
    with closing(apsw.Connection(str(journal.path))) as db:
        assert check(db).broken == ()
    return longest, transactions


@pytest.mark.once
def test_two_seconds_of_a_flood_are_stored_as_they_come(tmp_path: Path):
    assert flood(tmp_path, 2)[0] <= 10


@pytest.mark.soak
def test_a_minute_of_twenty_thousand_questions_a_second_is_stored_with_little_lag(
    tmp_path: Path, record_property: Callable[[str, object], None]
):
    lag, transactions = flood(tmp_path, 60)
    record_property("longest lag, seconds", round(lag, 2))
    record_property("transactions", transactions)
    assert lag <= 60
