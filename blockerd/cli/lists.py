"""`lists ls|build|test`: which lists there are, building the policy from them, and trying one list alone."""

import argparse
import gc
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from blockerd import clock
from blockerd.cli import lists_edit, lists_import, stats
from blockerd.cli.check import as_json, screen_rows
from blockerd.cli.output import Stop, columns, dump, say, settings_of, warn
from blockerd.lists import build as building
from blockerd.lists import formats, formats_files, watch
from blockerd.lists import stats as listed
from blockerd.lists.fetch import record as fetch_record
from blockerd.lists.guard import GuardError
from blockerd.lists.sources import list_sources
from blockerd.lists.trial import Trial, qtype_of
from blockerd.model import Action, Decision, RuleRef
from blockerd.policy.name import BadName, from_text, to_text


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands of this file."""
    lists = commands.add_parser("lists", help="blocklists: ls, build, test", allow_abbrev=False)
    verbs = lists.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("ls", help="the lists and their health", allow_abbrev=False).set_defaults(run=run_ls)
    build = verbs.add_parser("build", help="build the policy; opens no connection", allow_abbrev=False)
    build.add_argument("--force", action="store_true", help="also where nothing has changed")
    build.add_argument("--quiet", action="store_true", help="say nothing where all is well")
    build.set_defaults(run=run_build)
    test = verbs.add_parser("test", help="try one list alone", allow_abbrev=False)
    test.add_argument("file", metavar="FILE", help="a list, .gz, a squidGuard folder, or - for standard input")
    test.add_argument("names", nargs="*", metavar="NAME", help="names to decide; one a line on standard input if none")
    test.add_argument("--format", choices=formats.FORMATS, default="auto")
    test.add_argument("--qtype", default="A", help="question type, e.g. A, AAAA, HTTPS")
    test.add_argument("--reveal", action="store_true", help="show listed names and unread lines in full")
    test.set_defaults(run=run_test)
    update = verbs.add_parser("update", help="fetch the lists that have an address, then build", allow_abbrev=False)
    update.add_argument("ids", nargs="*", metavar="ID", help="only these lists")
    update.add_argument("--due", action="store_true", help="only lists whose time has come (lists.refresh_hours)")
    update.set_defaults(run=run_update)
    for module in (lists_edit, lists_import, stats):
        module.register_verb(verbs)


def run_update(args: argparse.Namespace) -> int:
    """Fetches and builds, by `cli.update`; imported here because it brings an HTTP library."""
    try:
        from blockerd.cli import update
    except ImportError as error:
        raise Stop(f"lists update: {error.name} is missing; install blockerd with its extra `fetch`", 1) from None
    return update.run_update(args)


def run_ls(args: argparse.Namespace) -> int:
    """The lists of the next build with what the last one made of them."""
    settings = settings_of(args)
    try:
        kept = json.loads((settings.state.dir / "lists.json").read_bytes())["sources"]
    except (OSError, ValueError, KeyError):
        kept = []
    last = {entry["id"]: entry for entry in kept}
    rows = []
    now = clock.now()
    for source in list_sources(settings):
        entry = last.get(source.id, {})
        meta = fetch_record.load(settings, source.id) if source.origin.startswith("https:") else None
        rows.append({
            "id": source.id, "title": source.title, "category": source.category, "format": entry.get("format", ""),
            "active": source.category in settings.lists.categories or source.category == "demo",
            "entries": entry.get("entries"), "added": entry.get("added"), "issues": entry.get("issue_count"),
            "problem": entry.get("problem", "") if entry else "not built yet",
            "from_copy": entry.get("from_copy", False), "age_days": meta.age_days(now) if meta else None,
            "held": (meta.held.reason if meta.held else meta.problem) if meta else "",
        })  # fmt: skip
    if args.json:
        dump(rows)
        return 0
    head = ("LIST", "CATEGORY", "BLOCKS", "NAMES", "UNREADABLE", "AGE", "NOTE")
    for line in columns([head, *map(_row, rows)], right=frozenset((3, 4, 5))):
        say(line)
    stats.say_remarks(settings, watch.notes(settings))
    return 0


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    age = "-" if entry["age_days"] is None else f"{int(entry['age_days'])} d"
    blocks = "yes" if entry["active"] else "no"
    notes = "; ".join(note for note in (entry["problem"], entry["held"]) if note)
    return entry["id"], entry["category"], blocks, _number(entry["entries"]), _number(entry["issues"]), age, notes


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def run_build(args: argparse.Namespace) -> int:
    """Builds; exit 0 when a policy is there, 1 when none could be written."""
    settings = settings_of(args)
    gc.disable()  # millions of names in lists, none of them in a cycle: looking for some costs a tenth of the time
    try:
        report = building.build(settings, force=args.force, progress=_progress())
    except GuardError as error:
        raise Stop(str(error), 1) from None
    except OSError as error:
        raise Stop(f"{settings.state.dir}: {error.strerror or error}; the policy stays as it was", 1) from None
    finally:
        _end_progress()
    with suppress(OSError):  # the history of sizes is for `lists stats` alone
        listed.note(settings.state.dir, clock.now())
    if args.json:
        dump({**asdict(report), "sources": [asdict(source) for source in report.sources]})
        return 0
    for source in report.sources:
        if source.problem:
            copy = "its last good copy is used" if source.from_copy else "it is left out"
            warn(f"list {source.id}: {source.problem}; {copy}")
    if report.written:
        issues = sum(source.issue_count for source in report.sources)
        names = f"{report.entries:,} names from {len(report.sources)} lists"
        say(f"policy {report.generation}: {names}, {issues:,} lines not read")
    elif not args.quiet:
        say(f"policy {report.generation}: nothing has changed")
    return 0


def _progress() -> building.Progress | None:
    """A bar on a terminal's standard error, nothing elsewhere."""
    if not sys.stderr.isatty():
        return None

    def show(title: str, done: int, total: int) -> None:
        filled = 24 * done // max(total, 1)
        sys.stderr.write(f"\r\x1b[K[{'#' * filled}{'.' * (24 - filled)}] {title}")
        sys.stderr.flush()

    return show


