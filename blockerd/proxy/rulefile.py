"""Rules as people write them: the shipped TOML files and an own file in Adblock URL syntax. Pure.

An own line is `||host/path^`, with `@@` in front for an exception and `$important`, `$category=x` or `$all` behind; a
rule without a path belongs into a list of names and is refused. Also refused: public suffixes, hosts that are never
decrypted, words that can never be rules, conditions that no proxy can apply. Called by `shipped`.
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from blockerd.model import CATEGORIES
from blockerd.policy.name import BadName, from_text, public_suffix
from blockerd.proxy.never import NeverDecrypt
from blockerd.proxy.url import canonical_path
from blockerd.proxy.urlrule import OWN, Does, Glob, UrlRule, glob, prefix
from blockerd.proxy.words import Terms

_KEYS = {"category", "hosts", "exact", "paths", "query", "terms", "keys", "after", "set", "target", "allow", "tel"}
_IGNORED = {"all", "document", "doc"}
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Refused:
    """A line or rule that was not taken: its file, 1-based line, text and why."""

    source: str
    line: int
    text: str
    reason: str


@dataclass(slots=True)
class Read:
    """What a file says: rules, beginnings of telephone numbers, and what was not taken."""

    rules: list[UrlRule] = field(default_factory=list)
    tel: dict[str, UrlRule] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)


class BadRule(ValueError):
    """A rule that cannot be taken; the message says why."""


def read_toml(text: str, source: str, never: NeverDecrypt, terms: Callable[[str], Terms]) -> Read:
    """The rules of a TOML file: `[[rule]]` tables; `terms` gives the search terms of a name.

    Raises:
        tomllib.TOMLDecodeError: the text is no TOML.
    """
    tree = tomllib.loads(text)
    title = str(tree.get("title", source))
    places = [number for number, line in enumerate(text.splitlines(), 1) if line.strip() == "[[rule]]"]
    found = Read()
    for line, entry in zip(places, tree.get("rule", []), strict=True):
        try:
            _take_entry(found, entry, source, title, line, never, terms)
        except (BadRule, BadName, ValueError) as error:
            found.refused.append(Refused(source, line, ", ".join(map(str, entry.get("hosts", ()))), str(error)))
    return found


def _take_entry(
    found: Read, entry: Mapping[str, Any], source: str, title: str, line: int, never: NeverDecrypt,
    terms: Callable[[str], Terms],
) -> None:  # fmt: skip
    if unknown := sorted(set(entry) - _KEYS):
        raise BadRule(f"no key {unknown[0]}")
    category = _category(entry.get("category", ""), needed="set" not in entry and "target" not in entry)
    for number in entry.get("tel", ()):
        rule = UrlRule(b"", Does.BLOCK, source, title, line, f"tel:{number}", category)
        found.tel[str(number)] = rule
    for host in entry.get("hosts", ()):
        name = host_of(str(host), never)
        for path in entry.get("paths", ("",)):
            found.rules.append(_entry_rule(entry, name, str(host), str(path), source, title, line, category, terms))


def _entry_rule(
    entry: Mapping[str, Any], name: bytes, host: str, path: str, source: str, title: str, line: int, category: str,
    terms: Callable[[str], Terms],
) -> UrlRule:  # fmt: skip
    does = Does.SET if "set" in entry else Does.TARGET if "target" in entry else Does.BLOCK
    does = Does.ALLOW if entry.get("allow") else does
    held = terms(str(entry["terms"])) if "terms" in entry else None
    query = tuple((str(k).lower(), frozenset(str(v).lower() for v in vs)) for k, vs in entry.get("query", {}).items())
    if does is Does.BLOCK and not path and not query and held is None:
        raise BadRule("a rule for a whole host belongs into a list of names")
    return UrlRule(
        host=name,
        does=does,
        source=source,
        title=title,
        line=line,
        text=_shown(host, path, query, held),
        category=category,
        exact=bool(entry.get("exact")),
        path=prefix(canonical_path(path)) if path else None,
        query=query,
        keys=tuple(str(key).lower() for key in entry.get("keys", entry.get("target", ()))),
        after=tuple(map(str, entry.get("after", ()))),
        terms=held,
        sets=tuple((str(key), str(value)) for key, value in entry.get("set", {}).items()),
    )


def _shown(host: str, path: str, query: Iterable[tuple[str, frozenset[str]]], held: Terms | None) -> str:
    asked = " ".join(f"[{key}={'|'.join(sorted(values)) or '*'}]" for key, values in query)
    return " ".join(part for part in (host + path, asked, "[search terms]" if held else "") if part)


def _category(value: object, *, needed: bool) -> str:
    text = str(value)
    if text not in CATEGORIES and (needed or text):
        raise BadRule(f"no category {text or '(none given)'}")
    return text


def host_of(text: str, never: NeverDecrypt) -> bytes:
    """The host of a rule in canonical wire form.

    Raises:
        BadName: no name.
        BadRule: a public suffix, or a host that is never decrypted.
    """
    name = from_text(text)
    if public_suffix(name) == name:
        raise BadRule(f"{text} is a public suffix, not a site")
    if never.covers(name):
        raise BadRule(f"{text} is never decrypted: it is among banks, health, government, mail or password managers")
    return name


def read_adblock(text: str, never: NeverDecrypt, source: str = OWN, title: str = "own page rules") -> Read:
    """The rules of a file in Adblock URL syntax; `!` and `#` begin comments."""
    found = Read()
    for number, line in enumerate(text.splitlines(), 1):
        body = line.strip()
        if not body or body[0] in "!#[":
            continue
        try:
            found.rules.append(_line_rule(body, number, never, source, title))
        except (BadRule, BadName) as error:
            found.refused.append(Refused(source, number, body[:_SHOWN], str(error)))
    return found


def _line_rule(body: str, line: int, never: NeverDecrypt, source: str, title: str) -> UrlRule:
    allow = body.startswith("@@")
    pattern, _, options = body.removeprefix("@@").partition("$")
    category, important = _options(options)
    for head in ("||", "|https://", "|http://", "https://", "http://"):
        if pattern.startswith(head):
            pattern = pattern.removeprefix(head)
            break
    else:
        raise BadRule("a page rule begins with || and a host")
    at = next((at for at, c in enumerate(pattern) if c in "/^*?|:"), len(pattern))
    host, path = pattern[:at], pattern[at:]
    if path in ("", "^", "/", "^|", "/*", "^*"):
        raise BadRule("a rule for a whole host belongs into a list of names: blockerd block NAME")
    if path[0] not in "/^*?":
        raise BadRule("a port or an end directly behind the host is no page")
    does = Does.ALLOW if allow else Does.BLOCK
    name, exact = host_of(host, never), head != "||"
    return UrlRule(name, does, source, title, line, body[:_SHOWN], category, exact, _path(path), important=important)


def _path(path: str) -> Glob:
    """The path in the form in which URLs are compared, its wildcards kept; `^` or `?` behind the host is its root."""
    body = path.lower()
    if body[0] in "^?":
        body = "/" + body.lstrip("^/")
    if not set("?*^|") & set(body):
        ending = "/" if body.endswith("/") else ""
        body = canonical_path(body).rstrip("/") + ending
    return glob(body)


def _options(text: str) -> tuple[str, bool]:
    category, important = "mixed", False
    for option in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = option.partition("=")
        if key == "category":
            category = _category(value, needed=True)
        elif key == "important":
            important = True
        elif key not in _IGNORED:
            raise BadRule(f"${key}: a proxy cannot apply this condition")
    return category, important
