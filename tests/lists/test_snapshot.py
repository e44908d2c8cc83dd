"""The snapshot file: only a whole one of this version is opened, and a failing disk leaves nothing behind."""

import resource
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from blockerd.lists import snapshot
from blockerd.lists.formats import parse
from blockerd.lists.guard import protected
from blockerd.lists.snapshot import HEADER, Content, Pointer, SnapshotError, open_table, write
from blockerd.lists.sources import ListSource
from blockerd.lists.table import TableBuilder
from blockerd.policy.match import Combo
from blockerd.policy.name import from_text
from blockerd.policy.rule import Rule


@pytest.fixture
def content() -> Content:
    builder = TableBuilder(protected(), 1)
    builder.add(ListSource("mine", "mine", "adult", None), parse(b"listed.test\nother.test\n"))
    return builder.finish()


@pytest.fixture
def path(tmp_path: Path, content: Content) -> Path:
    made = tmp_path / "policy-1.snapshot"
    write(made, 1, content)
    return made


def test_what_is_written_is_read(path: Path):
    assert len(open_table(path).hits(from_text("www.listed.test"))) == 1
    assert open_table(path).hits(from_text("else.test")) == []
    assert path.stat().st_mode & 0o777 == 0o400


def test_one_wrong_bit_anywhere_is_refused(path: Path):
    """The header too: with a wrong seed no name would be found, and nothing would be blocked."""
    whole = path.read_bytes()
    for at in (*range(HEADER.size), *range(HEADER.size, len(whole), len(whole) // 40), len(whole) - 1):
        data = bytearray(whole)
        data[at] ^= 0x10
        with pytest.raises(SnapshotError, match=r"^policy-1\.snapshot: "):
            open_table(_again(path, bytes(data)))


@pytest.mark.parametrize("length", [0, 1, HEADER.size - 1, HEADER.size, HEADER.size + 1, 70_000])
def test_a_cut_file_is_refused(path: Path, length: int):
    with pytest.raises(SnapshotError):
        open_table(_again(path, path.read_bytes()[:length]))


def test_a_longer_file_is_refused(path: Path):
    with pytest.raises(SnapshotError, match="bytes instead of"):
        open_table(_again(path, path.read_bytes() + b"\0"))


def test_a_newer_version_is_refused_and_says_so(path: Path):
    data = path.read_bytes()
    with pytest.raises(SnapshotError, match=f"version 9, this program reads {snapshot.VERSION}"):
        open_table(_again(path, data[:8] + (9).to_bytes(4, "little") + data[12:]))


def test_a_file_of_another_kind_and_a_missing_one_are_refused(tmp_path: Path):
    (tmp_path / "policy-2.snapshot").write_bytes(b"# a list\n" * 100)
    with pytest.raises(SnapshotError, match="not a policy snapshot"):
        open_table(tmp_path / "policy-2.snapshot")
    with pytest.raises(SnapshotError, match="blockerd lists build"):
        open_table(tmp_path / "policy-3.snapshot")


def test_patterns_that_do_not_work_together_are_refused_like_damage(tmp_path: Path, content: Content):
    """A resolver that keeps what it has goes on; one that fails on them would have no names at all."""
    rules = [(Rule(b"", n, pattern=f"(cam|sex){{1,300}}{n}"), Combo(0, 0)) for n in range(60)]
    write(tmp_path / "policy-4.snapshot", 4, replace(content, patterns=rules))
    with pytest.raises(SnapshotError, match="60 patterns are too much together"):
        open_table(tmp_path / "policy-4.snapshot")


def test_a_mapped_snapshot_outlives_its_file(path: Path):
    table = open_table(path)
    path.unlink()
    assert len(table.hits(from_text("listed.test"))) == 1


def test_a_write_that_the_disk_refuses_leaves_nothing(tmp_path: Path, content: Content):
    """A limit on the size of files stands for the disk: EFBIG comes from the same call as ENOSPC."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            write(tmp_path / "policy-5.snapshot", 5, content)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def test_a_pointer_that_is_no_pointer_is_none(tmp_path: Path):
    pointer = Pointer(3, "policy-3.snapshot", "inputs", 4, "digest")
    snapshot.write_pointer(tmp_path, pointer)
    assert snapshot.read_pointer(tmp_path) == pointer
    for text in ("", "{", "[]", "null", '"x"', "{}", '{"generation": 1}', "\xff"):
        (tmp_path / "policy.current").write_bytes(text.encode("latin-1"))
        assert snapshot.read_pointer(tmp_path) is None


def test_replace_puts_all_or_nothing(tmp_path: Path):
    path = tmp_path / "file"
    snapshot.replace(path, b"first")
    with path.open("rb") as old:
        snapshot.replace(path, b"second, longer")
        assert old.read() == b"first"
    assert path.read_bytes() == b"second, longer"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="directory"):
        snapshot.replace(tmp_path / "folder", b"x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def _again(path: Path, data: bytes) -> Path:
    path.unlink()
    path.write_bytes(data)
    return path
