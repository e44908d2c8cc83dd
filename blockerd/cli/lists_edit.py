"""`lists add|remove|enable|disable|undo`: which lists there are, changed by command, each change taken back.

Writes `<state.dir>/own/sources.toml` and the own files, never the configuration or a shipped list. A file is read
before it is added; an address is only noted, `lists update` fetches it. Called by `cli.lists`.
"""

import argparse
import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from blockerd import clock
from blockerd.cli.edit import (
    apply_files,
    as_dict,
    effect,
    masked_rule,
    problem_of,
    rebuild,
    recorded,
    say_delta,
    say_effect,
)
from blockerd.cli.output import Stop, dump, say, settings_of
from blockerd.cli.owner import as_oneself, may_read
from blockerd.lists import added, catalogue, edit, formats, formats_files, importing, own
from blockerd.lists.sources import every_source, own_folder
from blockerd.model import CATEGORIES, Change, Decision
from blockerd.settings import Format, Settings, Source

_NAMES = (added.FILE,)


@dataclass(frozen=True, slots=True)
class Lists:
    """What the commands of this file work with."""

    settings: Settings
    files: dict[str, bytes | None]
    added: added.Added
    known: tuple[Source, ...]
    """Configured and added lists, those switched off too."""


def register_verb(verbs: "argparse._SubParsersAction[Any]") -> None:
    """Adds the verbs of this file to `lists`."""
    add = verbs.add_parser("add", help="add a list: https address, file or catalogue id", allow_abbrev=False)
    add.add_argument("what", metavar="URL_OR_FILE|CATALOGUE_ID")
    add.add_argument("--id", default="", help="a short name of your own")
    add.add_argument("--category", choices=CATEGORIES, default="", help="what it lists")
    add.add_argument("--format", choices=formats.FORMATS, default="")
    add.add_argument("--reveal", action="store_true", help="show unread lines in full")
    add.set_defaults(run=run_add)
    for verb, text in (
        ("remove", "take an added list away"),
        ("enable", "switch a list on; a catalogue id is added"),
        ("disable", "switch a list off and keep it"),
    ):
        command = verbs.add_parser(verb, help=text, allow_abbrev=False)
        command.add_argument("what", metavar="ID")
        command.set_defaults(run={"remove": run_remove, "enable": run_enable, "disable": run_disable}[verb])
        command.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    add.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    undo = verbs.add_parser("undo", help="take back the last change of your own lists", allow_abbrev=False)
    undo.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    undo.add_argument("--reveal", action="store_true", help="show names in full")
    undo.set_defaults(run=run_undo)


def run_add(args: argparse.Namespace) -> int:
    """Exit 0 added, 1 the file is no list, 2 usage."""
    lists = lists_of(args)
    source, told = _source(args, lists)
    if any(source.id == other.id for other in lists.known):
        raise Stop(f"{source.id}: there is a list of this id; give another with --id")
    if twin := next((o for o in lists.known if (o.url or o.path) == (source.url or source.path)), None):
        raise Stop(f"{args.what}: is here already as {twin.id}")
    if not args.json:
        _say_added(lists.settings, source, told, reveal=args.reveal)
    return _change(args, lists, added.with_source(lists.files[added.FILE], source), more=told, build=not source.url)


def run_remove(args: argparse.Namespace) -> int:
    """Exit 0 removed, 2 no such list."""
    lists = lists_of(args)
    if all(args.what != source.id for source in lists.added.source):
        _must_be_known(args, lists)
        raise Stop(f"{args.what}: not added by command; switch it off with: blockerd lists disable {args.what}")
    return _change(args, lists, added.without_source(lists.files[added.FILE] or b"", args.what))


def run_enable(args: argparse.Namespace) -> int:
    """Exit 0 on, 2 no such list."""
    lists = lists_of(args)
    entry = next((entry for entry in catalogue_entries() if entry.id == args.what), None)
    if entry and all(source.id != entry.id for source in lists.known):
        args.id, args.category, args.format, args.reveal = "", "", "", False
        return run_add(args)
    _must_be_known(args, lists)
    configured = next((s for s in lists.settings.lists.source if s.id == args.what), None)
    if configured and not configured.enabled:
        raise Stop(f"{args.what}: switched off in {lists.settings.path}; set enabled = true there")
    return _change(args, lists, added.switched(lists.files[added.FILE], (args.what,), on=True))


