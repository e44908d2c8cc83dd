"""Coverage: what is known of each minute of a period, in stretches that tile it and minutes that sum to it. Pure.

Claims no minute as monitored that no sign of life bears out, counts no time twice, and tells a time in which the
machine was off from one in which it ran unseen only where the system's own boot records do. Called by the reports and
the daily summaries; signs and boots come from the journal and from `system.boots`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

from blockerd.report.placing import Placed, place
from blockerd.report.signs import BEAT_US, Sign, State, What, clock_step, is_hole, signs_of

__all__ = [
    "BEAT_US", "Boot", "End", "Sign", "State", "Stretch", "What", "clock_step", "gaps", "is_hole", "minutes",
    "signs_of", "stretches", "total", "within",
]  # fmt: skip

MINUTE_US = 60_000_000

EDGE_US = 60_000_000
"""Starting up and shutting down for less than this long is part of being off."""

GAPS = (State.UNMONITORED, State.NOT_RUNNING, State.UNKNOWN)
"""States in which something may have happened unseen, gravest first."""

_BOOT_SLACK_US = 300_000_000
_ORDER = (*GAPS, State.MONITORED, State.ASLEEP, State.OFF)


class End(StrEnum):
    """How a boot ended: in order; without a word within minutes of its last record; not yet; nobody wrote it down."""

    SHUTDOWN = "shutdown"
    CUT = "cut"
    RUNNING = "running"
    UNTOLD = "untold"


@dataclass(frozen=True, slots=True)
class Boot:
    """A boot as the system's own records tell it: `id` ("": they name none), Unix µs of its first and last moment.

    The boot that runs now ends now. Where `ended` is UNTOLD the machine may have run on after `last_us`.
    """

    id: str
    first_us: int
    last_us: int
    ended: End = End.CUT


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time (Unix µs) from `start_us` up to, not including, `end_us`, and what is known of it."""

    start_us: int
    end_us: int
    state: State


@dataclass(frozen=True, slots=True)
class _Paint:
    """A time and its state; of several that overlap the one of the lowest `rank` counts."""

    start: int
    end: int
    rank: int
    state: State


_RANKS = {State.UNMONITORED: 0, State.MONITORED: 1, State.ASLEEP: 2, State.OFF: 3, State.UNKNOWN: 4}
"""Of signs: where two clocks claim the same time a gap wins, so that setting the clock hides nothing."""
_RECORDED, _DOUBTFUL, _BETWEEN, _AFTER = range(5, 9)


def stretches(
    start_us: int, end_us: int, signs: Iterable[Sign], boots: Sequence[Boot] | None, now_us: int
) -> tuple[Stretch, ...]:
    """What is known from `start_us` to `end_us`, in order, without holes; time after `now_us` is left out.

    `signs` are those of the period, the last two boots that began before it, and the first sign after it, all in the
    order of the record (an UNCLEAN before the START that found it).
    `boots` are all that the system knows (None: it keeps no records). What lies before the first sign is unknown, and
    so is, for up to a beat, what follows a run that left no last mark.
    """
    until = max(start_us, min(end_us, now_us))
    known = place(signs, now_us)
    paints = [paint for placed in known for paint in _of_signs(placed, is_first=placed is known[0])]
    if known:
        paints.append(_Paint(known[0].first, until, _AFTER, State.NOT_RUNNING))
        paints += _of_boots(known, _sane(boots, known), until) if boots is not None else _doubts(known)
    return tuple(_merged(_swept(paints, start_us, until)))


