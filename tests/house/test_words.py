"""Words the product never uses about people: they judge, accuse or promise what a filter cannot do.

Looks at what a person can read: texts of the package, heads of the lists, the shipped settings, README, docs and
changelog. Comments and names inside the code are not read by anybody who needs help, and stay free.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.sources import ROOT, texts, tree, where

WORDS = re.compile(
    r"(?<![\w./-])(?:"
    r"clean|dirty|relapse[sd]?|addict(?:s|ed)?|failed|violations?|suspect(?:s|ed)?|caught|offenders?|cured|proofs?|tamper-?proof"
    r")(?![\w-]|\.\w)",  # not inside a domain name or a path
    re.IGNORECASE,
)
# A phrase that holds such a word in another sense, and why.
ALLOWED = {
    "make clean": "the name every Makefile gives that target",
    "inclusion proof": "field term of RFC 9162, about a log and not a person",
    "consistency proof": "the same",
}
FOLDERS = {"blockerd", "blocklists", "config", "docs"}


def test_texts_judge_nobody():
    assert [
        f"{where(path, line)}: {word}"
        for path in texts()
        if _is_shown(path)
        for line, text in _passages(path)
        for word in _words(text)
    ] == [], "say it without these words"


@pytest.mark.parametrize("word", ["clean", "Caught", "tamper-proof", "violations"])
def test_a_forbidden_word_is_found_in_a_sentence(word: str):
    assert _words(f"You were {word}, it seems.") == [word]


@pytest.mark.parametrize("text", ["cleanup", "suspect.example", "sex-addict.example", "run `make clean`", "waterproof"])
def test_other_words_names_and_allowed_phrases_pass(text: str):
    assert _words(text) == []


def _is_shown(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    return parts[0] in FOLDERS or (len(parts) == 1 and path.suffix == ".md")


def _words(text: str) -> list[str]:
    for phrase in ALLOWED:
        text = re.sub(phrase, "", text, flags=re.IGNORECASE)
    return WORDS.findall(text)


def _passages(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of what a person reads: strings of a Python file, comments of a list, every line of the rest."""
    if path.suffix == ".py":
        strings = (node for node in ast.walk(tree(path)) if isinstance(node, ast.Constant))
        yield from ((node.lineno, node.value) for node in strings if isinstance(node.value, str))
        return
    for at, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if path.suffix != ".txt":
            yield at, line
        elif "#" in line:
            yield at, line.partition("#")[2]
