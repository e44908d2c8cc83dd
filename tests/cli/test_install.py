"""`install`, `uninstall`, `doctor` as a person meets them: shown first, asked, offered, and exit codes that mean it.

On trees that are no running machine (`--root`); what they do to a booted one is in tests/room.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from blockerd.cli import doctor, install, looking
from blockerd.cli.install import _ended, offers
from blockerd.cli.main import main
from blockerd.cli.output import settings_of
from blockerd.settings import ConfigUnreadable
from blockerd.system import units
from blockerd.system.apply import Applier, no_commands
from blockerd.system.manifest import FOLDER, Manifest
from blockerd.system.plan import Plan, plan
from blockerd.system.steps import Undo
from blockerd.system.watched import Watched
from blockerd.system.wish import Way, Wish
from tests.e2e.install import ROOT, environment
from tests.system.machines import PLAIN, System, again, picture, put, tree

as_root = pytest.mark.needs_kernel("installing into a tree: root", os.geteuid() == 0)


def blockerd(folder: Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Runs a command with the configuration in `folder`."""
    command = [sys.executable, "-m", "blockerd", *words, "--config", str(folder / "blockerd.toml")]
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, cwd=ROOT, env=environment(), timeout=60, check=False
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    tree(root, PLAIN)
    put(root, "/usr/bin/systemctl", b"")
    put(root, "/etc/group", b"root:x:0:\nblockerd:x:994:\n")
    put(root, "/etc/passwd", b"root:x:0:0::/root:/bin/sh\nblockerd:x:994:994::/:/usr/sbin/nologin\n")
    (tmp_path / "blockerd.toml").write_text(
        '[state]\ndir = "state"\n[dns]\nlisten = ["127.0.0.1:53"]\n[report.smtp]\nfrom = "me@mail.example"\n'
        '[[report.partner]]\nname = "Robin"\naddress = "robin@mail.example"\nrole = "spouse"\n'
    )
    return tmp_path


def test_a_dry_run_shows_each_step_with_its_inverse_and_changes_nothing(folder: Path):
    root = folder / "root"
    before = picture(root)
    done = blockerd(folder, "install", "--dry-run", "--root", str(root))
    assert done.returncode == 0, done.stderr
    assert "The way: /etc/resolv.conf names blockerd." in done.stdout
    assert done.stdout.count("back: ") > 20
    assert "/etc/resolv.conf as it is now, byte for byte" in done.stdout
    assert picture(root) == before


def test_the_same_for_programs(folder: Path):
    done = blockerd(folder, "install", "--dry-run", "--json", "--root", str(folder / "root"))
    got = json.loads(done.stdout)
    assert got["way"] == "plain"
    assert all(step["does"] and step["back"] for step in got["steps"])


def test_a_filter_that_programs_cannot_ask_is_not_installed(folder: Path):
    config = folder / "blockerd.toml"
    config.write_text(config.read_text().replace(":53", ":5335"))
    done = blockerd(folder, "install", "--dry-run", "--root", str(folder / "root"))
    assert done.returncode == 1
    assert "dns.listen names no address with port 53" in done.stderr


@as_root
def test_into_a_tree_and_out_again(folder: Path):
    root = folder / "root"
    (root / "var/lib").mkdir(parents=True)
    before = picture(root)
    done = blockerd(folder, "install", "--yes", "--root", str(root))
    assert done.returncode == 0, done.stderr
    assert b"nameserver 127.0.0.1" in (root / "etc/resolv.conf").read_bytes()
    shown = blockerd(folder, "uninstall", "--dry-run", "--root", str(root))
    assert "programs ask blockerd: /etc/resolv.conf" in shown.stdout
    assert picture(root) != before
    done = blockerd(folder, "uninstall", "--send", "nothing", "--data", "remove", "--root", str(root))
    assert done.returncode == 0, done.stderr
    assert "Taken off." in done.stdout
    assert picture(root) == before
    again = blockerd(folder, "uninstall", "--root", str(root))
    assert again.returncode == 0
    assert "has changed nothing" in again.stdout


@as_root
def test_it_goes_without_its_configuration_and_with_half_a_manifest(folder: Path):
    root = folder / "root"
    (root / "var/lib").mkdir(parents=True)
    before = picture(root)
    assert blockerd(folder, "install", "--yes", "--root", str(root)).returncode == 0
    with (root / FOLDER / "manifest.jsonl").open("ab") as file:
        file.write(b'{"title": "torn')
    (folder / "blockerd.toml").write_text("not toml [")
    done = blockerd(folder, "uninstall", "--send", "nothing", "--data", "remove", "--root", str(root))
    assert done.returncode == 0, done.stderr
    assert picture(root) == before


