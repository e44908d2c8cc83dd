"""Heads and keys: the signed-note format byte by byte, files nobody else can read, and a change of key at any step."""

import os
import stat
import subprocess
import sys
from base64 import b64decode, b64encode
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockerd.journal import checkpoint, merkle
from blockerd.journal.checkpoint import Checkpoint, CheckpointError, PublicKey, SigningKey

NAME = checkpoint.origin_of("00c0ffee")
SECRET = bytes(range(32))
ROOT = merkle.root_of([merkle.leaf_hash(b"")])


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return checkpoint.create(tmp_path / "log.key", NAME, SECRET)


def test_a_head_is_three_lines_and_its_extensions():
    assert Checkpoint(NAME, 18, ROOT).text() == f"blockerd/00c0ffee\n18\n{b64encode(ROOT).decode()}\n"
    more = Checkpoint(NAME, 18, ROOT, ("rows 17",))
    assert more.text().endswith("=\nrows 17\n")
    assert Checkpoint.parse(more.text()) == more


SPELLED = b64encode(ROOT).decode()
NO_HEADS = """|a/|a/1/|a/x/AAAA/|a/1/AAAA/|a/01/{root}/|a/-1/{root}/|/1/{root}/|a/1/{root}|a/1/{root} /|a/+1/{root}/"""


@pytest.mark.parametrize("text", NO_HEADS.split("|"))
def test_what_is_no_head_is_refused(text: str):
    text = text.replace("/", "\n").replace("{root}", SPELLED)
    with pytest.raises(CheckpointError, match="not three lines"):
        Checkpoint.parse(text)


def test_a_signed_head_is_text_empty_line_and_one_signature_line(key: SigningKey):
    text = Checkpoint(NAME, 1, ROOT).text()
    lines = key.sign(text).split("\n")
    assert lines[:4] == [*text.rstrip("\n").split("\n"), ""]
    assert lines[4].startswith(f"\u2014 {NAME} ")
    assert lines[5:] == [""]
    signed = b64decode(lines[4].split(" ")[2])
    assert len(signed) == 4 + 64
    assert signed[:4] == sha256(NAME.encode() + b"\n\x01" + key.public.raw).digest()[:4]
    assert checkpoint.open_note(key.sign(text), key.public) == text


def test_the_signature_is_that_of_the_rfc(tmp_path: Path):
    """RFC 8032, 7.1, TEST 1 has the empty message, which no note is; its key pair is checked here."""
    secret = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    key = checkpoint.create(tmp_path / "k", NAME, secret)
    assert key.public.raw.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert key.signature("").hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155")


def test_the_key_text_of_the_specification_is_understood():
    """The example of the signed-note specification (Go's checksum database)."""
    text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
    assert PublicKey.parse(text).text == text


@given(at=st.integers(0, 10_000), to=st.characters(codec="utf-8"))
def test_a_note_with_one_other_character_is_not_opened(at: int, to: str):
    key = checkpoint._key(NAME, SECRET)
    note = key.sign(Checkpoint(NAME, 1, ROOT).text())
    at %= len(note)
    changed = note[:at] + to + note[at + 1 :]
    if changed != note:
        with pytest.raises(CheckpointError):
            checkpoint.open_note(changed, key.public)


