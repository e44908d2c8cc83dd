"""The supervisor with children that end at once or never begin; the whole daemon is tested in tests/e2e."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.e2e.install import environment, kill, members, wait_until

# A package of the same name that only knows what children look like from the supervisor's side.
CHILD = """
import json, os, signal, sys, time
from pathlib import Path
name, folder = sys.argv[1], Path(sys.argv[2])
plan = json.loads((folder / "plan.json").read_text()).get(name, {})
with (folder / "starts.txt").open("a") as file:
    file.write(f"{name} {os.getpid()} {time.monotonic()}\\n")
words = int(os.environ["BLOCKERD_WORDS"])
if "exit" in plan:
    sys.exit(plan["exit"])
signal.signal(signal.SIGTERM, signal.SIG_IGN if plan.get("deaf") else lambda *_: sys.exit(0))
time.sleep(plan.get("slow", 0))
signal.signal(signal.SIGHUP, lambda *_: (folder / f"{name}.hup").touch())
os.write(words, b"ready\\n")
while plan.get("alive"):
    os.write(words, b"alive\\n")
    with (folder / "beats.txt").open("a") as file:
        file.write(os.environ.get("BLOCKERD_ENDED", "first") + " ")
    time.sleep(0.1)
if "lasts" in plan:
    time.sleep(plan["lasts"])
    sys.exit(1)
