"""Readers of single values: flags, numbers, choices, texts, paths, lists, zones, hours. Pure.

Each takes a TOML value and gives a typed one that cannot be wrong, or raises `Bad` with every reason, each saying what
to do. Called while `settings.keys` declares its keys and when a file is read.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Generic, TypeVar

from blockerd.policy import schedule
from blockerd.policy.name import BadName, from_text, to_text

_MAIL = re.compile(r"[^@\s<>,;:\"]{1,64}@[^@\s<>,;:\"]{1,255}")

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


class Bad(ValueError):
    """A value that does not fit; every argument is one reason, ready for a person."""


@dataclass(frozen=True, slots=True)
class Reader(Generic[T]):
    """How one type of value is read.

    `kind` names it for people. `choices` are the texts allowed, weakest first where an order is meant; those in `later`
    load but belong to a part that is not built yet. `plain` gives the TOML value back.
    """

    kind: str
    read: Callable[[object], T]
    choices: tuple[str, ...] = ()
    later: frozenset[str] = frozenset()
    plain: Callable[[T], object] = field(default=lambda value: plain(value))


def plain(value: object) -> object:
    """`value` as TOML knows it: bool, int, text, list, or None."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return str(value)


@dataclass(frozen=True, slots=True)
class SendAt:
    """When a report goes out: `day` 0 (Monday) to 6, None on each due day; `minute` of the local day."""

    day: int | None
    minute: int

    def __str__(self) -> str:
        clock = f"{self.minute // 60:02d}:{self.minute % 60:02d}"
        return clock if self.day is None else f"{schedule.DAYS[self.day]} {clock}"


def flag() -> Reader[bool]:
    """true or false."""

    def read(raw: object) -> bool:
        if isinstance(raw, bool):
            return raw
        raise Bad(f"{quoted(raw)} is not true or false")

    return Reader("true or false", read)


def whole(low: int, high: int) -> Reader[int]:
    """A whole number from `low` to `high`; true and false are none."""

    def read(raw: object) -> int:
        if isinstance(raw, bool) or not isinstance(raw, int):
            raise Bad(f"{quoted(raw)} is not a whole number; write one from {low} to {high}")
        if not low <= raw <= high:
            raise Bad(f"{raw} is out of range; write {low} to {high}")
        return raw

    return Reader(f"{low} to {high}", read)


def text(kind: str, pattern: str = r".*", hint: str = "") -> Reader[str]:
    """One line of text that fits `pattern` wholly; control characters never do."""
    fits = re.compile(pattern)

    def read(raw: object) -> str:
        line = one_line(raw)
        if not fits.fullmatch(line):
            raise Bad(f"{quoted(raw)} is no {kind}" + (f"; {hint}" if hint else ""))
        return line

    return Reader(kind, read)


def mail_address(*, may_be_empty: bool = False) -> Reader[str]:
    """name@host as a mail server takes it (RFC 5321): ASCII, a host of other letters as its A-labels (RFC 5890)."""

    def read(raw: object) -> str:
        line = one_line(raw)
        if may_be_empty and not line:
            return line
        if not _MAIL.fullmatch(line):
            raise Bad(f"{quoted(raw)} is no mail address; write name@host")
        name, _, host = line.partition("@")
        if not name.isascii():
            raise Bad(f"{quoted(raw)}: what stands before the @ must be ASCII; ask for another address")
        try:
            return line if host.isascii() else f"{name}@{to_text(from_text(host))}"
        except BadName as error:
            raise Bad(f"{quoted(raw)}: its host is no name ({error}); write name@host") from None

    return Reader("mail address", read)


def path() -> Reader[Path]:
    """A file or folder; relative ones are resolved by `settings.load`."""

    def read(raw: object) -> Path:
        line = one_line(raw)
        if not line.strip():
            raise Bad("is empty; name a path")
        if line.startswith("~"):
            raise Bad(f"{quoted(raw)}: ~ would mean another folder for each user; write the whole path")
        return Path(line)

    return Reader("path", read)


def optional(inner: Reader[T]) -> Reader[T | None]:
    """A value that may be left out."""
    return Reader(
        inner.kind, inner.read, inner.choices, inner.later, lambda value: None if value is None else inner.plain(value)
    )