def test_a_signature_spelled_otherwise_in_base64_is_not_taken(key: SigningKey):
    note = key.sign("x\n")
    assert note.endswith("=\n")
    twins = [f"{note[:-3]}{letter}=\n" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"]
    assert [twin for twin in twins if _opens(twin, key)] == [note]


def test_lines_of_other_signers_are_passed_over(key: SigningKey):
    text = Checkpoint(NAME, 1, ROOT).text()
    note = key.sign(text)
    stranger = f"\u2014 witness.test {b64encode(bytes(68)).decode()}\n"
    twin = f"\u2014 {NAME} !!!\n"
    head, _, line = note.rpartition("\n\n")
    assert checkpoint.open_note(f"{head}\n\n{stranger}{twin}{line}", key.public) == text
    with pytest.raises(CheckpointError, match="no signature by the known key"):
        checkpoint.open_note(f"{head}\n\n{stranger}", key.public)


@pytest.mark.parametrize("text", ["no end", "tab\t\n", "return\r\n"])
def test_what_would_not_arrive_as_it_was_is_not_signed(key: SigningKey, text: str):
    with pytest.raises(ValueError, match="without control characters"):
        key.sign(text)


def test_the_fingerprint_is_six_groups_of_five_digits_and_depends_on_every_part(key: SigningKey):
    groups = key.public.fingerprint.split(" ")
    assert [len(group) for group in groups] == [5] * 6
    assert all(group.isdigit() for group in groups)
    others = [PublicKey("blockerd/00c0ffef", key.public.raw), PublicKey(NAME, bytes(32))]
    assert len({key.public.fingerprint, *(other.fingerprint for other in others)}) == 3


def test_a_key_text_copied_wrongly_is_refused(key: SigningKey):
    text = key.public.text
    wrong = ["", text[:-1], text + "A", text.replace("+", "-"), text[:-6] + "AAAAAA", text.replace("ffee", "ffef")]
    for copy in wrong:
        with pytest.raises(CheckpointError, match="key: "):
            PublicKey.parse(copy)


def test_the_key_file_is_read_back_and_only_the_owner_may(tmp_path: Path):
    path = tmp_path / "log.key"
    made = checkpoint.create(path, NAME, SECRET)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert checkpoint.load(path).public == made.public
    assert checkpoint.load(path).sign("x\n") == made.sign("x\n")
    path.chmod(0o640)
    with pytest.raises(CheckpointError, match="others can read the key"):
        checkpoint.load(path)


@pytest.mark.needs_tool("strace")
def test_the_key_file_is_0600_from_its_creation_and_its_folder_is_synced(tmp_path: Path):
    code = "import sys, pathlib, blockerd.journal.checkpoint as c; c.create(pathlib.Path(sys.argv[1]), 'n', bytes(32))"
    trace = tmp_path / "trace"
    calls = ["strace", "-y", "-o", str(trace), "-e", "trace=openat,fsync,chmod,fchmod,umask"]
    command = [*calls, sys.executable, "-c", code, str(tmp_path / "log.key")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    lines = trace.read_text().splitlines()
    (opened,) = [at for at, line in enumerate(lines) if 'log.key"' in line and "O_CREAT" in line]
    assert "O_EXCL" in lines[opened]
    assert ", 0600)" in lines[opened]
    synced = [line for line in lines[opened:] if line.startswith("fsync")]
    assert "log.key>" in synced[0]
    assert f"{tmp_path}>" in synced[1]


def test_a_key_is_never_written_over(tmp_path: Path):
    path = tmp_path / "log.key"
    checkpoint.create(path, NAME, SECRET)
    with pytest.raises(FileExistsError):
        checkpoint.create(path, NAME, bytes(32))
    assert checkpoint.load(path).public == checkpoint._key(NAME, SECRET).public


def test_a_key_that_cannot_be_written_whole_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.create(tmp_path / "log.key", NAME, SECRET)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("next_key", [False, True])
def test_a_start_that_was_killed_as_it_made_a_key_stops_no_later_one(tmp_path: Path, *, next_key: bool):
    path = tmp_path / "log.key"
    if next_key:
        checkpoint.create(path, NAME, SECRET)
    child = os.fork()
    if not child:
        checkpoint.open = lambda *_: os._exit(9)  # type: ignore[attr-defined]  # the kill comes as it is about to be written
        try:
            (checkpoint.prepare_rotation if next_key else partial(checkpoint.create, name=NAME))(path, secret=SECRET)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    if next_key:
        assert checkpoint.prepare_rotation(path, bytes(32)).key == checkpoint._key(NAME, bytes(32)).public
    else:
        assert checkpoint.create(path, NAME, SECRET).public == checkpoint.load(path).public


@pytest.mark.parametrize("content", [b"", b"PRIVATE+KEY+", b"PRIVATE+KEY+n+00000000+AQ==\n", b"\xff" * 80, b"x" * 5000])
def test_a_damaged_key_file_is_told_in_one_line(tmp_path: Path, content: bytes):
    path = tmp_path / "log.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(CheckpointError) as told:
        checkpoint.load(path)
    assert str(told.value).startswith(f"{path}: holds no key")
    assert "\n" not in str(told.value)


def test_the_secret_is_not_in_what_is_printed(key: SigningKey):
    assert SECRET.hex() not in repr(key)
    assert b64encode(b"\x01" + SECRET).decode() not in repr(key)


def test_a_change_of_key_is_signed_by_the_old_one_and_stands_a_crash_between_its_steps(tmp_path: Path):
    path = tmp_path / "log.key"
    old = checkpoint.create(path, NAME, SECRET)
    record = checkpoint.prepare_rotation(path, bytes([7] * 32))
    assert record.verify(old.public)
    assert checkpoint.load(path).public == old.public, "the old key signs until the record is in the log"
    assert checkpoint.prepare_rotation(path, bytes([9] * 32)) == record
    new = checkpoint.adopt(path)
    assert new.public == record.key
    assert [entry.name for entry in tmp_path.iterdir()] == ["log.key"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_change_of_key_by_somebody_else_does_not_hold(key: SigningKey):
    stranger = checkpoint._key(NAME, bytes([7] * 32))
    text = checkpoint.rotation_text(stranger.public)
    assert not checkpoint.Rotation(stranger.public, stranger.signature(text)).verify(key.public)
    elsewhere = PublicKey("blockerd/00c0ffef", stranger.public.raw)
    moved = checkpoint.Rotation(elsewhere, key.signature(checkpoint.rotation_text(elsewhere)))
    assert not moved.verify(key.public), "a key speaks for one log"


def test_a_change_of_key_is_no_head(key: SigningKey):
    with pytest.raises(CheckpointError):
        Checkpoint.parse(checkpoint.rotation_text(key.public))


@pytest.mark.parametrize("install", ["", "XYZ", "00C0FFEE", "../etc"])
def test_an_install_id_is_hexadecimal(install: str):
    with pytest.raises(ValueError, match="not hexadecimal"):
        checkpoint.origin_of(install)


def _opens(note: str, key: SigningKey) -> bool:
    try:
        return bool(checkpoint.open_note(note, key.public))
    except CheckpointError:
        return False
