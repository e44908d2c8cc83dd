"""`report`: the notes: what would be sent, what was, a word of your own in the next one, and the check of kept mails.

The mails themselves are made and sent by `control`. Nothing here sends anything but `report test`, which goes to
yourself. Refuses to take anything out of a note.
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from blockerd import clock
from blockerd.cli import report_mails as mails
from blockerd.cli import report_words
from blockerd.cli.ask import ask
from blockerd.cli.output import Stop, dump, say, settings_of
from blockerd.cli.owner import as_oneself
from blockerd.cli.reading import stamp, view
from blockerd.cli.report_preview import Shown, preview
from blockerd.journal.read import View
from blockerd.journal.schema import JournalError
from blockerd.lists.added import merged
from blockerd.lists.fetch import record as fetch_record
from blockerd.report.period import Period, week, week_of
from blockerd.report.roles import REVEALED
from blockerd.report.summarise import ListState, PeriodSummary, summarise
from blockerd.settings import Role, Settings


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands of this file."""
    report = commands.add_parser("report", help="the notes", allow_abbrev=False)
    words = report.add_subparsers(dest="word", required=True, metavar="WORD")
    look = words.add_parser("preview", help="show the note; nothing is sent", allow_abbrev=False)
    look.add_argument("--role", choices=list(Role), type=Role, default=Role.SELF, help="as whom (default: yourself)")
    look.add_argument("--week", metavar="YYYY-Www", help="an ISO week, e.g. 2026-W47; without it the note to come")
    look.add_argument("--html", metavar="FILE", help="write the page that the mail holds to a new file")
    look.add_argument("--reveal", action="store_true", help="names whole, for yourself or a page for a therapist")
    look.set_defaults(run=run_preview)
    mails.register(words)
    report_words.register(words)
    note = words.add_parser("note", help="a word of your own in the next note to each reader", allow_abbrev=False)
    note.add_argument("names", nargs="*", metavar="TEXT", help="without any: take back what nobody has yet")
    note.set_defaults(run=run_note)
    talked = words.add_parser("talked", help="we talked: enter the word of the reader's mail", allow_abbrev=False)
    talked.add_argument("name", metavar="WORD")
    talked.set_defaults(run=run_talked)
    send = words.add_parser("send", help="try now what is due, rather than at its time", allow_abbrev=False)
    send.set_defaults(run=run_send)
    halt = words.add_parser("halt", help="tell your readers, in half an hour, that you have stopped it for good",
                            allow_abbrev=False)  # fmt: skip
    halt.add_argument("--cancel", action="store_true", help="take such a notice back")
    halt.set_defaults(run=run_halt)


def run_preview(args: argparse.Namespace) -> int:
    """Exit 0 done, 1 the journal cannot be read, 2 no such week, or the file cannot be made."""
    settings = settings_of(args)
    if args.reveal and args.role not in REVEALED:
        raise Stop(f"--reveal: a {args.role} is told no names; preview as self or therapist")
    zone = ZoneInfo(settings.time.zone)
    now = clock.now_us()
    try:
        period = week(args.week, zone) if args.week else None
    except ValueError as error:
        raise Stop(f"--week {error}") from None
    try:
        with view(settings) as record:
            shown = preview(settings, record, args.role, period, now, reveal=args.reveal)
            summary = summary_of(record, period or week_of(now, zone), now) if args.json else None
    except JournalError as error:
        raise Stop(str(error), 1) from None
    if args.html:
        _write(Path(args.html), shown.html)
    if summary is not None:
        dump({**as_dict(summary), "role": str(args.role), "lists": _lists(settings), "note": shown.as_dict()})
    else:
        _say(shown, args.html)
    return 0


def run_note(args: argparse.Namespace) -> int:
    """Exit 0 kept, 2 blockerd does not run."""
    return _answered(args, ask(settings_of(args), "report-note", text=" ".join(args.names)))


def run_talked(args: argparse.Namespace) -> int:
    """Exit 0 counted, 1 no note has this word, 2 blockerd does not run."""
    return _answered(args, ask(settings_of(args), "report-talked", word=args.name))


def run_send(args: argparse.Namespace) -> int:
    """Exit 0 nothing is in the way, 1 something is (the line says what), 2 blockerd does not run."""
    got = ask(settings_of(args), "report-send")
    _answered(args, got)
    return 1 if got.get("trouble") else 0


def run_halt(args: argparse.Namespace) -> int:
    """Exit 0 done, 1 a notice went out a short while ago, 2 blockerd does not run."""
    return _answered(args, ask(settings_of(args), "report-halt", how="cancel" if args.cancel else "halted"))


def _answered(args: argparse.Namespace, got: dict[str, Any]) -> int:
    if args.json:
        dump(got)
    else:
        say(str(got["said"]))
        if got.get("trouble"):
            say(f"Note: {got['trouble']}")
    return 0


def _say(shown: Shown, page: str | None) -> None:
    say(f"As {shown.role} would read it, were it sent now ({shown.period}); nothing was sent.")
    for one in shown.readers:
        say(f"Goes to {one.name}, {one.address}.")
    if page:
        say(f"The page lies in {page}.")
    say()
    say(shown.text.rstrip("\n"))


def _write(path: Path, page: str) -> None:
    try:
        with as_oneself(), path.open("x", encoding="utf-8") as file:
            file.write(page)
    except OSError as error:
        raise Stop(f"{path}: {error.strerror}; name a new file in a place that you may write to") from None


def _lists(settings: Settings) -> list[dict[str, Any]]:
    return [asdict(one) for one in list_states(settings)]


def list_states(settings: Settings) -> list[ListState]:
    """How the fetched lists stand."""
    found = []
    for source in merged(settings).lists.source:
        if source.url and source.enabled:
            meta = fetch_record.load(settings, source.id)
            found.append(ListState(source.category, meta.age_days(clock.now()), bool(meta.held or meta.problem)))
    return found


def summary_of(record: View, period: Period, now_us: int) -> PeriodSummary:
    """The summary of `period` from `record`.

    Raises:
        JournalError: the journal became unreadable.
    """
    bounds = [day.start for day in period.days] + [period.end]
    return summarise(period, record.tallies(bounds), record.facts(period.start, period.end), now_us)


def as_dict(summary: PeriodSummary) -> dict[str, Any]:
    """The facts of `summary`; times in RFC 3339, minutes and counts as numbers."""
    cover = summary.coverage
    return {
        "period": summary.label,
        "start": stamp(summary.start),
        "end": stamp(summary.end),
        "until": stamp(summary.until),
        "role": "self",
        "coverage": {
            "running_minutes": cover.running,
            "unknown_minutes": cover.unknown,
            "first": None if cover.first is None else stamp(cover.first),
            "last": None if cover.last is None else stamp(cover.last),
            "lost": cover.lost,
        },
        "days": [
            {
                "date": day.date.isoformat(),
                "attempts": dict(day.attempts),
                "bypass": day.bypass,
                "running_minutes": day.running,
            }
            for day in summary.days
        ],
        "attempts": dict(summary.attempts),
        "total": summary.total,
        "bypass": summary.bypass,
    }
