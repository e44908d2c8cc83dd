"""`edit CATEGORY|allow|block`: the own list in the person's editor; and what the commands that change lists share.

A change is shown first: names that come and go (masked), and what of the last 30 days would have been otherwise. Lines
that are none are shown with their number; where nobody can be asked, nothing is changed then.
"""

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from blockerd import clock
from blockerd.binding.submit import submit
from blockerd.cli.output import Stop, dump, say, settings_of, shown, warn
from blockerd.cli.owner import as_oneself
from blockerd.cli.reading import view
from blockerd.journal.schema import JournalError
from blockerd.journal.spool import Writer
from blockerd.lists import build as building
from blockerd.lists import edit, own, stats
from blockerd.lists.guard import GuardError, guard_of
from blockerd.lists.snapshot import SnapshotError
from blockerd.lists.sources import own_folder
from blockerd.lists.state import open_policy
from blockerd.lists.watch import title_of
from blockerd.model import CATEGORIES, Attempt, Change, Decision
from blockerd.policy.decide import Policy
from blockerd.process import spool_folder
from blockerd.settings import Settings

DAYS = 30
_SHOWN = 10


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command of this file."""
    command = commands.add_parser("edit", help="open one of your own lists in $EDITOR", allow_abbrev=False)
    command.add_argument("list", choices=("allow", "block", *CATEGORIES), metavar="CATEGORY|allow|block")
    command.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    command.add_argument("--reveal", action="store_true", help="show names in full")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit 0 done or nothing changed, 1 not changed because of a line or the disk, 2 no editor."""
    settings, name = settings_of(args), f"{args.list}.txt"
    try:
        before = edit.read(settings, (name,))
        start = before[name] if before[name] is not None else own.header(settings, args.list)
        after = _edited(settings, name, start or b"")
        if after is None:
            return _say_nothing(args, name)
        found = edit.delta(name, before[name], after, own_folder(settings))
        told = _previewed(args, settings, found)
        if not args.dry_run:
            told["message"] = apply_files(settings, before, {name: after}, _change(name, found))
    except (OSError, edit.EditError) as error:
        raise Stop(f"{name}: {problem_of(error)}; not changed", 1) from None
    if args.json:
        dump(told)
    else:
        say("not applied (--dry-run)" if args.dry_run else told["message"])
    return 0


def _say_nothing(args: argparse.Namespace, name: str) -> int:
    if args.json:
        dump({"file": name, "changed": False})
    else:
        say(f"{title_of(name)}: nothing has changed")
    return 0


def _edited(settings: Settings, name: str, start: bytes) -> bytes | None:
    """What the editor made of `start`; None for no change. Asks again while there are lines that are none."""
    text = start
    while True:
        text = _in_editor(settings, name, text)
        if text == start:
            return None
        had = {what for _, what, _ in edit.delta(name, None, start, own_folder(settings)).unread}
        unread = [one for one in edit.delta(name, None, text, own_folder(settings)).unread if one[1] not in had]
        if not unread:
            return text
        lines = [f"{name}:{line}: {reason}: {what}" for line, what, reason in unread]
        if not sys.stdin.isatty():
            raise Stop("\n".join([*lines[:_SHOWN], f"{name}: not changed; correct these lines and try again"]), 1)
        for line in lines[:_SHOWN]:
            warn(line)
        answer = input("e to edit again, a to apply the rest, q to leave it as it was: ").strip().lower()
        if answer.startswith("a"):
            return text
        if not answer.startswith("e"):
            return None


def _in_editor(settings: Settings, name: str, text: bytes) -> bytes:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with as_oneself(), TemporaryDirectory(prefix="blockerd-") as folder:
        path = Path(folder) / name
        path.write_bytes(text)
        try:
            code = subprocess.call([*shlex.split(editor), str(path)])
        except (OSError, ValueError) as error:
            raise Stop(f"{editor}: {problem_of(error)}; name an editor in $EDITOR") from None
        if code:
            raise Stop(f"{editor} ended with {code}; {own_folder(settings) / name} is as it was", 1)
        return path.read_bytes()


def _previewed(args: argparse.Namespace, settings: Settings, found: edit.Delta) -> dict[str, Any]:
    removed = {text.lstrip("=*.@") for text in found.removed}
    source = f"own-{args.list}"
    alike = _after(settings, args.list, found)

    def gone(decision: Decision) -> bool:
        rule = decision.rule
        return rule is not None and rule.source == source and rule.text.lstrip("=*.@") in removed

    changed = effect(settings, alike, gone)
    if not args.json:
        say_delta(found, reveal=args.reveal)
        say_effect(changed, at_most=args.list in CATEGORIES)
    return {"file": found.file, "changed": True, "dry_run": args.dry_run, "direction": found.direction,
            "added": found.added, "removed": found.removed, "unread": found.unread,
            "last_30_days": as_dict(changed)}  # fmt: skip


