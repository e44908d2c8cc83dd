"""Search terms: whole words with their context, and the words that no rule may hold. Pure.

A term stands only as a whole word; a search that also asks for help, health or law is spared. Words about who people
are and about their health can never be terms: `check_terms` refuses them, and the parser of rules calls it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_MAX_WORDS = 64


@dataclass(frozen=True, slots=True)
class Term:
    """Words that stand side by side, and `near`: words of which one must stand anywhere beside them (empty: none)."""

    words: tuple[str, ...]
    near: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of a category by their first word, and the words that spare a search."""

    by_first: dict[str, tuple[Term, ...]]
    spare: frozenset[str]

    def found(self, text: str) -> str:
        """The term that `text` holds, "" where it holds none or one of its words spares it."""
        words = words_of(text)
        if not self.spare.isdisjoint(words):
            return ""
        for at, word in enumerate(words):
            for term in self.by_first.get(word, ()):
                if tuple(words[at : at + len(term.words)]) == term.words and _near(term, words):
                    return " ".join(term.words)
        return ""


def _near(term: Term, words: list[str]) -> bool:
    return not term.near or not term.near.isdisjoint(words)


def words_of(text: str) -> list[str]:
    """The words of `text` in lower case, at most 64; everything between letters and digits separates."""
    return _WORD.findall(text.lower())[:_MAX_WORDS]


def make_terms(lines: Iterable[tuple[str, Iterable[str]]], spare: frozenset[str], never: frozenset[str]) -> Terms:
    """Terms from (text, words of which one must stand beside it).

    Raises:
        ValueError: a text without a word, or one that holds a word of `never`.
    """
    found: dict[str, tuple[Term, ...]] = {}
    for text, near in lines:
        check_term(text, never)
        words, beside = tuple(words_of(text)), frozenset(word for one in near for word in words_of(one))
        for word in beside:
            check_term(word, never)
        found[words[0]] = (*found.get(words[0], ()), Term(words, beside))
    return Terms(found, spare)


def check_term(text: str, never: frozenset[str]) -> None:
    """Refuses a term about who people are or about their health.

    Raises:
        ValueError: the text holds a word of `never`, or no word at all.
    """
    words = words_of(text)
    if not words:
        raise ValueError("a term without a word")
    held = [word for word in words if word in never or (word.endswith("s") and word[:-1] in never)]
    pairs = [f"{a} {b}" for a, b in pairwise(words) if f"{a} {b}" in never]
    if held or pairs:
        raise ValueError(f"{(held or pairs)[0]}: a word about identity or health can never be a rule")


def read_words(text: str) -> frozenset[str]:
    """The lines of a word file; `#` begins a comment. A line of two words stands for them side by side."""
    lines = (line.partition("#")[0].strip().lower() for line in text.splitlines())
    return frozenset(" ".join(words_of(line)) for line in lines if line)
