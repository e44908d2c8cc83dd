"""The alive mark survives torn writes, foreign files and full disks, and is never an exception."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.journal.alive import COUNTERS, PAGE, SIZE, AliveMark, Mark, read

BOOT = "5f1e8b52-0c5f-4a37-9a2a-6a0d6f0c2b11"
NUMBERS = st.integers(0, 2**62)


def file_with(folder: Path, marks: int) -> Path:
    path = folder / "alive"
    alive = AliveMark(path)
    for n in range(1, marks + 1):
        assert alive.mark(1000 * n, 100 * n, 90 * n, BOOT, 7, (n, 2, 3))
    alive.close()
    return path


def number_in(path: Path) -> int:
    mark = read(path)
    return mark.number if mark else 0


def test_the_newest_mark_is_read(tmp_path: Path):
    path = file_with(tmp_path, 5)
    assert read(path) == Mark(5, False, 5000, 500, 450, BOOT, 7, (5, 2, 3, 0, 0, 0))


def test_an_intended_end_is_told_apart(tmp_path: Path):
    alive = AliveMark(tmp_path / "alive")
    assert alive.mark(1, 1, 1, BOOT, 1)
    assert alive.stopped(2, 2, 2, BOOT, 1)
    mark = read(tmp_path / "alive")
    assert mark
    assert (mark.stopped, mark.wall_us) == (True, 2)


def test_the_file_is_0600_and_keeps_its_size(tmp_path: Path):
    path = tmp_path / "alive"
    path.touch(0o644)
    path.chmod(0o644)
    alive = AliveMark(path)
    sizes = set()
    for n in range(9):
        assert alive.mark(n, n, n, BOOT, 1)
        sizes.add(path.stat().st_size)
    assert (sizes, path.stat().st_mode & 0o777) == ({SIZE}, 0o600)


def test_a_new_process_counts_on_and_knows_the_mark_before_it(tmp_path: Path):
    path = file_with(tmp_path, 4)
    alive = AliveMark(path)
    assert alive.previous
    assert (alive.previous.number, alive.previous.run) == (4, 7)
    assert alive.mark(9, 9, 9, "other", 8)
    after = read(path)
    assert after
    assert (after.number, after.run, after.boot) == (5, 8, "other")


@pytest.mark.parametrize("marks", [1, 2, 3, 6])
def test_a_torn_write_loses_one_mark_at_most(tmp_path: Path, marks: int):
    path = file_with(tmp_path, marks)
    whole = path.read_bytes()
    at = marks % 2 * PAGE
    for octet in range(at, at + 166):
        path.write_bytes(whole[:octet] + bytes([whole[octet] ^ 0x5A]) + whole[octet + 1 :])
        mark = read(path)
        assert mark is None if marks == 1 else mark and marks - 1 <= mark.number <= marks
        path.write_bytes(whole[:octet])
        assert number_in(path) in (0, marks - 1)


def test_one_pwrite_and_no_sync_for_a_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    alive = AliveMark(tmp_path / "alive")
    assert alive.mark(1, 1, 1, BOOT, 1)
    calls: list[int] = []
    real = os.pwrite

    def counted(fd: int, data: bytes, at: int) -> int:
        calls.append(len(data))
        return real(fd, data, at)

    monkeypatch.setattr(os, "pwrite", counted)
    for name in ("fsync", "fdatasync", "sync"):
        monkeypatch.setattr(os, name, lambda *_: calls.append(-1))
    assert alive.mark(2, 2, 2, BOOT, 1)
    assert len(calls) == 1
    assert 0 < calls[0] < 512


@given(st.binary(max_size=2 * SIZE))
def test_a_foreign_file_is_none(data: bytes):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "alive")
        path.write_bytes(data)
        assert read(path) is None
        alive = AliveMark(path)
        assert alive.previous is None
        assert alive.mark(1, 2, 3, BOOT, 4)
        assert read(path)


def test_what_is_no_file_is_none_and_takes_no_mark(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "link", "missing/alive"):
        assert read(tmp_path / name) is None
        assert AliveMark(tmp_path / name).mark(1, 1, 1, BOOT, 1) is False
    assert read(tmp_path / "pipe") is None
    assert not (tmp_path / "elsewhere").exists()


def test_a_disk_that_takes_nothing_is_told_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = file_with(tmp_path, 2)
    alive = AliveMark(path)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "pwrite", full)
        assert alive.mark(3, 3, 3, BOOT, 7) is False
    assert number_in(path) == 2
    assert alive.mark(4, 4, 4, BOOT, 7)
    assert number_in(path) == 3


@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.text(max_size=16), st.lists(NUMBERS, max_size=COUNTERS))
def test_what_is_marked_is_what_is_read(wall: int, boottime: int, mono: int, run: int, boot: str, counters: list[int]):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "alive")
        assert AliveMark(path).mark(wall, boottime, mono, boot, run, tuple(counters))
        mark = read(path)
        assert mark
        assert (mark.wall_us, mark.boottime_us, mark.monotonic_us, mark.run, mark.boot) == (
            wall, boottime, mono, run, boot,
        )  # fmt: skip
        assert mark.counters[: len(counters)] == tuple(counters)


def test_what_does_not_fit_is_refused(tmp_path: Path):
    alive = AliveMark(tmp_path / "alive")
    for boot, run, counters in (("x" * 65, 1, ()), ("", -1, ()), ("", 1, (0,) * (COUNTERS + 1)), ("", 1, (-1,))):
        with pytest.raises(ValueError, match="mark"):
            alive.mark(1, 1, 1, boot, run, counters)


_WRITER = """
import sys
from pathlib import Path
from blockerd.journal.alive import AliveMark
alive = AliveMark(Path(sys.argv[1]))
for n in range(1, 10**9):
    alive.mark(n, n, n, "boot", 1)
    if n == 100:
        print("going", flush=True)
"""


def test_a_killed_writer_leaves_a_whole_mark(tmp_path: Path):
    path = tmp_path / "alive"
    for _ in range(5):
        before = number_in(path)
        child = subprocess.Popen([sys.executable, "-c", _WRITER, path], stdout=subprocess.PIPE)
        assert child.stdout
        assert child.stdout.readline() == b"going\n"
        child.send_signal(signal.SIGKILL)
        child.wait(10)
        child.stdout.close()
        assert number_in(path) >= before + 100