def run_disable(args: argparse.Namespace) -> int:
    """Exit 0 off, 2 no such list."""
    lists = lists_of(args)
    _must_be_known(args, lists)
    if args.what == "test-name":
        raise Stop("test-name: always on, so that a check never needs a real site")
    return _change(args, lists, added.switched(lists.files[added.FILE], (args.what,), on=False))


def run_undo(args: argparse.Namespace) -> int:
    """Takes the last change back; exit 0 also where there is none, 1 where it cannot be."""
    settings = settings_of(args)
    try:
        entry = edit.last(settings)
        if entry is None:
            dump({"changed": False}) if args.json else say("There is no change to take back.")
            return 0
        now = edit.read(settings, list(entry.before))
        found = edit.deltas(now, entry.before, own_folder(settings))
        way = edit.together(one.direction for one in found)
        if not args.json:
            for one in found:
                say_delta(one, reveal=args.reveal)
        message = "not applied (--dry-run)"
        if not args.dry_run:
            message = _undone(settings, entry, way)
    except (OSError, ValueError, edit.EditError, added.AddedError) as error:
        raise Stop(f"undo: {problem_of(error)}", 1) from None
    if args.json:
        dump({"changed": not args.dry_run, "undone": entry.what, "direction": way, "message": message,
              "files": [{"file": o.file, "added": o.added, "removed": o.removed} for o in found]})  # fmt: skip
    else:
        say(_masked(message, found, reveal=args.reveal))
    return 0


def _undone(settings: Settings, entry: edit.Entry, way: str) -> str:
    change = Change(clock.now_us(), f"undo: {entry.what}", "", "", way, "user")

    now = edit.read(settings, list(entry.before))

    def back() -> None:
        edit.make(settings, list(now), lambda _: now, what=entry.what, at=entry.at)

    def apply() -> None:
        edit.undo(settings, entry, at=change.at)
        if set(entry.before) - {"allow.txt", "block.txt"}:
            rebuild(settings, back)

    return recorded(settings, change, apply)


def _masked(message: str, found: Sequence[edit.Delta], *, reveal: bool) -> str:
    for name in (name for one in found for name in (*one.added, *one.removed)):
        message = message.replace(name, masked_rule(name, reveal=reveal))
    return message


def lists_of(args: argparse.Namespace) -> Lists:
    """Settings and sources.toml.

    Raises:
        Stop: the file does not load.
    """
    settings = settings_of(args)
    try:
        files = edit.read(settings, _NAMES)
        return Lists(settings, files, added.load(own_folder(settings)), added.merged(settings).lists.source)
    except added.AddedError as error:
        raise Stop(f"{error}\nnot changed; correct the file first", 1) from None
    except OSError as error:
        raise Stop(f"{own_folder(settings)}: {error.strerror or error}; not changed", 1) from None


def catalogue_entries() -> tuple[catalogue.Entry, ...]:
    """The published lists that are known; none where the catalogue cannot be read."""
    try:
        return catalogue.load()
    except catalogue.CatalogueError:
        return ()


def _must_be_known(args: argparse.Namespace, lists: Lists) -> None:
    ids = [*(source.id for source in lists.known), *(source.id for source in every_source(lists.settings))]
    if args.what not in ids:
        close = difflib.get_close_matches(args.what, [*ids, *(entry.id for entry in catalogue_entries())], 1)
        hint = f"did you mean {close[0]}?" if close else "`blockerd lists ls` shows them"
        raise Stop(f"{args.what}: no such list; {hint}")


def _source(args: argparse.Namespace, lists: Lists) -> tuple[Source, dict[str, Any]]:
    """The list to add, and what its file holds.

    Raises:
        Stop: neither address, file nor catalogue id; no category; or no list.
    """
    ids = [source.id for source in lists.known]
    entry = next((entry for entry in catalogue_entries() if args.what in (entry.id, entry.url, *entry.mirrors)), None)
    if entry:
        url = args.what if "://" in args.what else entry.url
        made = Source(id=args.id or entry.id, category=args.category or entry.categories[0], url=url,
                      format=Format(args.format or entry.format))  # fmt: skip
        return made, {"title": entry.title, "licence": entry.licence, "names": entry.entries}
    with as_oneself():
        there = "://" in args.what or os.path.exists(args.what)
    if not there:
        close = difflib.get_close_matches(args.what, [entry.id for entry in catalogue_entries()], 1)
        hint = f"; did you mean {close[0]}?" if close else "; give an https address, a file or an id of the catalogue"
        raise Stop(f"{args.what}: neither a file nor a list of the catalogue{hint}")
    if not args.category:
        raise Stop(f"{args.what}: say what it lists with --category, one of: {' '.join(CATEGORIES)}")
    if "://" in args.what:
        made = Source(id=args.id or importing.new_id(args.what, ids), category=args.category, url=args.what)
        return replace(made, format=Format(args.format or "auto")), {}
    path = Path(args.what).absolute()
    if not may_read(path):
        where = lists.settings.state.dir
        raise Stop(f"{path}: blockerd's own user, who reads your lists, may not read it; copy it to {where}", 1)
    form = args.format or formats_files.format_of(path, "auto")
    made = Source(id=args.id or importing.new_id(path.name.partition(".")[0], ids), category=args.category, path=path)
    return replace(made, format=Format(form)), _tried(path, form, made.max_bytes)


