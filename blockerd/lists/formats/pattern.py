r"""The pattern part of a rule: a name with its scope where it is one, else a pattern in RE2 syntax. Pure.

Most "patterns" of published lists are names in disguise (`/^(.*\.)?x\.y$/`, `||*.x^`) and become names, which cost
nothing to match. Nothing here compiles a pattern of a list: `build` does, on a linear engine. Called by
`adblock`.
"""

import re
from dataclasses import dataclass

from blockerd.lists.formats.base import MAX_PATTERN, list_name
from blockerd.lists.formats.options import BadRule, NotForNames
from blockerd.policy.name import BadName, from_ascii, suffix_rules
from blockerd.policy.rule import Scope

_SCHEME = re.compile(r"\|?(?:\*?(?:https?|wss?)?\*?:)?//")
_END = re.compile(r"\^[|*]?$|\|$|/\*?$")
_URL = re.compile(r"[/?=&^:|;,]")
_GLOB = re.compile(r"[a-z0-9_.*-]+")
_MIN_LITERAL = 3

_DISGUISE = re.compile(
    r"(?P<open>\^\((?:\?:)?\.[*+](?:\\\.|\[\.\])\)\?|\((?:\?:)?\^\|\\\.\)|\((?:\?:)?\\\.\|\^\)"
    r"|\^(?P<below>\(?(?:\?:)?\.[*+]\\\.\)?)|\^)"
    r"(?P<name>(?:[a-z0-9_]|\\?-)+(?:\\\.(?:[a-z0-9_]|\\?-)+)*)\$"
)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a pattern covers: `name` in wire form with `scope`, or b"" and `pattern`."""

    name: bytes = b""
    scope: Scope = Scope.SUBTREE
    pattern: str = ""


def read_shape(text: str, *, own: bool) -> Shape:
    """The shape of an Adblock pattern (no regex, no options).

    A listed `||name` without `^` is read as the name where it ends in a top-level domain, else as a prefix. `own`
    lifts the lower limit of literal characters.

    Raises:
        NotForNames: a pattern for URLs, not for names.
        BadRule: no name and no usable pattern.
    """
    body = text.lower()
    if scheme := _SCHEME.match(body):
        body = "|" + body[scheme.end() :]
    anchor = "||" if body.startswith("||") else "|" if body.startswith("|") else ""
    body = body[len(anchor) :]
    ended = _END.search(body)
    body = body[: ended.start()] if ended else body
    if not body:
        raise BadRule("no name in the rule")
    if "*" not in body:
        return _without_star(anchor, body, bool(ended), own)
    return _with_star(anchor, body, bool(ended), own)


def _without_star(anchor: str, body: str, ended: bool, own: bool) -> Shape:
    if not body.isascii():
        return Shape(_name(body), Scope.EXACT if anchor == "|" else Scope.SUBTREE)
    if body.startswith(".") and not anchor:
        return Shape(_name(body[1:]), Scope.BELOW if ended else Scope.SUBTREE)
    if _whole(body, anchor, ended):
        return Shape(_name(body), Scope.EXACT if anchor == "|" else Scope.SUBTREE)
    _check_chars(body, own)
    return Shape(pattern=_regex(anchor, body, ended))


def _whole(body: str, anchor: str, ended: bool) -> bool:
    """True if `body` is a whole name: closed on both sides, or open but ending in a top-level domain."""
    if ended:
        return anchor != "" or ":" in body
    if anchor == "|":
        return False
    tail = body.rpartition(".")[2]
    return anchor == "" or (body != tail and _is_tld(tail)) or tail.isdigit() or ":" in body


def _is_tld(label: str) -> bool:
    try:
        return from_ascii(label.encode("ascii")) in suffix_rules()[0].rules
    except BadName:
        return False


def _with_star(anchor: str, body: str, ended: bool, own: bool) -> Shape:
    if body.startswith("*.") and "*" not in body[2:] and not _URL.search(body):
        if ended or anchor:
            return Shape(_name(body[2:]), Scope.BELOW)
        return Shape(_name(body[2:]), Scope.SUBTREE)
    _check_chars(body, own)
    open_end = body.endswith("*")
    if body.startswith("*"):
        anchor = ""
    return Shape(pattern=_regex(anchor, body.strip("*"), ended and not open_end))


def _check_chars(body: str, own: bool) -> None:
    if not _GLOB.fullmatch(body):
        raise NotForNames if _URL.search(body) else BadRule("character that no name has")
    if sum(c.isalnum() for c in body) < _MIN_LITERAL and not own:
        raise BadRule("a pattern of so few letters would cover too much")


def _regex(anchor: str, body: str, ended: bool) -> str:
    """RE2 text; `^` of Adblock syntax can only be the end of a name, which has no other separators."""
    start = {"||": r"(?:^|\.)", "|": "^", "": ""}[anchor]
    stars = re.sub(r"\*+", "*", body).replace(".", r"\.").replace("*", ".*")
    if len(stars) > MAX_PATTERN:
        raise BadRule(f"a pattern over {MAX_PATTERN} characters")
    return start + stars + ("$" if ended else "") or ".*"


def _name(body: str) -> bytes:
    try:
        return list_name(body)
    except BadName as error:
        if _URL.search(body) and "address" not in str(error):
            raise NotForNames from None
        raise BadRule(str(error)) from None


def read_regex(text: str) -> Shape:
    r"""The shape of a regular expression: a name where it is one in disguise (`^(.*\.)?x\.y$`, `^x\.y$`), else itself.

    Upper case in an expression matches too, as everywhere with names.

    Raises:
        BadRule: empty or too long, or a disguised name that is none.
    """
    if not text.strip("/ "):
        raise BadRule("an empty expression")
    if len(text) > MAX_PATTERN:
        raise BadRule(f"a pattern over {MAX_PATTERN} characters")
    if found := _DISGUISE.fullmatch(text if not text.isascii() else _lower_literals(text)):
        name = _name(found["name"].replace("\\", ""))
        if found["below"]:
            return Shape(name, Scope.BELOW)
        return Shape(name, Scope.EXACT if found["open"] == "^" else Scope.SUBTREE)
    upper = any(c.isupper() for c in text) and not text.startswith("(?i)")
    return Shape(pattern="(?i)" + text if upper else text)


def _lower_literals(text: str) -> str:
    """Lower case, but for what follows a backslash, where case is meaning."""
    return text if "\\" in text and re.search(r"\\[A-Z]", text) else text.lower()
