"""Text as it could come from a list, a site, a settings file or a person who wishes harm, and notes full of it."""

from dataclasses import replace
from datetime import date
from zoneinfo import ZoneInfo

from blockerd.report.letter import Letter, Reader, Seal
from blockerd.report.pairing import Pair
from blockerd.report.week import Cover, Day, Marks, Signs, WeekFacts, gather
from blockerd.settings import Role
from tests.report.quarter import WEEKS, letter

MARK = "zzmark"
"""Stands in every hostile text, so that what became of it can be found."""
TEXTS = [
    "<script>zzmark(1)</script>",
    '"><img src=x onerror=zzmark>',
    "'--><svg/onload=zzmark()>",
    "</style></table></body><h1>zzmark",
    "=HYPERLINK(zzmark)",
    "zzmark\r\nBcc: someone@mail.example\r\n\r\nbody",
    "\u202ekramzz\u2066zzmark",
    "{code}{0.__class__}%s zzmark",
    "zzmark\x00\x1b[31m\x07\x9b",
    "zzmark&lt;b&gt;<!--<![endif]-->",
    "zzmark" + "\u0301" * 200,
    "zzmark " * 3000,
    "zzmark\u2028line\u2029para\u0085next",
    "\ud800zzmark",
]


def facts(text: str) -> WeekFacts:
    """A week in which every text from outside is `text`."""
    days = {day.date: _day(day.date, text) for week in WEEKS for day in week.days}
    return replace(gather(WEEKS[-1], days), label=text)


def _day(at: date, text: str) -> Day:
    return Day(
        date=at,
        cover=Cover(300, 100, 1000, 20, 10, 10),
        requests=(("adult", 1), (text, 3)),
        episodes=2,
        marks=Marks(*[1] * 14),
        background=1,
        bands=(1, 0, 0, 3),
        hours=(1,) * 24,
        sites=((text, 3), ("site.test", 1)),
        screen=100,
        late=10,
        episode_minutes=30,
        signs=Signs(1, 1),
    )


def note_of(role: Role, text: str) -> Letter:
    """A letter in which every text from outside is `text`."""
    return replace(
        letter(role),
        version=text,
        stop_code=text,
        talk_word=text,
        note=" ".join(text.splitlines()),
        plan=(text, text),
        resources=(text,),
        readers=(Reader(text, text, Role.SPOUSE),),
        seal=Seal(1, 1, text, True),
    )


def pair_of(role: Role, text: str) -> Pair:
    """Two people who are both called `text`."""
    return Pair(text, text, role, ZoneInfo("Europe/Berlin"), WEEKS[-1].end, None, text)
