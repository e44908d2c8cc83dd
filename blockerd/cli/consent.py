"""`consent`: what is recorded, who would get what, and the words with which a person agrees to it, or takes them back.

Typed by the person at the machine, who is 18 or older. Without it nothing is shared with anyone; filter and local log
run all the same. Refuses anything but the words themselves, and any way to give them ahead of time.
"""

import argparse
import sys
import textwrap
from contextlib import redirect_stdout
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from blockerd import clock
from blockerd.cli.output import Stop, bold, dump, say, settings_of
from blockerd.process import running_pid
from blockerd.report import consent
from blockerd.report.consent import WORDS, Consent
from blockerd.report.texts import load
from blockerd.settings import Settings

_RECORDED = """Recorded, in {dir}, for {days} days: requests for listed sites, whoever uses this machine (as fine as
privacy.level = “{level}” says), when the filter ran, changes of settings, and screen time where its agent runs.
It stays here unless you share it."""

_SHARED = """Each reader is asked first, by one mail, and gets nothing before you enter the code that they told you.
They can stop at any time, and so can you; sharing less always counts at once. You get a copy of each mail, and
blockerd report preview shows it before it goes. After ninety days both of you are asked again."""


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command of this file."""
    command = commands.add_parser("consent", help="agree to share notes, or take it back", allow_abbrev=False)
    command.add_argument("what", nargs="?", choices=["give", "show", "withdraw"], default="give")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit 0 done, 1 (show) nothing is agreed, 2 not agreed or the file cannot be written."""
    settings = settings_of(args)
    if args.what == "withdraw":
        return _withdraw(args, settings)
    given = agreed(settings)
    if args.what == "show" or given:
        return _show(args, settings, given)
    if not args.json:
        return _give(settings)
    with redirect_stdout(sys.stderr):  # what is agreed to is shown all the same, beside the JSON
        code = _give(settings)
    dump({"consent": True})
    return code


def agreed(settings: Settings) -> Consent | None:
    """The consent that holds now, None for none.

    Raises:
        Stop: nobody can tell.
        PermissionError: this user may not look.
    """
    try:
        return consent.read(settings.state.dir)
    except PermissionError:
        raise
    except OSError as error:
        told = "nothing is shared until it can be read; blockerd consent withdraw takes it away"
        raise Stop(f"{settings.state.dir / consent.FILE}: {error.strerror}; {told}") from None


def _show(args: argparse.Namespace, settings: Settings, given: Consent | None) -> int:
    zone = ZoneInfo(settings.time.zone)
    at = datetime.fromtimestamp(given.at // 1_000_000, zone) if given else None
    if args.json:
        dump({"consent": given is not None, "at": at.isoformat() if at else None, "readers": _readers(settings)})
    elif at:
        say(
            f"You agreed on {at:%a %d %b %Y}: “{given.words if given else ''}”. Take it back: blockerd consent withdraw"
        )
        _say_readers(settings)
    else:
        say("Nothing is agreed, so nothing is shared with anyone.")
    return 0 if given else 1


def _give(settings: Settings) -> int:
    say(bold("What is recorded on this machine, and what others may be told"))
    say()
    kept = settings.privacy
    _paragraph(_RECORDED.format(dir=settings.state.dir, days=kept.retention_days, level=kept.level))
    _say_readers(settings)
    say()
    _paragraph(_SHARED)
    say(f"To agree, type: {WORDS}")
    said = " ".join(sys.stdin.readline().split()).rstrip(".")
    if said.lower() != WORDS.lower():
        raise Stop("not agreed; nothing is shared with anyone, the filter runs all the same")
    try:
        settings.state.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        consent.give(settings.state.dir, Consent(clock.now_us(), WORDS))
    except OSError as error:
        raise Stop(f"{settings.state.dir}: {error.strerror}; let it be written") from None
    say("Agreed. Next: blockerd partner invite NAME")
    return 0


def _withdraw(args: argparse.Namespace, settings: Settings) -> int:
    try:
        had = consent.withdraw(settings.state.dir)
    except OSError as error:
        raise Stop(f"{settings.state.dir / consent.FILE}: {error.strerror}; remove this file yourself") from None
    when = "within a minute" if running_pid(settings, "control") else "when blockerd runs again"
    if args.json:
        dump({"consent": False, "had": had})
    elif had:
        say("Taken back: nothing more is shared with anyone from now on; filter and local log run on.")
        say(f"Who read the notes gets one last mail that says so and nothing about why, {when}.")
    else:
        say("Nothing was agreed, so nothing is shared with anyone.")
    return 0


def _readers(settings: Settings) -> list[dict[str, str]]:
    return [{"name": one.name, "address": one.address, "role": str(one.role)} for one in settings.report.partner]


def _say_readers(settings: Settings) -> None:
    c = load()
    if not settings.report.partner:
        say("The settings name nobody who would read anything.")
        return
    say("Who would read, once they said yes:")
    for one in settings.report.partner:
        say(f"  {one.name}, {one.address}: {c.text(f'about.role_{one.role}')}")


def _paragraph(text: str) -> None:
    for line in textwrap.wrap(" ".join(text.split()), 100, break_long_words=False, break_on_hyphens=False):
        say(line)
    say()
