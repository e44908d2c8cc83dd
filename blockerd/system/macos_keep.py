"""What launchd starts on a Mac beside the filter: new network services get blockerd too, pf gets its rules again.

`python -m blockerd.system.macos_keep network LISTEN...`, `belt-up`, `belt-down`. Writes only where something differs:
each write may unsettle a VPN. A service's former resolvers are in the manifest before they are replaced, so that an
uninstall gives those back too; without a manifest nothing is changed.
"""

import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from blockerd.system import macos
from blockerd.system.apply import run as run_command
from blockerd.system.macos_belt import LOAD, TOKEN
from blockerd.system.macos_look import Runner, services
from blockerd.system.macos_picture import Mac
from blockerd.system.manifest import Manifest
from blockerd.system.resolved import asked
from blockerd.system.steps import Undo
from blockerd.system.wish import Wish

_USAGE = "usage: python -m blockerd.system.macos_keep network LISTEN... | belt-up | belt-down\n"


def network(root: Path, run: Runner, wish: Wish, say: Callable[[str], object]) -> int:
    """Sets each service that does not ask blockerd, and says so; 1 if one could not be set."""
    manifest = Manifest(root)
    left = macos.unset(Mac(services=services(run)), wish)
    if not left or not manifest.exists():
        return 0
    finished = manifest.finished()
    for service in left:
        manifest.add(Undo(f"{service.name} asks blockerd", "command", command=macos.set_servers(
            service.name, service.servers)))  # fmt: skip
    if finished:  # what was added last would make it look like an install that did not come to its end
        manifest.finish()
    troubles = 0
    for service in left:
        code, said = run(macos.set_servers(service.name, asked(wish)))
        troubles += bool(code)
        say(f"{service.name} asked {', '.join(service.servers) or 'its network'}: "
            + (f"could not be set: {said}" if code else "asks blockerd now"))  # fmt: skip
    run(("dscacheutil", "-flushcache"))
    run(("killall", "-HUP", "mDNSResponder"))
    return 1 if troubles else 0


def belt_up(root: Path, run: Runner, say: Callable[[str], object]) -> int:
    """Loads the rules and switches pf on, once: the token says that it is on for us."""
    code, said = run(LOAD)
    if code:
        say(said)
        return 1
    path = root / TOKEN.lstrip("/")
    if path.exists():
        return 0
    code, said = run(("pfctl", "-E"))
    token = re.search(r"^Token\s*:\s*(\d+)", said, re.MULTILINE)
    if code or not token:
        say(f"pfctl -E gave no token: {said}")
        return 1
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(token[1], "ascii")
    return 0


def belt_down(root: Path, run: Runner, say: Callable[[str], object]) -> int:
    """Gives the token back: pf goes off unless somebody else needs it."""
    path = root / TOKEN.lstrip("/")
    with suppress(FileNotFoundError):
        code, said = run(("pfctl", "-X", path.read_text("ascii").strip()))
        path.unlink()
        if code:
            say(said)
        return code
    return 0


def main(words: Sequence[str], run: Runner = run_command, root: Path = Path("/")) -> int:
    """0 done, 1 something could not be done, 2 a wrong call."""

    def say(text: str) -> None:
        sys.stderr.write(text + "\n")

    match list(words):
        case ["network", *listen] if listen:
            return network(root, run, Wish(listen=tuple(listen)), say)
        case ["belt-up"]:
            return belt_up(root, run, say)
        case ["belt-down"]:
            return belt_down(root, run, say)
    sys.stderr.write(_USAGE)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
