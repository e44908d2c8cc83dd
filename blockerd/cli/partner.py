"""`partner`: who reads the notes. Invite them, enter what they said, end it; sharing less works at once, always.

Refuses to share anything that its reader did not agree to. What `control` keeps is asked of it; removing somebody needs
nothing but a file.
"""

import argparse
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import blockerd.journal.outbox as mailbox
from blockerd import clock
from blockerd.cli.ask import ask
from blockerd.cli.consent import agreed
from blockerd.cli.output import Stop, columns, dump, say, settings_of
from blockerd.journal import checkpoint, rotation
from blockerd.journal.log import open_log
from blockerd.journal.schema import JournalError
from blockerd.process import running_pid
from blockerd.report import consent
from blockerd.report.due import next_due
from blockerd.report.partner import Asks, Partner
from blockerd.settings import Settings

_STATES = {
    "invited": "asked, has not said yes",
    "reading": "reads the notes",
    "lapsed": "ended: not both said yes again",
    "stopped": "wants no more mails",
    "left": "ended by you",
    "moved": "another address: ask there with partner invite",
    "": "not asked yet",
}


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command of this file."""
    partner = commands.add_parser("partner", help="who reads the notes", allow_abbrev=False)
    words = partner.add_subparsers(dest="word", required=True, metavar="WORD")
    words.add_parser("ls", help="everybody, and how it stands", allow_abbrev=False).set_defaults(run=run_ls)
    invite = words.add_parser("invite", help="ask somebody of the settings by one mail", allow_abbrev=False)
    invite.add_argument("name")
    invite.set_defaults(run=run_invite)
    accept = words.add_parser("accept", help="enter the code that they told you", allow_abbrev=False)
    accept.add_argument("name")
    accept.add_argument("code")
    accept.add_argument("--key", metavar="AGE1…", help="their age key, for names in a closed file (therapist)")
    accept.set_defaults(run=run_accept)
    renew = words.add_parser("renew", help="say yes again yourself, with the code of their mail", allow_abbrev=False)
    renew.add_argument("name")
    renew.add_argument("code")
    renew.set_defaults(run=run_accept, key=None)
    stop = words.add_parser("stop", help="enter the code with which a reader stops the mails", allow_abbrev=False)
    stop.add_argument("code")
    stop.set_defaults(run=run_stop)
    remove = words.add_parser("remove", help="share nothing more with somebody, at once", allow_abbrev=False)
    remove.add_argument("name")
    remove.set_defaults(run=run_remove)


def run_ls(args: argparse.Namespace) -> int:
    """Exit 0 done, 1 the journal cannot be read."""
    settings = settings_of(args)
    known = known_partners(settings)
    zone = ZoneInfo(settings.time.zone)
    wanted = {one.name: (one.address, str(one.role)) for one in settings.report.partner}
    names = [*wanted, *(name for name in known if name not in wanted)]
    rows = [_told(name, wanted.get(name), known.get(name), zone) for name in names]
    report = settings.report
    due = datetime.fromtimestamp(next_due(report.every, report.send_at, zone, clock.now_us()) // 1_000_000, zone)
    digits = fingerprint(settings)
    if args.json:
        given = agreed(settings) is not None
        dump({"consent": given, "next": due.isoformat(), "fingerprint": digits, "partners": rows})
        return 0
    if agreed(settings) is None:
        say("You have not agreed to share anything; nothing is shared (blockerd consent).")
    if not rows:
        say("Nobody reads your notes. To ask somebody, add a [[report.partner]] to the settings.")
        return 0
    table = [("Name", "Address", "Reads", "State", "Asked again by")]
    table += [tuple(str(row[key]) for key in ("name", "address", "role", "told", "until")) for row in rows]  # type: ignore[misc]  # always five columns
    for line in columns(table):
        say(line)
    say(f"The next note is due on {due:%a %d %b %Y, %H:%M}.")
    if digits:
        say(f"Digits to compare by voice: {digits}")
    return 0


def run_invite(args: argparse.Namespace) -> int:
    """Exit 0 the mail is on its way, 1 it is not sent (the line says why), 2 blockerd does not run."""
    settings = settings_of(args)
    _name(settings, args.name)
    return _say(args, ask(settings, "partner-invite", name=args.name))


def run_accept(args: argparse.Namespace) -> int:
    """Exit 0 agreed, 1 it is not the code, 2 blockerd does not run."""
    more = {"key": args.key} if args.key else {}
    return _say(args, ask(settings_of(args), "partner-accept", name=args.name, code=args.code, **more))


def run_stop(args: argparse.Namespace) -> int:
    """Exit 0 the mails have ended, 1 nobody has this code, 2 blockerd does not run."""
    return _say(args, ask(settings_of(args), "partner-stop", code=args.code))


def run_remove(args: argparse.Namespace) -> int:
    """Exit 0 from now on nothing is shared, 2 there is nobody of this name or the file cannot be written."""
    settings = settings_of(args)
    if args.name not in known_partners(settings):
        _name(settings, args.name)
    try:
        consent.leave(settings.state.dir, args.name)
    except OSError as error:
        raise Stop(f"{settings.state.dir}: {error.strerror}; take the [[report.partner]] out of the settings") from None
    when = "within a minute" if running_pid(settings, "control") else "when blockerd runs again"
    said = f"nothing more is shared with {args.name}; they get one mail that says so and nothing about why, {when}"
    if any(one.name == args.name for one in settings.report.partner):
        said += f"; you may also take {args.name} out of the settings"
    return _say(args, {"said": said})


def known_partners(settings: Settings) -> dict[str, Partner]:
    """The records of all readers there are or were.

    Raises:
        Stop: the journal cannot be read.
    """
    try:
        with open_log(settings.state.dir / "journal.sqlite") as log:
            return mailbox.partners(log.db) if log else {}
    except JournalError as error:
        raise Stop(str(error), 1) from None


def fingerprint(settings: Settings) -> str:
    """The digits that a reader reads aloud, as they are here; "" before the first invitation."""
    folder = settings.state.dir
    try:
        with open_log(folder / "journal.sqlite") as log:
            return checkpoint.load(rotation.key_file(folder, log.state().log)).public.fingerprint if log else ""
    except (JournalError, FileNotFoundError):
        return ""
    except (checkpoint.CheckpointError, OSError) as error:
        raise Stop(str(error), 1) from None


def _name(settings: Settings, name: str) -> None:
    names = [one.name for one in settings.report.partner]
    if name not in names:
        there = f"there are {', '.join(names)}" if names else "there is none yet"
        raise Stop(f"{name}: no [[report.partner]] of this name in the settings; {there}")


def _told(name: str, wanted: tuple[str, str] | None, partner: Partner | None, zone: ZoneInfo) -> dict[str, Any]:
    address, role = wanted or (partner.address if partner else "", str(partner.role) if partner else "")
    state = str(partner.state) if partner else ""
    told = _STATES[state]
    if partner and partner.reads:
        role = str(partner.role)
        if partner.asks == Asks.RENEW:
            told += "; is asked again: partner renew"
        if partner.asks == Asks.MORE:
            told += f"; is asked whether it may be more ({partner.wants})"
    until = f"{datetime.fromtimestamp(partner.until // 1_000_000, zone):%Y-%m-%d}" if partner and partner.until else "–"
    return {"name": name, "address": address, "role": role, "state": state, "told": told, "until": until}


def _say(args: argparse.Namespace, got: dict[str, Any]) -> int:
    if args.json:
        dump(got)
    else:
        say(str(got["said"]))
        if got.get("trouble"):
            say(f"Note: {got['trouble']}")
    return 0
