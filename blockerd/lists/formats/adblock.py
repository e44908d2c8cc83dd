"""Adblock and AdGuard DNS rules, one at a time: pattern, `@@`, modifiers, `$badfilter`. Pure.

Cosmetic and URL rules are counted as not applicable, never half applied. `||x^` without modifiers normally goes
another way (`fast`) and comes here only among others. Called by `lines`.
"""

import re

from blockerd.lists.formats.base import RULE_TEXT, Taker, decode
from blockerd.lists.formats.options import BadRule, NotForNames, Options, read_options, split_options
from blockerd.lists.formats.pattern import Shape, read_regex, read_shape
from blockerd.policy.rule import Rule

COSMETIC = re.compile(r"(?<!\s)#@?[$%?]{0,2}#(?=[^\s#])|\$@?\$[a-z]")

Key = tuple[bool, str, frozenset[str]]
"""What makes two rules identical for `$badfilter`: exception or not, pattern, modifiers in any order."""


def is_regex(body: str) -> bool:
    """True for `/…/` with or without modifiers; `/path` rules of browsers are none."""
    return len(body) > 2 and body[0] == "/" and (body[-1] == "/" or "/$" in body[1:])


def take_rule(taker: Taker, line: int, text: str, cancelled: frozenset[Key]) -> str:
    """Reads one rule into `taker` unless a `$badfilter` of the list cancels it; returns its kind for the statistics."""
    allow, pattern, options, regex = _parts(text)
    kind = "regex" if regex and not allow else "adblock"
    if cancelled and _key(allow, pattern, options) in cancelled:
        return kind
    try:
        said = read_options(options)
        if said.badfilter:
            return kind
        if allow and said.rewrites:
            raise BadRule("an exception to rewrites alone is not supported")
        shape = read_regex(pattern) if regex else read_shape(pattern, own=taker.own)
        taker.rule(_rule(shape, said, allow, line, text))
    except NotForNames:
        taker.out.not_applicable += 1
    except BadRule as error:
        taker.issue(line, text, str(error))
    return kind


def _parts(text: str) -> tuple[bool, str, str, bool]:
    """Exception or not, pattern, modifiers, whether the pattern is an expression."""
    allow = text.startswith("@@")
    body = text[2:] if allow else text
    if is_regex(body):
        end = len(body) - 1 if body[-1] == "/" else body.rfind("/$")
        return allow, body[1:end], body[end + 2 :], True
    pattern, dollar, options = body.partition("$")
    return allow, pattern, options if not dollar or options else ",", False


def _rule(shape: Shape, said: Options, allow: bool, line: int, text: str) -> Rule:
    return Rule(
        name=shape.name,
        line=line,
        scope=shape.scope,
        allow=allow,
        important=said.important,
        pattern=shape.pattern,
        types=said.types,
        types_except=said.types_except,
        denyallow=said.denyallow,
        action=said.action,
        data=said.data,
        text=text[:RULE_TEXT],
    )


def _key(allow: bool, pattern: str, options: str) -> Key:
    said = frozenset(part for part in split_options(options) if part and part.lower() != "badfilter")
    return allow, pattern.lower(), said


def cancelled_keys(data: bytes) -> frozenset[Key]:
    """The rules that `$badfilter` lines of a list cancel."""
    lines = data.splitlines() if b"badfilter" in data else []
    keys = set()
    for line in lines:
        text = decode(line[: RULE_TEXT * 16]).strip()
        if "badfilter" in text and text[0] not in "!#":
            allow, pattern, options, _ = _parts(text)
            if "badfilter" in split_options(options.lower()):
                keys.add(_key(allow, pattern, options))
    return frozenset(keys)


def plain_key(name: str) -> Key:
    """The key of a line that is only a name."""
    return _key(False, name, "")
