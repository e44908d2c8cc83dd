"""Line by line: hosts, plain names, wildcards, and the way to Adblock rules and expressions. Pure.

Decides for each line what it is (DESIGN section 5, `auto`); a list read as hosts, domains or wildcard takes plain lines
of all three but no rules. This is the slow path: `fast` takes the lines that need no second look.
"""

import re

from blockerd.lists.formats import dns
from blockerd.lists.formats.adblock import COSMETIC, Key, is_regex, plain_key, take_rule
from blockerd.lists.formats.base import MAX_LINE, RULE_TEXT, Taker, address_of, decode, is_sink, list_name, record_of
from blockerd.lists.formats.options import BadRule, NotForNames
from blockerd.lists.formats.pattern import read_regex, read_shape
from blockerd.model import Action
from blockerd.policy.name import BadName
from blockerd.policy.rule import Rule, Scope

_LOCAL = """localhost localhost.localdomain localhost4 localhost6 localhost4.localdomain4 localhost6.localdomain6 local
    localdomain broadcasthost ip6-localhost ip6-loopback ip6-localnet ip6-mcastprefix ip6-allnodes ip6-allrouters
    ip6-allhosts ip6-localhost.localdomain 0.0.0.0 127.0.0.1 ::1 ::"""
LOCAL_NAMES = frozenset(_LOCAL.split())
"""Names that hosts files give to the machine itself: no rules, and no mistakes."""

_INLINE = re.compile(r"\s#")
_HEADER_LINES = 200
_DECLARED = re.compile(
    r"(?:number of )?(?:unique |blocked |total )?(?:entries|domains|rules|(?:[a-z]+ )?hosts count)\s*[:=]\s*"
    r"(\d{1,3}(?:[,.]\d{3})+|\d{1,10})\b",
    re.IGNORECASE,
)


