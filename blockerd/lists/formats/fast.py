"""Whole blocks of plain lines at once: `x`, `0.0.0.0 x`, `||x^`, `*.x`, `local=/x/` and their like. Pure.

Nearly all lines of real lists look alike. A block whose lines share one beginning and one end is stripped, checked and
turned into wire form by a few calls on the whole block; any line that differs, and any name that needs a second look
(a public suffix, a local name), goes to the slow path in its place. What a beginning and end mean is known to the slow
path alone: it reads one made-up line of them, and only where that is a plain name is the block read here. Called by
`formats`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from blockerd.lists.formats.base import Taker
from blockerd.lists.formats.lines import LOCAL_NAMES
from blockerd.lists.formats.suffixes import special_names
from blockerd.lists.formats.zone import TRIGGERS, ZoneReader, fold_pairs
from blockerd.policy.name import from_ascii

BLOCK = 1 << 18
"""Octets read at once: small enough that the columns of a block stay in the cache."""

SlowPath = Callable[[int, bytes], None]
MakeSlowPath = Callable[[Taker], SlowPath]

_ALLOWED = b"abcdefghijklmnopqrstuvwxyz0123456789-_.\n"
_NOT_DOTS = b"abcdefghijklmnopqrstuvwxyz0123456789-_"
_DIGITS = frozenset(b"0123456789")
_LENGTH = [bytes((n,)) for n in range(64)]
_NAME = re.compile(rb"(?:[a-z0-9_-]{1,63}\.)+[a-z0-9_-]{0,62}[a-z_-]")
_MAX_TEXT = 253
_LOCAL = frozenset(from_ascii(name.encode()) for name in LOCAL_NAMES if re.fullmatch(r"[a-z0-9.-]+[a-z]", name))

_PROBE = b"probe.test"
_SHAPES: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("hosts", re.compile(rb"([0-9a-f.:]+[ \t]+)[^\s#]+()")),
    ("adblock", re.compile(rb"(\|\|)[^*$|^/]+(\^)")),
    ("wildcard", re.compile(rb"(\*\.)[^*$|^/]+()")),
    ("regex", re.compile(rb"(/(?:\^\(\.\*\\\.\)\?|\(\^\|\\\.\)))[a-z0-9_.\\-]+(\$/)")),
    ("dnsmasq", re.compile(rb"((?:local|server|address)=/)[^/*]+(/[^/]*)")),
    ("unbound", re.compile(rb'(local-zone: ")[^"]+?(\.?" [a-z_]+)')),
    ("domains", re.compile(rb"()[A-Za-z0-9_.-]+()")),
)  # fmt: skip
_PLAIN = ("hosts", "wildcard", "domains")
_KINDS = {
    "auto": ("hosts", "adblock", "wildcard", "regex", "domains"),
    "adblock": ("hosts", "adblock", "wildcard", "regex", "domains"),
    "hosts": _PLAIN,
    "domains": _PLAIN,
    "wildcard": _PLAIN,
    "regex": ("regex",),
    "dnsmasq": ("dnsmasq",),
    "unbound": ("unbound",),
    "squidguard": ("domains",),
}


@dataclass(frozen=True, slots=True)
class _Shape:
    kind: str
    prefix: bytes
    suffix: bytes


def blocks(data: bytes) -> Iterator[tuple[int, bytes]]:
    """`data` (lines ended by LF) in runs of whole lines of about BLOCK octets, each with the number of its first line.

    The last line end of a run is cut off.
    """
    number, at, end = 1, 0, len(data)
    while at < end:
        stop = data.rfind(b"\n", at, at + BLOCK) if at + BLOCK < end else end - data.endswith(b"\n")
        if stop < at:
            stop = data.find(b"\n", at + BLOCK)
            stop = end if stop < 0 else stop
        run = data[at:stop]
        yield number, run
        number, at = number + run.count(b"\n") + 1, stop + 1


class FastReader:
    """Reads blocks of a list into `taker`, lines it does not know through `slow`; `make` gives one for trials."""

    def __init__(self, taker: Taker, format_: str, slow: SlowPath, make: MakeSlowPath) -> None:
        self._taker = taker
        self._kinds = _KINDS[format_]
        self._kind = "squidguard" if format_ == "squidguard" else ""
        self._slow = slow
        self._make = make
        self._shape = _Shape("", b"", b"")

    def read(self, number: int, run: bytes) -> None:
        """Reads one block; `number` is the line number of its first line."""
        lines = run.split(b"\n")
        bodies = self._bodies(run, lines)
        if bodies is None:
            for at, line in enumerate(lines, number):
                self._slow(at, line)
            return
        wires = wire_names(bodies)
        out = self._taker.out
        if None not in wires:
            out.names += wires  # type: ignore[arg-type]  # no None among them: asked in the line above
            out.lines.extend(range(number, number + len(lines)))
            self._taker.saw(self._kind or self._shape.kind, len(lines))
            return
        taken = 0
        for at, wire in enumerate(wires):
            if wire is None:
                self._slow(number + at, lines[at])
            else:
                taken += 1
                out.names.append(wire)
                out.lines.append(number + at)
        self._taker.saw(self._kind or self._shape.kind, taken)

    def _bodies(self, run: bytes, lines: list[bytes]) -> bytes | None:
        """What stands between the common beginning and end of each line, a line each; empty where a line differs."""
        found = self._strip(run, lines) if self._shape.kind else None
        if found is None and self._guess(lines):
            found = self._strip(run, lines)
        return found

    def _guess(self, lines: list[bytes]) -> bool:
        for line in (lines[-1].partition(b" #")[0].rstrip(), lines[len(lines) // 2]):
            for kind, pattern in _SHAPES:
                if kind in self._kinds and (found := pattern.fullmatch(line)):
                    shape = _Shape(kind, found[1], found[2])
                    if self._is_plain(shape):
                        self._shape = shape
                        return True
        return False

    def _is_plain(self, shape: _Shape) -> bool:
        """True if a line of this shape means its name with all below, and nothing else, to the slow path."""
        trial = self._taker.beside()
        body = _PROBE.replace(b".", b"\\.") if shape.kind == "regex" else _PROBE
        self._make(trial)(1, shape.prefix + body + shape.suffix)
        out = trial.out
        return out.names == [from_ascii(_PROBE)] and out.entries == 1 and not out.issue_count + out.not_applicable

    def _strip(self, run: bytes, lines: list[bytes]) -> bytes | None:
        """The bodies by the present shape, lower case; None where fewer than half of the lines have it."""
        prefix, suffix, kind = self._shape.prefix, self._shape.suffix, self._shape.kind
        if kind in _PLAIN and b" #" in run:
            lines = [x.partition(b" #")[0].rstrip() if b"#" in x else x for x in lines]
            run = b"\n".join(lines)
        if prefix or suffix:
            run = _peeled(run, lines, prefix, suffix)
        if kind == "regex":
            bodies = run.split(b"\n")
            run = b"\n".join([x.replace(b"\\.", b".") if x.count(b".") == x.count(b"\\.") else b"" for x in bodies])
        empty = run.count(b"\n\n") if b"\n\n" in run else 0
        return None if empty * 2 > len(lines) else run.lower()


def _peeled(run: bytes, lines: list[bytes], prefix: bytes, suffix: bytes) -> bytes:
    """`run` without the beginning and end of each line; a line that lacks one of them becomes empty."""
    first, last = b"\n" + prefix, suffix + b"\n"
    framed = b"\n" + run + b"\n"
    if framed.count(first) == len(lines) and (not suffix or framed.count(last) == len(lines)):
        # Only whole lines are left in between, so that begin and end of each line can go in two calls.
        bare = framed.replace(first, b"\n")
        return (bare.replace(last, b"\n") if suffix else bare)[1:-1]
    start, end = len(prefix), -len(suffix) or None
    return b"\n".join([x[start:end] if x.startswith(prefix) and x.endswith(suffix) else b"" for x in lines])


def wire_names(text: bytes) -> list[bytes | None]:
    """Canonical wire form of lower-case names, one a line; None for what is none at first sight or needs a second look.

    Needing a second look are public suffixes, single labels, local names, and what ends in a digit as addresses do.
    """
    bodies = text.split(b"\n")
    if _all_names(text, bodies):
        wires: list[bytes | None] = [*_convert(bodies)]
    else:
        good = [len(x) <= _MAX_TEXT and _NAME.fullmatch(x) is not None for x in bodies]
        found = iter(_convert([x for x, is_good in zip(bodies, good, strict=True) if is_good]))
        wires = [next(found) if is_good else None for is_good in good]
    return _without_special(wires)


def _all_names(text: bytes, bodies: list[bytes]) -> bool:
    """True if every body is a name of two labels or more that does not end in a digit."""
    if text.translate(None, _ALLOWED):
        return False
    dots = b"\n" + text.translate(None, _NOT_DOTS) + b"\n"
    framed = b"\n" + text + b"\n"
    if b"\n\n" in dots or b".." in text or b"\n." in framed or b".\n" in framed:
        return False
    return (
        max(map(len, bodies)) <= _MAX_TEXT
        and _DIGITS.isdisjoint({x[-1] for x in bodies})
        and (
            max(map(len, bodies)) < len(_LENGTH) or max(map(len, text.replace(b"\n", b".").split(b"."))) < len(_LENGTH)
        )
    )


def _convert(names: list[bytes]) -> list[bytes]:
    """Wire forms of good names: all labels of the block get their length at once; 0xFF, in no name, ends each."""
    if not names:
        return []
    labels = b".\xff.".join(names).split(b".")
    text = b"".join([_LENGTH[len(label)] + label for label in labels]).replace(b"\x01\xff", b"\x00\xff")
    return (text + b"\x00").split(b"\xff")


def _without_special(wires: list[bytes | None]) -> list[bytes | None]:
    suffixes, parents = _special()
    if suffixes.isdisjoint(wires) and parents.isdisjoint([wire and wire[wire[0] + 1 :] for wire in wires]):
        return wires
    return [None if wire in suffixes or (wire and wire[wire[0] + 1 :] in parents) else wire for wire in wires]


@lru_cache(1)
def _special() -> tuple[frozenset[bytes], frozenset[bytes]]:
    names, parents = special_names()
    return names | _LOCAL, parents


class FastZoneReader:
    """Blocks of `x CNAME .` and `*.x CNAME .` lines of a policy zone that has no origin of its own."""

    _SUFFIX = b" CNAME ."

    def __init__(self, taker: Taker, zone: ZoneReader) -> None:
        self._taker = taker
        self._zone = zone

    def read(self, number: int, run: bytes) -> None:
        """Reads one block; `number` is the line number of its first line."""
        lines = run.split(b"\n")
        first = self._first(lines)
        last = len(lines) - (len(lines) - first) % 2
        for at in range(first):
            self._zone.take(number + at, lines[at])
        wires = self._pairs(lines[first:last]) if self._zone.relative else None
        if wires is None:
            last, wires = first, []
        out = self._taker.out
        for at, wire in enumerate(wires):
            line = first + 2 * at
            if wire is None:
                self._zone.take(number + line, lines[line])
                self._zone.take(number + line + 1, lines[line + 1])
            else:
                out.names.append(wire)
                out.lines.append(number + line)
                out.folded += 1
        for at in range(last, len(lines)):
            self._zone.take(number + at, lines[at])

    def _first(self, lines: list[bytes]) -> int:
        """The first line that can begin a pair: what comes before is the head of the file or the end of a pair."""
        for at, line in enumerate(lines):
            if line.endswith(self._SUFFIX) and not line.startswith(b"*."):
                return at
        return len(lines)

    def _pairs(self, lines: list[bytes]) -> list[bytes | None] | None:
        """Wire names of a run of pairs (None for a pair that needs a second look), or None if it is anything else."""
        if not all([line.endswith(self._SUFFIX) for line in lines]):  # noqa: C419 - faster
            return None
        text = b"\n".join(lines).lower().replace(self._SUFFIX.lower(), b"")
        owners = fold_pairs(text.split(b"\n"))
        if not owners or any([x.endswith(TRIGGERS) for x in owners]):  # noqa: C419 - faster
            return None
        return wire_names(b"\n".join(owners))
