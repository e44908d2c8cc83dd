"""Reads a blocklist in any format people publish: `parse`. Pure: octets in, names, rules and issues out.

Refuses what is no list (HTML, JSON, binary, nothing at all) as a whole; any other trouble costs one line and is noted.
`build`, `lists test` and the fetcher call it; what each line means stands in `blocklists/README.md`.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from blockerd.lists.formats.adblock import Key, cancelled_keys
from blockerd.lists.formats.base import MAX_LINE, Batch, Issue, Parsed, Taker, decode
from blockerd.lists.formats.dns import UnboundReader, take_dnsmasq
from blockerd.lists.formats.fast import FastReader, FastZoneReader, SlowPath, blocks
from blockerd.lists.formats.lines import LineReader, is_comment, note_header
from blockerd.lists.formats.squid import take_squid
from blockerd.lists.formats.zone import ZoneReader
from blockerd.settings.keys import Format

__all__ = ["FORMATS", "Batch", "Issue", "Parsed", "parse"]

FORMATS = tuple(one.value for one in Format)

_HEAD = 16384
_HEAD_LINES = 60
_MAGIC = (b"\x1f\x8b", b"PK\x03\x04", b"%PDF", b"\x7fELF", b"\x89PNG", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_CONTROL = bytes(n for n in range(32) if n not in b"\t\n\v\f\r\x1a") + b"\x7f"
_ZONE = re.compile(r"\$(?:ttl|origin)\s|\S*\s+(?:\d+\w?\s+)?(?:in\s+)?soa\s")
_POLICY = re.compile(r"\S+\s+(?:\d+\w?\s+)?(?:in\s+)?cname\s+(?:\*?\.|rpz-)")
_UNBOUND = re.compile(r"server:|local-zone:|local-data:")
_DNSMASQ = re.compile(r"-{0,2}(?:local|server|address)=/")
_MAJORITY = 0.75


SlowText = Callable[[int, str], None]


class _Source(NamedTuple):
    data: bytes
    format: str
    taker: Taker


def parse(
    data: bytes,
    format: str = "auto",  # noqa: A002 - the settings key
    *,
    scope: str = "subtree",
    trust: str = "block",
    own: bool = False,
    sink: Batch | None = None,
) -> Parsed:
    """What the list `data` (decompressed, any line ends, UTF-8 or marked UTF-16) says when read as `format`.

    `own` is for the person's own files: they may name public suffixes, and rewrite; `trust="rewrite"` allows only the
    latter. `scope` is applied by the builder. With `sink` plain names are handed over in batches and not kept, so that
    memory does not grow with the list.

    Raises:
        ValueError: no such format, scope or trust (settings check them before).
    """
    if format not in FORMATS or scope not in ("subtree", "exact") or trust not in ("block", "rewrite"):
        raise ValueError(f"no format {format!r}, scope {scope!r} or trust {trust!r}")
    out = Parsed(format)
    out.refused = _refusal(data, own=own)
    if out.refused:
        return out
    text = _normal(data)
    taker = Taker(out, trust=trust, own=own, sink=sink)
    used = _detected(text) if format == "auto" else format
    _read(_Source(text, used, taker))
    taker.flush()
    out.format = _called(taker.kinds) if used == "auto" else used
    return out


def _refusal(data: bytes, *, own: bool) -> str | None:
    """Why `data` is no list at all. An empty own file is one: it blocks nothing yet."""
    head = data[:_HEAD]
    if not head.strip() and not data.strip():
        return None if own else "empty"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return None
    controls = len(head) - len(head.translate(None, _CONTROL))
    if head.startswith(_MAGIC) or (controls * 20 > len(head) and (controls >= 16 or controls * 3 > len(head))):
        return "binary, not a list"
    begin = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1024].lower()
    if begin.startswith(b"<") or b"<html" in begin:
        return "HTML, not a list (an error page, or the page about the list instead of the list)"
    if re.match(rb'[\[{]\s*["{\[]', begin):
        return "JSON, not a list"
    return None


def _normal(data: bytes) -> bytes:
    """`data` as UTF-8 without byte order mark, each line ended by LF alone (CRLF, lone CR too)."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        data = data.decode("utf-16", "replace").encode("utf-8", "replace")
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data


def _detected(data: bytes) -> str:
    """rpz, unbound or dnsmasq by the first lines that are no comments; else `auto`, which goes line by line."""
    lines = [line[:512] for line in data[:_HEAD].lower().split(b"\n")[: _HEAD_LINES * 10]]
    texts = [decode(line).rstrip() for line in lines if line.strip()]
    said = [text for text in texts if not is_comment(text.strip(), "rpz")][:_HEAD_LINES]
    if any(_ZONE.match(text) for text in said):
        return "rpz"
    for format_, pattern in (("rpz", _POLICY), ("unbound", _UNBOUND), ("dnsmasq", _DNSMASQ)):
        if sum(pattern.match(text.lstrip()) is not None for text in said) * 2 > len(said):
            return format_
    return "auto"


def _read(source: _Source) -> None:
    taker = source.taker
    if source.format == "rpz":
        zone = ZoneReader(taker)
        fast_zone = FastZoneReader(taker, zone)
        for number, run in blocks(source.data):
            fast_zone.read(number, run)
            taker.flush()
        zone.finish()
        return
    unbound = UnboundReader(taker)
    cancelled = cancelled_keys(source.data) if source.format in ("auto", "adblock") else frozenset()
    slow = _slow_path(source.format, taker, unbound, cancelled)
    fast = FastReader(
        taker, source.format, slow, lambda trial: _slow_path(source.format, trial, UnboundReader(trial), cancelled)
    )
    for number, run in blocks(source.data):
        if cancelled:
            for at, line in enumerate(run.split(b"\n"), number):
                slow(at, line)
        else:
            fast.read(number, run)
        if source.format != "unbound":
            taker.flush()
    unbound.finish()


def _slow_path(format_: str, taker: Taker, unbound: UnboundReader, cancelled: frozenset[Key]) -> SlowPath:
    """The reader of single lines for a format."""
    if format_ == "dnsmasq":
        return _plainly(taker, lambda line, text: take_dnsmasq(taker, line, text))
    if format_ == "unbound":
        return _plainly(taker, unbound.take)
    if format_ == "squidguard":
        return _plainly(taker, lambda line, text: take_squid(taker, line, text))
    return LineReader(taker, format_, cancelled).take


def _plainly(taker: Taker, take: SlowText) -> SlowPath:
    """A reader of raw lines out of one of stripped text: comments, empty lines and monsters are seen to here."""

    def read(line: int, raw: bytes) -> None:
        text = decode(raw[: MAX_LINE + 1]).strip()
        if len(raw) > MAX_LINE:
            taker.issue(line, text, "a line over 64 KiB")
        elif text and is_comment(text, "hosts"):
            note_header(taker, line, text)
        elif text:
            take(line, text)

    return read


def _called(kinds: dict[str, int]) -> str:
    """The kind of three quarters of the rules; else `adblock` where names and expressions stand among such rules,
    else `mixed`. A list without rules is called `domains`.
    """
    if not kinds:
        return "domains"
    enough = _MAJORITY * sum(kinds.values())
    kind, count = max(kinds.items(), key=lambda item: item[1])
    if count >= enough:
        return kind
    rules = kinds.get("adblock", 0)
    return "adblock" if rules and rules + sum(kinds.get(k, 0) for k in ("regex", "domains")) >= enough else "mixed"
