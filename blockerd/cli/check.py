"""`check`: what happens to a name or URL, and why; the same decision that the resolver takes."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from blockerd import clock
from blockerd.cli.output import Stop, columns, dump, say, settings_of, shown
from blockerd.lists.guard import GuardError, guard_of
from blockerd.lists.snapshot import SnapshotError
from blockerd.lists.state import open_policy
from blockerd.lists.why import Why, client_of, why
from blockerd.model import TEST_NAME, Channel, Decision, Query
from blockerd.policy.decide import Policy, decide
from blockerd.policy.name import BadName, from_text, to_text
from blockerd.proxy.lookup import Page, is_page, page_decision
from blockerd.proxy.url import BadUrl
from blockerd.settings import Settings


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands of this file."""
    check = commands.add_parser("check", help="is it blocked, and why", allow_abbrev=False)
    check.add_argument("names", nargs="+", metavar="NAME_OR_URL")
    check.add_argument("--at", metavar="RFC3339", help="decide as of this time")
    check.add_argument("--client", metavar="IP", default="", help="decide for this client")
    check.add_argument("--why", action="store_true", help="with --json: what stands behind each decision, too")
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
        policy = open_policy(settings.state.dir, guard_of(settings))
    except (SnapshotError, GuardError) as error:
        raise Stop(f"no policy: {error}") from None
    try:
        client = client_of(settings, args.client) if args.client else ""
    except ValueError:
        raise Stop(f"--client {args.client}: no address; write e.g. 192.168.1.30") from None
    found = [_look_up(settings, policy, text, at, client) for text in args.names]
    decisions = [one.decision for one in found]
    rows = [as_json(one.shown, one.decision) for one in found]
    reasons = [_why(settings, policy, one, client) for one in found]
    if args.json and not args.why:
        dump(rows)
    elif args.json:
        ends = [clock.rfc3339(d.until) if d.until is not None else None for d in decisions]
        dump([{**row, **asdict(one), "until": end} for row, one, end in zip(rows, reasons, ends, strict=True)])
    else:
        for line, row, one, decision in zip(
            columns(screen_rows(rows, reveal=args.reveal)), rows, reasons, decisions, strict=True
        ):
            say(line)
            for detail in _details(row, one, decision, reveal=args.reveal):
                say(f"  {detail}")
    return 1 if any(row["blocked"] for row in rows) else 0


def _look_up(settings: Settings, policy: Policy, text: str, at: float, client: str) -> Page:
    """The decision for a name as the resolver takes it, for a page as the proxy does.

    Raises:
        Stop: it is neither.
    """
    try:
        if not is_page(text.strip()):
            name = from_text(text)
            return Page(to_text(name), name, decide(policy, Query(name, group=client, channel=Channel.CLI), at))
        page = page_decision(settings, policy, text, at, client)
    except (BadName, BadUrl) as error:
        raise Stop(f"{text}: no domain name ({error}); write e.g. site.test or https://site.test/page") from None
    except OSError as error:
        raise Stop(f"own page rules: {error.strerror}") from None
    if not page.title or settings.proxy.enabled:
        return page
    reason = f"{page.decision.reason}, for the proxy, which is off"
    return Page(page.shown, page.name, page.decision._replace(reason=reason), page.title)


def _why(settings: Settings, policy: Policy, page: Page, client: str) -> Why:
    if not page.title:
        return why(settings, policy.table, page.name, page.decision, client)
    hours = tuple(f"{' '.join(s.days)} {' '.join(s.windows)}" for s in settings.schedule
                  if s.category == page.decision.category)  # fmt: skip
    return Why(page.title, page.decision.rule.text if page.decision.rule else "", None, hours, client)


def _details(row: dict[str, Any], one: Why, decision: Decision, *, reveal: bool) -> Iterator[str]:
    """What stands behind a decision, a line each. The line of a list is shown only where names are."""
    if row["source"] is None:
        return
    open_to_see = reveal or not row["blocked"] or row["name"] == TEST_NAME
    confirmed = ", compared by full name" if one.confirmed else ""
    place = f", line {row['line']}" if row["line"] else ""
    yield f"list: {one.title}{place}{confirmed}"
    if one.written and open_to_see:
        yield f"as written there: {one.written}"
    elif not one.written and row["line"]:
        yield "the list has changed there since the policy was built"
    if row["blocked"]:
        yield f"blocks: {', '.join(one.schedule) or 'at all hours'}"
    if decision.until is not None and row["blocked"]:
        yield f"until: {clock.rfc3339(decision.until)}"
    if one.client:
        yield f"asked by: {one.client}"


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
