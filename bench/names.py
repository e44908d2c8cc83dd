"""Makes the names of a run: a list shaped like published adult lists, and the query files drawn from it.

The same seed gives the same bytes. Every registrable label is random letters and digits that start with a digit, so
that nothing looks like a real site; and nothing is ever resolved, the only upstream is the stub. Called by all parts.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

SEED = 20_251
SLICES = 4
FREE = 10_000  # names made beside the list, so that no list holds them
SHARES = {  # percent of the names, as in published adult lists; what is missing to 100 goes to RARE in equal parts
    **{"com": 60.3, "net": 7.1, "de": 2.5, "org": 2.5, "nl": 1.9, "xyz": 1.7, "ru": 1.5, "info": 1.3, "shop": 1.1},
    **{"top": 1.0, "cc": 0.9, "co.uk": 0.9, "pro": 0.7, "fr": 0.7, "tv": 0.6, "com.br": 0.3},
}
RARE = (
    *("at", "be", "biz", "ca", "ch", "club", "cn", "co", "cz", "dk", "es", "eu", "fi", "fun", "gr", "hu", "icu", "in"),
    *("io", "it", "jp", "life", "link", "live", "lol", "me", "mobi", "mx", "name", "news", "no", "nu", "online", "pl"),
    *("pt", "ro", "se", "site", "sk", "space", "store", "su", "to", "tw", "us", "vip", "website", "win", "work", "ws"),
)
BELOW = ["www", "m", "en", "de", "blog", "video", "static", "shop"]
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
DIGITS = LETTERS[26:]


@dataclass(frozen=True, slots=True)
class Names:
    """Where a run's files lie: plain names one a line, queries as dnsperf reads them ("name A")."""

    listed: Path  # the block list, one name a line
    sample: tuple[str, ...]  # 200 names from the whole length of the list, first and last among them
    distinct: Path  # every query another listed name
    slices: tuple[Path, ...]  # the same in four parts, so that one run after the other asks names not asked before
    rotation: Path  # 100,000 listed names
    cached: Path  # 10,000 names that no list holds
    mixed: Path  # 20 % listed, 80 % cached


def generate(count: int, seed: int = SEED) -> Iterator[str]:
    """Yield `count` different names: about 16 octets on average, 84 % of two labels, 14 % of three, 1.5 % of more."""
    rng = random.Random(seed)
    ends = [*SHARES, *RARE]
    rest = (100 - sum(SHARES.values())) / len(RARE)
    weights = [*SHARES.values(), *[rest] * len(RARE)]
    seen: set[str] = set()
    while len(seen) < count:
        for end in rng.choices(ends, weights, k=4096):
            name = _prefix(rng) + _label(rng) + "." + end
            if name in seen or len(seen) == count:
                continue
            seen.add(name)
            yield name


def prepare(folder: Path, count: int, seed: int = SEED) -> Names:
    """Write the list and the query files below `folder` (kept where they are there already) and say where they are."""
    folder = folder / f"names-{count}-{seed}"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder, [*generate(count + FREE, seed)], seed)
        (folder / "complete").touch()
    lines = (folder / "listed.txt").read_text(encoding="ascii").split()
    distinct, rotation, cached, mixed = (folder / f"{part}.q" for part in ("distinct", "rotation", "cached", "mixed"))
    sample = (*lines[:: max(1, count // 199)], lines[-1])
    return Names(folder / "listed.txt", sample, distinct, tuple(_slices(folder)), rotation, cached, mixed)


def queries(path: Path, names: Iterable[str], qtype: str = "A") -> Path:
    """Write names as a dnsperf query file and return its path."""
    return _lines(path, (f"{name} {qtype}" for name in names))


def head(source: Path, target: Path, count: int) -> Path:
    """Copy the first `count` lines and return `target`."""
    with source.open(encoding="ascii") as lines:
        return _lines(target, (line.rstrip() for line in islice(lines, count)))


def _write(folder: Path, names: list[str], seed: int) -> None:
    listed, free = names[:-FREE], names[-FREE:]
    rng = random.Random(seed + 1)
    shuffled = rng.sample(listed, len(listed))
    _lines(folder / "listed.txt", listed)
    queries(folder / "distinct.q", shuffled)
    for turn, path in enumerate(_slices(folder)):
        queries(path, shuffled[turn * len(listed) // SLICES : (turn + 1) * len(listed) // SLICES])
    queries(folder / "rotation.q", shuffled[:100_000])
    queries(folder / "cached.q", free)
    queries(
        folder / "mixed.q",
        (shuffled[n // 5] if n % 5 == 0 else rng.choice(free) for n in range(5 * min(20_000, len(listed)))),
    )


def _slices(folder: Path) -> list[Path]:
    return [folder / f"distinct{turn}.q" for turn in range(SLICES)]


def _lines(path: Path, lines: Iterable[str]) -> Path:
    with path.open("w", encoding="ascii") as out:
        out.writelines(f"{line}\n" for line in lines)
    return path


def _label(rng: random.Random) -> str:
    size = min(58, max(5, round(rng.gammavariate(6.5, 1.75))))
    return rng.choice(DIGITS) + "".join(rng.choices(LETTERS, k=size - 1))


def _prefix(rng: random.Random) -> str:
    roll = rng.random()
    if roll < 0.86:
        return ""
    if roll < 0.985:
        return rng.choice(BELOW) + "."
    return ".".join(rng.choices(BELOW, k=2)) + "."
