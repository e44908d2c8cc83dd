"""An install as `blockerd install` leaves it: settings of root's, state of a second user, processes that are this user.

Commands run as root, as behind sudo. Where the second user could not reach Python or this checkout (below a home of
root's), they run in a mount namespace in which it can. Called by `test_second_user`.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.install import ROOT, Install, environment

OTHER, STRANGER = 65534, 65533
"""The user of the service, and one more who has an account here."""

_OPENED = """
set -e
kept=$(mktemp -d)
mount -t tmpfs -o mode=755 none "$kept"
n=0
for place in $PLACES; do n=$((n + 1)); mkdir "$kept/$n"; mount --bind "$place" "$kept/$n"; done
for closed in $CLOSED; do mount -t tmpfs -o mode=755 none "$closed"; done
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
        self.user = 0

    def listen_on(self, port: int) -> None:
        """Changes the configuration's port."""
        self.file.write_text(self.file.read_text().replace(f"127.0.0.1:{self.port}", f"127.0.0.1:{port}"))
        self.port = port

    def command(self, *words: str) -> list[str]:
        return [*_reachable(self.folder), *_as(self.user), *super().command(*words)]

    def call_as(self, user: int, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs a command as `user`."""
        with self._being(user):
            return self.call(*words)

    def python(self, code: str) -> subprocess.CompletedProcess[str]:
        """Runs Python as root."""
        command = [*_reachable(self.folder), sys.executable, "-c", code]
        return subprocess.run(
            command, cwd=self.folder, env=environment(), capture_output=True, text=True, timeout=30, check=False
        )

    def serve(self, *words: str) -> subprocess.Popen[bytes]:
        """Starts a process as OTHER, as its unit does."""
        with self._being(OTHER):
            return self.start(*words)

    @contextmanager
    def _being(self, user: int) -> Iterator[None]:
        self.user = user
        try:
            yield
        finally:
            self.user = 0

    def foreign(self) -> list[str]:
        """What in the state does not belong to OTHER."""
        found = [self.var, *self.var.rglob("*")]
        return [f"{path.relative_to(self.folder)}" for path in found if path.lstat().st_uid != OTHER]


def _as(user: int) -> tuple[str, ...]:
    return ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--") if user else ()


def _reachable(folder: Path) -> tuple[str, ...]:
    places = [place for place in dict.fromkeys((sys.base_prefix, sys.prefix, str(ROOT))) if _closed(Path(place))]
    if not places:
        return ()
    closed = dict.fromkeys(str(_closed(Path(place))) for place in places)
    script = f"PLACES='{' '.join(places)}'\nCLOSED='{' '.join(closed)}'\n{_OPENED}"
    return ("unshare", "--mount", "sh", "-c", script, "sh", str(folder))


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
            [*_reachable(Path("/")), *_as(OTHER), sys.executable, "-c", "import blockerd"], cwd="/", env=environment(),
            capture_output=True, check=False, timeout=30,
        )  # fmt: skip
    except OSError:
        return False
    return bool(done.returncode == 0)
