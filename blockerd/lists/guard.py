"""The names that no list can block: read from the package, checked by digest.

A changed file is refused, so that neither a slip nor a moment of anger takes the way to help away.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from blockerd.lists.added import merged
from blockerd.lists.fetch.hosts import lifelines
from blockerd.policy.name import from_text, suffixes
from blockerd.settings import Settings

_FOLDER = Path(__file__).parents[1] / "data"  # importlib.resources would cost the resolver 0.4 MB


class GuardError(Exception):
    """The protected names of this installation are not the ones it was made with."""


@dataclass(frozen=True, slots=True)
class Protected:
    """`names` in canonical wire form; `above` their ancestors; `digest` the SHA-256 of the file as hex."""

    names: frozenset[bytes]
    above: frozenset[bytes]
    digest: str

    def covers(self, name: bytes) -> bool:
        """True if `name` is protected or stands below a protected name."""
        return any(suffix in self.names for suffix in suffixes(name))


@lru_cache(1)
def protected() -> Protected:
    """The protected names of this installation.

    Raises:
        GuardError: the file differs from its digest.
    """
    data = (_FOLDER / "protected.txt").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if (_FOLDER / "PROTECTED.sha256").read_text("ascii").split()[0] != digest:
        raise GuardError("protected.txt differs from its digest: install blockerd again")
    lines = (line.partition("#")[0].strip() for line in data.decode().splitlines())
    names = frozenset(from_text(line.split()[0]) for line in lines if line)
    above = frozenset(parent for name in names for parent in suffixes(name)[1:])
    return Protected(names, above, digest)


def guard_of(settings: Settings) -> Protected:
    """The protected names with what this install itself needs to reach: upstreams, list hosts, the mail server.

    Raises:
        GuardError: as `protected`.
    """
    shipped, own = protected(), lifelines(merged(settings))
    if not own:
        return shipped
    digest = hashlib.sha256(shipped.digest.encode() + b"".join(sorted(own))).hexdigest()
    above = frozenset(parent for name in own for parent in suffixes(name)[1:])
    return Protected(shipped.names | own, shipped.above | above, digest)
