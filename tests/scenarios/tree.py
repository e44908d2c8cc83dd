"""The outer form of scenario files: the comment on top, indented lines as a tree, words, options, repetition.

Refuses tabs and words that nobody asked for, with the line. Called by `parse`.
"""

import re
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path


class ScenarioError(Exception):
    """What is wrong with a scenario or with the program, and where: `file:line: …`."""

    def __init__(self, path: Path, line: int, problem: str) -> None:
        super().__init__(f"{path.name}:{line}: {problem}")


@dataclass(frozen=True, slots=True)
class Line:
    """A line that says something: its number, its words, and the lines that are indented below it."""

    number: int
    words: tuple[str, ...]
    below: tuple["Line", ...]


class Bad(Exception):
    """A line that says nothing known."""

    def __init__(self, line: Line, problem: str) -> None:
        super().__init__(problem)
        self.line = line


def about_of(path: Path, text: str) -> str:
    """The comment on top, which says what the scenario stands for."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    if not lines:
        raise ScenarioError(path, 1, "opens without a comment; say which RFC section, CVE or T-number it stands for")
    return " ".join(lines)


def tree_of(path: Path, text: str) -> tuple[Line, ...]:
    """The lines of `text` as a tree, comments left out.

    Raises:
        ScenarioError: a tab, of which nobody knows how far it indents.
    """
    rows = []
    for number, raw in enumerate(text.splitlines(), 1):
        body = re.sub(r"(^|\s)#.*$", "", raw).rstrip()
        if "\t" in body:
            raise ScenarioError(path, number, "a tab; indent with spaces")
        if body:
            rows.append((number, len(body) - len(body.lstrip()), tuple(body.split())))
    rows.reverse()
    return tuple(_branch(rows, 0))


def _branch(rows: list[tuple[int, int, tuple[str, ...]]], least: int) -> Iterator[Line]:
    while rows and rows[-1][1] >= least:
        number, indent, words = rows.pop()
        yield Line(number, words, tuple(_branch(rows, indent + 1)))


def options_of(line: Line, keys: Set[str], flags: Set[str] = frozenset(), skip: int = 1) -> dict[str, str]:
    """What `key=value` words of `line` say, from word `skip` on.

    Raises:
        Bad: a word that is neither one of `keys` nor one of `flags`.
    """
    found = {}
    for word in line.words[skip:]:
        key, equals, value = word.partition("=")
        if equals and key in keys:
            found[key] = value
        elif word not in flags:
            known = ", ".join([*sorted(flags), *(f"{key}=…" for key in sorted(keys))])
            raise Bad(line, f'"{word}" is none of: {known}')
    return found


def repeated(line: Line, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """`words`, once for each value of a leading `each n=0..3` or `each end=com,de`; {n}, {n+1}, {n-1} are filled in."""
    if words[:1] != ("each",):
        yield words
        return
    key, equals, values = words[1].partition("=")
    if not equals or not values:
        raise Bad(line, '"each" wants n=0..3 or n=com,de')
    first, dots, last = values.partition("..")
    every = [str(n) for n in range(int(first), int(last) + 1)] if dots else values.split(",")
    for value in every:
        fill = _filler(key, value)
        yield tuple(re.sub(rf"\{{{key}([+-]\d+)?\}}", fill, word) for word in words[2:])


def _filler(key: str, value: str) -> Callable[[re.Match[str]], str]:
    return lambda found: str(int(value) + int(found[1])) if found[1] else value


def word_at(line: Line, at: int) -> str:
    """Word number `at` of `line`.

    Raises:
        Bad: there is none.
    """
    if len(line.words) <= at:
        raise Bad(line, f'"{" ".join(line.words)}" is cut short')
    return line.words[at]


def number_at(line: Line, at: int) -> int:
    """Word number `at` of `line`, a whole number.

    Raises:
        Bad: it is none.
    """
    word = word_at(line, at)
    if not word.isdecimal():
        raise Bad(line, f'"{word}" is no whole number')
    return int(word)
