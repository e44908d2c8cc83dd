"""Reads the rules of this installation: the files of `proxy/rules`, and the person's own `url-rules.txt`.

A shipped file that does not load is a fault of the package and raises; a line of the own file that cannot be taken is
told and skipped. Called by the proxy's gate, by `check` and by the commands of the proxy.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

from blockerd.proxy import never as never_module
from blockerd.proxy.decide_url import Pages
from blockerd.proxy.never import NeverDecrypt
from blockerd.proxy.rulefile import Read, Refused, read_adblock, read_toml
from blockerd.proxy.urlrule import UrlRule, make
from blockerd.proxy.words import Terms, make_terms, read_words

OWN_FILE = "url-rules.txt"
"""The person's own page rules, beside the own lists."""

_FILES = ("boards", "users", "images", "files", "search", "links", "tel")
_MOST_OWN = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Loaded:
    """The rules in force, and the lines of the own file that were not taken."""

    pages: Pages
    refused: tuple[Refused, ...]


@lru_cache(1)
def never_decrypt() -> NeverDecrypt:
    """The shipped list of hosts that are never decrypted."""
    return never_module.parse(_text("never-decrypt.txt"))


@lru_cache(1)
def never_words() -> frozenset[str]:
    """Words about identity and health, which no rule may hold."""
    return read_words(_text("never-words.txt"))


@lru_cache(8)
def terms(name: str) -> Terms:
    """The shipped search terms called `name`: lines `term` or `term: word, word`.

    Raises:
        ValueError: a term that can never be one.
    """
    lines = []
    for line in _text(f"terms-{name}.txt").splitlines():
        body = line.partition("#")[0].strip()
        if body:
            text, _, near = body.partition(":")
            lines.append((text, near.split(",") if near else ()))
    return make_terms(lines, read_words(_text("spare-words.txt")), never_words())


@lru_cache(1)
def _shipped() -> Read:
    found = Read()
    for name in _FILES:
        one = read_toml(_text(f"{name}.toml"), f"pages-{name}", never_decrypt(), terms)
        if one.refused:
            raise ValueError(f"{name}.toml:{one.refused[0].line}: {one.refused[0].reason}")
        found.rules += one.rules
        found.tel.update(one.tel)
    return found


def load(own_folder: Path, *, safe_search: bool) -> Loaded:
    """All rules: shipped and own; an own file that is missing has none.

    Raises:
        OSError: the own file is there and cannot be read.
    """
    try:
        with (own_folder / OWN_FILE).open("rb") as file:
            text = file.read(_MOST_OWN).decode("utf-8", "replace")
    except FileNotFoundError:
        text = ""
    own, shipped = read_adblock(text, never_decrypt()), _shipped()
    rules: list[UrlRule] = [*own.rules, *shipped.rules]
    return Loaded(Pages(make(rules, shipped.tel), never_decrypt(), safe_search), tuple(own.refused))


def _text(name: str) -> str:
    return resources.files("blockerd.proxy").joinpath("rules", name).read_text("utf-8")
