"""Who reads the notes, and what both have agreed to: a state machine. Pure: time, codes and numbers come in.

Nothing but one invitation goes to an address before its owner's code was entered. A partner alone holds the code that
stops the mails, the user needs none to end them; sharing less holds at once, sharing more waits for the partner's
code. Refuses what was not agreed, in one line for people. Called by `control.reports`, which keeps the records.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256

from blockerd.settings import RoadName, Role

DAY_US = 86_400_000_000
CONSENT_US = 90 * DAY_US
"""For so long both agree."""
ASK_US = 14 * DAY_US
"""So long before the end both are asked again."""
AGAIN_US = 7 * DAY_US
"""An invitation without an answer may be repeated after this time,"""
STOPPED_US = 90 * DAY_US
"""and somebody who wanted no more mails may be asked again after this one."""
OWN = "own"
"""The road into the user's own folder, where the settings name no other that would lead to them."""

WRONG_CODES = 5
"""After so many wrong codes the right one counts no more."""

LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels, so that no code is a word; no letter that is taken for a digit."""
CODE_BYTES = 16
WORDS = (
    "anchor", "apple", "autumn", "bakery", "barley", "basket", "birch", "blanket", "bridge", "candle", "canoe", "cedar",
    "cherry", "cinnamon", "clover", "copper", "cotton", "dahlia", "fennel", "ferry", "garden", "ginger", "harbour",
    "hazel", "island", "ivory", "juniper", "kettle", "ladder", "lantern", "lemon", "linen", "maple", "marble", "meadow",
    "mitten", "morning", "nutmeg", "orchard", "otter", "pebble", "pepper", "pillow", "plum", "poppy", "puddle", "quilt",
    "quince", "raisin", "ribbon", "river", "saffron", "sparrow", "spruce", "summer", "teapot", "thimble", "timber",
    "violet", "walnut", "willow", "window", "winter", "yarrow",
)  # fmt: skip
"""Words that a talk is counted by."""

_RANK = {Role.SPOUSE: 0, Role.MENTOR: 1, Role.THERAPIST: 2, Role.SELF: 3}


class State(StrEnum):
    """How it stands between the two. MOVED: the address was changed, its owner has to be asked."""

    INVITED = "invited"
    READING = "reading"
    LAPSED = "lapsed"
    STOPPED = "stopped"
    LEFT = "left"
    MOVED = "moved"


class Asks(StrEnum):
    """What the open code answers."""

    NOTHING = ""
    INVITE = "invite"
    RENEW = "renew"
    MORE = "more"


class Says(StrEnum):
    """The mails there are. Those ending in MINE go to the user."""

    INVITE = "invite"
    ACCEPTED = "accepted"
    RENEW = "renew"
    RENEW_MINE = "renew-mine"
    LAPSED = "lapsed"
    LAPSED_MINE = "lapsed-mine"
    STOPPED = "stopped"
    STOPPED_MINE = "stopped-mine"
    LEFT = "left"
    LESS = "less"
    MORE = "more"
    ADDRESS = "address"
    REMOVED = "removed"
    NEUTRAL = "neutral"
    HALTED = "halted"
    REFUSED_MINE = "refused-mine"
    REPORT = "report"
    SEAL = "seal"


MINE = frozenset({Says.RENEW_MINE, Says.LAPSED_MINE, Says.STOPPED_MINE, Says.REFUSED_MINE})
"""Mails to the user alone."""
SECRET = frozenset({Says.INVITE, Says.RENEW, Says.MORE})
"""Mails that hold a code which only the partner may know: the user gets no copy."""
LAST = frozenset({Says.LAPSED, Says.STOPPED, Says.LEFT, Says.LESS, Says.ADDRESS, Says.REMOVED, Says.NEUTRAL})
"""Mails after which no other comes in their row (`place`)."""


class NotAgreed(Exception):
    """It is not done; the message is one line for people."""


@dataclass(frozen=True, slots=True)
class Partner:
    """One reader. `place` numbers the row of mails, `since`, `until` and `asked` are Unix µs (0: never).

    `code` is the SHA-256 of the open code that answers `asks`, `wrong` counts codes that were not it; `wants` is the
    role that MORE asks for; `key` an age recipient for what only this reader may open; `road` how mails reach them.
    """

    name: str
    address: str
    role: Role
    state: State
    place: int
    stop_code: str
    since: int = 0
    until: int = 0
    asked: int = 0
    asks: Asks = Asks.NOTHING
    code: str = ""
    wrong: int = 0
    wants: Role | None = None
    key: str = ""
    road: str = RoadName.SMTP

    @property
    def reads(self) -> bool:
        """True while notes go to them."""
        return self.state == State.READING


@dataclass(frozen=True, slots=True)
class Send:
    """One mail to be sent: what it says, in which row, to whom and by which road, as whose role, with which code."""

    what: Says
    place: int
    address: str
    role: Role
    code: str = ""
    road: str = RoadName.SMTP


@dataclass(frozen=True, slots=True)
class Step:
    """A partner as they are now, and the mails that this takes, in order."""

    partner: Partner
    sends: tuple[Send, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the settings say of a partner."""

    name: str
    address: str
    role: Role
    road: str = RoadName.SMTP


