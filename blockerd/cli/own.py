"""`allow`, `block`, `unblock`: the person's own lists, one name at a time; live within a quarter of a second."""

import argparse
from typing import Any

from blockerd import clock
from blockerd.binding.submit import submit
from blockerd.cli.check import name_of
from blockerd.cli.output import Stop, dump, say, settings_of
from blockerd.journal.spool import Writer
from blockerd.lists import own
from blockerd.model import CATEGORIES, Change
from blockerd.policy.name import to_text
from blockerd.process import spool_folder
from blockerd.settings import Settings


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
    writer = Writer(spool_folder(settings), "cli", clock.now_us, clock.monotonic)
    try:
        results = [_change(args, settings, writer, to_text(name_of(text))) for text in args.names]
    except OSError as error:
        raise Stop(f"{settings.state.dir}: {error.strerror or error}; not changed", 1) from None
    finally:
        writer.close()
    if args.json:
        dump(results)
    else:
        for result in results:
            say(result["message"])
    return 0


def _change(args: argparse.Namespace, settings: Settings, writer: Writer, name: str) -> dict[str, Any]:
    """Plans and submits the change of one name; what became of it."""
    planned = own.plan(settings, args.verb, name, getattr(args, "category", "mixed"))
    if planned.old == planned.new:
        return {"name": name, "changed": False, "message": f"{name} is {planned.old} already"}
    change = Change(clock.now_us(), f"own lists: {name}", planned.old, planned.new, planned.direction, "user")
    message = submit(change, writer, lambda: own.apply(settings, planned))
    return {"name": name, "changed": True, "direction": planned.direction, "message": message}
