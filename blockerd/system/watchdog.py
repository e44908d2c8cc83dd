"""The guard: while the filter is gone, the system asks another filtering resolver, if one was chosen at the install;
and resolvers that a network or a VPN names later are taken from the system again (`system.links`).

A process of its own, so that it lives when the filter does not: `python -m blockerd.system.watchdog WAY FALLBACK|none
LISTEN...`. Asks where programs ask, and nobody else; writes a file below /run, and /etc/resolv.conf where that is ours,
and restarts systemd-resolved.
"""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from blockerd.system.apply import MARK, Runner, run
from blockerd.system.drift import Answer
from blockerd.system.links import Links
from blockerd.system.nftables import TABLE
from blockerd.system.probe import filtered
from blockerd.system.resolved import FALLBACK, asked, drop_in, resolv_conf
from blockerd.system.wish import Way, Wish

DEAD_AFTER = 6.0
"""Seconds without an answer; with the pause between looks a machine is without DNS for less than 10."""

EVERY = 1.0
_NAME = "alive.home.arpa"


@dataclass(slots=True)
class Decider:
    """When to turn to the fallback and back, from what each look saw. Holds no clock."""

    dead_after: float = DEAD_AFTER
    silent_since: float | None = None
    turned: bool = False

    def saw(self, answers: bool, now: float) -> bool | None:
        """True: turn to the fallback now; False: turn back now; None: leave it."""
        if answers:
            self.silent_since = None
            turned, self.turned = self.turned, False
            return False if turned else None
        self.silent_since = now if self.silent_since is None else self.silent_since
        if not self.turned and now - self.silent_since >= self.dead_after:
            self.turned = True
            return True
        return None


def turn(way: Way, fallback: str, wish: Wish, root: Path = Path("/"), runner: Runner = run) -> None:
    """Points the system at `fallback`: libc's file, and systemd-resolved, which libnss-resolve asks before that file
    on every way.
    """
    family = "fallback6" if ":" in fallback else "fallback4"
    runner(("nft", "add", "element", *TABLE, family, f"{{ {fallback} }}"))
    if way is not Way.RESOLVED:
        _own_file(root, resolv_conf(wish, (fallback,)))
    path = _runtime(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o755)  # systemd-resolved has a user of its own, and our umask is 0077
    path.write_bytes(drop_in(wish, stub=True, servers=fallback))
    path.chmod(0o644)
    runner(_RESTART)


def turn_back(way: Way, wish: Wish, root: Path = Path("/"), runner: Runner = run) -> None:
    """Points the system at the filter again."""
    for family in ("fallback4", "fallback6"):
        runner(("nft", "flush", "set", *TABLE, family))
    if way is not Way.RESOLVED:
        _own_file(root, resolv_conf(wish))
    _runtime(root).unlink(missing_ok=True)
    runner(_RESTART)


def left_over(way: Way, fallback: str, root: Path = Path("/")) -> bool:
    """True if an earlier run ended while the system asked the fallback."""
    if _runtime(root).exists():
        return True
    with suppress(OSError):
        return (
            bool(fallback) and way is not Way.RESOLVED and fallback.encode() in (root / "etc/resolv.conf").read_bytes()
        )
    return False


_RESTART = ("systemctl", "try-restart", "systemd-resolved.service")


def _runtime(root: Path) -> Path:
    return root / FALLBACK.lstrip("/")


def _own_file(root: Path, content: bytes) -> None:
    """Writes through a link too; a file that is not ours any more is left."""
    path = root / "etc/resolv.conf"
    with suppress(OSError):
        if MARK in path.read_bytes():
            path.write_bytes(content)


def watch(
    way: Way,
    fallback: str,
    wish: Wish,
    *,
    alive: Callable[[], bool],
    say: Callable[[str], object],
    links: Links | None = None,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
    root: Path = Path("/"),
    runner: Runner = run,
) -> None:
    """Looks each second for ever; begins by turning back what an earlier run, with this fallback or another, left."""
    decider = Decider(turned=left_over(way, fallback, root))
    while True:
        what = decider.saw(alive(), clock()) if fallback or decider.turned else None
        if what is True:
            turn(way, fallback, wish, root, runner)
            say(f"the filter does not answer; the system asks {fallback}")
        elif what is False:
            turn_back(way, wish, root, runner)
            say("the filter answers; the system asks it")
        if links and not decider.turned:
            for line in links.look(clock()):
                say(line)
        pause(EVERY)


def main(words: Sequence[str]) -> int:
    """Runs until ended; 2 for a wrong call."""
    if len(words) < 3 or words[0].upper() not in Way.__members__:
        sys.stderr.write("usage: python -m blockerd.system.watchdog WAY FALLBACK|none LISTEN...\n")
        return 2
    way, fallback, listen = Way[words[0].upper()], words[1].replace("none", ""), tuple(words[2:])
    wish = Wish(listen=listen, fallback=fallback)

    def say(text: str) -> None:
        sys.stderr.write(text + "\n")

    links = Links(way, wish, run)
    watch(way, fallback, wish, alive=lambda: filtered(asked(wish)[0], _NAME) is not Answer.NONE, say=say, links=links)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
