"""An invented quarter as a reader is told of it: thirteen weeks, four roles, and the golden files made of them.

`python -m tests.report.quarter` writes the golden files anew; read the difference before committing it.
"""

from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from blockerd.report.blocks import Note
from blockerd.report.catalogue import Catalogue
from blockerd.report.compose import note
from blockerd.report.due import next_due
from blockerd.report.letter import Letter, Reader, Seal
from blockerd.report.mail_html import html
from blockerd.report.mail_text import text
from blockerd.report.period import week
from blockerd.report.synthetic import days
from blockerd.report.texts import help_by_country, load
from blockerd.report.week import WeekFacts, gather
from blockerd.settings import Every, Role, SendAt

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "reports"
ZONE = ZoneInfo("Europe/Berlin")
WEEKS = [week(f"2026-W{number}", ZONE) for number in range(35, 48)]
DAYS = {day.date: day for day in days(WEEKS, 20)}
SEND_AT = SendAt(0, 18 * 60)
NAMED = {0: "first", 6: "middle", 12: "last"}
"""Which weeks become golden files, and how those are called."""


@cache
def facts(number: int = 12) -> WeekFacts:
    """The facts of week `number`, counted from 0, as they stood when it was over."""
    return gather(WEEKS[number], DAYS)


def letter(role: Role, number: int = 12) -> Letter:
    """A letter that has everything a letter of this role can have."""
    return Letter(
        role=role,
        zone=ZONE,
        next_due=next_due(Every.WEEK, SEND_AT, ZONE, WEEKS[number].end + 19 * 3600 * 1_000_000),
        version="0.6.0",
        country=help_by_country().of("", "Europe/Berlin"),
        stop_code="KWXR-MTHD",
        talk_word="maple",
        lists_age=number % 3,
        note="Thank you for the walk on Sunday.\nNext week will be a full one." if number == 12 else "",
        talks=number // 3,
        readers=(Reader("Robin", "robin@mail.example", Role.SPOUSE), Reader("Kim", "kim@mail.example", Role.MENTOR)),
        seal=Seal(number + 1, 700 * (number + 1), f"{number + 1:02x}" * 32, None if number == 0 else True),
        yardsticks=True,
        names_attached=True,
    )


def written(role: Role, number: int = 12, texts: Catalogue | None = None) -> Note:
    """The note of week `number` for `role`."""
    return note(facts(number), letter(role, number), texts or load())


def golden() -> dict[str, str]:
    """File name and content of every golden file."""
    found = {f"{role}.html": html(written(role)) for role in Role}
    for number, name in NAMED.items():
        found |= {f"{role}-{name}.txt": text(written(role, number)) for role in Role}
    return found


if __name__ == "__main__":
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for file, content in golden().items():
        (GOLDEN / file).write_text(content, "utf-8")
