"""The writer of spool segments on disks that are slow, full or fail: what it does not keep it counts, once."""

import os
import tracemalloc
from collections.abc import Callable, Sequence
from io import FileIO
from pathlib import Path

import pytest

from blockerd.journal import spool
from blockerd.journal.append import Journal
from blockerd.journal.spool import Level, Meta, RecordKind, Writer, read, record_at, segments
from blockerd.policy.name import from_text
from tests.journal.spooling import COMBOS, META, START, counts, everything

OTHER = Meta(8, "policy-8.snapshot", "NODATA", tuple(reversed(COMBOS[1:])))


class Disk:
    """Stands between the writer and the kernel: each write takes `seconds`, and there is room for `room` octets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.seconds = 0.0
        self.room = 1 << 30
        self._write = os.write
        monkeypatch.setattr("blockerd.journal.spool.os.write", self.write)

    def write(self, fd: int, data: bytes) -> int:
        self.now += self.seconds
        if data and self.room == 0:
            raise OSError(28, "No space left on device")
        done = self._write(fd, data[: self.room])
        self.room -= done
        return done


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch):
    return Disk(monkeypatch)


@pytest.fixture
def writer(tmp_path: Path, disk: Disk):
    return Writer(tmp_path, "dns", lambda: START, lambda: disk.now)


def ask(writer: Writer, *names: str, combo: int = 0):
    writer.attempts([5, combo] * len(names), [from_text(name) + b"\x00\x01\x00\x01" for name in names])


def records(folder: Path):
    return [one for path in segments(folder) for one in read(path)]


def asked(folder: Path) -> int:
    return sum(one.count for one in records(folder) if one.kind is RecordKind.ATTEMPTS)


def stored(folder: Path, confirm: Callable[[Sequence[spool.RawAttempt]], list[bool]] | None = None):
    """What the journal makes of it."""
    path = folder / "journal.sqlite"
    journal = Journal(path, lambda: START)
    drained = journal.drain(folder, confirm=confirm)
    journal.close()
    assert drained.bad == 0
    return everything(path, folder)


def test_what_waits_for_a_slow_disk_is_written_at_the_end(tmp_path: Path, disk: Disk, writer: Writer):
    disk.seconds = 0.006
    for n in range(5):
        writer.event({"kind": "notice", "n": n})
    assert len(records(tmp_path)) == 1
    writer.close()
    assert [one.json()["n"] for one in records(tmp_path)] == [0, 1, 2, 3, 4]
    assert writer.lost == 0


def test_a_disk_that_is_too_slow_at_the_end_is_left_and_the_rest_counted(tmp_path: Path, disk: Disk, writer: Writer):
    """A process is ended after two seconds whatever it waits for."""
    disk.seconds = 0.4
    writer.meta(META)
    for n in range(20):
        ask(writer, f"site-{n}.test", "b.test")
    began = disk.now
    writer.close()
    assert disk.now - began < 2
    assert 0 < asked(tmp_path) < 40
    assert asked(tmp_path) + writer.take_lost() == 40


@pytest.mark.parametrize("room", [0, 100, 700])
def test_a_disk_that_is_full_at_the_end_is_counted_to_the_last_question(
    tmp_path: Path, disk: Disk, writer: Writer, room: int
):
    disk.seconds, disk.room = 0.006, room
    writer.meta(META)
    for n in range(20):
        ask(writer, f"site-{n}.test", "b.test")
    writer.close()
    assert asked(tmp_path) + writer.take_lost() == 40


def test_a_full_disk_leaves_no_row_of_empty_segments(tmp_path: Path, disk: Disk, writer: Writer):
    disk.room = 0
    writer.meta(META)
    for _ in range(60):
        ask(writer, "a.test")
        disk.now += 1.1
    assert segments(tmp_path) == []
    disk.room = len(META.to_json()) // 2  # not even its head has room
    ask(writer, "a.test")
    assert segments(tmp_path) == []
    assert writer.take_lost() == 61


def test_a_number_that_could_not_be_told_counts_again(tmp_path: Path, disk: Disk, writer: Writer):
    disk.room = 0
    writer.meta(META)
    ask(writer, "a.test", "b.test", "c.test")
    for _ in range(5):
        assert writer.tell_lost() == 3
        writer.flush()  # it waits: the disk is left alone for a second
        disk.now += 1.1
        writer.flush()
    disk.room = 1 << 20
    assert writer.tell_lost() == 3
    disk.now += 1.1
    writer.flush()
    (told,) = records(tmp_path)[1:]
    assert (told.json()["kind"], told.json()["count"], writer.tell_lost()) == ("lost", 3, 0)


def test_a_writer_says_what_is_in_the_way_until_it_can_write_again(tmp_path: Path, disk: Disk, writer: Writer):
    writer.meta(META)
    ask(writer, "a.test")
    assert writer.trouble == ""
    disk.room = 0
    for _ in range(3):
        disk.now += 1.1
        ask(writer, "b.test")
        ask(writer, "c.test")  # waits: the disk is left alone for a second
        assert writer.trouble != ""
    disk.room, disk.now = 1 << 20, disk.now + 1.1
    writer.flush()
    assert writer.trouble == ""


@pytest.mark.parametrize("trouble", ["none", "slow", "full"])
def test_attempts_are_read_by_the_policy_they_were_made_under(tmp_path: Path, disk: Disk, writer: Writer, trouble: str):
    """Also where they waited in memory while the policy changed, or the disk refused the new one's head."""
    writer.meta(META)
    ask(writer, "adult.test", combo=0)
    if trouble == "slow":
        disk.seconds = 0.006
        ask(writer, "slow.test", combo=0)
    ask(writer, "cam.test", combo=1)
    if trouble == "full":
        disk.room = 0
    writer.meta(OTHER)
    ask(writer, "demo.test", combo=0)
    disk.room, disk.now = 1 << 20, disk.now + 2
    ask(writer, "bypass.test", combo=1)
    writer.meta(META)
    ask(writer, "last.test", combo=3)
    writer.close()
    found = {one.site: (one.category, one.action) for one in stored(tmp_path)}
    wanted = {
        "adult.test": ("adult", "NXDOMAIN"), "slow.test": ("adult", "NXDOMAIN"), "cam.test": ("cam", "NXDOMAIN"),
        "demo.test": ("demo", "NODATA"), "bypass.test": ("bypass", "NODATA"), "last.test": ("demo", "NXDOMAIN"),
    }  # fmt: skip
    assert found.items() <= wanted.items()
    missing = {"none": {"slow.test"}, "slow": set(), "full": {"slow.test", "demo.test"}}[trouble]
    assert wanted.keys() - found.keys() == missing
    assert writer.take_lost() == (trouble == "full")


