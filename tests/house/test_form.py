"""The outer form of the sources: short files, short functions, a docstring on top, nothing left for later.

An exception stands in a table with its reason. Looks at what exists, so a new file is judged from its first day.
"""

import ast
import re

from tests.house.sources import ROOT, name, python_files, texts, tree, where

FILE_LINES = 500
# path: why it may be longer
LONG_FILES = {"blockerd/report/verify.py": "readers of mails take one file along, and it imports nothing of the rest"}
FUNCTION_LINES = 60
# "path::function": why it may be longer
_HOT = "one loop without calls: a call costs 4 % of a query, and `make bench` holds the ratio to the floor"
LONG_FUNCTIONS: dict[str, str] = {"blockerd/dns/wire.py::make_serve": _HOT, "blockerd/dns/wire.py::serve": _HOT}

LATER = re.compile(r"\b(?:TO[D]O|FIX[M]E|XX[X]|HAC[K])\b")
# A path of one machine or person says nothing to anybody else.
MACHINE = re.compile(r"(?<![\w.~$}*])/(?:home|root|Users|work|workspace)/[\w.]")


def test_a_python_file_has_at_most_500_lines_or_a_reason():
    lengths = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()}
    assert {path for path, lines in lengths.items() if lines > FILE_LINES} == set(LONG_FILES)


def test_a_function_has_at_most_60_lines_or_a_reason():
    """An entry of the table whose function became short or went away is taken out."""
    assert _long_functions() == set(LONG_FUNCTIONS), "look for the hidden noun, or give the reason in LONG_FUNCTIONS"


def test_a_python_file_opens_with_a_docstring():
    bare = [name(path) for path in python_files() if not ast.get_docstring(tree(path))]
    assert bare == [], "say in two to five lines what it does, what it refuses, who calls it"


def test_nothing_is_left_for_later():
    assert _hits(LATER) == []


def test_no_file_names_a_path_of_one_machine():
    assert _hits(MACHINE) == []


def test_a_lock_names_no_host_and_has_a_digest_for_each_package():
    locks = sorted((ROOT / "locks").glob("*.txt"))
    assert locks
    for lock in locks:
        text = lock.read_text(encoding="utf-8")
        entries = re.split(r"\n(?=\S)", text.strip())
        assert [entry for entry in entries if not re.match(r"[\w.-]+==\S+ [^\n]*\n    --hash=sha256:", entry)] == []
        assert re.findall(r"\S*://\S*|--\S*index\S*", text) == []


def _long_functions() -> set[str]:
    return {
        f"{name(path)}::{node.name}"
        for path in python_files()
        for node in ast.walk(tree(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or node.lineno) - node.lineno >= FUNCTION_LINES
    }


def _hits(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{where(path, at)}: {line.strip()}"
        for path in texts()
        for at, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
