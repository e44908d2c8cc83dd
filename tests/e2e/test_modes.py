"""What the daemon and its commands create is theirs alone from the first moment on (T106), as strace sees it."""

import re
import stat
import subprocess
from pathlib import Path

import pytest

from tests.e2e.install import Install, environment, wait_until

CALLS = "openat,open,mkdir,mkdirat,chmod,fchmod,fchmodat,umask,clone,clone3,fork,vfork"
AT = r"(?:(?:AT_FDCWD|\d+)(?:<[^>]*>)?, )?"
MADE = re.compile(rf'open(?:at)?\({AT}"([^"]+)", [^,)]*O_CREAT[^,)]*, 0?([0-7]+)\) = \d+')
FOLDER = re.compile(rf'mkdir(?:at)?\({AT}"([^"]+)", 0?([0-7]+)\) = 0')
BORN = re.compile(r"(?:clone3?|v?fork)(?:\(| resumed).*\) = (\d+)$")
UMASK = re.compile(r"umask\(0?([0-7]+)\)")
SET = re.compile(rf'f?chmod(?:at2?)?\({AT}(?:"([^"]+)"|\d+<([^>]+)>), 0?([0-7]+)')


@pytest.mark.once
@pytest.mark.needs_tool("strace")
def test_no_file_of_the_daemon_is_ever_open_to_others(tmp_path: Path):
    """Under a umask that forbids nothing; what is created below the state folder, by which call, with which mode."""
    install = Install(tmp_path, 9)
    install.configure(install.add_list("mine", "listed.test\n"))
    trace = tmp_path / "trace.txt"
    command = [
        "strace",
        "-f",
        "-y",
        "-qq",
        "-s",
        "500",
        "-e",
        f"trace={CALLS}",
        "-o",
        str(trace),
        *install.command("run"),
    ]
    with (tmp_path / "said.txt").open("ab") as said:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment(), stdout=said, stderr=said, start_new_session=True, umask=0
        )
    install.started.append(process)
    try:
        install.wait_answering(40)
        assert install.rcode("listed.test") == 3
        wait_until(lambda: _stored(install), 30, install.said)
        install.call("block", "other.test")
        wait_until(lambda: install.rcode("other.test") == 3, 10, install.said)
    finally:
        install.end()
    for words in (["backup"], ["export", "--out", str(install.var / "out.jsonl")], ["log", "erase", "--yes"]):
        _under_strace(install, trace, *words)
    wide = {name: oct(mode) for name, mode in _made(trace, install.var).items() if mode & 0o077}
    assert wide == {}
    made = set(_made(trace, install.var))
    assert {"journal.sqlite", "spool", "run", "dns.alive", "control.pid", "out.jsonl"} <= {Path(n).name for n in made}
    left = {path: stat.S_IMODE(path.lstat().st_mode) for path in install.var.rglob("*") if not path.is_symlink()}
    assert {str(path): oct(mode) for path, mode in left.items() if mode & 0o077} == {}


def _stored(install: Install) -> bool:
    """True once the attempt is in the journal itself; `log` would show it from the spool too."""
    return any(b"listed.test" in path.read_bytes() for path in install.var.glob("journal.sqlite*"))


def _under_strace(install: Install, trace: Path, *words: str) -> None:
    before = trace.read_text()
    command = [
        "strace",
        "-f",
        "-y",
        "-qq",
        "-s",
        "500",
        "-e",
        f"trace={CALLS}",
        "-o",
        str(trace),
        *install.command(*words),
    ]
    done = subprocess.run(command, cwd=install.folder, env=environment(), capture_output=True, check=False, umask=0)
    assert done.returncode == 0, done.stderr
    trace.write_text(before + trace.read_text())  # a number that a process had may come again: it sets its umask anew


def _made(trace: Path, var: Path) -> dict[str, int]:
    """All bits of the modes that each path below `var` was ever given: what was asked for, less the umask."""
    found: dict[str, int] = {}
    masks: dict[str, int] = {}
    for line in trace.read_text("utf-8", errors="replace").splitlines():
        pid = line.split()[0]
        if born := BORN.search(line):
            masks[born[1]] = masks.get(pid, 0)
        elif asked := UMASK.search(line):
            masks[pid] = int(asked[1], 8)
        for pattern, mask in ((MADE, masks.get(pid, 0)), (FOLDER, masks.get(pid, 0)), (SET, 0)):
            if match := pattern.search(line):
                *names, mode = match.groups()
                name = next(one for one in names if one)
                path = Path(name) if name.startswith("/") else var.parent / name
                if var in (path, *path.parents):
                    found[str(path)] = found.get(str(path), 0) | int(mode, 8) & ~mask
    return found
