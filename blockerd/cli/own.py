"""`allow`, `block`, `unblock`: the person's own lists, one name at a time; live within a quarter of a second.

What a change does is shown first: the lists that hold the name, and what of the last 30 days would have been open.
Refuses to block a protected name, which stays open whatever a list says.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from blockerd import clock
from blockerd.cli.check import name_of
from blockerd.cli.edit import (
    as_dict,
    masked_rule,
    policy_of,
    problem_of,
    recorded,
    say_effect,
    say_held,
    seen,
)
from blockerd.cli.output import Stop, dump, say, settings_of, shown
from blockerd.lists import own
from blockerd.lists.edit import EditError
from blockerd.lists.guard import GuardError, guard_of
from blockerd.lists.why import Holder, held_by
from blockerd.model import CATEGORIES, Attempt, Change, Query
from blockerd.policy.decide import Policy, decide
from blockerd.policy.name import to_text
from blockerd.settings import Settings

_NONE = "no adult, cam or chat list holds it"


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands of this file."""
    helps = {
        "allow": "open a name and all below it, by your own list",
        "block": "block a name and all below it, by your own list",
        "unblock": "take a name off your own lists",
    }
    for verb, text in helps.items():
        command = commands.add_parser(verb, help=text, allow_abbrev=False)
        command.add_argument("names", nargs="+", metavar="NAME", help="a name or URL; *.NAME for below it only")
        if verb == "block":
            command.add_argument("--category", choices=CATEGORIES, default="mixed", help="what it counts as in reports")
        command.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
        command.add_argument("--reveal", action="store_true", help="show names in full")
        command.set_defaults(run=run, verb=verb)


def run(args: argparse.Namespace) -> int:
    """Changes the own lists; exit 0 also where nothing had to change, 1 where a name cannot be blocked."""
    settings = settings_of(args)
    names = [_named(text) for text in args.names]
    try:
        guard = guard_of(settings)
        policy, attempts = policy_of(settings), seen(settings)
        results = []
        for name in names:
            covered = guard.covers(_wire(name))
            results.append(_refused(args, name) if covered else _change(args, settings, policy, attempts, name))
            if policy and results[-1].get("changed") and not args.dry_run:
                policy = policy_of(settings)
    except GuardError as error:
        raise Stop(str(error), 1) from None
    except (OSError, EditError) as error:
        raise Stop(f"{settings.state.dir}: {problem_of(error)}; not changed", 1) from None
    if args.json:
        dump(results)
    return 1 if any(result.get("protected") and args.verb == "block" for result in results) else 0


def _named(text: str) -> str:
    """The name in `text`, which may be a URL; `*.` before it stays."""
    below = "*." if text.startswith("*.") else ""
    return below + to_text(name_of(text.removeprefix("*.")))


def _wire(name: str) -> bytes:
    return name_of(name.removeprefix("*."))


def _refused(args: argparse.Namespace, name: str) -> dict[str, Any]:
    """A protected name is open whatever the own lists say."""
    message = f"{name} is protected: it stays open whatever a list says, so nothing was changed"
    if not args.json:
        say(message)
    return {"name": name, "changed": False, "protected": True, "message": message}


def _change(
    args: argparse.Namespace, settings: Settings, policy: Policy | None, attempts: Sequence[Attempt], name: str
) -> dict[str, Any]:
    """Plans, shows and submits the change of one name; what became of it."""
    planned = own.plan(settings, args.verb, name, getattr(args, "category", "mixed"))
    held = held_by(policy.table, _wire(name)) if policy else []
    told = shown(name.removeprefix("*."), reveal=args.reveal or (args.verb != "block" and not held))
    told = ("*." if name.startswith("*.") else "") + told
    if planned.old == planned.new:
        message = f"{name} is {planned.old}" + ("" if args.verb == "unblock" else " already")
        message += _hint(args.verb, policy, name)
        if not args.json:
            say(message.replace(name, told))
        return {"name": name, "changed": False, "message": message}
    changed = _altered(policy, planned, attempts, name)
    if not args.json:
        _say(args, planned, told, held, changed, known=policy is not None)
    result = {
        "name": name, "changed": not args.dry_run, "direction": planned.direction, "dry_run": args.dry_run,
        "added": planned.added, "removed": planned.removed, "last_30_days": as_dict(changed),
        "held": [{"source": h.source, "title": h.title, "category": h.category} for h in held],
        "message": "not applied (--dry-run)",
    }  # fmt: skip
    if not args.dry_run:
        free = args.verb == "allow" and policy is not None and not held
        what = f"own lists: {name}" + (f" ({_NONE})" if free else "")
        change = Change(clock.now_us(), what, planned.old, planned.new, planned.direction, "user")
        result["message"] = recorded(settings, change, lambda: own.apply(settings, planned, change.at))
    if not args.json:
        say(str(result["message"]).replace(name, told))
    return result


def _altered(policy: Policy | None, planned: own.Plan, attempts: Sequence[Attempt], name: str) -> own.Altered:
    if policy is None:
        return own.Altered()
    return own.altered(policy, own.with_plan(policy, planned), attempts, about=_wire(name))


def _hint(verb: str, policy: Policy | None, name: str) -> str:
    """What else may be meant by an `unblock` of a name that a list blocks."""
    if verb != "unblock" or policy is None:
        return ""
    decision = decide(policy, Query(_wire(name)), clock.now())
    if not decision.blocked or decision.rule is None:
        return ""
    if decision.rule.source in {f"own-{category}" for category in CATEGORIES}:
        return f"; your {decision.category} list blocks it: blockerd edit {decision.category}"
    return f"; list {decision.rule.source} blocks it: blockerd allow {name}"


def _say(
    args: argparse.Namespace, planned: own.Plan, told: str, held: Sequence[Holder], changed: own.Altered, *, known: bool
) -> None:
    """The preview of one change."""
    for sign, lines in (("+", planned.added), ("-", planned.removed)):
        for line in lines:
            title, _, name = line.partition(": ")
            say(f"{sign} {title}: {told if name == planned.name else masked_rule(name, reveal=args.reveal)}")
    if not known:
        return
    say_held([f"{holder.title} ({holder.category})" for holder in held])
    if planned.direction == "weaker":
        say_effect(changed)
    else:
        say("  What was let through is not on record, so how often this would have blocked cannot be said.")