def code_of(chance: bytes) -> str:
    """Eight letters in two groups from CODE_BYTES random bytes, e.g. "KWXR-MTHD"."""
    number = int.from_bytes(chance[:CODE_BYTES], "big")
    letters = ""
    for _ in range(8):
        number, at = divmod(number, len(LETTERS))
        letters += LETTERS[at]
    return f"{letters[:4]}-{letters[4:]}"


def word_of(stop_code: str, label: str) -> str:
    """The word of the note about period `label`: another one each time, the same in each copy."""
    return WORDS[sha256(f"blockerd/word/1\n{stop_code}\n{label}".encode()).digest()[0] % len(WORDS)]


def spoken(text: str) -> str:
    """A code as it is compared: its letters alone, however it was typed."""
    return "".join(sign for sign in text.upper() if sign.isalpha())


def hidden(code: str) -> str:
    """What is kept of a code."""
    return sha256(f"blockerd/code/1\n{spoken(code)}".encode()).hexdigest()


def invite(known: Partner | None, wanted: Wanted, place: int, codes: tuple[str, str], now: int) -> Step:
    """Asks `wanted` whether they would read; `codes` are the one to accept with and the one to stop with.

    Raises:
        NotAgreed: they read already, were asked a short while ago, or wanted no more mails.
    """
    if known is not None:
        _may_invite(known, wanted, now)
    accept, stop = codes
    made = Partner(wanted.name, wanted.address, wanted.role, State.INVITED, place, stop, asked=now)
    made = replace(made, asks=Asks.INVITE, code=hidden(accept), road=wanted.road)
    return Step(made, (_send(made, Says.INVITE, accept),))


def accept(partner: Partner, said: str, now: int, place: int) -> Step:
    """The partner's code was entered: it answers whatever was asked. `place` is a new one, taken where the role grows.

    Where the code is wrong the step has no mails, and `wrong` is counted.

    Raises:
        NotAgreed: nothing was asked, or too many wrong codes were entered.
    """
    if partner.asks == Asks.NOTHING:
        raise NotAgreed(f"{partner.name}: no question is open; see blockerd partner ls")
    if partner.wrong >= WRONG_CODES:
        raise NotAgreed(f"{partner.name}: too many wrong codes; this question is void, ask again later")
    if hidden(said) != partner.code:
        return Step(replace(partner, wrong=partner.wrong + 1))
    told = replace(partner, asks=Asks.NOTHING, code="", wrong=0, wants=None, until=now + CONSENT_US)
    if partner.asks == Asks.INVITE:
        told = replace(told, state=State.READING, since=now)
        return Step(told, (_send(told, Says.ACCEPTED),))
    if partner.asks == Asks.MORE and partner.wants is not None:
        # the next mail of the new row is its first; the row of the poorer notes ends with the word of it
        return Step(replace(told, role=partner.wants, place=place, until=partner.until), (_send(told, Says.ACCEPTED),))
    return Step(told)


def stop(partner: Partner, said: str, now: int) -> Step | None:
    """The partner's stop code was entered; None where it is another one or there is nothing to stop."""
    if partner.state not in (State.READING, State.INVITED) or hidden(said) != hidden(partner.stop_code):
        return None
    told = replace(_ended(partner, State.STOPPED), asked=now)
    return Step(told, (_send(told, Says.STOPPED), _send(told, Says.STOPPED_MINE)))