def choice(options: type[E], *, later: Iterable[E] = ()) -> Reader[E]:
    """One member of `options`, written as its value."""
    known = tuple(str(option) for option in options)

    def read(raw: object) -> E:
        if raw not in known:
            raise Bad(f"{quoted(raw)} is unknown{_nearest(raw, known)}; write one of: {', '.join(known)}")
        return options(str(raw))

    return Reader(" | ".join(known), read, known, frozenset(map(str, later)))


def word(kind: str, known: tuple[str, ...]) -> Reader[str]:
    """One of the texts `known`."""

    def read(raw: object) -> str:
        if raw not in known:
            raise Bad(f"{quoted(raw)} is no {kind}{_nearest(raw, known)}; known: {' '.join(known)}")
        return str(raw)

    return Reader(kind, read, known)


def many(inner: Reader[T], *, least: int = 0) -> Reader[tuple[T, ...]]:
    """A list without repetitions, of at least `least` values; every bad one is named."""

    def read(raw: object) -> tuple[T, ...]:
        if not isinstance(raw, list | tuple):
            raise Bad(f"{quoted(raw)} is not a list; write it in [ ]")
        found: list[T] = []
        reasons: list[str] = []
        for item in raw:
            try:
                value = inner.read(item)
            except Bad as error:
                reasons.extend(error.args)
                continue
            if value in found:
                reasons.append(f"{quoted(item)} stands there twice; remove one")
            found.append(value)
        if len(raw) < least:
            reasons.append(f"is empty; name at least {least}")
        if reasons:
            raise Bad(*reasons)
        return tuple(found)

    return Reader(f"list of: {inner.kind}", read, inner.choices, inner.later)


def window() -> Reader[str]:
    """Wall-clock hours "HH:MM-HH:MM" as `policy.schedule` reads them, given back with two digits each."""

    def read(raw: object) -> str:
        try:
            return str(schedule.parse_window(one_line(raw)))
        except ValueError as error:
            raise Bad(*error.args) from None

    return Reader("HH:MM-HH:MM", read)


def send_at() -> Reader[SendAt]:
    """ "sun 18:00", or "18:00" for every due day."""

    def read(raw: object) -> SendAt:
        line = one_line(raw)
        found = re.fullmatch(
            rf"((?P<day>{'|'.join(schedule.DAYS)}) +)?(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)", line
        )
        if not found:
            raise Bad(f'{quoted(raw)} is no time of the week; write e.g. "sun 18:00"')
        day = schedule.DAYS.index(found["day"]) if found["day"] else None
        return SendAt(day, int(found["hour"]) * 60 + int(found["minute"]))

    return Reader("day HH:MM", read)


def one_line(raw: object) -> str:
    """`raw` if it is one plain line of text: what is written on goes into logs, mails and terminals."""
    if not isinstance(raw, str):
        raise Bad(f"{quoted(raw)} is not a text; write it in quotes")
    if any(ord(sign) < 32 or 127 <= ord(sign) < 160 or sign in "\u2028\u2029" for sign in raw):
        raise Bad(f"{quoted(raw)} holds control characters; write one plain line")
    return raw


def quoted(raw: object) -> str:
    """`raw` as messages quote it: as TOML would have it, never longer than a line."""
    if isinstance(raw, bool):
        return str(raw).lower()
    if isinstance(raw, dict):
        return "a table"
    if isinstance(raw, str):
        return f'"{printable(raw)}"'
    return printable(repr(raw))


def printable(line: str) -> str:
    """`line` cut to what one line of a terminal shows safely."""
    shown = "".join(sign if sign.isprintable() else "?" for sign in line[:61])
    return f"{shown[:60]}…" if len(shown) > 60 else shown


def _nearest(raw: object, known: Iterable[str]) -> str:
    near = nearest(raw, known) if isinstance(raw, str) else None
    return f' (did you mean "{near}"?)' if near else ""


def nearest(line: str, known: Iterable[str]) -> str | None:
    """The text of `known` most like `line`, None where none is."""
    import difflib

    found = difflib.get_close_matches(line[:100].lower(), list(known), 1, 0.6)
    return found[0] if found else None


def toml(value: object) -> str:
    """A TOML value of one line; None is the empty text."""
    if value is None:
        return '""'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml(item) for item in value)}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + " }" if value else "{}"
    if isinstance(value, int):
        return str(value)
    escaped = str(plain(value)).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(sign if sign.isprintable() else f"\\U{ord(sign):08x}" for sign in escaped) + '"'