def _end_progress() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def run_test(args: argparse.Namespace) -> int:
    """Reads one list alone and decides names by it; exit 0 if the file was read."""
    qtype = qtype_of(args.qtype)
    if qtype is None:
        raise Stop(f"--qtype {args.qtype}: no question type; write e.g. A, AAAA, HTTPS or a number")
    format_ = args.format
    try:
        if args.file == "-":
            data = formats_files.unpack(sys.stdin.buffer.read(), 1 << 30, "standard input")
        else:
            path = Path(args.file)
            format_ = formats_files.format_of(path, format_) if format_ == "auto" else format_
            data = formats_files.read_source(path, 1 << 30)
    except formats_files.ListError as error:
        raise Stop(str(error), 1) from None
    parsed = formats.parse(data, format_)
    trial = Trial(parsed)
    results = []
    at = clock.now()
    for text in args.names or ([] if args.file == "-" else _names_from_stdin()):
        try:
            name = from_text(text)
        except BadName as error:
            text = text.encode("utf-8", "replace").decode()  # octets of an argument that are no UTF-8
            results.append(as_json(text, Decision(Action.PASSTHRU, f"no domain name: {error}")))
            continue
        results.append(as_json(to_text(name), trial.decide(name, qtype, at)))
    _show_test(args, parsed, trial, results)
    return 1 if parsed.refused else 0


def _names_from_stdin() -> Iterator[str]:
    if sys.stdin.isatty():
        return
    for line in sys.stdin.buffer:
        if text := line.decode("utf-8", "replace").strip():
            yield text


def _show_test(args: argparse.Namespace, parsed: formats.Parsed, trial: Trial, results: list[dict[str, Any]]) -> None:
    issues = [*({"line": i.line, "text": i.text, "reason": i.reason} for i in parsed.issues), *trial.issues]
    entries = parsed.entries
    if args.json:
        dump(
            {
                "format": parsed.format,
                "entries": entries,
                "decisions": results,
                "issues": issues,
                "refused": parsed.refused,
            }
        )
        return
    if parsed.refused:
        warn(f"{args.file}: refused: {parsed.refused}")
        return
    others = f"{parsed.not_applicable:,} not for a DNS filter, {parsed.issue_count:,} not read"
    say(f"{parsed.format}: {entries:,} rules, {others}")
    lists_edit.say_issues(issues[:20], reveal=args.reveal)
    if len(issues) > 20:
        say(f"  and {max(parsed.issue_count, len(issues)) - 20:,} more; --json shows up to 1,000")
    for line in columns(screen_rows(results, reveal=args.reveal)):
        say(line)


__all__ = ["RuleRef", "register"]
