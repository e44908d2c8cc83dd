"""The agent's buffer: whatever moment it dies at, each record is there once and the newest state with it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.screentime import buffer as module
from blockerd.screentime.buffer import Buffer, InUse
from tests.e2e.install import environment

IDS = (f"agent{number}" for number in count())


def _open(folder: Path) -> Buffer:
    return Buffer(folder, lambda: next(IDS))


def _all(buffer: Buffer) -> list[tuple[int, int]]:
    """(number, what was put in) of all that waits, read in small portions."""
    found, acked = list[tuple[int, int]](), buffer.acked
    for portion in iter(lambda: buffer.pending(3, 1 << 20), []):
        found += [(got["seq"], got["n"]) for got in portion]
        buffer.acked = portion[-1]["seq"]
    buffer.acked = acked
    return found


@pytest.fixture
def buffer(tmp_path: Path) -> Iterator[Buffer]:
    made = _open(tmp_path / "a")
    yield made
    made.close()


def test_records_are_numbered_on_and_stay_until_they_are_acknowledged(buffer: Buffer):
    buffer.append([{"n": 10}, {"n": 20}], "s1")
    buffer.append([{"n": 30}], "s2")
    assert _all(buffer) == [(1, 10), (2, 20), (3, 30)]
    buffer.acknowledge(2)
    assert _all(buffer) == [(3, 30)]
    buffer.acknowledge(3)
    assert _all(buffer) == []


def test_a_portion_keeps_to_its_size(buffer: Buffer):
    buffer.append([{"n": n, "text": "x" * 1000} for n in range(50)], "")
    portion = buffer.pending(200, 10_000)
    assert 5 < len(portion) < 15
    assert len(buffer.pending(200, 10)) == 1


@given(st.lists(st.one_of(st.integers(0, 3), st.sampled_from(["keep", "ack", "open"])), max_size=25))
def test_what_was_kept_is_there_after_each_start(tmp_path_factory: pytest.TempPathFactory, steps: list[int | str]):
    folder = tmp_path_factory.mktemp("b") / "a"
    buffer = _open(folder)
    name, made, state = buffer.agent, 0, ""
    for at, step in enumerate(steps):
        if isinstance(step, int):
            state = f"s{at}"
            buffer.append([{"n": made + n} for n in range(step)], state)
            made += step
        elif step == "keep":
            state = f"k{at}"
            buffer.keep(state)
        elif step == "ack":
            buffer.acknowledge((buffer.acked + buffer.last + 1) // 2)
        else:
            buffer.close()
            buffer = _open(folder)
        assert (buffer.agent, buffer.last, buffer.state) == (name, made, state)
        assert _all(buffer)[-1:] == ([(made, made - 1)] if made > buffer.acked else [])
    assert [n for _, n in _all(buffer)] == list(range(buffer.acked, made))
    buffer.close()


@given(st.data())
def test_a_torn_end_loses_only_itself(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    folder = tmp_path_factory.mktemp("b") / "a"
    buffer = _open(folder)
    ends = []
    for n in range(4):
        buffer.append([{"n": n}], f"s{n}")
        ends.append((folder / "records.log").stat().st_size)
    buffer.close()
    cut = data.draw(st.integers(0, ends[-1]))
    os.truncate(folder / "records.log", cut)
    buffer = _open(folder)
    whole = sum(end <= cut for end in ends)
    assert _all(buffer) == [(n + 1, n) for n in range(whole)]
    buffer.append([{"n": 9}], "s9")
    assert _all(buffer)[-1] == (whole + 1, 9)
    buffer.close()


def test_a_folder_has_one_owner(tmp_path: Path, buffer: Buffer):
    with pytest.raises(InUse):
        _open(tmp_path / "a")


def test_a_file_that_is_all_acknowledged_begins_anew_and_numbers_go_on(tmp_path: Path):
    buffer = _open(tmp_path / "a")
    for n in range(400):
        buffer.append([{"n": n, "text": "x" * 1000}], "s")
        buffer.acknowledge(n + 1)
    assert (tmp_path / "a" / "records.log").stat().st_size < 300_000
    buffer.close()
    again = _open(tmp_path / "a")
    again.append([{"n": 400}], "t")
    assert _all(again) == [(401, 400)]
    again.close()


def test_a_folder_that_was_set_back_goes_on_under_a_new_name(buffer: Buffer):
    name = buffer.agent
    buffer.append([{"n": 1}], "")
    buffer.acknowledge(7)
    assert buffer.agent != name
    assert _all(buffer) == [(1, 1)]


def test_a_full_buffer_refuses_and_stays_whole(buffer: Buffer, monkeypatch: pytest.MonkeyPatch):
    buffer.append([{"n": 1}], "a")
    monkeypatch.setattr(module, "CAP", 200)
    with pytest.raises(OSError, match="wait for control"):
        buffer.append([{"n": 2, "text": "x" * 200}], "b")
    assert (_all(buffer), buffer.state) == ([(1, 1)], "a")


WRITER = """
import sys
from pathlib import Path
from blockerd.screentime.buffer import Buffer
buffer = Buffer(Path(sys.argv[1]), lambda: "me")
at = int(buffer.state or 0)
while True:
    at += 1
    if at % 3:
        buffer.keep(str(at))
    else:
        buffer.append([{"n": at}], str(at))
    sys.stdout.write(f"{at}\\n")
    sys.stdout.flush()
"""


def test_killed_again_and_again_it_has_each_record_once(tmp_path: Path):
    """The state says how far it came: every third step is a record, so state and records tell whether they agree."""
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "a")], stdout=subprocess.PIPE, env=environment()
        )
        assert process.stdout
        said = 0
        for line in process.stdout:
            said = int(line)
            if said % 300 == 299:
                break
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        process.stdout.close()
        buffer = _open(tmp_path / "a")
        reached = int(buffer.state)
        assert reached >= said
        assert [n for _, n in _all(buffer)] == list(range(3, reached + 1, 3))
        buffer.close()
