"""`install`, `uninstall`, `rescue-network`: into the system and out of it in one command each, never without DNS.

Looks first, shows every step with its inverse, keeps each inverse on the disk before the step, and ends with a real
lookup the way programs make them; where that does not come out, everything is taken back. Root only, this machine only.
"""

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from blockerd import clock
from blockerd.binding.change import Direction
from blockerd.binding.submit import record
from blockerd.cli import looking, owner
from blockerd.cli.ask import ask
from blockerd.cli.output import Stop, bold, dump, say, settings_of, warn
from blockerd.cli.proxy import take_root_out
from blockerd.journal import spool
from blockerd.model import Change
from blockerd.process import spool_folder
from blockerd.report import consent, texts
from blockerd.settings import Settings
from blockerd.system import choose, drift, rescue
from blockerd.system import plan as planning
from blockerd.system.apply import Applier, ApplyError, no_commands, run
from blockerd.system.manifest import ManifestError
from blockerd.system.steps import Undo
from blockerd.system.wish import Way

OFFERS = ("tell", "neutral", "nothing")
_HALT = {"tell": "removed", "neutral": "neutral", "nothing": "nothing"}


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands of this file."""
    into = commands.add_parser("install", help="into the system: service, resolver, browsers", allow_abbrev=False)
    into.add_argument("--dry-run", action="store_true", help="only look, and show each step and how it is taken back")
    into.add_argument("--yes", action="store_true", help="do not ask before beginning")
    into.add_argument("--way", choices=[way.name.lower() for way in (Way.RESOLVED, Way.STUB_OFF, Way.PLAIN)],
                      help="how questions are led here; left out: chosen by what runs")  # fmt: skip
    into.add_argument("--fallback", metavar="ADDRESS", default="", help="a filtering resolver, should the filter end")
    into.add_argument("--no-belt", action="store_true", help="without the packet filter's table")
    into.add_argument("--no-browsers", action="store_true", help="without browser policies")
    into.add_argument("--private-mode", action="store_true", help="browsers without private windows and guest profiles")
    into.add_argument("--chat-ports", action="store_true", help="also refuse the ports of IRC and NNTP")
    _root(into)
    into.set_defaults(run=run_install, as_root=True)
    out = commands.add_parser("uninstall", help="out of the system, byte for byte as before", allow_abbrev=False)
    out.add_argument("--dry-run", action="store_true", help="only show what is taken back")
    out.add_argument("--send", choices=OFFERS, help="what your readers are told; asked for where left out")
    out.add_argument("--data", choices=["keep", "remove"], help="settings and record; asked for where left out")
    _root(out)
    out.set_defaults(run=run_uninstall, as_root=True)
    help_net = commands.add_parser("rescue-network", help="gives this machine DNS again, now", allow_abbrev=False)
    _root(help_net)
    help_net.set_defaults(run=run_rescue, as_root=True)


def _root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", type=Path, default=Path("/"), help="a system's tree; commands run only for /")


def run_install(args: argparse.Namespace) -> int:
    """Exit 0 installed (or shown), 1 taken back, 2 it cannot be begun."""
    settings = settings_of(args)
    applier = _applier(args.root)
    made, hosts = _planned(settings, args)
    _show(made, as_json=args.json)
    if args.dry_run:
        return 0
    if why := choose.not_yet(made):
        raise Stop(why, 1)
    _ready(settings, args)
    if not args.yes and not _yes("Go on?"):
        return 1
    return _install(applier, made, settings, hosts, lambda: _planned(settings, args)[0], live=args.root == Path("/"))


def _planned(settings: Settings, args: argparse.Namespace) -> tuple[planning.Plan, str]:
    """The plan for the machine as it is now, and what its hosts file is remembered by."""
    try:
        machine = choose.look(args.root, run, str(settings.state.dir), live=args.root == Path("/"))
        return choose.plan(machine, choose.fitted(machine, looking.wish_of(settings, args, machine))), (
            drift.hosts_digest(machine)
        )
    except planning.PlanError as error:
        raise Stop(str(error), 1) from None


def _ready(settings: Settings, args: argparse.Namespace) -> None:
    """Root, a person who agreed, settings at a place of their own."""
    if os.geteuid() != 0:
        raise Stop("install changes the system: run it as root (sudo blockerd install)")
    if settings.path is None:
        raise Stop("no configuration yet; run: blockerd setup")
    if args.root == Path("/") and consent.read(settings.state.dir) is None:
        raise Stop("the person this is for has not agreed yet; run: blockerd setup", 1)


def _install(
    applier: Applier, made: planning.Plan, settings: Settings, hosts: str, again: Callable[[], planning.Plan], *,
    live: bool,
) -> int:  # fmt: skip
    undos, finished = _undos(applier), applier.manifest.finished()
    begun = len(undos) if finished else 0
    try:
        if not finished:
            say("An earlier install did not come to its end; it is taken back first.")
            applier.undo(data=False, tell=warn)
            made = again()
        elif choose.reads_tools(made) and again() != made:
            raise Stop("this machine has changed since the look, nothing was changed; start again", 1)
        worked = looking.resolves() if live else True
        applier.apply(made.steps)
        applier.manifest.note("worked", worked)
        applier.manifest.note("hosts", hosts)
        applier.manifest.note("config", str(settings.path))
        trouble = looking.proves(settings) if live else ""
        if trouble:
            raise ApplyError(trouble)
        applier.manifest.finish()
    except (ApplyError, ManifestError, OSError, KeyboardInterrupt) as error:
        warn(f"{str(error) or 'interrupted'}; everything that it had changed is taken back")
        with suppress(ManifestError, OSError):
            applier.undo(data=False, tell=warn, since=begun)
        if live and begun:
            _still_answered(applier, settings)
        return 1
    say(bold("Installed.") + " Programs of this computer now ask blockerd; `blockerd status` says how it is.")
    return 0


def _still_answered(applier: Applier, settings: Settings) -> None:
    """After a repair that was taken back, programs ask the filter of the install before it, which by now has the
    settings of today. Where it does not answer them, nobody is led to it any more.
    """
    if _restarted(settings) or looking.resolves(8.0):
        return
    warn("the filter does not answer as it is set up now, and names do not resolve:")
    with suppress(ManifestError, OSError):
        _lead_away(applier, settings)


def run_uninstall(args: argparse.Namespace) -> int:
    """Exit 0 taken back and names resolve, 1 something is left, 2 not allowed, 3 all taken back, no name resolves yet.

    The package's prerm goes on with 0 and 3 alone.
    """
    applier = _applier(args.root)
    undos = _undos(applier)
    if not applier.manifest.exists():
        say("blockerd has changed nothing on this system.")
        return 0
    if args.dry_run:
        for undo in reversed(undos):
            say(f"  {undo.title}: {undo.path or ' '.join(undo.command) or 'nothing needed'}")
        return 0
    if os.geteuid() != 0 and args.root == Path("/"):
        raise Stop("uninstall changes the system: run it as root (sudo blockerd uninstall)")
    settings = _settings(args)
    readers = [f"{one.name} <{one.address}>" for one in settings.report.partner] if settings else []
    question = f"What shall be mailed to {', '.join(readers)}, and nothing else?"
    send = args.send or (_choose(question, offers(), "neutral") if readers else "nothing")
    keep = {"keep": "keep your settings and your record", "remove": "remove them too"}
    data = args.data or _choose("Your settings and your record?", keep, "keep")
    if settings and args.root == Path("/"):
        say(_tell_readers(settings, send))
        for problem in take_root_out(settings):
            warn(f"the root of the page filter is still trusted in {problem}")
    worked = applier.manifest.noted("worked")
    troubles = applier.undo(data=data == "remove", tell=warn)
    if data == "keep" and settings:
        say(f"Your record stays in {settings.state.dir}, your settings in {settings.path}.")
    return _ended(troubles, live=args.root == Path("/"), worked=worked is not False)


def _ended(troubles: list[Undo], *, live: bool, worked: bool) -> int:
    for undo in troubles:
        warn(f"left: {undo.title} ({undo.path or ' '.join(undo.command)}); run `blockerd uninstall` again")
    if live and not looking.resolves(15.0):
        if worked:
            warn("names do not resolve yet: connect to the network again")
            return 1 if troubles else 3
        say("Names did not resolve before the install either; nothing of blockerd is in the way any more.")
    if troubles:
        return 1
    say(bold("Taken off.") + " Everything is as it was.")
    return 0


def run_rescue(args: argparse.Namespace) -> int:
    """Exit 0 names resolve, 1 they do not."""
    applier = _applier(args.root)
    live = args.root == Path("/")
    if os.geteuid() != 0 and live:
        raise Stop("rescue-network changes the system: run it as root (sudo blockerd rescue-network)")
    _undos(applier)
    settings = _settings(args)
    if live and settings and _restarted(settings) and looking.resolves():
        say("The filter runs and names resolve; nothing had to be changed.")
        return 0
    troubles = _lead_away(applier, settings)
    return 1 if troubles or (live and not looking.resolves(15.0)) else 0


def _restarted(settings: Settings) -> bool:
    """Starts the filter again; True if programs get answers from it soon."""
    for unit in rescue.UNITS:
        run(("systemctl", "restart", unit))
    return not looking.proves(settings, 8.0)


def _lead_away(applier: Applier, settings: Settings | None) -> list[Undo]:
    """Takes back what leads questions to the filter, and returns what could not be; the rest of the install stays."""
    _note_rescue(settings)
    troubles = applier.undo(data=False, tell=warn, only=rescue.is_network, forget=False)
    say("This system asks the resolvers it asked before, after a restart too. Filter, locks and record are as they")
    say("were; requests made now are not filtered, and that is on record. Back again: blockerd install")
    return troubles


def _note_rescue(settings: Settings | None) -> None:
    """On record as a weaker change; a full disk does not stand in the way of DNS."""
    if settings is None:
        return
    with suppress(OSError, owner.Unreachable), owner.as_owner(settings.state.dir):
        writer = spool.Writer(spool_folder(settings), "cli", clock.now_us, clock.monotonic)
        change = Change(clock.now_us(), "rescue-network", "blockerd", "the former resolvers", Direction.WEAKER, "root")
        record(change, writer)
        writer.close()


def _applier(root: Path) -> Applier:
    return Applier(root, run if root == Path("/") else no_commands)


def _undos(applier: Applier) -> list[Undo]:
    try:
        return applier.manifest.undos()
    except ManifestError as error:
        raise Stop(str(error)) from None


def _settings(args: argparse.Namespace) -> Settings | None:
    """The settings, None where they cannot be read: taking off works without them."""
    try:
        return settings_of(args)
    except Stop:
        return None


def _show(made: planning.Plan, *, as_json: bool) -> None:
    rows = choose.shown(made)
    if as_json:
        steps = [{"does": does, "back": back} for does, back in rows]
        dump({"way": made.way.name.lower(), "steps": steps, "notes": list(made.notes)})
        return
    say(choose.heading(made))
    for number, (does, back) in enumerate(rows, 1):
        say(f"{number:3}  {does}")
        say(f"     back: {back}")
    for note in made.notes:
        say(f"Note: {note}")


def offers() -> dict[str, str]:
    """What a reader can be told, in the words that are mailed."""
    words = texts.load()
    today = clock.utc(clock.now()).date()
    return {
        "tell": f'"{words.text("pairing.removed_text", day=words.day(today))}"',
        "neutral": f'"{words.text("pairing.removed_neutral")}"',
        "nothing": "no mail to anybody",
    }


def _tell_readers(settings: Settings, send: str) -> str:
    """Asks `control` to send word; whatever comes of it, taking off goes on."""
    partners = [f"{one.name} <{one.address}>" for one in settings.report.partner]
    if not partners:
        return "Nobody reads your reports, so nobody is told."
    try:
        said = str(ask(settings, "report-halt", how=_HALT[send], now=True).get("said") or send)
        ask(settings, "report-send")  # it goes out now, before `control` is ended
    except (Stop, OSError) as error:
        if send == "nothing":
            return "Nothing is mailed to anybody."
        return f"No word could be sent to {', '.join(partners)} ({error}); tell them yourself if you wish."
    return said


def _yes(question: str) -> bool:
    if not sys.stdin.isatty():
        raise Stop(f"{question} Answer in a terminal, or add --yes")
    sys.stdout.write(f"{question} [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _choose(question: str, options: dict[str, str], usual: str) -> str:
    """One of `options` as typed; the usual one where nothing was typed or nobody can be asked."""
    if not sys.stdin.isatty():
        return usual
    say(question)
    for name, text in options.items():
        say(f"  {name}: {text}{' (usual)' * (name == usual)}")
    return asked_until(lambda text: text if text in options else (usual if not text else None))


def asked_until(good: Callable[[str], str | None]) -> str:
    """Asks again until `good` takes what was typed.

    Raises:
        Stop: the input ended.
    """
    while True:
        sys.stdout.write("> ")
        sys.stdout.flush()
        line = sys.stdin.readline()
        if not line:
            raise Stop("no answer; nothing was changed", 1)
        if (found := good(line.strip())) is not None:
            return found
        say("Type one of the words above.")
