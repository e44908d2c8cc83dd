"""A note from facts: the order of its parts, its opening and its end. Pure; the same facts give the same note.

The order is the law of DESIGN section 7: a partner is told first that nobody asks them to police this, then where help
is, then how much was seen, then what went well, and only then figures. Facts are cut to the role here, whoever cut
them before. Called by whoever sends, previews or prints a note; laid out by `mail_text` and `mail_html`.
"""

from blockerd.report import sections
from blockerd.report.blocks import Block, Heading, Items, Note, Para, Tone
from blockerd.report.catalogue import Catalogue
from blockerd.report.helplines import Country
from blockerd.report.letter import Letter
from blockerd.report.roles import cut
from blockerd.report.safe import KEPT_SPACE, line, paragraphs
from blockerd.report.week import WeekFacts
from blockerd.settings import Role

_PROMPTS = 2
_TALKERS = {Role.SPOUSE: "talk.partner", Role.MENTOR: "talk.partner", Role.SELF: "talk.self"}


def note(facts: WeekFacts, letter: Letter, c: Catalogue) -> Note:
    """The note of `letter.role`; more is in `facts` than it may say, and it does not say it."""
    shown = cut(facts, letter.role, yardsticks=letter.yardsticks, reveal=letter.reveal)
    blocks: tuple[Block, ...] = (
        *opening(letter.role, letter.country, letter.stop_code, c),
        Heading(c.text("heading.week", span=c.span(shown.first, shown.last)), top=True),
        *_coverage(shown, letter, c),
        *sections.progress(shown, c, letter.talks),
        *sections.requests(shown, c, reveal=letter.reveal),
        *sections.trend(shown, c),
        *sections.time(shown, c),
        *sections.coverage(shown, c),
        *sections.settings(shown, c),
        *(sections.yardsticks(shown, c) if letter.yardsticks else ()),
        *_words_of_the_user(letter, c),
        *_talk(shown, letter, c),
        *_plan(letter, c),
        *_resources(letter, c),
        *_about(letter, c),
    )
    return Note(c.language, c.direction, _subject(shown, c), blocks)


def opening(role: Role, country: Country | None, stop_code: str, c: Catalogue, lead: str = "") -> tuple[Block, ...]:
    """What every mail begins with; `lead` is the name of another first line for a partner."""
    mine = role is Role.SELF
    name = ("lead.about_me" if lead else "lead.self") if mine else lead or "lead.partner"
    first = c.text(name, code=line(stop_code))
    return (Para(first, Tone.LEAD), *help_lines(country, c, mine=mine))


def help_lines(country: Country | None, c: Catalogue, *, mine: bool) -> tuple[Block, ...]:
    """Where somebody can be reached now: in the reader's country where it is known, and everywhere."""
    asked = Para(c.text("help.self" if mine else "help.partner"), Tone.HELP)
    places = (_country(country, c),) if country else (c.text("help.anywhere"), c.text("help.some"))
    return (asked, Items((*places, c.text("help.elsewhere")), Tone.HELP))


def _country(country: Country, c: Catalogue) -> str:
    lines = (
        c.text("help.line_hours", name=one.name, number=_unbroken(one.number), hours=one.hours)
        if one.hours
        else c.text("help.line", name=one.name, number=_unbroken(one.number))
        for one in country.lines
    )
    told = c.text("help.join").join(lines)
    return c.text("help.here", country=country.name, emergency=country.emergency, lines=told)


def _unbroken(number: str) -> str:
    return number.replace(" ", KEPT_SPACE).replace(f"{KEPT_SPACE}or{KEPT_SPACE}", " or ")


def _subject(facts: WeekFacts, c: Catalogue) -> str:
    """Neutral: it shows on a locked screen."""
    days = (facts.last - facts.first).days + 1
    if days == 1:
        return c.text("subject.day")
    return c.text("subject.week") if days == 7 else c.text("subject.days", n=str(days))


