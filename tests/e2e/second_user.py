"""An install as `blockerd install` leaves it: settings of root's, state of a second user, processes that are this user.

Commands run as root, as behind sudo. Where the second user could not reach Python or this checkout (below a home of
root's), they run in a mount namespace in which it can. Called by `test_second_user`.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.install import ROOT, Install, environment

OTHER = 65534
AS_OTHER = ("setpriv", f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups", "--")

_OPENED = """
set -e
closed=$1; shift
kept=$(mktemp -d)
mount -t tmpfs -o mode=755 none "$kept"
n=0
for place in $PLACES; do n=$((n + 1)); mkdir "$kept/$n"; mount --bind "$place" "$kept/$n"; done
mount -t tmpfs -o mode=755 none "$closed"
n=0
for place in $PLACES; do n=$((n + 1)); mkdir -p -m 755 "$place"; mount --bind "$kept/$n" "$place"; done
umount -R "$kept"; rmdir "$kept"
cd "$1"; shift
exec "$@"
"""


class Served(Install):
    """An install whose state belongs to OTHER; `folder` must be one that everybody can reach."""

    def __init__(self, folder: Path, upstream: int, config: str = "", *, dns: str = "", starter: bool = False) -> None:
        super().__init__(folder, upstream, config, dns=dns, starter=starter)
        self.file.chmod(0o640)
        os.chown(self.file, 0, OTHER)
        self.var.mkdir(mode=0o700)
        os.chown(self.var, OTHER, OTHER)
        self.service = False

    def listen_on(self, port: int) -> None:
        """Changes the configuration's port."""
        self.file.write_text(self.file.read_text().replace(f"127.0.0.1:{self.port}", f"127.0.0.1:{port}"))
        self.port = port

    def command(self, *words: str) -> list[str]:
        return [*_reachable(self.folder), *(AS_OTHER if self.service else ()), *super().command(*words)]

    def as_service(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs a command as OTHER."""
        self.service = True
        try:
            return self.call(*words)
        finally:
            self.service = False

    def serve(self, *words: str) -> subprocess.Popen[bytes]:
        """Starts a process as OTHER, as its unit does."""
        self.service = True
        try:
            return self.start(*words)
        finally:
            self.service = False

    def foreign(self) -> list[str]:
        """What in the state does not belong to OTHER."""
        found = [self.var, *self.var.rglob("*")]
        return [f"{path.relative_to(self.folder)}" for path in found if path.lstat().st_uid != OTHER]


def _reachable(folder: Path) -> tuple[str, ...]:
    places = [place for place in dict.fromkeys((sys.base_prefix, sys.prefix, str(ROOT))) if _closed(Path(place))]
    if not places:
        return ()
    closed = {_closed(Path(place)) for place in places}
    assert len(closed) == 1, f"one closed folder is as much as this can open: {closed}"
    script = f"PLACES='{' '.join(places)}'\n{_OPENED}"
    return ("unshare", "--mount", "sh", "-c", script, "sh", str(closed.pop()), str(folder))


def _closed(place: Path) -> Path | None:
    """The topmost folder on the way to `place` that others may not enter."""
    way = (*reversed(place.parents), place)
    return next((one for one in way if not one.stat().st_mode & 1), None)


def can_be_two() -> bool:
    """True if this process may start others as OTHER, and OTHER could run this Python."""
    if os.geteuid() != 0:
        return False
    try:
        done: Any = subprocess.run(
            [*_reachable(Path("/")), *AS_OTHER, sys.executable, "-c", "import blockerd"], cwd="/", env=environment(),
            capture_output=True, check=False, timeout=30,
        )  # fmt: skip
    except OSError:
        return False
    return bool(done.returncode == 0)
