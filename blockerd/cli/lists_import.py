"""`lists import FILE`: lists and rules of Pi-hole or AdGuard Home, previewed and taken over as one change.

What cannot be taken over is told with its reason. Called by `cli.lists`.
"""

import argparse
from pathlib import Path
from typing import Any

from blockerd import clock
from blockerd.cli.edit import apply_files, many, masked_rule, problem_of
from blockerd.cli.lists_edit import catalogue_entries, lists_of
from blockerd.cli.output import Stop, dump, say
from blockerd.cli.owner import as_oneself
from blockerd.lists import added, edit, importing, own
from blockerd.lists.sources import own_folder
from blockerd.model import CATEGORIES, Change
from blockerd.settings import Settings


def register_verb(verbs: "argparse._SubParsersAction[Any]") -> None:
    """Adds the verb of this file to `lists`."""
    take = verbs.add_parser("import", help="lists and rules of Pi-hole or AdGuard Home", allow_abbrev=False)
    take.add_argument("file", metavar="FILE", help="teleporter archive, gravity.db or AdGuardHome.yaml")
    take.add_argument("--category", choices=CATEGORIES, default="", help="of lists whose category is not known")
    take.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    take.add_argument("--reveal", action="store_true", help="show names in full")
    take.set_defaults(run=run_import)


def run_import(args: argparse.Namespace) -> int:
    """Exit 0 taken over (or nothing to take over), 1 the file cannot be read."""
    lists = lists_of(args)
    try:
        with as_oneself():
            taken = importing.read(Path(args.file), lists.known, catalogue_entries(), args.category)
    except importing.ForeignError as error:
        raise Stop(str(error), 1) from None
    kind = args.category or "mixed"
    names = (added.FILE, "allow.txt", "block.txt", f"{kind}.txt")
    before = edit.read(lists.settings, names)
    after = _imported(lists.settings, before, taken, kind)
    if not args.json:
        _say_taken(taken, reveal=args.reveal)
    try:
        found = edit.deltas(before, after, own_folder(lists.settings))
        way = edit.together(one.direction for one in found)
        counts = f"{many(len(taken.sources), 'list')}, {len(taken.block)} blocked, {len(taken.allow)} opened"
        change = Change(clock.now_us(), f"import from {taken.program}", "", counts, way, "user")
        message = "nothing to take over"
        if found:
            message = "not applied (--dry-run)"
            if not args.dry_run:
                message = apply_files(lists.settings, before, after, change)
    except (OSError, edit.EditError, added.AddedError) as error:
        raise Stop(f"import: {problem_of(error)}; not changed", 1) from None
    if args.json:
        dump({"program": taken.program, "changed": bool(found) and not args.dry_run, "direction": way,
              "sources": [{"id": s.id, "category": s.category, "url": s.url, "enabled": s.enabled}
                          for s in taken.sources],
              "allow": taken.allow, "block": taken.block, "rules": taken.rules, "message": message,
              "left": [{"what": one.what, "reason": one.reason} for one in taken.left]})  # fmt: skip
    else:
        say(message)
        if taken.sources and found and not args.dry_run:
            say("Fetch the lists with: blockerd lists update")
    return 0


def _imported(settings: Settings, before: edit.Files, taken: importing.Taken, kind: str) -> dict[str, bytes | None]:
    """The own files with everything in `taken`; lines that are there already are not written twice."""
    after: dict[str, bytes | None] = {}
    for source in taken.sources:
        after[added.FILE] = added.with_source(after.get(added.FILE, before[added.FILE]), source)
    for name, lines in (("allow.txt", taken.allow), ("block.txt", taken.block), (f"{kind}.txt", taken.rules)):
        was = before[name] or own.header(settings, name.removesuffix(".txt"))
        have = set(was.decode("utf-8", "surrogateescape").splitlines())
        fresh = [line for line in lines if line not in have]
        if fresh:
            gap = b"" if not was or was.endswith(b"\n") else b"\n"
            after[name] = was + gap + "".join(f"{line}\n" for line in fresh).encode()
    return after


def _say_taken(taken: importing.Taken, *, reveal: bool) -> None:
    say(f"{taken.program}: {many(len(taken.sources), 'list')}, {many(len(taken.block), 'name')} to block, "
        f"{len(taken.allow)} to open, {many(len(taken.rules), 'other rule')}; "
        f"{len(taken.left)} not taken over")  # fmt: skip
    for source in taken.sources:
        say(f"  + list {source.id} ({source.category}{'' if source.enabled else ', off'}): {source.url}")
    for title, names in (("own allow list", taken.allow), ("own block list", taken.block)):
        for name in names[:10]:
            say(f"  + {title}: {masked_rule(name, reveal=reveal)}")
        if len(names) > 10:
            say(f"  + {title}: and {len(names) - 10:,} more")
    if taken.allow:
        say("  A name opened here opens all below it too.")
    for left in taken.left:
        say(f"  not taken over: {left.what if reveal or '://' in left.what else '…'}: {left.reason}")
