"""Answers of upstreams, kept in memory only, with their TTLs counted down. Pure: time is a parameter.

Bounded in entries and octets; the oldest entry goes first. Only whole answers to their own question are kept, so
that nothing a reply carries for another name can be served for that name.
"""

from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from typing import NamedTuple, TypeVar

from blockerd.dns.gate import Question

Shared = TypeVar("Shared", bytes, tuple[tuple[int, int], ...])

MAX_ANSWER = 4096
"""Octets of the largest answer that is kept."""

STALE_FOR = 86400
"""Seconds after its time that an answer is kept for the case that no upstream can be reached (RFC 8767 section 5)."""

STALE_TTL = 30
"""TTL of such an answer (RFC 8767 section 4)."""


@lru_cache(4096)
def one(value: Shared) -> Shared:
    """An object equal to `value`, the same one each time: most answers share their flags, counts and TTL places."""
    return value


Key = tuple[bytes, int, bool, bool]
"""Canonical name, type, DO, CD."""


def key_of(question: Question) -> Key:
    """The key under which the answer to `question` is kept and equal queries are merged."""
    return question.name, question.qtype, question.do, question.cd


class Entry(NamedTuple):
    """A kept answer: flags octets, counts, and all after the question; `ttls` are (offset into `body`, seconds).

    `targets` are the names it leads through, to be decided again each time: a list may have come to hold one since.
    `alias` is the name that was asked in place of the question's, or b"".
    """

    flags: bytes
    counts: bytes
    body: bytes
    ttls: tuple[tuple[int, int], ...]
    stored: float
    expires: float
    targets: tuple[bytes, ...] = ()
    alias: bytes = b""


class Template:
    """A kept answer made ready for one client's way to ask; renders with TTLs as of now.

    `data` is the answer from its third octet on; see `wire.Template`.
    """

    __slots__ = ("data", "expires", "stored", "ttls")

    def __init__(self, data: bytes, ttls: tuple[tuple[int, int], ...], stored: float, expires: float) -> None:
        self.data = data
        self.ttls = ttls
        self.stored = stored
        self.expires = expires

    def render(self, now: float) -> bytes:
        """The octets with every TTL less the whole seconds since it was stored."""
        passed = int(now - self.stored)
        if passed <= 0:
            return self.data
        return with_ttls(self.data, [(offset, ttl - passed if ttl > passed else 0) for offset, ttl in self.ttls])


def fresh(entry: Entry, question: Question, opt: bytes) -> bytes:
    """`entry` as the answer to `question` from its third octet on, in the second in which it was stored; `opt` is the
    OPT record to end with, or empty."""
    second = entry.flags[1] | question.cd << 4
    if not (question.ad or question.do):
        second &= ~0x20
    counts = entry.counts[:6] + b"\x00\x01" if opt else entry.counts
    return b"".join((bytes((entry.flags[0] | question.rd, second)), counts, question.raw, entry.body, opt))


def template(entry: Entry, question: Question, opt: bytes) -> Template:
    """`entry` as the answer to `question`; `opt` is the OPT record to end with, or empty."""
    data = fresh(entry, question, opt)
    shift = 10 + len(question.raw)
    ttls = one(tuple((offset + shift, ttl) for offset, ttl in entry.ttls))
    return Template(data, ttls, entry.stored, entry.expires)


def with_ttls(octets: bytes, ttls: Iterable[tuple[int, int]]) -> bytes:
    """`octets` with each TTL, (offset, seconds), put in its place."""
    data = bytearray(octets)
    for offset, ttl in ttls:
        data[offset : offset + 4] = ttl.to_bytes(4, "big")
    return bytes(data)


def stale(entry: Entry, question: Question, opt: bytes) -> bytes:
    """`entry` as the answer to `question` from its third octet on, after its time: every TTL is `STALE_TTL`."""
    made = template(entry, question, opt)
    return with_ttls(made.data, [(offset, STALE_TTL) for offset, _ in made.ttls])


class Cache:
    """At most `entries` answers and `octets` octets of them; one thread owns it."""

    def __init__(self, entries: int, octets: int = 32 * 1024 * 1024) -> None:
        self._entries: dict[Key, Entry] = {}
        self._most = entries
        self._room = octets
        self.octets = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key, now: float) -> Entry | None:
        """The entry that is still good at `now`."""
        entry = self._entries.get(key)
        return entry if entry is not None and entry.expires > now else None

    def stale(self, key: Key, now: float) -> Entry | None:
        """The entry, good or not good any more, that may be served at `now` while no upstream can be reached."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires + STALE_FOR <= now:
            self._drop(key)
            return None
        return entry

    def put(self, key: Key, entry: Entry) -> None:
        """Keeps `entry`; the oldest ones make room."""
        if key in self._entries:
            self._drop(key)
        if self._most <= 0 or len(entry.body) > MAX_ANSWER:
            return
        self._entries[key] = entry
        self.octets += len(entry.body)
        while len(self._entries) > self._most or self.octets > self._room:
            # Many at a time: the way to the first key of a dict leads over all that was deleted before it.
            for oldest in list(islice(self._entries, 1 + self._most // 64)):
                self._drop(oldest)

    def clear(self) -> None:
        """Forgets everything."""
        self._entries.clear()
        self.octets = 0

    def _drop(self, key: Key) -> None:
        self.octets -= len(self._entries.pop(key).body)
