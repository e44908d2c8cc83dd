"""Signs of life put on one line of time although clocks are set, machines sleep and boots come and go. Pure.

Lengths come from CLOCK_BOOTTIME and CLOCK_MONOTONIC, places from the wall clock. Where the order of the record and the
wall clock contradict each other (the clock was set), the longest part that agrees is believed, and the rest of such a
boot is placed by its BOOTTIME. A boot that agrees nowhere is not placed. Called by `report.coverage`.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from blockerd.report.signs import STEP_US, Sign, State, What, asleep_in, between, clock_step

SLACK_US = 300_000_000
"""Wall clocks that contradict each other by less are both believed; time that so comes twice counts once."""

FAR_US = 15 * 3_600_000_000
"""A boot whose clock is wrong by less (it ran on another zone's time) is put where it fits; further off it is not."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A time (Unix µs) and what is known of it."""

    start: int
    end: int
    state: State


@dataclass(frozen=True, slots=True)
class Placed:
    """One boot on the line of time (Unix µs): when the machine started, its first and last sign, what lies between.

    `whole` is true if the first sign is the first of the boot, so that nothing ran before it. `before_lost` is true if
    a boot that could not be placed came just before.
    """

    boot: str
    begin: int
    first: int
    last: Sign
    last_us: int
    asleep_before: int
    whole: bool
    before_lost: bool
    pieces: tuple[Piece, ...]


def place(signs: Iterable[Sign], now_us: int) -> tuple[Placed, ...]:
    """The boots that `signs`, in the order of the record, tell of; a wall clock after `now_us` is not believed."""
    boots = _boots(signs)
    eras = [era for boot, of_boot in enumerate(boots) for era in _eras(boot, of_boot, now_us)]
    agreeing = _agreeing(eras, now_us)
    mine: list[list[tuple[_Era, bool]]] = [[] for _ in boots]
    for number, era in enumerate(eras):
        mine[era.boot].append((era, number in agreeing))
    shifts = [_shifts(of_boot) for of_boot in mine]
    found: list[Placed] = []
    lost = False
    for boot, of_boot in enumerate(mine):
        shift = shifts[boot] or _fitted(boot, mine, shifts, found[-1].last_us if found else None, now_us)
        if shift is None:
            lost = True
            continue
        found.append(_placed(boots[boot], [era for era, _ in of_boot], shift, before_lost=lost))
        lost = False
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Era:
    """Neighbouring signs of one boot between which nobody set the clock."""

    boot: int
    signs: tuple[Sign, ...]

    @property
    def length(self) -> int:
        return self.signs[-1].boottime_us - self.signs[0].boottime_us + 1


def _boots(signs: Iterable[Sign]) -> list[list[Sign]]:
    """Signs by boot, boots in order of the record; where a system names no boot, each run stands for one."""
    groups: dict[str, list[Sign]] = {}
    for sign in signs:
        groups.setdefault(sign.boot or f"run {sign.run}", []).append(sign)
    for group in groups.values():
        group.sort(key=lambda sign: sign.boottime_us)
    return list(groups.values())


def _eras(boot: int, signs: Sequence[Sign], now_us: int) -> Iterator[_Era]:
    begin = 0
    for at in range(1, len(signs)):
        one, other = signs[at - 1], signs[at]
        if clock_step(one, other) or (one.wall_us <= now_us + STEP_US) != (other.wall_us <= now_us + STEP_US):
            yield _Era(boot, tuple(signs[begin:at]))
            begin = at
    yield _Era(boot, tuple(signs[begin:]))


def _agreeing(eras: Sequence[_Era], now_us: int) -> set[int]:
    """Numbers of those eras, together the longest, whose wall clocks follow each other and end before now.

    The heaviest chain: `best` holds, as a Fenwick tree over the ends of eras, the longest chain up to each end.
    """
    ends = sorted({era.signs[-1].wall_us for era in eras})
    best = [(0, -1)] * (len(ends) + 1)
    before: list[int] = []
    for number, era in enumerate(eras):
        length, previous = _longest(best, bisect_right(ends, era.signs[0].wall_us + SLACK_US))
        before.append(previous)
        last = era.signs[-1].wall_us
        at = bisect_right(ends, last) if last <= now_us + STEP_US else len(best)
        while at < len(best):
            best[at] = max(best[at], (length + era.length, number))
            at += at & -at
    chain: set[int] = set()
    number = _longest(best, len(ends))[1]
    while number >= 0:
        chain.add(number)
        number = before[number]
    return chain


def _longest(best: Sequence[tuple[int, int]], at: int) -> tuple[int, int]:
    """The greatest entry of a Fenwick tree up to place `at`."""
    found = (0, -1)
    while at:
        found = max(found, best[at])
        at -= at & -at
    return found


def _shifts(eras: Sequence[tuple[_Era, bool]]) -> list[int] | None:
    """µs to add to the wall clock of each era of a boot; None if none of them agrees with the rest of the record."""
    agreeing = [n for n, (_, agrees) in enumerate(eras) if agrees]
    if not agreeing:
        return None
    shifts = []
    for n, (era, agrees) in enumerate(eras):
        if agrees:
            shifts.append(0)
            continue
        after = [m for m in agreeing if m > n]
        ruler = eras[after[0]][0].signs[0] if after else eras[agreeing[-1]][0].signs[-1]
        mine = era.signs[-1] if after else era.signs[0]
        shifts.append((ruler.wall_us - ruler.boottime_us) - (mine.wall_us - mine.boottime_us))
    return shifts


def _fitted(
    boot: int,
    eras: Sequence[Sequence[tuple[_Era, bool]]],
    shifts: Sequence[Sequence[int] | None],
    since: int | None,
    now_us: int,
) -> list[int] | None:
    """The smallest shift that puts a boot between its neighbours in the record; None where it has no room near by."""
    of_boot = [era for era, _ in eras[boot]]
    longest = max(of_boot, key=lambda era: era.length).signs[0]
    ruler = longest.wall_us - longest.boottime_us
    first, last = ruler + max(0, of_boot[0].signs[0].boottime_us), ruler + of_boot[-1].signs[-1].boottime_us
    begins = [_first_begin(eras[n], got) for n, got in enumerate(shifts) if n > boot and got is not None]
    until = min([now_us, *begins[:1]])
    move = max(0, since - first) if since is not None else 0
    move = move or min(0, until - last)
    if abs(move) > FAR_US or last + move > until or (since is not None and first + move < since):
        return None
    return [ruler + move - (era.signs[0].wall_us - era.signs[0].boottime_us) for era in of_boot]


def _first_begin(eras: Sequence[tuple[_Era, bool]], shifts: Sequence[int]) -> int:
    first = eras[0][0].signs[0]
    return first.wall_us + shifts[0] - max(0, first.boottime_us)


def _placed(signs: Sequence[Sign], eras: Sequence[_Era], shifts: Sequence[int], *, before_lost: bool) -> Placed:
    walls = [sign.wall_us + shift for era, shift in zip(eras, shifts, strict=True) for sign in era.signs]
    number = [n for n, era in enumerate(eras) for _ in era.signs]
    pieces: list[Piece] = []
    for at in range(1, len(signs)):
        parts = between(signs[at - 1], signs[at])
        same = number[at - 1] == number[at]
        pieces += _laid(parts, walls[at - 1], walls[at]) if same else _torn(parts, walls[at - 1], walls[at])
    first = signs[0]
    return Placed(
        boot=first.boot,
        begin=walls[0] - max(0, first.boottime_us),
        first=walls[0],
        last=signs[-1],
        last_us=max(walls),
        asleep_before=asleep_in(first.boottime_us, first.monotonic_us),
        whole=first.what == What.START,
        before_lost=before_lost,
        pieces=tuple(pieces),
    )


def _laid(parts: Sequence[tuple[State, int]], start: int, end: int) -> Iterator[Piece]:
    """`parts` from `start` to `end` exactly: the last one takes up what the clock was slewed."""
    at = start
    for n, (state, length) in enumerate(parts):
        to = end if n == len(parts) - 1 else min(at + length, end)
        if to > at:
            yield Piece(at, to, state)
        at = max(at, to)


def _torn(parts: Sequence[tuple[State, int]], start: int, end: int) -> Iterator[Piece]:
    """`parts` where the clock was set meanwhile: half from `start` on, half up to `end`, the rest unknown."""
    whole = sum(length for _, length in parts)
    front, back, left = [], [], whole // 2
    for state, length in parts:
        front.append((state, min(length, left)))
        back.append((state, length - front[-1][1]))
        left -= front[-1][1]
    middle, again = start + whole // 2, end - (whole - whole // 2)
    yield from _laid(front, start, middle)
    if again > middle:
        yield Piece(middle, again, State.UNKNOWN)
    yield from _laid(back, again, end)
