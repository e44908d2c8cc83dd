"""Is a change stronger or weaker? Answered from what each setting declares about itself. Pure.

Where a change does both, it counts as weaker. Sharing less, and with whom, is never weaker: delays bind filters, not
consent. Called by `binding.submit` and by the commands that change lists.
"""

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import TypeVar

from blockerd.model import CATEGORIES, Change
from blockerd.policy import schedule
from blockerd.settings import SETTINGS, TABLES, Budget, Schedule, Setting, Settings, Source, Weaker
from blockerd.settings.value import toml

T = TypeVar("T")


class Direction(StrEnum):
    """What a change does to the filter and its record."""

    STRONGER = "stronger"
    WEAKER = "weaker"
    NEUTRAL = "neutral"


_DECLARED = {item.name: item for item in SETTINGS}
_ARRAYS = [name for name, is_array in TABLES if is_array]


def direction(name: str, old: object, new: object) -> Direction:
    """What changing `name` from `old` to `new` does; values as `Settings.value(name)` gives them.

    Raises:
        KeyError: there is no setting or array of tables of this name.
    """
    if name in _ARRAYS:
        return _together(Direction(change.direction) for change in _array(name, old, new, 0, ""))
    return _single(_DECLARED[name], old, new)


def changes_between(old: Settings, new: Settings, *, at: int, by: str) -> list[Change]:
    """One Change for each setting, source, schedule, client and partner that differs. `at` is Unix µs (UTC)."""
    found = [
        Change(at, item.name, _told(item, was), _told(item, now), _single(item, was, now), by)
        for item in SETTINGS
        if not item.each and (was := old.value(item.name)) != (now := new.value(item.name))
    ]
    for name in _ARRAYS:
        found.extend(_array(name, old.value(name), new.value(name), at, by))
    return found


def _single(item: Setting, old: object, new: object) -> Direction:
    if old == new or item.weaker is Weaker.NONE:
        return Direction.NEUTRAL
    return _RULES[item.weaker](item, old, new)


def _step(rank: Callable[[Setting, object], int]) -> Callable[[Setting, object, object], Direction]:
    """A rule for values in an order: what ranks lower is weaker."""

    def judge(item: Setting, old: object, new: object) -> Direction:
        return Direction.WEAKER if rank(item, new) < rank(item, old) else Direction.STRONGER

    return judge


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no number")
    return value


def _removal(item: Setting, old: object, new: object) -> Direction:
    """Order counts for nothing."""
    had, has = (set(value) if isinstance(value, tuple) else set() for value in (old, new))
    if had - has:
        return Direction.WEAKER
    return Direction.STRONGER if has - had else Direction.NEUTRAL


_RULES: dict[Weaker, Callable[[Setting, object, object], Direction]] = {
    Weaker.LOWER: _step(lambda item, value: _number(value)),
    Weaker.HIGHER: _step(lambda item, value: -_number(value)),
    Weaker.EARLIER: _step(lambda item, value: item.reader.choices.index(str(value))),
    Weaker.OFF: _step(lambda item, value: int(bool(value))),
    Weaker.REMOVAL: _removal,
    Weaker.ANY: lambda item, old, new: Direction.WEAKER,
}


def _array(name: str, old: object, new: object, at: int, by: str) -> Iterator[Change]:
    if name == "lists.source":
        yield from _sources(_of(old, Source), _of(new, Source), at, by)
    elif name == "schedule":
        yield from _schedules(_of(old, Schedule), _of(new, Schedule), at, by)
    elif name == "budget":
        yield from _budgets(_of(old, Budget), _of(new, Budget), at, by)
    elif old != new:
        # Clients and partners: what is recorded and shared, and with whom; the person's own choice either way.
        yield Change(at, name, f"{_count(old)} entries", f"{_count(new)} entries", Direction.NEUTRAL, by)


def _sources(old: tuple[Source, ...], new: tuple[Source, ...], at: int, by: str) -> Iterator[Change]:
    """An added list can only block more; of a changed one every key is judged."""
    had, has = ({source.id: source for source in sources} for sources in (old, new))
    for key in dict.fromkeys((*had, *has)):
        was, now = had.get(key), has.get(key)
        if was == now:
            continue
        way = _source_way(was, now)
        yield Change(at, f"lists.source {key}", _source_told(was), _source_told(now), way, by)


def _source_way(was: Source | None, now: Source | None) -> Direction:
    blocks_before, blocks_after = (source is not None and source.enabled for source in (was, now))
    if not blocks_before and not blocks_after:
        return Direction.NEUTRAL
    if was is None or not blocks_before:
        return Direction.STRONGER
    if now is None or not blocks_after:
        return Direction.WEAKER
    keys = [item for item in SETTINGS if item.name.startswith("lists.source.")]
    return _together(_single(item, getattr(was, item.key), getattr(now, item.key)) for item in keys)


def _budgets(old: tuple[Budget, ...], new: tuple[Budget, ...], at: int, by: str) -> Iterator[Change]:
    """More time, or no budget any more, is weaker; when to warn is nobody's business but the person's."""
    had, has = ({(one.of, str(one.per)): one.minutes for one in budgets} for budgets in (old, new))
    for of, per in dict.fromkeys((*had, *has)):
        was, now = had.get((of, per)), has.get((of, per))
        if was == now:
            continue
        weaker = now is None or (was is not None and now > was)
        before, after = ("" if minutes is None else f"{minutes} minutes a {per}" for minutes in (was, now))
        yield Change(at, f"budget {of}", before, after, Direction.WEAKER if weaker else Direction.STRONGER, by)


def _source_told(source: Source | None) -> str:
    if source is None:
        return ""
    keys = [item for item in SETTINGS if item.name.startswith("lists.source.")]
    shown = {item.key: item.reader.plain(getattr(source, item.key)) for item in keys}
    return toml({key: value for key, value in shown.items() if value is not None})


def _schedules(old: tuple[Schedule, ...], new: tuple[Schedule, ...], at: int, by: str) -> Iterator[Change]:
    """A category is weaker if there is a minute of the week that it no longer blocks."""
    was, now = ([(entry.category, entry.days, entry.windows) for entry in entries] for entries in (old, new))
    for category in CATEGORIES:
        before, after = schedule.minutes(was, category), schedule.minutes(now, category)
        if before == after:
            continue
        opened = any(map(int.__gt__, before, after))
        way = Direction.WEAKER if opened else Direction.STRONGER
        yield Change(at, f"schedule {category}", _hours(was, category), _hours(now, category), way, by)


def _hours(entries: Iterable[schedule.Weekly], category: str) -> str:
    told = [f"{' '.join(days)} {' '.join(windows)}" for name, days, windows in entries if name == category]
    return "; ".join(told) or "always"


def _together(ways: Iterable[Direction]) -> Direction:
    every = set(ways)
    if Direction.WEAKER in every:
        return Direction.WEAKER
    return Direction.STRONGER if Direction.STRONGER in every else Direction.NEUTRAL


def _told(item: Setting, value: object) -> str:
    return toml(item.reader.plain(value))


def _of(value: object, kind: type[T]) -> tuple[T, ...]:
    return tuple(entry for entry in value if isinstance(entry, kind)) if isinstance(value, tuple) else ()


def _count(value: object) -> int:
    return len(value) if isinstance(value, tuple) else 0