def test_a_policy_that_means_the_same_begins_no_segment(tmp_path: Path, writer: Writer):
    for _ in range(5):
        writer.meta(Meta(META.generation, META.snapshot, META.action, META.combos), Level.SITE)
        ask(writer, "a.test")
    assert len(segments(tmp_path)) == 1


@pytest.mark.parametrize("level", [Level.CATEGORY, Level.COUNTS])
def test_numbers_say_no_more_than_the_level(tmp_path: Path, writer: Writer, level: Level):
    """Neither slot nor hash; at `counts` no list either, and what is only a test stays one."""
    secret = 0xABCDEF0123456
    meta = Meta(7, "policy-7.snapshot", "NXDOMAIN", (*COMBOS, COMBOS[0]))
    writer.meta(meta, level)
    numbers = [n for combo in range(5) for n in (secret, secret << spool.COMBO_BITS & (1 << 64) - 1 | combo)]
    writer.attempts(numbers, [b"\x00\x00\x01\x00\x01"] * 5)
    (path,) = segments(tmp_path)
    data = path.read_bytes()
    assert secret.to_bytes(8, "little") not in data
    assert (secret & (1 << 44) - 1).to_bytes(6, "little")[:5] not in data
    found = counts_by(tmp_path)
    bare = level is Level.COUNTS
    assert found == {("" if bare else category, kind): n for category, kind, n in (
        [("", "attempt", 3), ("", "bypass", 1), ("", "test", 1)] if bare else
        [("adult", "attempt", 2), ("cam", "attempt", 1), ("bypass", "bypass", 1), ("demo", "test", 1)]
    )}  # fmt: skip
    assert not bare or b"starter" not in data


def counts_by(folder: Path):
    found: dict[tuple[str, str], int] = {}
    for one in stored(folder, lambda raw: [False] * len(raw)):
        key = one.category, str(one.kind)
        found[key] = found.get(key, 0) + one.count
    return found


def test_one_record_is_read_alone_and_a_length_that_cannot_be_takes_no_memory(tmp_path: Path, writer: Writer):
    """A reader that took the whole segment for its META made `control` grow by as much as the segment, up to 4 MB."""
    for number in range(50):
        ask(writer, f"n{number}.test")
    writer.close()
    (path,) = segments(tmp_path)
    data, records = path.read_bytes(), [*read(path)]
    assert len(records) >= 50
    with FileIO(path) as file:
        assert [record_at(file, one.offset) for one in records] == [data[one.offset : one.end] for one in records]
        assert record_at(file, len(data)) == b""
    path.write_bytes(data[:4] + b"\xff" * 4 + data[8:])
    tracemalloc.start()
    with FileIO(path) as file:
        assert record_at(file, 0) == path.read_bytes()
    assert tracemalloc.get_traced_memory()[1] < 2 * spool.SEGMENT_BYTES
    tracemalloc.stop()


def test_a_segment_is_in_use_until_its_writer_ends(tmp_path: Path, writer: Writer):
    writer.event({"kind": "notice"})
    (path,) = segments(tmp_path)
    assert spool.in_use(path)
    writer.close()
    assert not spool.in_use(path)
    assert counts(stored(tmp_path)) == {}
