"""What every command shares: printing, colours only on terminals, masking, and the settings of this call.

The only place of the package that writes to standard output and standard error.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from blockerd import settings as settings_module
from blockerd.cli import owner
from blockerd.model import TEST_NAME
from blockerd.policy.name import masked


class Stop(Exception):
    """Ends a command with `code` after one line on standard error."""

    def __init__(self, message: str, code: int = 2) -> None:
        super().__init__(message)
        self.code = code


def say(text: str = "") -> None:
    """One line on standard output."""
    sys.stdout.write(text + "\n")


def warn(text: str) -> None:
    """One line on standard error."""
    sys.stderr.write(text + "\n")


def dump(thing: object) -> None:
    """`thing` as JSON on standard output, one line."""
    sys.stdout.write(json.dumps(thing, ensure_ascii=False) + "\n")


def bold(text: str) -> str:
    """`text` in bold where standard output is a terminal that wants colours (https://no-color.org)."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[1m{text}\x1b[0m"


def shown(name: str, *, reveal: bool) -> str:
    """A listed name as screens show it: masked unless asked."""
    return name if reveal or name == TEST_NAME else masked(name)


def settings_of(args: argparse.Namespace) -> settings_module.Settings:
    """The settings this call works with. Root works as the owner of the state from here on (`cli.owner`), but for
    commands with `as_root` among their defaults: those give what they write to its owner themselves. `tables` among
    them: only those are read.

    Raises:
        Stop: the configuration is missing or not readable; every problem on a line of its own.
    """
    try:
        made = settings_module.load(path_of(args), os.environ, Path.cwd(), only=getattr(args, "tables", None))
        if not getattr(args, "as_root", False):
            owner.become(made.state.dir)
    except settings_module.ConfigError as error:
        raise Stop("\n".join(error.problems)) from None
    except owner.Unreachable as error:
        raise Stop(str(error)) from None
    return made


def path_of(args: argparse.Namespace) -> Path | None:
    """The configuration file of this call, None for the defaults; kept in `args.config`, so that reading it again
    finds the same one.

    In the order of `settings.find`. On a machine into which blockerd was set up or installed, root works on that one
    wherever it stands, as if $BLOCKERD_CONFIG named it.
    """
    if not args.config and not os.environ.get("BLOCKERD_CONFIG") and owner.is_root():
        from blockerd.system.manifest import settings_file

        found = settings_file(Path("/"), settings_module.SYSTEM_FILE)
        args.config = str(found) if found else None
    return settings_module.find(args.config, os.environ, Path.cwd())


def columns(rows: Iterable[tuple[str, ...]], *, right: frozenset[int] = frozenset()) -> list[str]:
    """`rows` as aligned lines; the columns in `right` are aligned to the right."""
    table = list(rows)
    if not table:
        return []
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return [
        "  ".join(
            c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