@as_root
@pytest.mark.parametrize("full", ["note", "finish"])
def test_a_disk_that_is_full_at_the_last_moment_takes_all_back(
    full: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    root = folder / "root"
    (root / "var/lib").mkdir(parents=True)
    before = picture(root)

    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Manifest, full, no_room)
    words = ["install", "--yes", "--config", str(folder / "blockerd.toml"), "--root", str(root)]
    assert main(words) == 1
    assert "No space left on device; everything that it had changed is taken back" in capsys.readouterr().err
    assert Applier(root, no_commands).undo(data=True, tell=lambda _: None) == []
    assert picture(root) == before


@as_root
@pytest.mark.parametrize(
    ("listens", "stays"),
    [
        pytest.param("127.0.0.1", True, id="listens where it did"),
        pytest.param("127.0.0.2", False, id="listens elsewhere"),
        pytest.param("nowhere", False, id="does not start"),
    ],
)
def test_after_a_repair_that_failed_nobody_is_led_to_a_filter_that_does_not_answer(
    listens: str, stays: bool, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """The settings were edited, and the resolver goes by them as soon as it is started again."""
    root = folder / "machine"
    tree(root, PLAIN)
    system, settings = System(root), settings_of(argparse.Namespace(config=str(folder / "blockerd.toml")))
    Applier(root, system.run).apply(plan(PLAIN, Wish()).steps)
    Manifest(root).finish()
    resolv = root / "etc/resolv.conf"
    ours, listening = resolv.read_bytes(), ["127.0.0.1"]

    def run(words: Sequence[str]) -> tuple[int, str]:
        if tuple(words) == ("systemctl", "restart", units.DNS):
            listening[0] = listens
            return int(listens == "nowhere"), "the service did not start"
        return (1, "no answer") if "blockerd.system.answers" in words else system.run(words)

    def resolves(_seconds: float = 0.0) -> bool:
        return any(f"nameserver {one}\n" in resolv.read_text() for one in (listening[0], "192.0.2.1"))

    monkeypatch.setattr(install, "run", run)
    monkeypatch.setattr(looking, "proves", lambda *_: "" if listening[0] in resolv.read_text() else "no answer")
    monkeypatch.setattr(looking, "resolves", resolves)
    made = Plan(Way.PLAIN, tuple(again(PLAIN, Wish())))
    assert install._install(Applier(root, run), made, settings, "", lambda: made, live=True) == 1
    assert resolves()
    assert (resolv.read_bytes() == ours) == stays
    assert Manifest(root).finished()
    assert ("requests made now are not filtered" in capsys.readouterr().out) != stays


def test_without_a_person_who_agreed_nothing_is_installed(folder: Path):
    done = blockerd(folder, "install", "--yes")
    assert done.returncode in (1, 2)
    assert "has not agreed" in done.stderr or "run it as root" in done.stderr or "cannot read it there" in done.stderr
    assert not (folder / "state").exists()


def test_the_three_offers_are_there_and_none_says_why():
    assert list(offers()) == ["tell", "neutral", "nothing"]
    assert offers()["neutral"] == '"Sharing has ended; this says nothing about why."'
    assert "says nothing about why" in offers()["tell"]


@pytest.mark.parametrize("words", [["install", "--stealth"], ["install", "--quiet"], ["install", "--remote", "x"]])
def test_there_is_no_hidden_mode(words: list[str], folder: Path):
    assert blockerd(folder, *words).returncode == 2


def test_without_root_the_doctor_asks_where_the_install_listens(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """The configuration and the record are not for this user, and nothing is made in the folder they stand in."""
    watched = Watched(("127.0.0.1",), belt=True)
    monkeypatch.setattr(doctor, "_watched", lambda: watched)

    def refused(*_: object) -> None:
        raise ConfigUnreadable(["not for you"])

    monkeypatch.setattr(doctor, "load", refused)
    monkeypatch.chdir(folder)
    facts = doctor.gather(argparse.Namespace(config=None, as_root=True))
    assert (facts.whole, facts.listen, facts.belt_wanted) == (False, ("127.0.0.1",), True)
    assert facts.config_problems == ()
    assert sorted(path.name for path in folder.iterdir()) == ["blockerd.toml", "root"]


def test_the_doctor_says_what_is_wrong_what_to_do_and_exits_1(folder: Path):
    done = blockerd(folder, "doctor")
    assert done.returncode == 1
    assert "does not refuse the test name on 127.0.0.1:53" in done.stdout or "not running: dns" in done.stdout
    assert "What to do" in done.stdout
    got = json.loads(blockerd(folder, "doctor", "--json").stdout)
    assert got["healthy"] is False
    assert len(got["checks"]) >= 20
    assert {"check", "health", "text", "fix"} == set(got["checks"][0])


def test_the_end_of_uninstalling_says_by_its_code_whether_the_package_may_go(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(looking, "resolves", lambda _seconds: False)
    left = [Undo("programs ask blockerd", "file", "/etc/resolv.conf")]
    assert _ended([], live=True, worked=True) == 3
    assert _ended(left, live=True, worked=True) == 1
    assert _ended([], live=True, worked=False) == 0, "no network before the install either"
