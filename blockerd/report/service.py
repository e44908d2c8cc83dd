"""The mails that hold no figures: the daily seal, a test, word that an address takes no mail. Texts only. Pure.

A seal is as good as empty to whoever reads it: head and signature are in its attachment. Refuses nothing. Called by
`control.mails` and `blockerd report test`.
"""

from blockerd.report.blocks import Block, Note, Para, Tone
from blockerd.report.catalogue import Catalogue
from blockerd.report.compose import opening
from blockerd.report.helplines import Country
from blockerd.report.pairing import Pair
from blockerd.report.safe import line
from blockerd.settings import Role


def seal(pair: Pair, this: str, last: str, c: Catalogue) -> Note:
    """Once a day: nothing to read; `this` and `last` are the seals of its head and of the head before."""
    first = opening(pair.role, pair.country, pair.stop_code, c, "lead.partner")
    blocks = (
        Para(c.text("seal.nothing", next=c.moment(pair.next_due, pair.zone))),
        Para(c.text("seal.why"), Tone.QUIET),
        seals(this, last, c),
    )
    return Note(c.language, c.direction, c.text("subject.seal"), (*first, *blocks))


def seals(this: str, last: str, c: Catalogue) -> Block:
    """The line that a reader may compare by eye with that of the mail before."""
    return Para(c.text("seal.seals", this=this, last=last), Tone.QUIET)


def test(country: Country | None, c: Catalogue) -> Note:
    """To the user alone, asked for by the user."""
    first = opening(Role.SELF, country, "", c, "lead.about_me")
    blocks = (Para(c.text("test.lead")), Para(c.text("test.text")))
    return Note(c.language, c.direction, c.text("subject.test"), (*first, *blocks))


def refused(pair: Pair, address: str, c: Catalogue) -> Note:
    """To the user alone: a partner's mail server does not take mail for that address."""
    first = opening(Role.SELF, pair.country, "", c, "lead.about_me")
    told = c.text("refused.text", partner=line(pair.partner), address=line(address))
    return Note(c.language, c.direction, c.text("subject.change"), (*first, Para(c.text("refused.lead")), Para(told)))
