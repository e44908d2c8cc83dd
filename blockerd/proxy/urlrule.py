"""URL rules: what one says, whether it covers a URL, and all of them by host. Pure, and linear in the URL's length.

A rule names a host and something of the page: a path, query keys, search terms, a link inside the URL, or parameters
that are to be set. Made by `rulefile`, asked by `decide_url`. Refuses nothing: that is done by the parser.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from blockerd.policy.name import suffixes
from blockerd.proxy.url import Url
from blockerd.proxy.words import Terms


class Does(StrEnum):
    """What a rule does with a page that it covers."""

    BLOCK = "block"
    ALLOW = "allow"
    SET = "set"
    """The query parameters `sets` are given these values (a search engine's safe mode)."""
    TARGET = "target"
    """The URL inside the query keys `keys` is decided in its place (links of newsletters, redirects)."""


@dataclass(frozen=True, slots=True)
class Glob:
    """A path pattern of Adblock syntax, in pieces between `*`; each piece is compiled without repetition.

    `open_start` is true where it may begin anywhere, `open_end` where anything may follow. Every path that is covered
    begins with `head`, so that most rules are passed over without a look at the pieces.
    """

    pieces: tuple[re.Pattern[str], ...]
    length: int
    open_start: bool = False
    open_end: bool = True
    head: str = ""

    def matches(self, text: str) -> bool:
        """True if the pattern covers `text`. The first place of each piece is enough, so this is linear."""
        at = 0
        for number, piece in enumerate(self.pieces):
            anchored = number == 0 and not self.open_start
            last = number == len(self.pieces) - 1 and not self.open_end
            found = (
                self._last(piece, text, at) if last else piece.match(text, at) if anchored else piece.search(text, at)
            )
            if found is None or (last and anchored and found.start() != at):
                return False
            at = found.end()
        return True

    @staticmethod
    def _last(piece: re.Pattern[str], text: str, at: int) -> re.Match[str] | None:
        """The place of `piece` at the very end of `text`."""
        for start in range(max(at, len(text) - len(piece.pattern)), len(text) + 1):
            found = piece.fullmatch(text, start)
            if found:
                return found
        return None


_SPECIAL = re.compile(r"[*^?|]")
_SEPARATOR = r"(?:[^\w.%-]|$)"
_SEGMENT_END = r"(?:[^\w-]|$)"


def glob(pattern: str) -> Glob:
    """The glob for an Adblock path: `*` anything, `^` a separator or the end, `|` at the end closes it."""
    closed = pattern.endswith("|")
    body = pattern.removesuffix("|")
    parts = [part for part in body.split("*") if part]
    pieces = tuple(re.compile("".join(_SEPARATOR if c == "^" else re.escape(c) for c in part)) for part in parts)
    anywhere = body.startswith("*")
    head = "" if anywhere else _SPECIAL.split(body, maxsplit=1)[0]
    return Glob(pieces, len(body), anywhere, not closed or body.endswith("*"), head)


def prefix(path: str) -> Glob:
    """The glob for a path and everything below it: what follows it is no letter, digit, underscore or hyphen."""
    body = path.rstrip("/") or "/"
    end = "" if body == "/" else _SEGMENT_END
    return Glob((re.compile(re.escape(body) + end),), len(body), head=body)


@dataclass(frozen=True, slots=True)
class UrlRule:
    """One rule. `host` (canonical wire form) and all below it, or it alone where `exact`.

    All that is given must hold: `path`; `query`: each key has one of its values (empty: any); `terms` in the values of
    `keys` or behind a path of `after`. `decrypts` is False for rules that are not worth opening a connection for.
    """

    host: bytes
    does: Does
    source: str
    title: str
    line: int
    text: str
    category: str
    exact: bool = False
    path: Glob | None = None
    query: tuple[tuple[str, frozenset[str]], ...] = ()
    keys: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    terms: Terms | None = None
    sets: tuple[tuple[str, str], ...] = ()
    important: bool = False

    @property
    def own(self) -> bool:
        """True for a rule of the person's own file."""
        return self.source == OWN

    @property
    def weight(self) -> tuple[int, int]:
        """How specific the rule is, for choosing among own rules."""
        return len(self.host), (self.path.length if self.path else 0) + len(self.query)

    @property
    def decrypts(self) -> bool:
        """True where its connection is opened for it."""
        return self.does in (Does.BLOCK, Does.SET)

    def covers(self, url: Url) -> bool:
        """True if the page is one of those the rule is about; its host is known to fit."""
        if self.exact and url.name != self.host:
            return False
        if self.path and not self.path.matches(url.path if not self.query_in_path else with_query(url)):
            return False
        if not all(_has(url, key, values) for key, values in self.query):
            return False
        return self.terms is None or bool(self.term_in(url))

    @property
    def query_in_path(self) -> bool:
        """True for an Adblock pattern that reaches into the query."""
        return self.does in (Does.BLOCK, Does.ALLOW) and "?" in self.text

    def term_in(self, url: Url) -> str:
        """The search term of the rule that the URL holds, "" where none."""
        if self.terms is None:
            return ""
        texts = [value for key in self.keys for value in url.values(key)]
        texts += [url.path.removeprefix(one) for one in self.after if url.path.startswith(one)]
        return next((found for text in texts if (found := self.terms.found(text))), "")

    def targets(self, url: Url) -> list[str]:
        """The texts in which a TARGET rule expects another URL."""
        return [value for key in self.keys for value in url.values(key) if "." in value or value.startswith("tel:")]


OWN = "own-url"
"""Source id of the person's own URL rules."""


def with_query(url: Url) -> str:
    """Path and query in lower case, as Adblock patterns see them."""
    query = "&".join(f"{key}={value}" for key, value in url.query)
    return f"{url.path}?{query}".lower() if query else url.path


def _has(url: Url, key: str, values: frozenset[str]) -> bool:
    given = url.values(key)
    return any(not values or value.lower() in values for value in given)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules by host; `tel` maps the beginnings of telephone numbers to the rule that refuses them."""

    by_host: Mapping[bytes, tuple[UrlRule, ...]] = field(default_factory=dict)
    tel: Mapping[str, UrlRule] = field(default_factory=dict)

    def for_host(self, name: bytes) -> list[UrlRule]:
        """The rules for the host `name`, most specific host first."""
        by_host = self.by_host
        return [
            rule for one in suffixes(name) if one in by_host for rule in by_host[one] if not rule.exact or one == name
        ]

    @property
    def hosts(self) -> list[bytes]:
        """Every host for which a connection may be opened: what the certificate authority is constrained to."""
        return sorted(host for host, rules in self.by_host.items() if any(rule.decrypts for rule in rules))

    @property
    def titles(self) -> dict[str, str]:
        """The title of each source of rules by its id."""
        return {rule.source: rule.title for rules in (*self.by_host.values(), self.tel.values()) for rule in rules}

    @property
    def count(self) -> int:
        """How many rules there are."""
        return sum(map(len, self.by_host.values())) + len(self.tel)


def make(rules: Iterable[UrlRule], tel: Mapping[str, UrlRule] | None = None) -> RuleSet:
    """The rules by host, in their order."""
    found: dict[bytes, list[UrlRule]] = {}
    for rule in rules:
        found.setdefault(rule.host, []).append(rule)
    return RuleSet({host: tuple(held) for host, held in found.items()}, dict(tel or {}))
