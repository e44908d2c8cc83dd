"""`check`: what happens to a name or URL, and why; the same decision that the resolver takes."""

import argparse
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from blockerd import clock
from blockerd.cli.output import Stop, columns, dump, say, settings_of, shown
from blockerd.lists.guard import GuardError, protected
from blockerd.lists.snapshot import SnapshotError
from blockerd.lists.state import open_policy
from blockerd.model import Channel, Decision, Query
from blockerd.policy.decide import decide
from blockerd.policy.name import BadName, from_text, to_text


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands of this file."""
    check = commands.add_parser("check", help="is it blocked, and why", allow_abbrev=False)
    check.add_argument("names", nargs="+", metavar="NAME_OR_URL")
    check.add_argument("--at", metavar="RFC3339", help="decide as of this time")
    check.add_argument("--client", metavar="IP", default="", help="decide for this client")
    check.add_argument("--reveal", action="store_true", help="show listed names in full")
    check.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit 0 none is blocked, 1 one is, 2 no policy or no name."""
    settings = settings_of(args)
    try:
        at = clock.parse_rfc3339(args.at) if args.at else clock.now()
    except ValueError as error:
        raise Stop(f"--at: {error}") from None
    try:
        policy = open_policy(settings.state.dir, protected())
    except (SnapshotError, GuardError) as error:
        raise Stop(f"no policy: {error}") from None
    names = [name_of(text) for text in args.names]
    decisions = [decide(policy, Query(name, channel=Channel.CLI), at) for name in names]
    rows = [as_json(to_text(name), decision) for name, decision in zip(names, decisions, strict=True)]
    if args.json:
        dump(rows)
    else:
        for line in columns(screen_rows(rows, reveal=args.reveal)):
            say(line)
    return 1 if any(row["blocked"] for row in rows) else 0


def name_of(text: str) -> bytes:
    """The name in a name or URL, in canonical wire form.

    Raises:
        Stop: there is none.
    """
    try:
        host = urlsplit(text).hostname if "://" in text else text.partition("/")[0]
        return from_text(host or "")
    except (BadName, ValueError) as error:
        raise Stop(f"{text}: no domain name ({error}); write e.g. site.test or https://site.test/page") from None


def as_json(name: str, decision: Decision) -> dict[str, Any]:
    """A decision as `check` and `lists test` print it."""
    rule = decision.rule
    return {
        "name": name,
        "action": str(decision.action),
        "blocked": decision.blocked,
        "category": decision.category or None,
        "source": rule.source if rule else None,
        "line": rule.line if rule else None,
        "rule": rule.text if rule else None,
        "reason": decision.reason,
    }


def screen_rows(rows: Sequence[dict[str, Any]], *, reveal: bool) -> list[tuple[str, ...]]:
    """Rows for a terminal: name, what happens, and where that comes from."""
    lines: list[tuple[str, ...]] = []
    for row in rows:
        hidden = row["blocked"] and not reveal
        where = f"{row['source']}:{row['line']}" if row["source"] else ""
        rule = shown(row["rule"].lstrip("@=*."), reveal=not hidden) if row["rule"] else ""
        what = f"blocked ({row['category']})" if row["blocked"] else "open"
        lines.append((shown(row["name"], reveal=not hidden), what, row["reason"], where, rule))
    return lines
