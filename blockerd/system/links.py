"""Resolvers that a VPN or a network names later on: taken from the system, and its own domains handed to blockerd.

So the filter comes first on every question, and what only the VPN's resolver knows is still asked there. Where
systemd-resolved runs a link's servers are reverted; where /etc/resolv.conf is a plain file, one that was rewritten is
ours again. What was taken stands in a file below /run for `control`. Called by `system.watchdog`, as root.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from blockerd.system.apply import MARK, Runner
from blockerd.system.picture import loopback, name_servers
from blockerd.system.resolved import resolv_conf
from blockerd.system.wish import Way, Wish

KEPT = Path("/run/blockerd-guard/links.json")
REWRITTEN = "resolv.conf"
"""Stands for the link where /etc/resolv.conf itself was written by another."""

UPLINKS = "run/systemd/resolve/resolv.conf"
"""systemd-resolved rewrites this file whenever a link's servers change."""

MOST, WITHIN = 5, 60.0
"""How often in so many seconds somebody else's /etc/resolv.conf is replaced: two programs must not fight for ever."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a link named: its resolvers, and the domains that are its own ("" and "." are everybody's)."""

    link: str
    servers: tuple[str, ...]
    domains: tuple[str, ...] = ()


def per_link(dns: str, domain: str) -> list[Told]:
    """From what `resolvectl dns` and `resolvectl domain` print, the links that have resolvers of their own."""
    domains = dict(_lines(domain))
    return [
        Told(link, tuple(one for one in words if not loopback([one])), own_domains(domains.get(link, ())))
        for link, words in _lines(dns)
        if any(not loopback([one]) for one in words)
    ]


def of_file(text: str) -> Told:
    """The same from a resolv.conf(5) that somebody wrote."""
    words = [line.split() for line in text.splitlines()]
    searched = [name for line in words if line and line[0] in ("search", "domain") for name in line[1:]]
    servers = tuple(one for one in name_servers(text) if not loopback([one]))
    return Told(REWRITTEN, servers, own_domains(searched))


def own_domains(words: Iterable[str]) -> tuple[str, ...]:
    """Domains with the marks of resolvectl and the whole name space left out."""
    names = (word.removeprefix("~").rstrip(".").lower() for word in words)
    return tuple(dict.fromkeys(name for name in names if "." in name))


class Links:
    """Looks at what tells of a change, and acts where resolvers were named. Remembers what it took."""

    def __init__(self, way: Way, wish: Wish, run: Runner, root: Path = Path("/")) -> None:
        self._way = way
        self._wish = wish
        self._run = run
        self._root = root
        self._seen: object = None
        self._told = {told.link: told for told in read(root / str(KEPT).lstrip("/"))}
        self._replaced: list[float] = []

    def look(self, now: float) -> list[str]:
        """Lines about what was done; empty nearly always. `now` in seconds of any clock."""
        said = self._resolved() if self._way is Way.RESOLVED else self._file(now)
        gone = [link for link in self._told if link != REWRITTEN and not self._exists(link)]
        for link in gone:
            del self._told[link]
        if said or gone:
            self._keep()
        return said

    def _resolved(self) -> list[str]:
        mark = _stamp(self._root / UPLINKS)
        if mark == self._seen:
            return []
        self._seen = mark
        codes = [self._run(("resolvectl", what)) for what in ("dns", "domain")]
        found = per_link(codes[0][1], codes[1][1]) if not any(code for code, _ in codes) else []
        for told in found:
            self._told[told.link] = told
            self._run(("resolvectl", "revert", told.link))
        if found:
            self._run(("resolvectl", "flush-caches"))
            self._seen = _stamp(self._root / UPLINKS)
        return [f"{told.link} named resolvers of its own; they are asked for its domains alone" for told in found]

    def _file(self, now: float) -> list[str]:
        path = self._root / "etc/resolv.conf"
        mark = _stamp(path)
        if mark == self._seen:
            return []
        self._seen = mark
        try:
            content = path.read_bytes()
        except OSError:
            content = b""
        self._replaced = [at for at in self._replaced if now - at < WITHIN]
        if MARK in content:
            return []
        if len(self._replaced) >= MOST:
            self._seen = None
            return []
        self._replaced.append(now)
        told = of_file(content.decode("utf-8", "replace"))
        self._told[told.link] = told
        try:
            self._put(path)
        except OSError as error:
            return [f"{path}: {error.strerror}"]
        self._seen = _stamp(path)
        return ["/etc/resolv.conf was rewritten; programs ask blockerd again"]

    def _put(self, path: Path) -> None:
        beside = path.with_name(path.name + ".blockerd-new")
        beside.unlink(missing_ok=True)
        beside.write_bytes(resolv_conf(self._wish))
        beside.chmod(0o644)
        beside.replace(path)

    def _exists(self, link: str) -> bool:
        return (self._root / "sys/class/net" / link).exists()

    def _keep(self) -> None:
        path = self._root / str(KEPT).lstrip("/")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_suffix(".new")
            beside.write_text(json.dumps([asdict(told) for told in self._told.values()]), "utf-8")
            beside.chmod(0o644)
            beside.replace(path)
        except OSError:
            return


def read(path: Path = KEPT) -> list[Told]:
    """What was taken from links that are still there; empty where nothing was."""
    try:
        return [
            Told(str(one["link"]), tuple(map(str, one["servers"])), tuple(map(str, one["domains"])))
            for one in json.loads(path.read_bytes())
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _lines(said: str) -> list[tuple[str, Sequence[str]]]:
    found = re.findall(r"^Link \d+ \(([^)]+)\):[ \t]*(.*)$", said, re.MULTILINE)
    return [(name, rest.split()) for name, rest in found]


def _stamp(path: Path) -> object:
    try:
        info = path.lstat()
    except OSError:
        return ()
    return info.st_mtime_ns, info.st_ino, info.st_size
