"""`demo`: four invented weeks in a folder, with the mail that each role would get of them. Opens no connection.

What is invented are the requests and the people; spool, journal, notes and mails are made as the real ones are.
"""

import argparse
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from blockerd import __version__, clock
from blockerd.cli.output import Stop, bold, dump, say, settings_of
from blockerd.cli.report import as_dict, summary_of
from blockerd.control import days as control_days
from blockerd.journal.append import Journal
from blockerd.journal.outcome import DrainState
from blockerd.journal.read import View
from blockerd.journal.schema import JournalError
from blockerd.journal.spool import Meta, Writer
from blockerd.model import CATEGORIES, kind_of
from blockerd.policy.name import from_text
from blockerd.report import compose, mime
from blockerd.report.due import next_due
from blockerd.report.letter import Letter, Reader
from blockerd.report.mail_html import html
from blockerd.report.mail_text import text
from blockerd.report.period import Period, before, week_of
from blockerd.report.summarise import PeriodSummary
from blockerd.report.synthetic import Sign, Visit, days, moments
from blockerd.report.texts import help_by_country, load
from blockerd.report.week import gather
from blockerd.settings import Every, Role, SendAt

SEED = 20
WEEKS = 4
_HOUR_US = 3_600_000_000

_TYPES = (1, 28, 65)  # A, AAAA, HTTPS: what a browser asks for one page


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command of this file."""
    demo = commands.add_parser("demo", help="four invented weeks and their note; installs nothing", allow_abbrev=False)
    demo.add_argument("--out", metavar="FOLDER", help="a new folder; without it one among the temporary files")
    demo.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit 0 done, 1 the temporary folder cannot be filled."""
    zone_name = settings_of(args).time.zone
    zone = ZoneInfo(zone_name)
    now = clock.now_us()
    weeks = last_weeks(now, zone)
    try:
        folder = _folder(args.out)
        (folder / "blockerd.toml").write_text(f'[state]\ndir = "."\n[time]\nzone = "{zone_name}"\n', "utf-8")
        fill(folder, moments(weeks, SEED))
        with View(folder / "journal.sqlite", folder / "spool") as record:
            summary = summary_of(record, weeks[-1], now)
        tell(folder, weeks, now, zone)
        notes = write_mails(folder, weeks, zone, zone_name)
    except (OSError, JournalError) as error:
        raise Stop(f"no demo: {error}", 1) from None
    if args.json:
        dump({"folder": str(folder), "config": str(folder / "blockerd.toml"), "summary": as_dict(summary),
              "mails": [f"note-{role}.eml" for role in notes]})  # fmt: skip
    else:
        _show(folder, notes, summary, zone)
    return 0


def last_weeks(now_us: int, zone: ZoneInfo) -> list[Period]:
    """The WEEKS ISO weeks before the current one, oldest first."""
    found = [week_of(now_us, zone)]
    for _ in range(WEEKS):
        found.append(before(found[-1], zone))
    return found[:0:-1]


def fill(folder: Path, story: Iterable[Visit | Sign]) -> None:
    """Writes `story` through a spool below `folder` and drains it into a journal there.

    Raises:
        OSError, JournalError: they cannot be written.
    """
    spool = folder / "spool"
    spool.mkdir(mode=0o700)
    _write(spool, story)
    journal = Journal(folder / "journal.sqlite", clock.now_us)
    try:
        drained = journal.drain(spool)
    finally:
        journal.close()
    if drained.state != DrainState.OK:
        raise JournalError(drained.message)


def tell(folder: Path, weeks: list[Period], now: int, zone: ZoneInfo) -> None:
    """Leaves for the days of `weeks` in the journal below `folder`, as `control` appends them day by day.

    Raises:
        JournalError, OSError: they cannot be written.
    """
    days = [day.date for week in weeks for day in week.days]
    with View(folder / "journal.sqlite", folder / "spool") as record:
        found = control_days.summarised(record, days, None, now, zone, {})
    journal = Journal(folder / "journal.sqlite", clock.now_us)
    try:
        journal.within(lambda db: control_days.keep(db, found, zone))
    finally:
        journal.close()


