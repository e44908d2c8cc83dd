"""Reads the command line and runs the one command it names.

`--config FILE` and `--json` are taken from anywhere before `--`. Only the module of the named command is imported,
so that `blockerd dns` stays small and starts fast. Exit codes: 0 done, 1 the answer is no or a check did not pass,
2 usage or configuration error.
"""

import argparse
import difflib
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from blockerd.cli import owner
from blockerd.cli.output import Stop, warn

GROUPS: dict[str, tuple[str, ...]] = {
    "processes": ("run", "dns", "control"),
    "config": ("config",),
    "check": ("check",),
    "lists": ("lists",),
    "own": ("allow", "block", "unblock"),
    "edit": ("edit",),
    "status": ("status", "healthcheck", "version"),
    "portal": ("portal",),
    "log": ("log",),
    "time": ("time",),
    "agent": ("agent",),
    "report": ("report",),
    "partner": ("partner",),
    "consent": ("consent",),
    "demo": ("demo",),
    "data": ("export", "backup", "import"),
    "proxy": ("proxy", "proxy-ca"),
    "setup": ("setup",),
    "install": ("install", "uninstall", "rescue-network"),
    "doctor": ("doctor",),
    "service": ("service",),
}
"""Module of `blockerd.cli` to the command words it registers, in the order of the help page."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command in `argv` and returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    os.umask(0o077)
    try:
        try:
            return _run(words)
        finally:
            owner.back()
            sys.stdout.flush()  # here, where a reader that went away is no trouble; --help leaves by SystemExit
    except Stop as stop:
        warn(str(stop))
        return stop.code
    except owner.Unreachable as error:
        warn(str(error))
        return 2
    except PermissionError as error:
        with_sudo = "" if owner.is_root() else "; try it with sudo"
        warn(f"{error.filename or 'blockerd'}: {error.strerror}{with_sudo}")
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left of the output finds no room at the end either
        warn(f"{error.filename or 'what was to be written'}: {error.strerror}: free some space and try again")
        return 1


def _run(words: list[str]) -> int:
    config, as_json, rest = _globals(words)
    args = _parsed(rest)
    args.config, args.json = config, as_json
    return int(args.run(args))


def _parsed(words: list[str]) -> argparse.Namespace:
    """The arguments in `words`. Names may stand on both sides of an option, which argparse by itself refuses."""
    parser = _parser(words)
    args, more = parser.parse_known_args(words)
    plain = more.index("--") if "--" in more else len(more)
    unknown = [word for word in more[:plain] if word.startswith("-")]
    if more and (unknown or not hasattr(args, "names")):
        parser.error(f"unrecognized arguments: {' '.join(unknown or more)}")
    if more:
        args.names = [*args.names, *more[:plain], *more[plain + 1 :]]
    return args


def _globals(words: Sequence[str]) -> tuple[str | None, bool, list[str]]:
    """The values of `--config` and `--json`, and the words without them."""
    config, as_json, rest = None, False, list[str]()
    waiting = iter(words)
    for word in waiting:
        if word == "--":
            return config, as_json, [*rest, word, *waiting]
        if word == "--json":
            as_json = True
        elif word == "--config":
            config = next(waiting, None)
            if config is None:
                raise Stop("--config: name a file, e.g. --config blockerd.toml")
        elif word.startswith("--config="):
            config = word.removeprefix("--config=")
        else:
            rest.append(word)
    return config, as_json, rest


class _Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Raises Stop with `message` and where to look."""
        raise Stop(f"{self.prog}: {message}; see {self.prog} --help")


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser for the command named in `words`; for all commands where none is named.

    Raises:
        Stop: there is no such command.
    """
    parser = _Parser(
        prog="blockerd",
        description="A local DNS filter, log and weekly summary for an adult who is done with porn and cam sites.",
        epilog="--config FILE and --json may stand before or after the command words.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    named = words[0] if words else ""
    wanted = [group for group, names in GROUPS.items() if named in names] or list(GROUPS)
    if len(wanted) > 1 and named and not named.startswith("-"):
        close = difflib.get_close_matches(named, [name for names in GROUPS.values() for name in names], 1)
        hint = f"did you mean {close[0]}?" if close else "see blockerd --help"
        raise Stop(f"blockerd: no command {named!r}; {hint}")
    for group in wanted:
        importlib.import_module(f"blockerd.cli.{group}").register(commands)
    return parser
