"""The files the house rules look at, and the imports of a Python file as ast sees them.

Reads the checkout, imports nothing of it. Called by the other files of this folder only.
"""

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {"__pycache__", "build", "dist", "var", "blockerd.toml"}
TEXT_SUFFIXES = {"", ".c", ".css", ".h", ".html", ".js", ".md", ".py", ".sh", ".toml", ".txt", ".yml"}


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module, in full. `runtime` is false below `if TYPE_CHECKING`, `top` is false inside functions."""

    module: str
    line: int
    runtime: bool
    top: bool


def texts() -> list[Path]:
    """Every text file of the checkout that people write or read; caches and what was built are left out."""
    return [path for path in _walk() if path.suffix in TEXT_SUFFIXES]


def python_files(*below: str) -> list[Path]:
    """Python files under these folders of the checkout; all of them when none is named."""
    folders = [ROOT / folder for folder in below] or [ROOT]
    return [path for path in _walk() if path.suffix == ".py" and any(path.is_relative_to(at) for at in folders)]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def imports(path: Path) -> tuple[Import, ...]:
    """Every import of the file; `from blockerd.dns import wire` gives `blockerd.dns.wire`, which is what it loads."""
    return tuple(_imports(tree(path).body, path, runtime=True, top=True))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def where(path: Path, line: int) -> str:
    return f"{name(path)}:{line}"


@cache
def _walk() -> tuple[Path, ...]:
    found = []
    for folder, names, files in os.walk(ROOT):
        names[:] = sorted(name for name in names if name not in NOT_OURS and not _hidden(name))
        found += [Path(folder, file) for file in sorted(files) if file not in NOT_OURS and not _hidden(file)]
    return tuple(found)


def _hidden(name: str) -> bool:
    return (name.startswith(".") and name not in {".ci", ".gitignore"}) or name.endswith(".egg-info")


def _imports(nodes: list[ast.stmt], path: Path, *, runtime: bool, top: bool) -> Iterator[Import]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, runtime, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (Import(name, node.lineno, runtime, top) for name in _from(node, path))
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from _imports(node.body, path, runtime=False, top=top)
            yield from _imports(node.orelse, path, runtime=runtime, top=top)
        else:
            inside = top and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            yield from _imports(_statements(node), path, runtime=runtime, top=inside)


def _statements(node: ast.AST) -> list[ast.stmt]:
    """The statements directly below a compound one; handlers and match cases are looked through."""
    found: list[ast.stmt] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            found.append(child)
        elif isinstance(child, (ast.ExceptHandler, ast.match_case)):
            found += _statements(child)
    return found


def _from(node: ast.ImportFrom, path: Path) -> list[str]:
    base = node.module or ""
    if node.level:  # relative imports are linted away, yet must not hide one from these rules
        package = module_name(path).split(".")
        package = package if path.name == "__init__.py" else package[:-1]
        base = ".".join(package[: len(package) - node.level + 1] + ([base] if base else []))
    return [f"{base}.{alias.name}" if _is_module(f"{base}.{alias.name}") else base for alias in node.names]


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()
