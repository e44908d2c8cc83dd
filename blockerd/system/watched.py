"""What the self-probe looks after, and the command line that carries it from the install to the unit. Pure.

Called by `system.units`, which writes the line, by `system.selfprobe`, which reads it, and by `doctor`, which finds in
the unit what the install was asked for.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from blockerd.system.wish import BrowserWish

MODULE = "blockerd.system.selfprobe"


@dataclass(frozen=True, slots=True)
class Watched:
    """`hosts` is the digest of /etc/hosts, `known` the links that were there, `proxy` the address of our own proxy."""

    listen: tuple[str, ...]
    belt: bool = False
    hosts: str = ""
    known: tuple[str, ...] = ()
    browsers: BrowserWish | None = None
    proxy: str = ""


def words(watched: Watched) -> tuple[str, ...]:
    """The command line of the unit; `watched_from` reads it back."""
    found = ["--listen", ",".join(watched.listen), "--hosts", watched.hosts]
    found += ["--known", ",".join(watched.known)] if watched.known else []
    found += ["--proxy", watched.proxy] if watched.proxy else []
    found += ["--belt"] if watched.belt else []
    if watched.browsers is not None:
        wanted = [name for name in BrowserWish.__slots__ if getattr(watched.browsers, name)]
        found += [f"--browsers={','.join(wanted)}"]
    return tuple(found)


def watched_from(line: Sequence[str]) -> Watched:
    """What `words` said. Exits the process with 2 for a line that nobody wrote."""
    parser = argparse.ArgumentParser(prog=MODULE, allow_abbrev=False)
    parser.add_argument("--listen", required=True)
    parser.add_argument("--hosts", default="")
    parser.add_argument("--known", default="")
    parser.add_argument("--proxy", default="")
    parser.add_argument("--belt", action="store_true")
    parser.add_argument("--browsers")
    args = parser.parse_args(line)
    wish = None
    if args.browsers is not None:
        named = args.browsers.split(",")
        wish = BrowserWish(**{name: name in named for name in BrowserWish.__slots__})
    known = tuple(name for name in args.known.split(",") if name)
    return Watched(tuple(args.listen.split(",")), args.belt, args.hosts, known, wish, args.proxy)


def of_unit(text: str) -> Watched | None:
    """What the unit of an install carries; None where there is no such line."""
    line = next((line for line in text.splitlines() if line.startswith("ExecStart=") and MODULE in line), None)
    if line is None:
        return None
    try:
        return watched_from(line.partition(MODULE)[2].split())
    except SystemExit:
        return None