def _coverage(facts: WeekFacts, letter: Letter, c: Catalogue) -> list[Block]:
    found: list[Block] = [Para(sections.coverage_line(facts, c, letter.lists_age, line(letter.version, 40)))]
    if letter.late_since is not None:
        found.append(Para(c.text("coverage.late", due=c.moment(letter.late_since, letter.zone))))
    if letter.partial:
        found.append(Para(c.text("coverage.partial")))
    if facts.missed:
        span = facts.missed.span
        requests, hours = c.many("count.request", span.requests), c.hours(span.monitored)
        found.append(Para(c.many("coverage.missed", facts.missed.periods, span=c.span(span.first, facts.missed.last))))
        found.append(Para(c.text("coverage.missed_sum", requests=requests, hours=hours)))
    return found


def _words_of_the_user(letter: Letter, c: Catalogue) -> list[Block]:
    said = paragraphs(letter.note)
    title = "heading.own_note" if letter.role is Role.SELF else "heading.note"
    return [Heading(c.text(title)), *map(Para, said)] if said else []


def _talk(facts: WeekFacts, letter: Letter, c: Catalogue) -> list[Block]:
    """Two prompts, other ones each week and the same ones in each copy of a note."""
    if letter.role not in _TALKERS:
        return []
    prompts = c.lists[_TALKERS[letter.role]]
    first = facts.last.toordinal() // 7
    chosen = tuple(prompts[(first + n * (len(prompts) // _PROMPTS)) % len(prompts)] for n in range(_PROMPTS))
    intro = [] if letter.role is Role.SELF else [Para(c.text("talk.intro"))]
    word = [Para(c.text("talk.word", word=line(letter.talk_word, 40)))] if letter.talk_word and intro else []
    return [Heading(c.text("heading.talk")), *intro, Items(chosen), *word]


def _plan(letter: Letter, c: Catalogue) -> list[Block]:
    """The user's own plan, for the user alone."""
    if letter.role is not Role.SELF:
        return []
    lines = tuple(filter(None, (line(one) for one in letter.plan)))
    told: list[Block] = (
        [Para(c.text("after.intro")), Items(lines)]
        if lines
        else [Items(c.lists["after.start"]), Para(c.text("after.empty"), Tone.QUIET)]
    )
    return [Heading(c.text("heading.after")), *told]


def _resources(letter: Letter, c: Catalogue) -> list[Block]:
    """Groups and places for the reader's own sake: the user's list, else the shipped one."""
    shipped = c.lists["resources.self" if letter.role is Role.SELF else "resources.partner"]
    if letter.role is Role.THERAPIST:
        return []
    lines = tuple(filter(None, (line(one) for one in letter.resources))) or shipped
    return [Heading(c.text("heading.resources")), Items(lines)]


def _about(letter: Letter, c: Catalogue) -> list[Block]:
    found: list[Block] = [Heading(c.text("heading.about"))]
    due = "about.next_self" if letter.role is Role.SELF else "about.next"
    found.append(Para(c.text(due, next=c.moment(letter.next_due, letter.zone))))
    found += _seal(letter, c)
    if letter.role is Role.SELF:
        return [*found, *_readers(letter, c)]
    if letter.names_attached and letter.role is Role.THERAPIST:
        found.append(Para(c.text("about.names_attached")))
    found.append(Para(c.text("about.private_time" if letter.role is Role.THERAPIST else "about.private")))
    return [*found, Para(c.text("about.stop", code=line(letter.stop_code)), Tone.QUIET)]


def _seal(letter: Letter, c: Catalogue) -> list[Block]:
    seal = letter.seal
    if seal is None:
        return []
    told = c.text(
        "about.seal", sequence=c.whole(seal.sequence), entries=c.whole(seal.entries), head=line(seal.head[:16])
    )
    kept = {None: "", True: c.text("about.continues"), False: c.text("about.restarted")}[seal.continues]
    return [Para(" ".join(filter(None, (told, kept, c.text("about.check")))), Tone.QUIET)]


def _readers(letter: Letter, c: Catalogue) -> list[Block]:
    """The user always sees who gets what."""
    if not letter.readers:
        return [Para(c.text("about.no_readers"))]
    lines = tuple(
        c.text("about.reader", name=line(one.name), address=line(one.address), role=c.text(f"about.role_{one.role}"))
        for one in letter.readers
    )
    return [Para(c.text("about.readers")), Items(lines)]
