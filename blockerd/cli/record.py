"""`log episodes`, `log check`, `log new-key`: what the record shows its owner, whether it fits, and another key for it.

For the person at the machine; nothing of it goes to anybody by itself, and no site is named.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, tzinfo
from textwrap import wrap
from typing import Any
from zoneinfo import ZoneInfo

from blockerd import clock
from blockerd.cli.data import asked, hold
from blockerd.cli.output import Stop, bold, columns, dump, say, settings_of
from blockerd.cli.reading import stamp, view
from blockerd.control.around import around
from blockerd.control.journal import Keeper
from blockerd.journal.check import Checked, check
from blockerd.journal.checkpoint import CheckpointError
from blockerd.journal.log import open_log
from blockerd.journal.read import View
from blockerd.journal.rotation import NoKey
from blockerd.journal.schema import JournalError
from blockerd.model import CATEGORIES
from blockerd.policy.schedule import DAYS
from blockerd.process import running_pid, spool_folder
from blockerd.report.episodes import Episode, Proposal, TooLittle, episodes, propose, risk
from blockerd.report.period import day_of, midnight
from blockerd.report.requests import Confidence, Reading, Sort, read
from blockerd.settings import Settings

WEEKS, MOST_WEEKS = 12, 104
NEWEST = 10
"""Episodes listed one by one."""

_SHADES = "·▁▃▅▇█"
_LOOK_BACK_US = 14 * 86_400_000_000
"""Attempts of so long before are read too: patterns of background traffic show over days."""


@dataclass(frozen=True, slots=True)
class Found:
    """What whole weeks up to today show; `proposal` is None where there is too little, which `words` then says."""

    weeks: int
    episodes: Sequence[Episode]
    requests: dict[Confidence, int]
    background: int
    words: str
    proposal: Proposal | None


def add_words(words: "argparse._SubParsersAction[Any]") -> None:
    """Adds the words of this file to the command `log`."""
    shown = words.add_parser("episodes", help="when urges come, and a schedule to think about", allow_abbrev=False)
    shown.add_argument("--weeks", type=int, default=WEEKS, metavar="N", help=f"whole weeks back (default {WEEKS})")
    shown.add_argument("--category", action="append", default=[], choices=CATEGORIES, metavar="NAME",
                       help="propose a schedule for this category too")  # fmt: skip
    shown.set_defaults(run=run_episodes)
    fits = words.add_parser("check", help="does the record still fit its own hashes?", allow_abbrev=False)
    fits.set_defaults(run=run_check)
    key = words.add_parser("new-key", help="sign with another key from now on", allow_abbrev=False)
    key.set_defaults(run=run_new_key)


def run_episodes(args: argparse.Namespace) -> int:
    """Exit 0 done, 1 the journal cannot be read, 2 no such number of weeks."""
    settings = settings_of(args)
    if not 1 <= args.weeks <= MOST_WEEKS:
        raise Stop(f"--weeks {args.weeks}: give 1 to {MOST_WEEKS}")
    zone = ZoneInfo(settings.time.zone)
    try:
        with view(settings) as record:
            found = look(record, settings, clock.now_us(), args.weeks, args.category)
    except JournalError as error:
        raise Stop(str(error), 1) from None
    if args.json:
        dump(as_dict(found))
    else:
        _screen(found, zone)
    return 0


def run_check(args: argparse.Namespace) -> int:
    """Exit 0 it fits, 1 it does not, or cannot be read."""
    settings = settings_of(args)
    try:
        with open_log(settings.state.dir / "journal.sqlite") as log:
            if log is None:
                raise Stop("nothing is on record yet", 1)
            checked = check(log.db)
    except JournalError as error:
        raise Stop(str(error), 1) from None
    if args.json:
        dump({**asdict(checked), "root": checked.root.hex()})
    else:
        _fits(checked)
    return 1 if checked.broken else 0


def run_new_key(args: argparse.Namespace) -> int:
    """Exit 0 done, 1 there is no key yet, or it could not be done now."""
    settings = settings_of(args)
    if running_pid(settings, "control"):
        digits = str(asked(settings, "new-key", "log new-key")["digits"])
    else:
        hold(settings, "log new-key")
        digits = _changed(settings)
    if args.json:
        dump({"digits": digits})
    else:
        say("From now on another key signs; the next mail says so, under the signature of the key before.")
        say(f"Its digits: {digits}. Readers who have the first mail need not compare them again.")
    return 0


def look(record: View, settings: Settings, now: int, weeks: int, categories: Sequence[str]) -> Found:
    """What the whole weeks that end with today show.

    Raises:
        JournalError: the record became unreadable.
    """
    zone = ZoneInfo(settings.time.zone)
    today = day_of(now, zone)
    start, end = (midnight(today + timedelta(days=days), zone) for days in (1 - 7 * weeks, 1))
    attempts = list(record.attempts(start - _LOOK_BACK_US, end))
    begun = record.facts(start, end).first
    known = around(record, attempts, start - _LOOK_BACK_US, end)
    readings = [one for one in read(attempts, known.finer) if one.attempt.time >= start]
    found = episodes(readings, zone, sightings=known.sightings)
    hours = risk(found, end if begun is None else max(start, begun), end, zone)
    scheduled = {one.category for one in settings.schedule}
    always = [one for one in settings.lists.categories if one not in scheduled]
    wanted = sorted({*scheduled, *categories, *(name for one in found for name, _ in one.categories if name)})
    proposal = None if isinstance(hours, TooLittle) else propose(hours, wanted, always)
    words = hours.words() if isinstance(hours, TooLittle) else proposal.words if proposal else ""
    return Found(weeks, found, _requests(readings), sum(map(_is_aside, readings)), words, proposal)


def as_dict(found: Found) -> dict[str, Any]:
    """The facts for `--json`; times in RFC 3339."""
    return {
        "weeks": found.weeks,
        "episodes": [
            {"start": stamp(one.start), "end": stamp(one.end), "minutes": one.minutes, "requests": one.requests,
             "categories": dict(one.categories), "sure": one.sure, "before": list(one.before)}
            for one in found.episodes
        ],
        "requests": {str(each): found.requests.get(each, 0) for each in Confidence},
        "background": found.background,
        "words": found.words,
        "proposal": None if found.proposal is None else asdict(found.proposal),
    }  # fmt: skip


def _requests(readings: Sequence[Reading]) -> dict[Confidence, int]:
    return dict(Counter(one.confidence for one in readings if one.sort == Sort.REQUEST))


def _is_aside(reading: Reading) -> bool:
    return reading.sort in (Sort.EMBED, Sort.PREFETCH, Sort.BACKGROUND)


def _screen(found: Found, zone: tzinfo) -> None:
    count = len(found.episodes)
    say(bold(f"The last {found.weeks} weeks: {count} episode{'' if count == 1 else 's'}"))
    say("An episode is requests with less than half an hour between two.")
    say(f"What pages and programs ask for by themselves does not count ({found.background:,} times).")
    if found.episodes:
        parts = [f"{found.requests.get(each, 0):,} {each}" for each in reversed(Confidence)]
        say(f"How sure it is that a request was one: {', '.join(parts)}. You know better than this list does.")
        say()
        for line in _week_chart(found.episodes):
            say(line)
        _before(found.episodes)
        say()
        say(bold("The newest" if count > 1 else "It"))
        for line in columns([_row(one, zone) for one in found.episodes[-NEWEST:]]):
            say(line)
    say()
    for line in wrap(found.words, 100):
        say(line)
    if found.proposal and found.proposal.toml:
        say("To take it up, put this into blockerd.toml (it makes more blocked, never less):")
        say()
        say(found.proposal.toml.rstrip("\n"))


def _week_chart(found: Sequence[Episode]) -> list[str]:
    """A line for each weekday, a sign for each hour."""
    counts = Counter((one.weekday, one.hour) for one in found)
    most = max(counts.values())
    lines = ["     0     6     12    18"]
    for weekday, name in enumerate(DAYS):
        signs = (_shade(counts[weekday, hour], most) for hour in range(24))
        lines.append(f"{name.capitalize()}  {''.join(signs)}")
    return lines


def _shade(count: int, most: int) -> str:
    return _SHADES[0] if not count else _SHADES[max(1, count * (len(_SHADES) - 1) // most)]


def _before(found: Sequence[Episode]) -> None:
    counts = Counter(before for one in found for before in one.before)
    if counts:
        told = ", ".join(f"{name} {count}" for name, count in counts.most_common())
        say(f"What came before, where it is known: {told}.")


def _row(one: Episode, zone: tzinfo) -> tuple[str, ...]:
    begin, end = (datetime.fromtimestamp(at / 1e6, zone) for at in (one.start, one.end))
    kinds = ", ".join(f"{name or 'kind not kept'} {count}" for name, count in one.categories)
    after = f"after {', '.join(one.before)}" if one.before else ""
    return (
        f"{begin:%a %d %b %H:%M}–{end:%H:%M}",
        f"{one.requests} request{'' if one.requests == 1 else 's'}",
        kinds,
        after,
    )


def _fits(checked: Checked) -> None:
    if not checked.broken:
        say(f"The {checked.size:,} entries fit their hashes; {checked.rows:,} of them still have what they say.")
        say("Whether they are the ones that were told to a reader, the reader's mails tell: see docs/evidence.md.")
        return
    say(f"The record does not fit its own hashes ({len(checked.broken)} places):")
    for one in checked.broken:
        where = f"entry {one.first}" if one.first == one.last else f"entries {one.first} to {one.last}"
        say(f"  {where}: {one.why}")
    say("A damaged disk, or a hand in the file. `blockerd import FILE` takes back a backup, and says so in the record.")


def _changed(settings: Settings) -> str:
    keeper = Keeper(settings, spool_folder(settings))
    try:
        return keeper.change_key().fingerprint
    except (OSError, JournalError, CheckpointError, NoKey) as error:
        raise Stop(f"log new-key: {error}", 1) from None
    finally:
        keeper.close()
