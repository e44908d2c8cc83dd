"""`blockerd config show|check|example`: settings with their origin, what is wrong with them, a file to begin with.

Prints settings only; secrets stand in files of their own and are never opened here. Called by `cli.main`.
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from blockerd import clock
from blockerd.cli.output import columns, dump, path_of, say, settings_of, warn
from blockerd.proxy import standing
from blockerd.settings import SETTINGS, TABLES, ConfigError, Setting, Settings, load
from blockerd.settings.value import toml

_HEAD = """\
# blockerd.toml: the settings of blockerd. `blockerd config check` reads it strictly, `blockerd config show` tells what
# is in force. Every value here is the default. Relative paths start at the folder of this file; secrets stand in
# files of their own (*_file). Lines that begin with `#[` or `#` and a key are samples: take the # away to use them.
"""


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `config` and its three words."""
    parser = commands.add_parser("config", help="settings with their origin")
    words = parser.add_subparsers(dest="word", required=True, metavar="show|check|example")
    words.add_parser("show", help="every setting, its value and where it comes from").set_defaults(run=show)
    words.add_parser("check", help="what is wrong with the file; exit 2 if anything is").set_defaults(run=check)
    words.add_parser("example", help="a file with every setting at its default").set_defaults(run=example)


def show(args: argparse.Namespace) -> int:
    """Prints every setting in force."""
    settings = settings_of(args)
    rows = list(_rows(settings))
    if args.json:
        keys = ("name", "value", "unit", "origin", "built")
        dump({"file": _file(settings), "settings": [dict(zip(keys, row, strict=True)) for row in rows]})
        return 0
    say(f"# {_file(settings) or 'no configuration file: defaults'}")
    for line in columns([(name, _shown(value, unit), origin) for name, value, unit, origin, _ in rows]):
        say(line)
    return 0


def check(args: argparse.Namespace) -> int:
    """Reads the file and says all that is wrong with it, or what in it has no effect."""
    try:
        settings = load(path_of(args), os.environ, Path.cwd())
    except ConfigError as error:
        if args.json:
            dump({"ok": False, "problems": error.problems, "notes": []})
        else:
            for problem in error.problems:
                warn(problem)
        return 2
    notes = [*settings.notes, *standing.lacks(settings, clock.now())]
    if args.json:
        dump({"ok": True, "file": _file(settings), "problems": [], "notes": notes})
        return 0
    say(f"{_file(settings) or 'no configuration file, so the defaults'}: good")
    for note in notes:
        say(f"note: {note}")
    return 0


def example(args: argparse.Namespace) -> int:
    """Prints the example file."""
    if args.json:
        dump({"text": example_text()})
    else:
        say(example_text().removesuffix("\n"))
    return 0


def example_text() -> str:
    """The text of config/blockerd.example.toml, made from the declarations."""
    parts = [_HEAD]
    for name, is_array in TABLES:
        items = [item for item in SETTINGS if item.name.rpartition(".")[0] == name]
        parts.append("\n".join(_sample(name, items) if is_array else _table(name, items)) + "\n")
    return "\n".join(parts)


def _table(name: str, items: list[Setting]) -> Iterator[str]:
    yield f"[{name}]"
    for item in items:
        yield _explained(f"{item.key} = {toml(item.default)}", item)


def _sample(name: str, items: list[Setting]) -> Iterator[str]:
    yield f"#[[{name}]]"
    for item in items:
        value = item.default if item.sample is None else item.sample
        if value is not None:
            yield _explained(f"#{item.key} = {toml(value)}", item)


def _explained(line: str, item: Setting) -> str:
    unit = f"{item.unit}; " if item.unit else ""
    return f"{line:<46} # {unit}{item.help}"


def _rows(settings: Settings) -> Iterator[tuple[str, object, str, str, bool]]:
    """(name, TOML value, unit, origin, built) of every setting, arrays of tables one entry at a time."""
    arrays = dict(TABLES)
    for item in SETTINGS:
        if not item.each:
            value = item.reader.plain(settings.value(item.name))
            yield item.name, value, item.unit, settings.origin(item.name), item.built
    for name in (name for name, is_array in arrays.items() if is_array):
        entries = settings.value(name)
        for entry in entries if isinstance(entries, tuple) else ():
            yield name, _entry(name, entry), "", settings.origin(name), True


def _entry(name: str, entry: object) -> dict[str, object]:
    items = [item for item in SETTINGS if item.name.rpartition(".")[0] == name]
    values = {item.key: item.reader.plain(getattr(entry, item.key)) for item in items}
    return {key: value for key, value in values.items() if value is not None}


def _shown(value: object, unit: str) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + " }" if value else "{}"
    return f"{toml(value)} {unit}".rstrip()


def _file(settings: Settings) -> str | None:
    return str(settings.path) if settings.path else None