def _write(spool: Path, story: Iterable[Visit | Sign]) -> None:
    at = 0
    writer = Writer(spool, "dns", lambda: at, lambda: 0.0)
    combos = tuple(("demo", "Demo list", category, kind_of(category)) for category in CATEGORIES)
    writer.meta(Meta(1, "", "NXDOMAIN", combos))
    awake = _Awake(writer)
    for moment in story:
        at = moment.at
        if isinstance(moment, Sign):
            writer.event({"kind": "coverage", "process": "dns", "state": moment.state, "boot": "demo"})
            awake.sign(moment)
            continue
        name, combo = from_text(moment.site), CATEGORIES.index(moment.category)
        for number in range(moment.questions):
            kind = _TYPES[number % len(_TYPES)]
            writer.attempts([0, combo], [name + kind.to_bytes(2, "big") + b"\x00\x01"])
            at += 2_000_000 if kind == _TYPES[-1] else 1000
    writer.close()
    if writer.take_lost():
        raise OSError(f"{spool}: the disk takes no more: free some space")


class _Awake:
    """Signs with the clocks of a machine that sleeps between its evenings, as coverage is computed from them."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._first = self._last = self._beat = self._monotonic = 0

    def sign(self, sign: Sign) -> None:
        """Records `sign`, where it says more than the one before."""
        if sign.state != "start":
            self._monotonic += sign.at - self._last
        self._first = self._first or sign.at - _HOUR_US
        self._last = sign.at
        if sign.state == "alive" and sign.at - self._beat < _HOUR_US // 4:
            return
        self._beat = sign.at
        times = {"boottime": sign.at - self._first, "monotonic": _HOUR_US + self._monotonic}
        mark = {"at": sign.at, "boot": "demo", "run": 1, **times}
        self._writer.event({"kind": "beat", "counters": {}, "policy": "", "mark": mark, **mark})


def write_mails(folder: Path, weeks: list[Period], zone: ZoneInfo, zone_name: str) -> dict[Role, str]:
    """Writes the last week's mail for each role below `folder`, as .eml, .txt and .html; the texts.

    Raises:
        OSError: they cannot be written.
    """
    told = {day.date: day for day in days(weeks, SEED)}
    facts, found = gather(weeks[-1], told), dict[Role, str]()
    made = weeks[-1].end + 18 * _HOUR_US
    for role in Role:
        note = compose.note(facts, _letter(role, zone, zone_name, made), load())
        found[role] = text(note)
        (folder / f"note-{role}.txt").write_text(found[role], "utf-8")
        (folder / f"note-{role}.html").write_text(html(note), "utf-8")
        envelope = mime.Envelope("you@home.example", f"{role}@mail.example", made)
        mail = mime.message(note.subject, note.language, mime.parts_of(note), envelope)
        (folder / f"note-{role}.eml").write_bytes(mail)
    return found


def _letter(role: Role, zone: ZoneInfo, zone_name: str, made: int) -> Letter:
    return Letter(
        role=role,
        zone=zone,
        next_due=next_due(Every.WEEK, SendAt(0, 18 * 60), zone, made),
        version=__version__,
        country=help_by_country().of("", zone_name),
        stop_code="BCDF-GHJK",
        talk_word="maple",
        lists_age=0,
        talks=2,
        readers=tuple(Reader(f"Your {one}", f"{one}@mail.example", one) for one in Role if one != Role.SELF),
        yardsticks=False,
    )


def _folder(name: str | None) -> Path:
    if name is None:
        return Path(tempfile.mkdtemp(prefix="blockerd-demo-"))
    folder = Path(name)
    folder.mkdir(mode=0o700, parents=True)
    return folder


def _show(folder: Path, notes: dict[Role, str], summary: PeriodSummary, zone: ZoneInfo) -> None:
    config = folder / "blockerd.toml"
    say(bold(f"A demo with invented requests of {WEEKS} weeks; nothing was installed, sent or looked up."))
    say("This is what a spouse would get by mail:")
    say()
    say(notes[Role.SPOUSE])
    say(
        f"All of it lies in {folder} (delete it when you like): note-spouse, note-mentor, note-therapist and note-self,"
    )
    say("each as .txt, as a page (.html) and as a mail (.eml). Look further with:")
    say(f"  blockerd log --since 60d --config {config}")
    say(f"  blockerd report preview --role mentor --week {before_label(summary, zone)} --config {config}")


def before_label(summary: PeriodSummary, zone: ZoneInfo) -> str:
    """The label of the week before that of `summary`."""
    return week_of(summary.start - 1, zone).label
