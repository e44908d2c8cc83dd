"""`report plan`, `report resources`: the user's own words for the hour after, and the groups and places in the notes.

Plain lines in two files beside the journal; the plan is shown to its user alone. Names of the shipped resources are
never filtered; of one's own it is said here which the filter closes, and how to open it. Refuses nothing.
"""

import argparse
import os
import re
from pathlib import Path
from typing import Any

from blockerd import clock
from blockerd.cli.output import Stop, dump, say, settings_of
from blockerd.control.mails import PLAN, RESOURCES, lines_of
from blockerd.lists.guard import GuardError, guard_of
from blockerd.lists.snapshot import SnapshotError
from blockerd.lists.state import open_policy
from blockerd.model import Action, Channel, Query
from blockerd.policy.decide import decide
from blockerd.policy.name import BadName, from_text
from blockerd.report.safe import line
from blockerd.report.texts import load
from blockerd.settings import Settings

_NAME = re.compile(r"(?<![@\w.-])(?:[a-z0-9-]{1,63}\.)+[a-z]{2,63}(?![\w.-]*\w)", re.IGNORECASE)
_OPEN = frozenset({Action.PASSTHRU, Action.LOCAL_DATA})
_SHIPPED = {PLAN: "after.start", RESOURCES: "resources.self"}


def register(words: "argparse._SubParsersAction[Any]") -> None:
    """Adds the words of this file to `report`."""
    for word, file, told in (
        ("plan", PLAN, "your own words for the hour after a hard moment, for you alone"),
        ("resources", RESOURCES, "groups and places in the notes, rather than those that come with it"),
    ):
        command = words.add_parser(word, help=told, allow_abbrev=False)
        command.add_argument("names", nargs="*", metavar="LINE", help="the lines from now on; without any: show them")
        command.add_argument("--clear", action="store_true", help="take your own lines away")
        command.set_defaults(run=run, file=file)


def run(args: argparse.Namespace) -> int:
    """Exit 0 done, 2 the file cannot be written."""
    settings = settings_of(args)
    path = settings.state.dir / args.file
    lines = tuple(filter(None, (line(one) for one in args.names)))
    try:
        if args.clear:
            path.unlink(missing_ok=True)
        elif lines:
            _write(path, lines)
    except OSError as error:
        raise Stop(f"{path}: {error.strerror}; let it be written") from None
    own = lines_of(path)
    shown = own or load().lists[_SHIPPED[args.file]]
    closed = closed_names(settings, shown)
    if args.json:
        dump({"own": bool(own), "lines": list(shown), "closed": closed})
        return 0
    say("Your own lines:" if own else "The lines that come with the program:")
    for one in shown:
        say(f"  {one}")
    for name in closed:
        say(f"Note: {name} is closed by the filter here; blockerd allow {name} opens it.")
    return 0


def closed_names(settings: Settings, lines: tuple[str, ...]) -> list[str]:
    """Names in `lines` that the filter would not answer now; none where there is no policy to ask."""
    try:
        policy = open_policy(settings.state.dir, guard_of(settings))
    except (SnapshotError, GuardError):
        return []
    found = []
    for name in dict.fromkeys(name.lower() for one in lines for name in _NAME.findall(one)):
        try:
            decision = decide(policy, Query(from_text(name), channel=Channel.CLI), clock.now())
        except BadName:
            continue
        if decision.action not in _OPEN:
            found.append(name)
    return found


def _write(path: Path, lines: tuple[str, ...]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.new")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write("".join(f"{one}\n" for one in lines))
    beside.replace(path)
