"""Lists on disk: plain, gzip, squidGuard folders, and each way a file can be wrong in one line."""

import gzip
import os
from pathlib import Path

import pytest

from blockerd.lists.formats import parse
from blockerd.lists.formats_files import ListError, read_source, unpack

LIST = b"one.test\ntwo.test\n"


def test_plain_and_gzip_files_give_the_same_octets(tmp_path: Path):
    (tmp_path / "list.txt").write_bytes(LIST)
    (tmp_path / "list.txt.gz").write_bytes(gzip.compress(LIST))
    (tmp_path / "no-suffix").write_bytes(gzip.compress(LIST[:9]) + gzip.compress(LIST[9:]))
    for path in tmp_path.iterdir():
        assert read_source(path, 1000) == LIST


def test_a_squidguard_folder_is_its_files_joined(tmp_path: Path):
    (tmp_path / "domains").write_bytes(b"one.test")
    (tmp_path / "urls.gz").write_bytes(gzip.compress(b"two.test/path\nthree.test/\n"))
    (tmp_path / "expressions").write_bytes(b"(a|b)\n")
    (tmp_path / "usage").write_bytes(b"no list\n")
    parsed = parse(read_source(tmp_path, 1000), "squidguard")
    assert (parsed.entries, parsed.not_applicable, parsed.issue_count) == (2, 2, 0)


def _bomb() -> bytes:
    return gzip.compress(bytes(5_000_000), mtime=0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (gzip.compress(LIST * 20, mtime=0)[:-9], "cut short"),
        (gzip.compress(LIST, mtime=0)[:5], "cut short"),
        (b"\x1f\x8b" + bytes(50), "damaged gzip"),
        (gzip.compress(LIST, mtime=0)[:12] + b"\xff\xff\xff\xff" + gzip.compress(LIST, mtime=0)[16:], "damaged gzip"),
        (_bomb(), "over max_bytes"),
        (b"x" * 2000, "over max_bytes"),
        (gzip.compress(LIST, mtime=0) + _bomb(), "over max_bytes"),
    ],
    ids=["trailer", "header", "no-gzip", "overwritten", "bomb", "long", "bomb-in-second-member"],
)
def test_damaged_and_endless_data_is_one_line(tmp_path: Path, data: bytes, reason: str):
    path = tmp_path / "list"
    path.write_bytes(data)
    with pytest.raises(ListError, match=reason) as error:
        read_source(path, 1000)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_an_empty_folder_and_a_pipe_are_one_line(tmp_path: Path):
    with pytest.raises(ListError, match="No such file"):
        read_source(tmp_path / "nowhere", 1000)
    with pytest.raises(ListError, match="no squidGuard list"):
        read_source(tmp_path, 1000)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ListError, match="not a file"):
        read_source(tmp_path / "pipe", 1000)


def test_the_limit_is_for_all_files_of_a_folder_together(tmp_path: Path):
    (tmp_path / "domains").write_bytes(LIST * 30)
    (tmp_path / "urls").write_bytes(LIST * 30)
    with pytest.raises(ListError, match="over max_bytes"):
        read_source(tmp_path, 1000)


def test_a_limit_beyond_any_memory_costs_nothing(tmp_path: Path):
    (tmp_path / "list").write_bytes(LIST)
    assert read_source(tmp_path / "list", 1 << 60) == LIST


def test_the_limit_itself_is_allowed():
    assert unpack(gzip.compress(LIST), len(LIST), "a list") == LIST
    assert unpack(LIST, len(LIST), "a list") == LIST