def _tried(path: Path, form: str, max_bytes: int) -> dict[str, Any]:
    """What the file holds.

    Raises:
        Stop: it is no list.
    """
    try:
        parsed = formats.parse(formats_files.read_source(path, max_bytes), form)
    except formats_files.ListError as error:
        raise Stop(str(error), 1) from None
    if parsed.refused or not parsed.entries:
        raise Stop(f"{path}: not added: {parsed.refused or 'not one name or rule in it'}", 1)
    issues = [{"line": i.line, "text": i.text, "reason": i.reason} for i in parsed.issues[:100]]
    return {"format": parsed.format, "entries": parsed.entries, "issue_count": parsed.issue_count, "issues": issues,
            "not_applicable": parsed.not_applicable}  # fmt: skip


def say_issues(issues: Sequence[Mapping[str, Any]], *, reveal: bool) -> None:
    """Lines of a list that were not taken, a line each; what stands in them only with `reveal`."""
    for issue in issues:
        say(f"  line {issue['line']}: {issue['reason']}" + (f": {issue['text']}" if reveal else ""))


def _say_added(settings: Settings, source: Source, told: dict[str, Any], *, reveal: bool) -> None:
    if "entries" in told:
        say(f"{told['format']}: {told['entries']:,} rules, {told['issue_count']:,} lines not read")
        say_issues(told["issues"][:5], reveal=reveal)
    if "title" in told:
        say(f"{told['title']}: about {told['names']:,} names, licence {told['licence']}")
    if source.category not in settings.lists.categories and source.category != "demo":
        say(f"  {source.category} does not block now: add it to lists.categories in the settings")


def _change(
    args: argparse.Namespace, lists: Lists, data: bytes, *, more: dict[str, Any] | None = None, build: bool = True
) -> int:
    """Shows, records and applies sources.toml as `data`."""
    file = own_folder(lists.settings) / added.FILE
    try:
        found = added.differences(lists.added, added.parse(data, file))
    except added.AddedError as error:
        raise Stop(f"{error}; not changed".replace(f"{file}:", f"{args.what}:")) from None
    if not found:
        _told(args, {"changed": False, "message": f"{args.what}: is so already"})
        return 0
    only = found[0]
    change = Change(clock.now_us(), only.what, only.old, only.new, only.direction, "user")
    message, seen = "not applied (--dry-run)", own.Altered()
    if only.direction == "weaker":
        seen = effect(lists.settings, lambda policy: policy, _of(only.what.removeprefix("list ")))
        if not args.json:
            say_effect(seen, at_most=True)
    if not args.dry_run:
        try:
            message = apply_files(lists.settings, lists.files, {added.FILE: data}, change, build=build)
        except (OSError, edit.EditError) as error:
            raise Stop(f"{only.what}: {problem_of(error)}; not changed", 1) from None
    if not build and not args.dry_run and not args.json:
        message += f"\nFetch it with: blockerd lists update {only.what.removeprefix('list ')}"
    _told(args, {**(more or {}), "id": only.what.removeprefix("list "), "changed": not args.dry_run,
                 "direction": only.direction, "last_30_days": as_dict(seen), "message": message})  # fmt: skip
    return 0


def _of(source_id: str) -> Callable[[Decision], bool]:
    """True for what the list `source_id` decided."""

    def gone(decision: Decision) -> bool:
        return decision.rule is not None and decision.rule.source == source_id

    return gone


def _told(args: argparse.Namespace, result: dict[str, Any]) -> None:
    if args.json:
        dump(result)
    else:
        say(result["message"])
