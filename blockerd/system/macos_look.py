"""Reads the picture of this Mac; changes nothing. What cannot be read is left out of the picture, never guessed.

Files are read below `root`, the tools go through a runner. Called by `system.choose` and `system.macos_keep`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from blockerd.system import macos_picture as picture
from blockerd.system.look import holders
from blockerd.system.macos import DAEMONS
from blockerd.system.macos_browsers import PLACES
from blockerd.system.macos_picture import Mac, Person, Service
from blockerd.system.picture import Browser, Resolv
from blockerd.system.trust import PLACE, root_of

Runner = Callable[[Sequence[str]], tuple[int, str]]

_FILES = ("/etc/hosts", "/etc/pf.conf")


def look(root: Path, run: Runner, state: str = "", person: str = "", *, live: bool = True) -> Mac:
    """The Mac whose files are under `root`; `state` is where the proxy's root would lie, `person` who installs."""
    code, said = run(picture.RESOLVERS)
    resolv, certificate = _bytes(root, "/etc/resolv.conf"), "/".join((state, *PLACE))
    return Mac(
        system="macos",
        resolv=Resolv.OTHER if resolv is not None else Resolv.MISSING,
        resolv_text=(resolv or b"").decode("utf-8", "replace"),
        holders=holders() if live else (),
        links=picture.links(said) if code == 0 else (),
        files=tuple((path, found) for path in _FILES if (found := _bytes(root, path)) is not None),
        services=services(run),
        lists=tuple(Browser(vendor, "app", path, _bytes(root, path)) for vendor, path in PLACES.items()),
        loaded=frozenset(label for label in DAEMONS if run(("launchctl", "print", f"system/{label}"))[0] == 0),
        person=_person(run, person),
        root=root_of(certificate, _bytes(root, certificate)),
    )


def services(run: Runner) -> tuple[Service, ...]:
    """Every network service with its own resolvers; one whose answer is not understood is left out and left alone."""
    code, said = run(picture.NETWORKS)
    found = []
    for name, enabled in picture.names(said) if code == 0 else ():
        code, said = run(("networksetup", "-getdnsservers", name))
        servers = picture.servers(said) if code == 0 else None
        if servers is not None:
            found.append(Service(name, servers, enabled))
    return tuple(found)


def installer(environ: Mapping[str, str]) -> str:
    """Who installs: the one who said sudo, or who looks without it; "" for root alone."""
    name = environ.get("SUDO_USER") or environ.get("USER", "")
    return "" if name == "root" else name


def _person(run: Runner, name: str) -> Person | None:
    code, said = run(("id", "-u", name)) if name else (1, "")
    return Person(name, int(said)) if code == 0 and said.isdecimal() and int(said) else None


def _bytes(root: Path, path: str) -> bytes | None:
    try:
        return (root / path.lstrip("/")).read_bytes()
    except OSError:
        return None
