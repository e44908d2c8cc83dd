"""Trust stores: real NSS stores of a person, the system's store in a folder; every one is undone, none is missed."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from blockerd.proxy import ca, manifest, stores
from blockerd.proxy.stores import NSS, SYSTEM_DEBIAN, Store
from tests.lists.places import Place

NOW = 1_800_000_000.0
PROFILES = (
    ".mozilla/firefox/abc.default",
    "snap/firefox/common/.mozilla/firefox/x.default",
    ".var/app/org.mozilla.firefox/.mozilla/firefox/y.default",
)
pytestmark = pytest.mark.needs_tool("certutil", "libnss3-tools")


def _store(path: Path) -> Path:
    path.mkdir(parents=True)
    assert not stores.run(["certutil", "-d", f"sql:{path}", "-N", "--empty-password"])
    return path


def _names(path: Path) -> str:
    words = ["certutil", "-d", f"sql:{path}", "-L"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with Chromium and three kinds of Firefox."""
    for one in (".pki/nssdb", *PROFILES):
        _store(tmp_path / "home" / one)
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ca").mkdir()
    ca.ensure(tmp_path / "ca", ["mixed.test"], NOW)
    return tmp_path / "ca"


def test_every_profile_is_found_installed_and_emptied_again(tmp_path: Path, home: Path, folder: Path):
    before = {one: _names(one.place) for one in stores.found(tmp_path, home)}
    assert len(before) == 1 + len(PROFILES)
    outcomes = stores.install(folder, list(before), stores.run)
    assert [one.problem for one in outcomes] == [""] * len(before)
    nickname = stores.nickname(manifest.read(folder).fingerprint)
    assert all(nickname in _names(one.place) and "C,," in _names(one.place) for one in before)
    assert manifest.read(folder).trusted
    assert [one.problem for one in stores.remove(folder, stores.run)] == [""] * len(before)
    assert {one: _names(one.place) for one in before} == before
    assert manifest.read(folder).stores == ()


def test_other_systems_have_commands_that_name_this_root(folder: Path):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    digest = x509.load_pem_x509_certificate((folder / manifest.CERT_FILE).read_bytes()).fingerprint(hashes.SHA1())
    for system in ("Darwin", "Windows"):
        got = stores.commands(folder, system)
        assert got
        assert str(folder / manifest.CERT_FILE) in got[0]
        assert digest.hex().upper() in got[1]
    assert stores.commands(folder, "Linux") is None


@pytest.mark.needs_kernel("root", os.geteuid() == 0)
def test_what_root_writes_for_the_service_belongs_to_the_service(tmp_path: Path):
    place = Place(tmp_path)
    place.var.mkdir()
    os.chown(place.var, 65534, 65534)
    ca.ensure(manifest.ca_folder(place.settings), ["mixed.test"], NOW)
    stores.by_hand(manifest.ca_folder(place.settings))
    made = [place.var / "proxy", *(place.var / "proxy").rglob("*")]
    assert len(made) >= 5
    assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {(65534, 65534)}


def test_rotation_leaves_the_new_root_alone_in_each_store(tmp_path: Path, home: Path, folder: Path):
    places = stores.found(tmp_path, home)
    stores.install(folder, places, stores.run)
    old = manifest.read(folder).fingerprint
    fresh = ca.rotate(folder, ["mixed.test"], NOW)
    stores.install(folder, places, stores.run)
    stores.remove(folder, stores.run, keep=fresh.fingerprint)
    for one in places:
        assert stores.nickname(fresh.fingerprint) in _names(one.place)
        assert stores.nickname(old) not in _names(one.place)
    assert {entry.fingerprint for entry in manifest.read(folder).stores} == {fresh.fingerprint}


def test_a_store_is_in_the_manifest_before_it_is_touched(folder: Path, home: Path):
    seen = []

    def watch(words: Sequence[str]) -> str:
        seen.append(len(manifest.read(folder).stores))
        return stores.run(words)

    stores.install(folder, [Store(NSS, home / ".pki/nssdb")], watch)
    assert seen[0] == 1


def test_a_store_that_did_not_take_it_is_told_and_not_kept(folder: Path, tmp_path: Path):
    outcome = stores.install(folder, [Store(NSS, tmp_path / "missing" / "profile")], stores.run)[0]
    assert "certutil ended with" in outcome.problem
    assert manifest.read(folder).stores == ()


def test_a_profile_that_is_gone_counts_as_emptied(folder: Path, home: Path):
    gone = Store(NSS, home / "gone" / "profile")
    held = manifest.read(folder)
    manifest.write(folder, held.with_store(manifest.Entry(NSS, str(gone.place), "n", held.fingerprint)))
    assert stores.remove(folder, stores.run)[0].problem == ""
    assert manifest.read(folder).stores == ()


def test_the_system_store_gets_a_file_and_loses_it(tmp_path: Path, folder: Path):
    (tmp_path / "usr/local/share/ca-certificates").mkdir(parents=True)
    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "usr/sbin/update-ca-certificates").touch()
    ran: list[list[str]] = []

    def ends_well(words: Sequence[str]) -> str:
        ran.append(list(words))
        return ""

    (place,) = stores.found(tmp_path, tmp_path / "nobody")
    assert place.kind == SYSTEM_DEBIAN
    stores.install(folder, [place], ends_well)
    (file,) = (tmp_path / "usr/local/share/ca-certificates").iterdir()
    assert file.read_bytes() == (folder / manifest.CERT_FILE).read_bytes()
    stores.remove(folder, ends_well)
    assert not file.exists()
    assert ran == [["update-ca-certificates"], ["update-ca-certificates", "--fresh"]]


def test_without_rights_the_command_to_run_is_told(tmp_path: Path, folder: Path):
    outcome = stores.install(folder, [Store(SYSTEM_DEBIAN, tmp_path / "no" / "folder")], stores.run)[0]
    assert "sudo" in outcome.problem


def test_chromium_gets_a_store_where_it_has_none(tmp_path: Path):
    assert stores.begin_chromium(tmp_path, stores.run) == ""
    assert stores.found(tmp_path / "root", tmp_path) == [Store(NSS, tmp_path / ".pki" / "nssdb")]


def test_trust_given_by_hand_is_remembered_until_it_is_removed(folder: Path):
    stores.by_hand(folder)
    assert manifest.read(folder).trusted
    assert stores.remove(folder, stores.run)[0].problem == ""
    assert not manifest.read(folder).trusted


def test_a_manifest_that_names_a_file_of_somebody_else_removes_nothing(tmp_path: Path, folder: Path):
    other = tmp_path / "shadow"
    other.touch()
    held = manifest.read(folder)
    entry = manifest.Entry(SYSTEM_DEBIAN, str(other), stores.nickname(held.fingerprint), held.fingerprint)
    manifest.write(folder, held.with_store(entry))
    (outcome,) = stores.remove(folder, lambda _: "")
    assert "not a file of ours" in outcome.problem
    assert other.exists()
