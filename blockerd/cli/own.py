"""`allow`, `block`, `unblock`: the person's own lists, one name at a time; live within a quarter of a second."""

import argparse
from typing import Any

from blockerd import clock
from blockerd.cli.check import name_of
from blockerd.cli.output import Stop, dump, say, settings_of
from blockerd.lists import own
from blockerd.model import CATEGORIES
from blockerd.policy.name import to_text


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands of this file."""
    helps = {
        "allow": "open a name and all below it, by your own list",
        "block": "block a name and all below it, by your own list",
        "unblock": "take a name off your own lists",
    }
    for verb, text in helps.items():
        command = commands.add_parser(verb, help=text, allow_abbrev=False)
        command.add_argument("names", nargs="+", metavar="NAME")
        if verb == "block":
            command.add_argument("--category", choices=CATEGORIES, default="mixed", help="what it counts as in reports")
        command.set_defaults(run=run, verb=verb)


def run(args: argparse.Namespace) -> int:
    """Changes the own lists; exit 0 also where nothing had to change."""
    settings = settings_of(args)
    results = []
    for text in args.names:
        name = to_text(name_of(text))
        try:
            results.append(own.change(settings, args.verb, name, getattr(args, "category", "mixed"), clock.now_us))
        except OSError as error:
            raise Stop(f"{settings.state.dir}: {error.strerror or error}; nothing was changed", 1) from None
    if args.json:
        dump([{"name": r.name, "changed": r.changed, "message": r.message} for r in results])
    else:
        for result in results:
            say(result.message)
    return 0