os.read(int(os.environ["BLOCKERD_LIFELINE"]), 1)
"""
RUN = """
import sys
from blockerd import supervisor
supervisor.SILENT = 1.0
tell = lambda text: print(text, flush=True)
sys.exit(supervisor.Supervisor([sys.argv[1]], tell, sys.argv[2:]).run())
"""


class Run:
    """A supervisor in a process of its own, whose children are CHILD and behave as `plan` says."""

    def __init__(self, folder: Path, also: tuple[str, ...] = (), **plan: dict[str, object]) -> None:
        self.folder = folder
        (folder / "starts.txt").touch()
        (folder / "plan.json").write_text(json.dumps(plan))
        python = folder / "python"
        # The supervisor starts `sys.executable -m blockerd NAME ARGUMENTS`.
        python.write_text(f"#!/bin/sh\nshift 2\nexec {sys.executable} -c '{CHILD}' \"$@\"\n")
        python.chmod(0o700)
        code = f"import sys\nsys.executable = {str(python)!r}\n{RUN}"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(folder), *also], env=environment(), start_new_session=True,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def starts(self, name: str) -> list[tuple[int, float]]:
        lines = [line.split() for line in (self.folder / "starts.txt").read_text().splitlines()]
        return [(int(pid), float(at)) for child, pid, at in lines if child == name]

    def end(self) -> None:
        for pid in (self.process.pid, *members(self.process.pid)):
            kill(pid, signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def runs() -> Iterator[list[Run]]:
    made: list[Run] = []
    yield made
    for run in made:
        run.end()


def _run(runs: list[Run], folder: Path, **plan: dict[str, object]) -> Run:
    run = Run(folder, (), **plan)
    runs.append(run)
    return run


@pytest.mark.parametrize(("code", "expected"), [(2, 2), (1, 1), (0, 1)])
def test_a_first_child_that_cannot_begin_ends_everything(tmp_path: Path, runs: list[Run], code: int, expected: int):
    run = _run(runs, tmp_path, dns={"exit": code})
    assert run.process.wait(5) == expected
    assert len(run.starts("dns")) == 1
    assert run.starts("control") == []


def test_a_second_child_that_cannot_begin_ends_the_first_too(tmp_path: Path, runs: list[Run]):
    run = _run(runs, tmp_path, control={"exit": 2})
    assert run.process.wait(5) == 2
    assert members(run.process.pid) == []


def test_the_second_child_starts_when_the_first_has_begun(tmp_path: Path, runs: list[Run]):
    run = _run(runs, tmp_path, dns={"slow": 0.4})
    wait_until(lambda: run.starts("control"), 5)
    assert run.starts("control")[0][1] - run.starts("dns")[0][1] > 0.4


def test_a_child_that_ends_again_and_again_is_started_with_pauses_under_2_seconds(tmp_path: Path, runs: list[Run]):
    run = _run(runs, tmp_path, dns={"lasts": 0})
    wait_until(lambda: len(run.starts("dns")) >= 5, 10)
    times = [at for _, at in run.starts("dns")]
    pauses = [b - a for a, b in pairwise(times)]
    assert max(pauses) < 2.0
    assert pauses[3] > 0.9
    assert run.process.poll() is None
    assert len(run.starts("control")) == 1


def test_a_proxy_that_does_not_begin_is_tried_again_and_stops_nobody(tmp_path: Path, runs: list[Run]):
    run = Run(tmp_path, ("proxy",), proxy={"exit": 2})
    runs.append(run)
    wait_until(lambda: len(run.starts("proxy")) >= 4, 10)
    assert run.process.poll() is None
    assert (len(run.starts("dns")), len(run.starts("control"))) == (1, 1)


def test_nobody_waits_for_a_slow_proxy_which_starts_last(tmp_path: Path, runs: list[Run]):
    run = Run(tmp_path, ("proxy",), proxy={"slow": 60}, dns={"lasts": 0.5})
    runs.append(run)
    wait_until(lambda: len(run.starts("dns")) >= 2, 5)
    assert run.starts("control")[0][1] < run.starts("proxy")[0][1] < run.starts("dns")[1][1]


def test_sighup_reaches_every_child_once_it_can_hear(tmp_path: Path, runs: list[Run]):
    run = _run(runs, tmp_path, dns={"slow": 0.3}, control={"slow": 0.3})
    wait_until(lambda: run.starts("dns"), 5)
    run.process.send_signal(signal.SIGHUP)
    wait_until(lambda: (tmp_path / "dns.hup").exists() and (tmp_path / "control.hup").exists(), 5)
    assert (len(run.starts("dns")), len(run.starts("control"))) == (1, 1)


def test_a_deaf_child_is_ended_by_force_within_2_seconds(tmp_path: Path, runs: list[Run]):
    run = _run(runs, tmp_path, control={"deaf": True})
    wait_until(lambda: run.starts("control"), 5)
    control = run.starts("control")[0][0]
    wait_until(lambda: _ignores_term(control), 5)
    run.process.terminate()
    assert run.process.wait(2.5) == 0
    assert members(run.process.pid) == []


def _ignores_term(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    ignored = int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn")), 16)
    return bool(ignored & 1 << (signal.SIGTERM - 1))


def test_a_child_that_stands_still_is_ended_and_started_again_and_told_why(tmp_path: Path, runs: list[Run]):
    """T103 in small; one that never said that it lives is left alone."""
    run = _run(runs, tmp_path, dns={"alive": True})
    beats = tmp_path / "beats.txt"
    wait_until(lambda: run.starts("control") and beats.exists() and len(beats.read_text().split()) > 12, 10)
    assert len(run.starts("dns")) == 1, "it lives"
    kill(run.starts("dns")[0][0], signal.SIGSTOP)
    wait_until(lambda: len(run.starts("dns")) == 2, 5)
    wait_until(lambda: beats.read_text().split()[-1] == "hung", 5)
    assert len(run.starts("control")) == 1


def test_a_supervisor_that_stood_still_ends_nobody(tmp_path: Path, runs: list[Run]):
    run = _run(runs, tmp_path, dns={"alive": True})
    beats = tmp_path / "beats.txt"
    wait_until(lambda: run.starts("control") and beats.exists(), 10)
    everybody = [run.process.pid, run.starts("dns")[0][0]]
    for pid in everybody:
        kill(pid, signal.SIGSTOP)
    time.sleep(1.6)  # longer than silence lasts here
    for pid in everybody:
        kill(pid, signal.SIGCONT)
    said = len(beats.read_text())
    wait_until(lambda: len(beats.read_text()) > said + 60, 5)
    assert len(run.starts("dns")) == 1


def test_children_hear_of_a_killed_supervisor(tmp_path: Path, runs: list[Run]):
    run = _run(runs, tmp_path)
    wait_until(lambda: run.starts("control"), 5)
    os.kill(run.process.pid, signal.SIGKILL)
    wait_until(lambda: members(run.process.pid) == [], 2)