class LineReader:
    """Reads lines of one list into `taker`. `rules` lets Adblock rules and expressions in; `regex` reads only those."""

    def __init__(self, taker: Taker, format_: str, cancelled: frozenset[Key] = frozenset()) -> None:
        self._taker = taker
        self._format = format_
        self._rules = format_ in ("auto", "adblock")
        self._cancelled = cancelled

    def take(self, line: int, raw: bytes) -> None:
        """Reads one line (without line end); `line` is its 1-based number."""
        if len(raw) > MAX_LINE:
            self._taker.issue(line, decode(raw[:200]), "a line over 64 KiB")
            return
        text = decode(raw).strip().lstrip("\ufeff")
        if not text:
            return
        if is_comment(text, self._format):
            note_header(self._taker, line, text)
        elif self._format == "regex":
            self._expression(line, text)
        else:
            self._line(line, text)

    def _line(self, line: int, text: str) -> None:
        if self._rules and is_regex(text.removeprefix("@@")):
            self._rule(line, text)
        elif COSMETIC.search(text):
            self._taker.out.not_applicable += 1
        else:
            cut = _INLINE.search(text)
            self._words(line, text[: cut.start()] if cut and "dnsrewrite" not in text else text)

    def _words(self, line: int, text: str) -> None:
        words = text.split()
        if len(words) > 1 and (address := address_of(words[0])):
            self._taker.saw("hosts")
            sink = is_sink(address)
            for word in _uncommented(words[1:]):
                self._host(line, text, word, None if sink else record_of(address))
        elif text[0] in "|@" or any(c in text for c in "^$*"):
            self._pattern(line, text)
        elif text.startswith(dns.DNSMASQ):
            self._dnsmasq(line, text)
        elif len(words) == 1:
            self._plain(line, text)
        elif self._rules and _bare_regex(text):
            self._expression(line, text)
        else:
            self._taker.issue(line, text, "more than one word, and the first is no address")

    def _dnsmasq(self, line: int, text: str) -> None:
        if self._rules:
            dns.take_dnsmasq(self._taker, line, text)
        else:
            self._taker.issue(line, text, f"a rule, in a list read as {self._format}")

    def _host(self, line: int, text: str, word: str, record: tuple[str, str] | None) -> None:
        """One name of a hosts line; `record` is the rewrite where the address is no sink."""
        if word.lower().rstrip(".") in LOCAL_NAMES:
            return
        try:
            wire = list_name(word.removeprefix("."))
        except BadName as error:
            self._taker.issue(line, text, str(error))
            return
        if record is None:
            self._taker.plain(wire, line, text, means_it=False)
        elif self._taker.rewrites:
            rule = Rule(wire, line, Scope.EXACT, action=Action.LOCAL_DATA, data=(record,), text=text[:RULE_TEXT])
            self._taker.rule(rule)
        else:
            self._taker.issue(line, text, "the address is not a sink (0.0.0.0, 127.x, ::, ::1)")

    def _plain(self, line: int, text: str) -> None:
        body = _uncommented([text])
        if not body or body[0].lower().rstrip(".") in LOCAL_NAMES:
            return
        self._taker.saw("domains")
        if self._cancelled and plain_key(body[0]) in self._cancelled:
            return
        try:
            host, has_path = host_of(body[0])
            if has_path:
                self._taker.out.not_applicable += 1
            else:
                self._taker.plain(list_name(host.removeprefix(".")), line, text, means_it=False)
        except BadName as error:
            if self._rules and _bare_regex(text):
                self._expression(line, text)
            else:
                self._taker.issue(line, text, str(error))

    def _pattern(self, line: int, text: str) -> None:
        """A line with `| ^ * $ @@`: wildcard or rule."""
        if text.startswith("*.") and not any(c in text[2:] for c in "*^$|/"):
            self._wildcard(line, text)
        elif self._rules and _bare_regex(text):
            self._expression(line, text)
        elif self._rules:
            self._rule(line, text)
        elif self._format == "wildcard" and not any(c in text for c in "|^$@/"):
            self._glob(line, text)
        else:
            self._taker.issue(line, text, f"a rule, in a list read as {self._format}")

    def _wildcard(self, line: int, text: str) -> None:
        self._taker.saw("wildcard")
        if self._cancelled and plain_key(text) in self._cancelled:
            return
        try:
            self._taker.plain(list_name(text[2:]), line, text)
        except BadName as error:
            self._taker.issue(line, text, str(error))

    def _glob(self, line: int, text: str) -> None:
        self._taker.saw("wildcard")
        try:
            shape = read_shape(f"||{text}^", own=self._taker.own)
        except (BadRule, NotForNames) as error:
            self._taker.issue(line, text, str(error) or "no name and no wildcard")
            return
        self._taker.rule(Rule(shape.name, line, shape.scope, pattern=shape.pattern, text=text[:RULE_TEXT]))

    def _rule(self, line: int, text: str) -> None:
        self._taker.saw(take_rule(self._taker, line, text, self._cancelled))

    def _expression(self, line: int, text: str) -> None:
        """An expression of a regex list; the slashes are optional."""
        self._taker.saw("regex")
        if is_regex(text):
            take_rule(self._taker, line, text, self._cancelled)
            return
        try:
            if ";" in text:
                raise BadRule("an expression with conditions behind `;` is not supported")
            if text.startswith(("||", "@@", "*")) or len(text.split()) > 1:
                raise BadRule("no expression: a line of another format")
            shape = read_regex(text)
        except BadRule as error:
            self._taker.issue(line, text, str(error))
            return
        self._taker.rule(Rule(shape.name, line, shape.scope, pattern=shape.pattern, text=text[:RULE_TEXT]))


def is_comment(text: str, format_: str) -> bool:
    """True for comments and headers of any format; `##name` is a cosmetic rule only where rules are read."""
    if text[0] in "!;":
        return True
    if text[0] == "#":
        return not (format_ in ("auto", "adblock") and COSMETIC.match(text))
    return (text[0] == "[" and text[-1] == "]" and format_ != "regex") or text.startswith("// ")


def note_header(taker: Taker, line: int, text: str) -> None:
    """Counts a comment and takes title and declared number of entries from the head of the list."""
    out = taker.out
    out.comments += 1
    if line > _HEADER_LINES:
        return
    body = text.lstrip("!#; \t")
    if not out.title and body.lower().startswith("title:"):
        out.title = "".join(c for c in body[6:].strip() if c.isprintable())[:120]
    if out.declared is None and (found := _DECLARED.match(body)):
        out.declared = int(found[1].replace(",", "").replace(".", ""))


def host_of(text: str) -> tuple[str, bool]:
    """The host of a URL or of `host/path`, and whether more than the host is asked for."""
    rest = text.partition("://")[2] if "://" in text else text
    for at, c in enumerate(rest):
        if c in "/?":
            return rest[:at], rest[at:] != "/"
    return rest, False


def _uncommented(words: list[str]) -> list[str]:
    """The words before a comment that begins inside one (`name#note`)."""
    kept = []
    for word in words:
        head, mark, _ = word.partition("#")
        if head:
            kept.append(head)
        if mark:
            break
    return kept


def _bare_regex(text: str) -> bool:
    """True for an expression without slashes, as Pi-hole lists have them; no name or rule looks like that."""
    return text[0] in "^(" and text[-1] == "$" and len(text) > 3