def _after(settings: Settings, kind: str, found: edit.Delta) -> Callable[[Policy], Policy]:
    """The policy as it would be, as far as the own allow and block list go."""
    if kind in CATEGORIES:
        return lambda policy: policy

    def after(policy: Policy) -> Policy:
        words = ("allowed", "not on your own lists") if kind == "allow" else ("blocked", "not on your own lists")
        for word, names in zip(words, (found.added, found.removed), strict=True):
            for name in names:
                policy = own.with_plan(policy, own.Plan("edit", name, "mixed", "", word))
        return policy

    return after


def _change(name: str, found: edit.Delta) -> Change:
    counts = f"{len(found.added):,} added, {len(found.removed):,} removed"
    return Change(clock.now_us(), title_of(name), "as it was", counts, found.direction, "user")


def apply_files(
    settings: Settings, before: edit.Files, after: edit.Files, change: Change, *, build: bool = True
) -> str:
    """Records `change` and makes the own files `after`; builds where a list changed. The line for the terminal.

    Raises:
        OSError: nothing is changed.
        EditError: a file is no longer as in `before`; nothing is changed.
    """

    def apply() -> None:
        edit.make(settings, list(after), edit.exactly(before, after), what=change.what, at=change.at)
        if build and set(after) - {"allow.txt", "block.txt"}:
            rebuild(settings, lambda: edit.take_back(settings, at=change.at))

    return recorded(settings, change, apply)


def rebuild(settings: Settings, back: Callable[[], None]) -> None:
    """Builds the policy after a change of lists; calls `back`, which takes the change back, where that cannot be.

    Raises:
        OSError: it cannot be written.
    """
    try:
        report = building.build(settings)
        if report.written:
            stats.note(settings.state.dir, clock.now())
    except (OSError, GuardError) as error:
        back()
        raise OSError(0, problem_of(error)) from None


def recorded(settings: Settings, change: Change, apply: Callable[[], None]) -> str:
    """Submits `change` with a spool writer of its own.

    Raises:
        OSError: nothing is changed.
    """
    writer = Writer(spool_folder(settings), "cli", clock.now_us, clock.monotonic)
    try:
        return submit(change, writer, apply)
    finally:
        writer.close()


def policy_of(settings: Settings) -> Policy | None:
    """The live policy, None where there is none yet."""
    try:
        return open_policy(settings.state.dir, guard_of(settings))
    except (SnapshotError, GuardError):
        return None


def seen(settings: Settings) -> list[Attempt]:
    """The attempts of the last 30 days; none where the record cannot be read."""
    try:
        with view(settings) as record:
            return list(record.attempts(clock.now_us() - DAYS * 86_400_000_000))
    except JournalError:
        return []


def effect(
    settings: Settings,
    after: Callable[[Policy], Policy],
    gone: Callable[[Decision], bool] = lambda _: False,
    *,
    about: bytes = b"",
) -> own.Altered:
    """What of the last 30 days would have been open under `after` and without the rules that are `gone`."""
    policy = policy_of(settings)
    if policy is None:
        return own.Altered()
    return own.altered(policy, after(policy), seen(settings), gone=gone, about=about)


def as_dict(changed: own.Altered) -> dict[str, Any]:
    """`changed` as JSON has it."""
    return {"attempts": changed.attempts, "sites": changed.sites, "perhaps": changed.perhaps, "known": changed.known}


def say_effect(changed: own.Altered, *, at_most: bool = False) -> None:
    """What would have been open, in a sentence or two."""
    most = "up to " if at_most and changed.attempts else ""
    if changed.attempts:
        say(f"  Of the last {DAYS} days, {most}{many(changed.attempts, 'recorded attempt')} at "
            f"{many(changed.sites, 'site')} would have been open.")  # fmt: skip
    elif not changed.perhaps:
        say(f"  Of what is on record for the last {DAYS} days nothing would have been open.")
    if changed.perhaps:
        say(f"  Of {changed.perhaps:,} more only the site is on record, so nobody can say.")
    if not changed.known:
        say("  At this privacy level sites are not on record, so this counts only what can be known.")


def say_delta(found: edit.Delta, *, reveal: bool) -> None:
    """The rules that come and go, masked unless `reveal`."""
    counts = f"{len(found.added):,} added, {len(found.removed):,} removed"
    say(f"{title_of(found.file)}: {counts}")
    for sign, names in (("+", found.added), ("-", found.removed)):
        for name in names[:_SHOWN]:
            say(f"  {sign} {masked_rule(name, reveal=reveal)}")
        if len(names) > _SHOWN:
            say(f"  {sign} and {len(names) - _SHOWN:,} more")


def masked_rule(text: str, *, reveal: bool) -> str:
    """A rule, or the name of a list, as screens show it."""
    if text.startswith("list "):
        return text
    bare = text.lstrip("=*.@")
    return text[: len(text) - len(bare)] + shown(bare, reveal=reveal)


def say_held(titles: Sequence[str]) -> None:
    """Which lists hold a name."""
    say(f"  Held by: {', '.join(titles)}." if titles else "  No adult, cam or chat list holds it.")


def problem_of(error: Exception) -> str:
    """Why something was not done, in a few words."""
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def many(count: int, word: str) -> str:
    """`count` things, e.g. "1 list", "2 lists"."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"
