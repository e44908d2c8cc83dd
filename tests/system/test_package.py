"""The package's own scripts, on a tree: what dpkg is told, and what is left, when taking back did not come out."""

import subprocess
from pathlib import Path

import pytest

from blockerd.system.manifest import FOLDER, Manifest
from blockerd.system.steps import Undo

SCRIPTS = Path(__file__).resolve().parents[2] / "packaging/deb"
OURS = ("etc/blockerd/blockerd.toml", "var/lib/blockerd/journal.sqlite", "opt/blockerd/bin/blockerd")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with the package, something installed, and a systemctl that notes what it is asked."""
    for name in (*OURS, "bin/systemctl", "run/systemd/system/x"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    (tmp_path / "bin/systemctl").write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n')
    manifest = Manifest(tmp_path)
    manifest.begin()
    manifest.add(Undo("settings", "folder", "/etc/blockerd", data=True))
    manifest.add(Undo("programs ask blockerd", "file", "/etc/resolv.conf"))
    return tmp_path


def script(root: Path, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs a script as dpkg does, with the machine's folders below `root`."""
    text = (SCRIPTS / name).read_text()
    for folder in ("/opt/blockerd", "/var/lib/", "/etc/blockerd", "/run/systemd"):
        text = text.replace(f" {folder}", f" {root}{folder}")
    assert f" {root}" in text
    command = ["sh", "-c", text, name, *words]
    path = f"{root}/bin:/usr/bin:/bin"
    return subprocess.run(command, capture_output=True, text=True, env={"PATH": path}, check=False)


@pytest.mark.parametrize(
    ("code", "goes"),
    [
        pytest.param(0, True, id="taken back"),
        pytest.param(3, True, id="taken back, no network"),
        pytest.param(1, False, id="something left, or a traceback"),
        pytest.param(2, False, id="the manifest cannot be read"),
        pytest.param(137, False, id="killed"),
    ],
)
def test_the_package_goes_only_when_all_is_taken_back(code: int, goes: bool, root: Path):
    program = root / "opt/blockerd/bin/blockerd"
    program.write_text(f"#!/bin/sh\nexit {code}\n")
    done = script(root, "prerm", "remove")
    assert (done.returncode == 0) == goes
    assert ("the package stays" in done.stderr) != goes


def test_it_is_taken_back_with_the_configuration_it_was_installed_with(root: Path):
    """Which one that is, the program finds itself, as long as none is named to it."""
    program = root / "opt/blockerd/bin/blockerd"
    program.write_text(f'#!/bin/sh\necho "$@" >{root}/asked\n')
    assert script(root, "prerm", "remove").returncode == 0
    assert (root / "asked").read_text() == "uninstall --send neutral --data keep\n"


def test_an_upgrade_takes_nothing_back(root: Path):
    (root / "opt/blockerd/bin/blockerd").write_text("#!/bin/sh\nexit 1\n")
    assert script(root, "prerm", "upgrade", "2.0").returncode == 0


def test_purging_keeps_the_way_back_of_what_is_still_in_the_system(root: Path):
    done = script(root, "postrm", "purge")
    assert "blockerd uninstall" in done.stderr
    assert Manifest(root).undos()[1].path == "/etc/resolv.conf"
    assert not any((root / name).exists() for name in OURS)


def test_purging_removes_everything_of_what_was_taken_back(root: Path):
    manifest = Manifest(root)
    manifest.keep_only(undo for undo in manifest.undos() if undo.data)
    assert script(root, "postrm", "purge").returncode == 0
    assert not (root / FOLDER).exists()
    assert not any((root / name).exists() for name in OURS)


def test_an_upgrade_starts_each_service_that_runs_again_and_says_how_units_are_renewed(root: Path):
    done = script(root, "postinst", "configure", "1.0")
    asked = (root / "asked").read_text().splitlines()
    assert asked[0] == "daemon-reload"
    names = {line.split("-")[-1] for line in asked[1:] if line.startswith("try-restart blockerd-")}
    assert names == {"dns.service", "control.service", "proxy.service", "probe.service", "watchdog.service"}
    assert "sudo blockerd install" in done.stdout


def test_a_first_unpacking_says_what_comes_next(root: Path):
    assert "sudo blockerd setup" in script(root, "postinst", "configure", "").stdout
