"""The whole daemon on a disk that is full, and on one that takes nothing: answers come, and the record says so."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.e2e.install import NXDOMAIN, Install, wait_until
from tests.journal.test_disk import tiny_disk

pytestmark = [pytest.mark.once, pytest.mark.skipif(sys.platform != "linux", reason="not run here: Linux")]


def on_a_disk_of_its_own(work: Callable[[Install], None]) -> int:
    """`work` with an install whose state alone lies on a small file system; 0 where it did not fail."""

    def inside(disk: Path) -> None:
        folder = Path(tempfile.mkdtemp(prefix="blockerd-disk-"))
        install = Install(folder, 9)
        install.var = disk / "var"
        install.configure(install.add_list("mine", "listed.test\n") + f'[state]\ndir = "{install.var}"\n')
        try:
            work(install)
        finally:
            install.end()
            sys.stderr.write(install.said())
            shutil.rmtree(folder)

    return int(tiny_disk("16m", inside))


def asked(install: Install, count: int) -> float:
    """Asks `count` times for names that are refused; the slowest answer in seconds."""
    slowest = 0.0
    for number in range(count):
        reply = install.ask(f"n{number}-of-a-rather-long-name-that-fills-the-spool.listed.test")
        assert reply.rcode == NXDOMAIN
        slowest = max(slowest, reply.seconds)
    return slowest


def value(install: Install, sql: str) -> Any:  # noqa: ANN401  (whatever SQLite says)
    path = install.var / "journal.sqlite"
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        db.set_busy_timeout(1000)
        return db.execute(sql).get


def test_a_full_disk_delays_no_answer_opens_no_block_and_is_told_with_what_was_lost():
    """T52: what was recorded and what is told as lost are together what was asked."""

    def work(install: Install) -> None:
        install.run()
        assert asked(install, 10) < 0.5
        wait_until(lambda: len(install.log()) > 0, 10, install.said)
        ballast = install.var / "ballast"
        with ballast.open("wb", buffering=0) as file:
            size = 1 << 20
            while size:
                try:
                    file.write(bytes(size))
                except OSError:
                    size //= 2
        assert asked(install, 1500) < 0.5
        wait_until(lambda: "could not be kept" in install.said(), 10, install.said)
        wait_until(lambda: "the disk is full" in install.said(), 10, install.said)
        assert "the disk is full" in install.call("status").stdout
        assert install.rcode("listed.test") == NXDOMAIN
        ballast.unlink()
        wait_until(lambda: "the disk is full" not in install.call("status").stdout, 20, install.said)
        told = "SELECT ifnull(sum(payload ->> '$.count'), 0) FROM events WHERE kind = 'lost'"
        stored = "SELECT ifnull(sum(count), 0) FROM attempts JOIN origins ON origins.id = origin WHERE source = 'mine'"
        wait_until(lambda: value(install, told) + value(install, stored) >= 1511, 20, install.said)
        assert value(install, told) > 0
        assert value(install, told) + value(install, stored) <= 1511 + 20, "signs of life are lost with the rest"
        again = "SELECT group_concat(payload ->> '$.detail') FROM events WHERE kind = 'repair'"
        wait_until(lambda: "full for " in str(value(install, again)), 10, lambda: str(value(install, again)))
        assert install.call("log", "check").returncode == 0
        assert "Traceback" not in install.said()

    assert on_a_disk_of_its_own(work) == 0


def test_on_a_disk_that_takes_nothing_the_start_is_refused_in_one_line():
    """T55: without a place for its locks and its record it does not begin, and says what to do."""

    def work(install: Install) -> None:
        process = install.run()
        process.terminate()
        assert process.wait(5) == 0
        remounted(install, "ro")
        done = install.call("run")
        remounted(install, "rw")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "Read-only file system; name a folder you may write to in state.dir" in done.stderr
        install.run()
        assert asked(install, 20) < 0.5

    assert on_a_disk_of_its_own(work) == 0


def remounted(install: Install, how: str) -> None:
    disk = str(install.var.parent)
    wait_until(lambda: subprocess.run(["mount", "-o", f"remount,{how}", disk], check=False).returncode == 0, 5)
