"""Inside a room: installs, and ends itself with SIGKILL at moment number N (0: never), or while uninstalling.

Counted are the moments that the environment's KILL_AT names; their number is printed. Run by the tests of this
folder with the installed program's own Python.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

from blockerd.cli import looking
from blockerd.settings import load
from blockerd.system.apply import Applier, Moment, run
from blockerd.system.look import look
from blockerd.system.plan import plan

MOMENTS = {
    "steps": (Moment.DONE, Moment.BACK),
    "moments": (Moment.KEPT, Moment.HALF, Moment.DONE, Moment.BACK),
}
"""After each step; or also when its way back was kept, and when a file's new content lies beside."""


def main(words: list[str]) -> None:
    """`install N WAY` or `uninstall N`."""
    at, seen = int(words[1]), 0

    def watch(_number: int, moment: Moment) -> None:
        nonlocal seen
        if moment in MOMENTS[os.environ.get("KILL_AT", "steps")]:
            seen += 1
            if seen == at:
                os.kill(os.getpid(), signal.SIGKILL)

    applier = Applier(Path("/"), watch=watch)
    if words[0] == "uninstall":
        applier.undo(data=True, tell=_tell)
    else:
        settings = load(Path("/etc/blockerd/blockerd.toml"), os.environ, Path("/"))
        args = argparse.Namespace(
            way=words[2] if len(words) > 2 and words[2] != "auto" else None, no_belt=False, no_browsers=False,
            private_mode=False, chat_ports=True, fallback="192.0.2.1",
        )  # fmt: skip
        machine = look(Path("/"), run)
        applier.apply(plan(machine, looking.wish_of(settings, args, machine)).steps)
    sys.stdout.write(f"{seen}\n")


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


main(sys.argv[1:])
