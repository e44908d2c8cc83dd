"""`blockerd install --dry-run` on a Mac and on Windows: the whole text a person reads, as files under golden/.

The system is told by `platform.system`, its tools are programs that stand first in PATH. A wanted change of the text is
taken over with `GOLDEN=write`.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from blockerd.cli import install, looking
from blockerd.cli.main import main
from blockerd.settings import Settings
from blockerd.system import choose
from blockerd.system.look import Runner
from blockerd.system.macos_picture import Mac
from blockerd.system.picture import Machine
from blockerd.system.windows_picture import Rule, Windows
from blockerd.system.wish import Places, Wish
from tests.system.desktops import MAC, WINDOWS, WINDOWS_PLACES, Desktop, Executables

GOLDEN = Path(__file__).with_name("golden")
SYSTEMS = {"macos": (MAC, "Darwin", Places()), "windows": (WINDOWS, "Windows", WINDOWS_PLACES)}

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(params=SYSTEMS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> tuple[Run, Executables, Desktop]:
    """`main` as on that system, over a tree."""
    desktop, system, places = SYSTEMS[name]
    root = desktop.begin(tmp_path / "machine").root
    tools = Executables(desktop, tmp_path, desktop.fresh(), root)
    for key, value in tools.environment.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("SUDO_USER", "someone")
    config = tmp_path / "blockerd.toml"
    config.write_text(
        f'[state]\ndir = "{root}{places.state if name == "macos" else ""}"\n[dns]\nlisten = ["127.0.0.1:53"]\n'
    )
    wish_of = looking.wish_of

    def stable(settings: Settings, args: argparse.Namespace, machine: Machine) -> Wish:
        found = wish_of(settings, args, machine)
        return replace(found, places=places, doh_addresses=("192.0.2.8", "2001:db8::8"), listen=desktop.wish.listen)

    monkeypatch.setattr(looking, "wish_of", stable)
    monkeypatch.setattr(choose, "find_spec", lambda _: object())
    monkeypatch.setattr(platform, "system", lambda: system)

    def call(*words: str) -> tuple[int, str, str]:
        code = main([*words, "--config", str(config), "--root", str(root)])
        said = capfd.readouterr()
        return code, said.out, said.err

    return call, tools, desktop


def test_the_text_is_the_one_kept(name: str, run: tuple[Run, Executables, Desktop]):
    call, tools, desktop = run
    before = tools.state
    code, out, err = call("install", "--dry-run", "--chat-ports", "--private-mode")
    path = GOLDEN / f"install-{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(out, "utf-8")
    assert (code, err) == (0, "")
    assert out == path.read_text("utf-8")
    assert tools.state == before, "looking changes nothing"
    assert desktop.seen(desktop.tools(tools.state, tools.root)) == desktop.seen(
        desktop.tools(desktop.fresh(), tools.root)
    )


def test_json_has_every_step_and_says_first_that_it_was_never_run(run: tuple[Run, Executables, Desktop]):
    call, _, _ = run
    code, out, _ = call("install", "--dry-run", "--json")
    got = json.loads(out)
    assert code == 0
    assert "never run on a real machine" in got["notes"][0]
    assert len(got["steps"]) > 25
    assert all(step["does"] and step["back"] for step in got["steps"])


def test_it_says_first_that_it_was_never_run(run: tuple[Run, Executables, Desktop]):
    call, _, _ = run
    _, out, _ = call("install", "--dry-run")
    lines = out.splitlines()
    assert lines[0].startswith("The way: ")
    assert "Never run on a real machine" in lines[0]
    notes = [line for line in lines if line.startswith("Note: ")]
    assert "never run on a real machine" in notes[0]


@pytest.mark.parametrize("name", ["windows"], indirect=True)
def test_windows_shows_the_plan_and_does_not_begin(run: tuple[Run, Executables, Desktop]):
    call, tools, _ = run
    before = tools.state
    code, _, err = call("install", "--yes")
    assert code == 1
    assert "do not run on Windows yet" in err
    assert tools.state == before


def test_an_install_begins_only_while_the_machine_is_as_it_was_shown(
    run: tuple[Run, Executables, Desktop], monkeypatch: pytest.MonkeyPatch
):
    call, tools, _ = run
    monkeypatch.setattr(choose, "not_yet", lambda _: "")
    monkeypatch.setattr(install, "_ready", lambda *_: None)
    looked = choose.look
    times = 0

    def look(root: Path, run: Runner, state: str, *, live: bool) -> Machine:
        nonlocal times
        times += 1
        machine = looked(root, run, state, live=live)
        if times > 1 and isinstance(machine, Mac):
            return replace(machine, services=machine.services[1:])
        if times > 1 and isinstance(machine, Windows):
            return replace(machine, rules=(Rule((".corp.test",), group=True),))
        return machine

    monkeypatch.setattr(choose, "look", look)
    code, _, err = call("install", "--yes")
    assert code == 1
    assert "has changed since the look, nothing was changed" in err
    assert not (tools.root / "var/lib/blockerd-install").exists()


_WITHOUT_POSIX = """
import asyncio, importlib.abc, multiprocessing, os, platform, psutil, shutil, signal, socket, ssl, subprocess, sys

GONE = {"fcntl", "grp", "pwd", "resource", "termios"}

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in GONE:
            raise ModuleNotFoundError(name)

for name in GONE:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Missing())
for module, names in ((os, "geteuid getuid chown fchmod statvfs pread pwrite O_CLOEXEC O_NOFOLLOW O_DIRECTORY"),
                      (socket, "AF_UNIX SO_PEERCRED"), (signal, "SIGHUP")):
    for name in names.split():
        delattr(module, name)
platform.system = lambda: "Windows"
from blockerd.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.once
@pytest.mark.parametrize("name", ["windows"], indirect=True)
def test_the_plan_is_shown_by_a_python_without_what_windows_has_not(
    run: tuple[Run, Executables, Desktop], tmp_path: Path
):
    """Modules and names of Python that do not exist there are taken away before the program is loaded."""
    _, tools, _ = run
    words = ["install", "--dry-run", "--config", str(tmp_path / "blockerd.toml"), "--root", str(tools.root)]
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_POSIX, *words], cwd=Path(__file__).parents[2],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("The way: one NRPT rule leads everything to blockerd. Never run on a real machine")