def leave(partner: Partner) -> Step:
    """The user shares nothing more with them; who never said yes gets no mail about it."""
    if partner.state not in (State.READING, State.INVITED, State.MOVED):
        return Step(partner)
    told = _ended(partner, State.LEFT)
    return Step(told, (_send(partner, Says.LEFT),) if partner.reads else ())


def reconcile(partner: Partner, wanted: Wanted | None, now: int, code: str, place: int) -> Step:
    """What an edit of the settings means: less counts at once, more is asked for, another address is told to the old.

    `code` and `place` are new ones, taken where needed.
    """
    if wanted is None:
        return leave(partner)
    if partner.state == State.MOVED:
        return Step(replace(partner, address=wanted.address, role=wanted.role, road=wanted.road))
    if not _same_place(wanted, partner) and partner.state in (State.READING, State.INVITED):
        moved = replace(_ended(partner, State.MOVED), address=wanted.address, role=wanted.role, road=wanted.road)
        return Step(moved, (_send(partner, Says.ADDRESS),) if partner.reads else ())
    if not partner.reads:
        return Step(partner)
    if _RANK[wanted.role] < _RANK[partner.role]:
        poorer = replace(partner, role=wanted.role, place=place, wants=None)
        if partner.asks == Asks.MORE:
            poorer = replace(poorer, asks=Asks.NOTHING, code="")
        return Step(poorer, (replace(_send(partner, Says.LESS), role=wanted.role),))
    if wanted.role == partner.role:
        open_ = partner.asks == Asks.MORE
        return Step(replace(partner, asks=Asks.NOTHING, code="", wants=None) if open_ else partner)
    if partner.wants == wanted.role or partner.asks == Asks.RENEW:
        return Step(partner)
    asking = replace(partner, asks=Asks.MORE, code=hidden(code), wants=wanted.role, asked=now, wrong=0)
    return Step(asking, (replace(_send(partner, Says.MORE, code), role=wanted.role),))


def tick(partner: Partner, now: int, code: str) -> Step:
    """What time brings: both are asked again, and without two answers the notes end. `code` is a new one."""
    if not partner.reads:
        return Step(partner)
    if now >= partner.until:
        told = _ended(partner, State.LAPSED)
        return Step(told, (_send(told, Says.LAPSED), _send(told, Says.LAPSED_MINE)))
    if now >= partner.until - ASK_US and partner.asks != Asks.RENEW:
        asking = replace(partner, asks=Asks.RENEW, code=hidden(code), wants=None, asked=now, wrong=0)
        return Step(asking, (_send(asking, Says.RENEW, code), _send(asking, Says.RENEW_MINE)))
    return Step(partner)


def as_of(partner: Partner, now: int) -> Partner:
    """`partner` with no time later than it can be at `now`: a clock that was ahead may have given them one."""
    since, asked = min(partner.since, now), min(partner.asked, now)
    return replace(partner, since=since, until=min(partner.until, now + CONSENT_US), asked=asked)


def _may_invite(known: Partner, wanted: Wanted, now: int) -> None:
    same = _same_place(wanted, known)
    if known.reads:
        raise NotAgreed(f"{known.name} reads already; nothing was sent")
    if known.state == State.INVITED and same and 0 <= now - known.asked < AGAIN_US:
        raise NotAgreed(f"{known.name} was asked less than 7 days ago; nothing was sent")
    if known.state == State.STOPPED and same and 0 <= now - known.asked < STOPPED_US:
        raise NotAgreed(f"{known.name} wants no more mails; nothing was sent. Speak with each other first")


def _same_place(wanted: Wanted, partner: Partner) -> bool:
    """Another road is another address: somebody else may stand at its end."""
    return (wanted.address, wanted.road) == (partner.address, partner.road)


def _ended(partner: Partner, state: State) -> Partner:
    return replace(partner, state=state, asks=Asks.NOTHING, code="", wants=None, wrong=0, until=0)


def _send(partner: Partner, what: Says, code: str = "") -> Send:
    return Send(what, partner.place, partner.address, partner.role, code, partner.road)
