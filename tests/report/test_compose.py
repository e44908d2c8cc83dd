"""The order of a note, what it promises, and the words of all texts: DESIGN section 7 as tests."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest

from blockerd.report import compose, pairing
from blockerd.report.blocks import Bars, Block, Heading, Heat, Items, Note, Para, Shares, Table, Tone
from blockerd.report.compose import note
from blockerd.report.mail_text import text
from blockerd.report.texts import help_by_country, load
from blockerd.report.week import Cover, Missed, Signs, Span
from blockerd.settings import Role
from tests.report.hostile import pair_of
from tests.report.quarter import WEEKS, facts, letter, written

C = load()
PARTNERS = [role for role in Role if role is not Role.SELF]
FIRST = "You are not asked to police this. You may stop these mails: "
NEVER = re.compile(
    r"\b(?:clean|dirty|relaps\w*|addict\w*|fail(?:ed|ure)?|violat\w*|suspect\w*|caught|offend\w*|cured?|proofs?|tamper\w*"
    r"|guilt\w*|sham\w*|sin(?:s|ned|ful)?|porn\w*|sex\w*|lapsed?|streaks?|warning|alert|accus\w*|confess\w*|cheat\w*"
    r"|spy|spie[sd]|surveil\w*|punish\w*|blame\w*|victim|abus\w*|bad|wrongdoing|disobey\w*|illegal|should have)\b",
    re.I,
)
SMALL_HOURS = re.compile(r"\b(?:[01]?\d|2[0-3]):[0-5]\d\b")
ON = date(2026, 11, 22)


def around(role: Role) -> dict[str, Note]:
    """Every mail around the notes."""
    pair = replace(pair_of(role, "Alex"), stop_code="KWXR-MTHD", country=help_by_country().of("DE"))
    return {
        "invite": pairing.invite(pair, "QRST", "ABCD EFGH", C),
        "accepted": pairing.accepted(pair, ON, C),
        "renewal": pairing.renewal(pair, ON, "QRST", C, mine=False),
        "lapsed": pairing.lapsed(pair, C, mine=False),
        "stopped by partner": pairing.stopped_by_partner(pair, ON, C, mine=False),
        "stopped by user": pairing.stopped_by_user(pair, ON, C),
        "less": pairing.less(pair, ON, C),
        "more": pairing.more(pair, ON, "QRST", C),
        "new address": pairing.new_address(pair, ON, C),
        "removed": pairing.removed(pair, ON, C, neutral=False),
        "removed, neutral": pairing.removed(pair, ON, C, neutral=True),
        "halted": pairing.halted(pair, ON, C),
    }


def own() -> dict[str, Note]:
    """The mails around the notes that go to the user alone."""
    pair = replace(pair_of(Role.SPOUSE, "Alex"), country=help_by_country().of("DE"))
    return {
        "renewal": pairing.renewal(pair, ON, "QRST", C, mine=True),
        "lapsed": pairing.lapsed(pair, C, mine=True),
        "stopped by partner": pairing.stopped_by_partner(pair, ON, C, mine=True),
    }


ALL: list[tuple[str, Role, Note]] = [
    *((f"week {number} {role}", role, written(role, number)) for role in Role for number in range(len(WEEKS))),
    *((f"{name} {role}", role, mail) for role in PARTNERS for name, mail in around(role).items()),
    *((f"{name} self", Role.SELF, mail) for name, mail in own().items()),
    ("guide", Role.SPOUSE, pairing.guide(None, C)),
]
each = pytest.mark.parametrize(
    ("role", "mail"), [(role, mail) for _, role, mail in ALL], ids=[name for name, _, _ in ALL]
)


def spoken(block: Block) -> Iterator[str]:
    match block:
        case Heading(words, _) | Para(words, _):
            yield words
        case Items(lines, _):
            yield from lines
        case Table(caption, head, rows, _):
            yield from (caption, *head, *(cell for row in rows for cell in row))
        case Bars(caption, head, bars):
            yield from (caption, *head, *(words for bar in bars for words in (bar.label, bar.shown)))
        case Shares(caption, head, parts, total, total_label):
            yield from (caption, *head, total, total_label, *(part.label for part in parts))
        case Heat(caption, corner, columns, rows):
            yield from (caption, corner, *columns, *(name for name, _ in rows))


def all_words(mail: Note) -> str:
    return "\n".join((mail.subject, *(words for block in mail.blocks for words in spoken(block))))


@each
def test_a_partner_is_told_first_that_nobody_asks_them_to_police_this(role: Role, mail: Note):
    first = mail.blocks[0]
    assert isinstance(first, Para)
    assert first.text.startswith(FIRST) is (role is not Role.SELF)
    assert text(mail).startswith(first.text[:40])


@each
def test_where_help_is_stands_before_any_figure(role: Role, mail: Note):
    first, asked, places = mail.blocks[:3]
    assert not re.search(r"\d", "".join(spoken(first)))
    assert isinstance(asked, Para)
    assert isinstance(places, Items)
    assert asked.tone is places.tone is Tone.HELP
    assert "findahelpline.com" in places.lines[-1]


@each
def test_no_word_judges_threatens_or_is_explicit(role: Role, mail: Note):
    words = all_words(mail)
    for allowed in ("adult sites", "SAA", "not visits by a person"):
        words = words.replace(allowed, "")
    assert NEVER.findall(words) == []
    assert not re.search(r"\bvisit(?:s|ed)?\b", words, re.I)


@each
def test_the_subject_is_neutral_and_one_line(role: Role, mail: Note):
    assert mail.subject in {C.texts[f"subject.{name}"] for name in ("week", "pairing", "renew", "ended", "change")} | {
        C.texts["guide.title"]
    }
    assert "Alex" not in mail.subject


@pytest.mark.parametrize("number", range(len(WEEKS)))
@pytest.mark.parametrize("role", [Role.SPOUSE, Role.MENTOR])
def test_no_hour_of_anything_reaches_spouse_or_mentor(role: Role, number: int):
    words = all_words(written(role, number))
    assert len(SMALL_HOURS.findall(words)) == words.count("18:00") == 1, "only when the next note is due"
    bands = {C.texts[name] for name in ("band.night", "band.morning", "band.afternoon", "band.evening")}
    shown = set(re.findall(r"\d+–\d+ h", words))
    assert shown <= (bands if role is Role.MENTOR else set())


@pytest.mark.parametrize("role", PARTNERS)
def test_no_name_of_a_site_or_program_is_in_a_mail_to_somebody_else(role: Role):
    words = all_words(written(role))
    assert not re.search(r"\bsite-\d|\.test\b|s…", words)


@pytest.mark.parametrize("role", Role)
def test_coverage_opens_the_summary_and_what_went_well_comes_before_any_count(role: Role):
    blocks = written(role).blocks
    at = next(n for n, block in enumerate(blocks) if isinstance(block, Heading) and block.top)
    line, well, items = blocks[at + 1 : at + 4]
    assert isinstance(line, Para)
    assert line.text.startswith("Monitored ")
    assert well == Heading("What went well")
    assert isinstance(items, Items)
    assert items.lines


def test_the_coverage_line_reads_like_this():
    days = tuple(replace(day, cover=Cover(522, 0, 800, 18 + 10 * (n % 3), 0, 0)) for n, day in enumerate(facts().days))
    blocks = note(replace(facts(), days=days), replace(letter(Role.SPOUSE), lists_age=2), C).blocks
    assert blocks[4] == Para(
        "Monitored 60.9 of 64.0 powered-on hours; gaps: Mon 18 min, Tue 28 min, Wed 38 min, and 4 days more; "
        "lists 2 days old; version 0.6.0."
    )


def test_what_is_not_known_is_said_and_not_called_fine():
    day = replace(facts().days[0], cover=Cover(not_running=1000, unknown=440))
    blind = note(replace(facts(), days=(day,), absent=6), letter(Role.SPOUSE), C)
    assert "Nothing is known about this time" in all_words(blind)
    assert "For 6 days there is no summary." in all_words(blind)
    half = replace(facts().days[0], cover=Cover(monitored=600, not_running=400, unknown=440))
    words = all_words(note(replace(facts(), days=(half,)), letter(Role.SPOUSE), C))
    assert "not running 6 h 40 min, and whether the computer was on then is not known; unknown 7 h 20 min" in words


def test_a_quiet_week_claims_only_what_was_seen():
    days = tuple(replace(day, requests=(), episodes=0) for day in facts().days)
    words = all_words(note(replace(facts(), days=days), letter(Role.SPOUSE), C))
    assert "No requests for listed sites were seen on this computer while it was monitored." in words
    assert "cannot see other devices, VPNs, or a system started from a stick" in words


def test_a_hard_week_keeps_what_went_well_and_is_told_beside_the_others():
    weeks = (*facts().trend[:-1], replace(facts().trend[-1], requests=99))
    words = all_words(note(replace(facts(), trend=weeks), letter(Role.SPOUSE), C))
    assert "35 days without a request" in words
    assert "99 requests this week; the week before it was 31. That takes nothing from the weeks before" in words


def test_missed_weeks_a_late_note_and_a_short_one_say_so():
    span = Span(date(2026, 4, 20), 203, 512, 90, 60_000, None)
    seen = replace(facts(), missed=Missed(29, date(2026, 11, 15), span))
    late = replace(letter(Role.SPOUSE), late_since=WEEKS[-1].end + 18 * 3600 * 1_000_000, partial=True)
    words = all_words(note(seen, late, C))
    assert "Before these days 29 notes were not sent (Mon 20 Apr to Sun 15 Nov 2026)" in words
    assert "In the time without notes: 512 requests, 1,000.0 hours monitored." in words
    assert "This note is late. It was due on Monday 23 November 2026, 18:00." in words
    assert "This note covers fewer days than usual" in words


@pytest.mark.parametrize("role", Role)
def test_yardsticks_are_shown_to_those_who_may_and_only_on_request(role: Role):
    asked = all_words(note(facts(), letter(role), C))
    assert ("11 to 12 hours" in asked) is (role in (Role.SELF, Role.THERAPIST))
    assert "11 to 12 hours" not in all_words(note(facts(), replace(letter(role), yardsticks=False), C))
    assert ("not a diagnosis" in asked) is ("11 to 12 hours" in asked)


def test_signs_are_counts():
    days = tuple(replace(day, signs=Signs(1, 2)) for day in facts().days)
    words = all_words(note(replace(facts(), days=days), letter(Role.SELF), C))
    assert "Requests to open what was closed: 7." in words
    assert "Requests after an own limit or in protected time: 14." in words


def test_the_user_is_shown_every_reader_and_a_partner_none():
    assert "Robin, robin@mail.example: counts, coverage and trend" in all_words(written(Role.SELF))
    assert all("robin@mail.example" not in all_words(written(role)) for role in PARTNERS)
    alone = note(facts(), replace(letter(Role.SELF), readers=()), C)
    assert "Nobody else gets a note from this computer." in all_words(alone)


@pytest.mark.parametrize("role", PARTNERS)
def test_each_mail_to_a_partner_names_the_next_one_and_the_way_to_stop(role: Role):
    words = all_words(written(role))
    assert "The next note is due on Monday 30 November 2026, 18:00." in words
    assert words.count("KWXR-MTHD") == 2


@pytest.mark.parametrize(("continues", "told"), [(True, "has been changed"), (False, "begins anew"), (None, "")])
def test_what_the_seal_says_of_earlier_notes(continues: bool | None, told: str):
    seal = letter(Role.SPOUSE).seal
    assert seal is not None
    words = all_words(note(facts(), replace(letter(Role.SPOUSE), seal=replace(seal, continues=continues)), C))
    assert told in words
    assert ("Nothing reported in earlier mails has been changed." in words) is (continues is True)


def test_the_plan_for_the_hour_after_is_in_the_own_words_and_for_the_user_alone():
    planned = {role: all_words(note(facts(), replace(letter(role), plan=("Call Sam.",)), C)) for role in Role}
    assert [role for role in Role if "Call Sam." in planned[role]] == [Role.SELF]
    assert "Get up and leave the room" in all_words(written(Role.SELF))


def test_prompts_change_from_week_to_week_and_are_two():
    def prompts(number: int) -> tuple[str, ...]:
        blocks = written(Role.SPOUSE, number).blocks
        at = blocks.index(Heading("If you would like to talk"))
        items = blocks[at + 2]
        assert isinstance(items, Items)
        return items.lines

    seen = [prompts(number) for number in range(12)]
    assert {len(one) for one in seen} == {2}
    assert all(one != two for one, two in pairwise(seen))
    assert {line for one in seen for line in one} == set(C.lists["talk.partner"])


def test_the_first_week_has_nothing_to_be_compared_with():
    words = all_words(written(Role.SPOUSE, 0))
    assert "There are not yet enough weeks for a trend." in words
    assert "first week on record" not in words


def test_every_text_of_the_catalogue_is_used_or_belongs_to_a_family():
    """A text that nobody reads would be translated for nothing."""
    code = "".join(path.read_text("utf-8").replace("'", '"') for path in Path(compose.__file__).parent.glob("*.py"))
    families = ("category", "date.", "language.", "about.role_", "pairing.will_", "settings.", "coverage.", "subject.")
    names = {re.sub(r"\.(one|other)$", "", name) for name in (*C.texts, *C.lists)}
    assert [name for name in sorted(names) if f'"{name}"' not in code and not name.startswith(families)] == []
