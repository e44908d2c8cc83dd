"""Bodies and archives: decompression under a cap, damage, cuts, and archives that reach outside themselves."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from blockerd.lists.fetch.archive import ArchiveError, is_archive, take_list
from blockerd.lists.fetch.decode import Body, BodyError
from tests.fakes.listserver import names, tar_gz, zeros_gz

LIST = names(1000)


def _decoded(data: bytes, *, cap: int = 1 << 20, encoded: bool = False, step: int = 1000) -> bytes:
    out = io.BytesIO()
    body = Body(out, cap, encoded=encoded)
    for at in range(0, len(data), step):
        body.feed(data[at : at + step])
    body.finish()
    assert body.size == len(out.getvalue())
    return out.getvalue()


@pytest.mark.parametrize("step", [1, 7, 1000, 1 << 20])
@pytest.mark.parametrize(
    ("data", "encoded"),
    [
        (LIST, False),
        (gzip.compress(LIST), False),
        (gzip.compress(LIST), True),
        (gzip.compress(gzip.compress(LIST)), True),
        (gzip.compress(LIST[:500]) + gzip.compress(LIST[500:]) + bytes(512), False),
    ],
    ids=["plain", "file-gz", "coded", "coded-file-gz", "two-members-and-padding"],
)
def test_a_body_comes_out_as_it_was_whatever_its_pieces(data: bytes, encoded: bool, step: int):
    assert _decoded(data, encoded=encoded, step=step) == LIST


@pytest.mark.parametrize("data", [b"", b"a", b"\x1f"])
def test_a_body_of_next_to_nothing_is_kept_as_it_is(data: bytes):
    assert _decoded(data) == data


@pytest.mark.parametrize("encoded", [False, True])
def test_a_bomb_is_stopped_at_the_cap(encoded: bool):
    out = io.BytesIO()
    body = Body(out, 1 << 20, encoded=encoded)
    with pytest.raises(BodyError, match="max_bytes"):
        body.feed(zeros_gz(32))
    assert len(out.getvalue()) <= 1 << 20


def test_a_bomb_in_a_bomb_is_stopped_at_the_cap():
    out = io.BytesIO()
    with pytest.raises(BodyError, match="max_bytes"):
        Body(out, 1 << 16, encoded=True).feed(gzip.compress(zeros_gz(8)))


@pytest.mark.parametrize(
    "data",
    [gzip.compress(LIST)[:-1], gzip.compress(LIST)[:-9], gzip.compress(LIST)[:12], gzip.compress(LIST)[:-8] + bytes(8)],
    ids=["no-last-octet", "cut", "head-only", "wrong-crc"],
)
@pytest.mark.parametrize("encoded", [False, True])
def test_gzip_that_is_cut_or_damaged_is_refused(data: bytes, encoded: bool):
    with pytest.raises(BodyError, match="gzip"):
        _decoded(data, encoded=encoded)


def _taken(folder: Path, members: dict[str, bytes | tarfile.TarInfo], cap: int = 1 << 20) -> bytes:
    path, out = folder / "a.tar", io.BytesIO()
    path.write_bytes(gzip.decompress(tar_gz(members)))
    assert is_archive(path)
    take_list(path, out, cap)
    return out.getvalue()


def test_names_and_urls_of_one_folder_are_joined(tmp_path: Path):
    members: dict[str, bytes | tarfile.TarInfo] = {
        "chat/usage": b"x", "chat/urls": b"u.test/a", "chat/domains": b"d.test\n", "chat/expressions": b"x"
    }  # fmt: skip
    assert _taken(tmp_path, members) == b"d.test\n\nu.test/a\n"


def _odd(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"../domains": b"a.test"}, "leads out"),
        ({"chat/../../domains": b"a.test"}, "leads out"),
        ({"/etc/domains": b"a.test"}, "leads out"),
        ({"c\\domains": b"a.test", "chat/domains": b"a.test"}, "leads out"),
        ({"chat/domains": _odd("chat/domains", tarfile.SYMTYPE, "/etc/passwd")}, "link"),
        ({"chat/domains": _odd("chat/domains", tarfile.LNKTYPE, "chat/other")}, "link"),
        ({"chat/domains": _odd("chat/domains", tarfile.FIFOTYPE)}, "link"),
        ({"a/domains": b"a.test", "b/domains": b"b.test"}, "several"),
        ({"chat/other": b"a.test"}, "without a list"),
        ({"chat/domains": bytes(2 << 20)}, "max_bytes"),
        ({f"chat/{number}": b"" for number in range(1001)}, "members"),
    ],
    ids=[
        "parent", "parent-inside", "absolute", "backslash", "symlink", "hard-link", "fifo", "several", "none", "large",
        "many",
    ],
)  # fmt: skip
def test_an_unsafe_archive_is_refused(tmp_path: Path, members: dict[str, bytes | tarfile.TarInfo], said: str):
    with pytest.raises(ArchiveError, match=said):
        _taken(tmp_path, members)


def test_an_archive_that_is_cut_short_is_refused(tmp_path: Path):
    whole = gzip.decompress(tar_gz({"chat/domains": LIST}))
    path = tmp_path / "a.tar"
    path.write_bytes(whole[: 512 + len(LIST) // 2])
    with pytest.raises(ArchiveError, match=r"cut short|damaged"):
        take_list(path, io.BytesIO(), 1 << 20)
    assert not is_archive(Path(__file__))
