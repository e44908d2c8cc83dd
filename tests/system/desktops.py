"""A Mac and a Windows machine to install on: a tree of files, the state of the imitated tools, and the plan for both.

Called by test_macos, test_windows and test_desktop_dry_run.
"""

import copy
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blockerd.system import choose, macos_look, windows_look
from blockerd.system.apply import Applier, Moment, Runner, run
from blockerd.system.picture import Machine
from blockerd.system.plan import Plan
from blockerd.system.steps import File, Step
from blockerd.system.wish import Places, Wish
from tests.fakes import mac_tools, windows_tools
from tests.fakes.mac_tools import MacTools
from tests.fakes.system_tools import ROOT, STATE, Tools, put_in
from tests.fakes.windows_tools import WindowsTools
from tests.system.machines import picture, put

# A certificate of nobody, as PEM text: only its digest matters.
CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nYmxvY2tlcmQgdGVzdCByb290\n-----END CERTIFICATE-----\n"
CHROME = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<plist version="1.0"><dict>'
    b"<key>HomepageLocation</key><string>https://site.test/</string><key>QuicAllowed</key><true/></dict></plist>\n"
)
WISH = Wish(chat_ports=True, doh_addresses=("192.0.2.8", "2001:db8::8"), proxy=True)
WINDOWS_PLACES = Places(
    program="C:\\Program Files\\blockerd\\Scripts\\blockerd.exe",
    config="C:\\ProgramData\\blockerd.toml",
    state="C:\\ProgramData\\blockerd",
)


@dataclass
class Desktop:
    """One machine: `make` begins it in a folder, `look` reads it, `seen` is all that an uninstall must give back."""

    kind: str
    wish: Wish
    fresh: Callable[[], dict[str, Any]]
    tools: type[Tools]
    make: Callable[[Path], None]
    look: Callable[[Path, Runner], Machine]
    plain: Callable[[dict[str, Any]], dict[str, Any]]

    def begin(self, folder: Path) -> Tools:
        """The machine in `folder`, with tools that run in this process."""
        self.make(folder)
        for path in folder.rglob("*"):
            os.utime(path, ns=(1_700_000_000_123_456_789,) * 2)
        return self.tools(self.fresh(), folder)

    def plan(self, tools: Tools) -> Plan:
        """The plan for the machine as it is now."""
        return choose.plan(self.look(tools.root, tools.run), self.wish)

    def seen(self, tools: Tools) -> tuple[dict[str, Any], dict[str, tuple[str, str, int]]]:
        """State and files."""
        state = {key: value for key, value in copy.deepcopy(tools.state).items() if key != "dark"}
        return self.plain(state), picture(tools.root)

    def copied(self, tools: Tools, to: Path) -> Tools:
        """The same machine in another folder."""
        shutil.copytree(tools.root, to, symlinks=True)
        return self.tools(copy.deepcopy(tools.state), to)


def _mac(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    put(folder, "/etc/passwd", b"root:*:0:0:System Administrator:/var/root:/bin/sh\n")
    put(folder, "/etc/group", b"wheel:*:0:root\n")
    put(folder, "/etc/blockerd/blockerd.toml", b"[dns]\n")
    put(folder, "/etc/resolv.conf", b"nameserver 192.0.2.1\n")
    put(folder, "/Library/Managed Preferences/com.google.Chrome.plist", CHROME)
    put(folder, "/Library/Preferences/org.mozilla.firefox.plist", b"not a property list")
    put(folder, f"{Places().state}/proxy/ca/blockerd-ca.crt", CERTIFICATE)
    for path in ("Library/LaunchDaemons", "Library/LaunchAgents", "var/run", "var/log", "var/db"):
        (folder / path).mkdir(parents=True)
    (folder / "var/lib/blockerd").chmod(0o750)


def _windows(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WINDOWS_PLACES.state).mkdir()
    (folder / "var/lib").mkdir(parents=True)
    (folder / f"{WINDOWS_PLACES.state}\\proxy\\ca\\blockerd-ca.crt").write_bytes(CERTIFICATE)


MAC = Desktop(
    "mac", WISH, mac_tools.fresh, MacTools, _mac,
    lambda root, run: macos_look.look(root, run, Places().state, "someone", live=False), lambda state: _pf_plain(state),
)  # fmt: skip
WINDOWS = Desktop(
    "windows", Wish(places=WINDOWS_PLACES, listen=("127.0.0.2", "::1"), chat_ports=True,
                    doh_addresses=("192.0.2.8", "2001:db8::8"), proxy=True),
    windows_tools.fresh, WindowsTools, _windows,
    lambda root, run: windows_look.look(root, run, WINDOWS_PLACES.state, live=False), windows_tools.plain,
)  # fmt: skip


def _pf_plain(state: dict[str, Any]) -> dict[str, Any]:
    """The next token of pf is a counter, and a built policy is the person's."""
    return {**state, "built": 0, "pf": {**state["pf"], "next": 0}}


class Cut(BaseException):
    """The power went away."""


def points(steps: tuple[Step, ...]) -> int:
    """How many moments there are at which the power can go while installing."""
    return sum(4 if isinstance(step, File) else 3 for step in steps)


def snapshots(desktop: Desktop, folder: Path) -> list[Tools]:
    """The machine as it is at each moment of an install at which the power may go, and at its end."""
    tools = desktop.begin(folder / "installed")
    made = desktop.plan(tools)
    found: list[Tools] = []

    def watch(_number: int, _moment: Moment) -> None:
        found.append(desktop.copied(tools, folder / f"cut-{len(found)}"))

    Applier(tools.root, tools.run, watch).apply(made.steps)
    assert len(found) == points(made.steps)
    return [*found, tools]


class Executables:
    """The tools as programs in a folder, over a state file: `run` is the program's own runner with that PATH."""

    def __init__(self, desktop: Desktop, folder: Path, state: dict[str, Any], root: Path) -> None:
        self.root = root
        self._bin, self._state = folder / "bin", folder / f"{root.name}.json"
        if not self._bin.exists():
            put_in(self._bin, desktop.kind, desktop.tools.names)
        self._state.write_text(json.dumps(state))
        self.environment = {STATE: str(self._state), ROOT: str(root), "PATH": f"{self._bin}:/usr/bin:/bin"}

    @property
    def state(self) -> dict[str, Any]:
        """What the programs have made of it."""
        got: dict[str, Any] = json.loads(self._state.read_text())
        return got

    def run(self, words: Sequence[str]) -> tuple[int, str]:
        """By name, as PATH finds it: absolute paths of the program's own commands are looked up there too."""
        name = words[0].replace("\\", "/").rpartition("/")[2]
        old = dict(os.environ)
        os.environ.update(self.environment)
        try:
            return run((name, *words[1:]))
        finally:
            os.environ.clear()
            os.environ.update(old)
