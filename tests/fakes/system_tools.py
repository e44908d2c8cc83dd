"""The tools of macOS and Windows as a plan uses them, over a machine that is one JSON object.

Each fake does what its manual page says to the state, or refuses as the tool would: a command that the real one does
not know is an error here too. Run in the process of a test (`MacTools(state, root).run`), or as executables of those
names in a folder that stands first in PATH (`put_in`), where the state is a file. Called by tests/system.
"""

import base64
import copy
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

STATE, ROOT = "FAKE_STATE", "FAKE_ROOT"

Said = tuple[int, str]


class Tools:
    """A machine's tools. `dark` notes each command after which programs asked a filter that did not run."""

    names: tuple[str, ...] = ()

    def __init__(self, state: dict[str, Any], root: Path) -> None:
        self.state = state
        self.root = root
        self.ran: list[tuple[str, ...]] = []

    def run(self, words: Sequence[str]) -> Said:
        """A runner for `apply.Applier` and the looks."""
        self.ran.append(tuple(words))
        name = words[0].replace("\\", "/").rpartition("/")[2].removesuffix(".exe")
        tool = getattr(self, f"tool_{name}", None)
        if tool is None:
            return 127, f"{words[0]}: no such tool"
        code, said = tool(list(words[1:]))
        if self.without_dns():
            self.state.setdefault("dark", []).append(" ".join(words))
        return code, said

    def without_dns(self) -> bool:
        """True if programs are led to a filter that does not run."""
        raise NotImplementedError

    def at(self, path: str) -> Path:
        """A file of the machine, in the test's tree."""
        return self.root / path.lstrip("/")


def sha1_of(pem: str) -> str:
    """The SHA-1 of a certificate, as keychains and certutil name it."""
    inside = "".join(line for line in pem.splitlines() if not line.startswith("-----"))
    return hashlib.sha1(base64.b64decode(inside)).hexdigest().upper()


def put_in(folder: Path, kind: str, names: Sequence[str]) -> None:
    """Makes an executable of each name, which works on the state file that the environment names."""
    folder.mkdir(parents=True, exist_ok=True)
    home = Path(__file__).resolve().parents[2]
    text = (
        f"import sys\nsys.path.insert(0, {str(home)!r})\n"
        f"from tests.fakes.system_tools import main\nsys.exit(main({kind!r}, sys.argv))\n"
    )
    for name in names:
        path = folder / name
        quick = "E" if name in ("python", "launchctl") else "ES"  # the others need no library, and start faster
        path.write_text(f"#!{sys.executable} -{quick}\n{text}")
        path.chmod(0o755)


def main(kind: str, words: Sequence[str]) -> int:
    """One call of one tool."""
    if kind == "mac":
        from tests.fakes.mac_tools import MacTools as Kind
    else:
        from tests.fakes.windows_tools import WindowsTools as Kind  # type: ignore[assignment]
    path = Path(os.environ[STATE])
    state = json.loads(path.read_text())
    before = copy.deepcopy(state)
    code, said = Kind(state, Path(os.environ[ROOT])).run([Path(words[0]).name, *words[1:]])
    if state != before:
        beside = path.with_suffix(".new")
        beside.write_text(json.dumps(state))
        beside.replace(path)
    if said:
        sys.stdout.write(said + "\n")
    return code