def minutes(parts: Iterable[Stretch]) -> dict[State, int]:
    """Whole minutes of each state; together exactly the whole minutes of `parts`.

    The minutes that rounding leaves go to the largest remainders, of equal ones to the gravest gap; a state of a
    minute or more never shows as 0.
    """
    lengths = dict.fromkeys(State, 0)
    for part in parts:
        lengths[part.state] += part.end_us - part.start_us
    found = {state: length // MINUTE_US for state, length in lengths.items()}
    missing = sum(lengths.values()) // MINUTE_US - sum(found.values())
    order = sorted(State, key=lambda state: (-(lengths[state] % MINUTE_US), _ORDER.index(state)))
    for state in order[:missing]:
        found[state] += 1
    return found


def within(parts: Iterable[Stretch], start_us: int, end_us: int) -> tuple[Stretch, ...]:
    """The part of `parts` that lies from `start_us` up to `end_us`, e.g. a day of a week."""
    return tuple(
        Stretch(max(part.start_us, start_us), min(part.end_us, end_us), part.state)
        for part in parts
        if part.start_us < end_us and part.end_us > start_us
    )


def gaps(parts: Iterable[Stretch], least_us: int = MINUTE_US) -> tuple[Stretch, ...]:
    """Times of at least `least_us` in which something may have happened unseen."""
    return tuple(part for part in parts if part.state in GAPS and part.end_us - part.start_us >= least_us)


def total(parts: Iterable[Mapping[State, int]]) -> dict[State, int]:
    """Minutes of several days together."""
    found = dict.fromkeys(State, 0)
    for part in parts:
        for state, count in part.items():
            found[state] += count
    return found


def _of_signs(placed: Placed, *, is_first: bool) -> list[_Paint]:
    """What the signs of a boot say, with the time from the start of the machine to the first of them."""
    paints = [_Paint(piece.start, piece.end, _RANKS[piece.state], piece.state) for piece in placed.pieces]
    if not is_first:
        paints += _head(placed)
    if placed.last.what not in (What.STOP, What.UNCLEAN):
        paints.append(_Paint(placed.last_us, placed.last_us + BEAT_US, _RANKS[State.UNKNOWN], State.UNKNOWN))
    return paints


def _head(placed: Placed) -> list[_Paint]:
    length = placed.first - placed.begin
    asleep = min(placed.asleep_before, length)
    state = State.UNMONITORED if placed.whole else State.UNKNOWN
    if placed.whole and length - asleep < EDGE_US:
        state = State.OFF
    before = (length - asleep) // 2
    middle, again = placed.begin + before, placed.begin + before + asleep
    parts = [
        (placed.begin, middle, state),
        (middle, again, State.ASLEEP),
        (again, placed.first, state),
    ]
    return [_Paint(start, end, _RANKS[of], of) for start, end, of in parts]


def _doubts(known: Sequence[Placed]) -> list[_Paint]:
    """Times between two boots in which one more lies whose clock fits nowhere."""
    return [
        _Paint(one.last_us, other.begin, _DOUBTFUL, State.UNKNOWN)
        for one, other in pairwise(known)
        if other.before_lost
    ]


def _of_boots(known: Sequence[Placed], boots: Sequence[Boot], until: int) -> list[_Paint]:
    """What the system's records add: where the machine ran without a sign, and where it was off."""
    paints = _doubts(known)
    if not boots:
        return paints
    paints += [_Paint(boot.first_us, boot.last_us, _RECORDED, State.UNMONITORED) for boot in boots]
    paints.append(_Paint(boots[0].first_us, boots[-1].last_us, _BETWEEN, State.OFF))
    begins = [boot.first_us for boot in boots[1:]] + [until]
    paints += [
        _Paint(boot.last_us, begin, _DOUBTFUL, State.NOT_RUNNING)
        for boot, begin in zip(boots, begins, strict=True)
        if boot.ended == End.UNTOLD
    ]
    ends = [placed.begin for placed in known[1:]] + [until]
    for placed, end in zip(known, ends, strict=True):
        if not any(_same(placed, boot) for boot in boots):
            paints.append(_Paint(placed.last_us, end, _DOUBTFUL, State.NOT_RUNNING))
    return paints


def _sane(boots: Sequence[Boot] | None, known: Sequence[Placed]) -> list[Boot]:
    """Records in order and without overlap; the begin of a boot that left signs is known better from them."""
    found: list[Boot] = []
    for boot in sorted(boots or (), key=lambda boot: boot.last_us):
        first = max([boot.first_us, *(placed.begin for placed in known if boot.id and _same(placed, boot))])
        if found:
            first = max(first, found[-1].last_us)
        if first <= boot.last_us:
            found.append(replace(boot, first_us=first))
    return found


def _same(placed: Placed, boot: Boot) -> bool:
    if boot.id and placed.boot:
        return _plain(boot.id) == _plain(placed.boot)
    return boot.first_us <= placed.last_us and boot.last_us >= placed.begin - _BOOT_SLACK_US


def _plain(boot: str) -> str:
    """A boot id as journald writes it: the kernel's without hyphens."""
    return boot.replace("-", "").lower()


def _swept(paints: Sequence[_Paint], start: int, until: int) -> list[tuple[Stretch, int]]:
    """The best paint of each moment from `start` to `until`, with its rank; unpainted time is unknown."""
    edges: list[tuple[int, int, _Paint]] = []
    for paint in paints:
        first, last = max(paint.start, start), min(paint.end, until)
        if first < last:
            edges += [(first, 1, paint), (last, -1, paint)]
    edges.sort(key=lambda edge: edge[0])
    open_: dict[tuple[int, State], int] = {}
    found: list[tuple[Stretch, int]] = []
    at = start
    for moment, change, paint in edges:
        if moment > at:
            found.append(_best(open_, at, moment))
            at = moment
        key = (paint.rank, paint.state)
        open_[key] = open_.get(key, 0) + change
        if not open_[key]:
            del open_[key]
    if at < until:
        found.append((Stretch(at, until, State.UNKNOWN), -1))
    return found


def _best(open_: Mapping[tuple[int, State], int], start: int, end: int) -> tuple[Stretch, int]:
    rank, state = min(open_, default=(-1, State.UNKNOWN))
    return Stretch(start, end, state), rank


def _merged(swept: Sequence[tuple[Stretch, int]]) -> list[Stretch]:
    """Neighbours of one state as one stretch; the seconds in which a machine starts or ends are part of being off."""
    joined: list[tuple[Stretch, int]] = []
    for part, rank in swept:
        if joined and joined[-1][0].state == part.state and joined[-1][1] == rank:
            part = Stretch(joined.pop()[0].start_us, part.end_us, part.state)
        joined.append((part, rank))
    found: list[Stretch] = []
    for part, rank in joined:
        is_edge = rank == _RECORDED and part.end_us - part.start_us < EDGE_US
        state = State.OFF if is_edge else part.state
        start = found.pop().start_us if found and found[-1].state == state else part.start_us
        found.append(Stretch(start, part.end_us, state))
    return found
