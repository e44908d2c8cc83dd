"""A language: every text a reader can see, read from one TOML file, with its numbers, dates and plurals. Pure.

Translation is a file beside `texts/en.toml`, never code. A pattern holds plain {names} and nothing else; what is put
in is shown as it is, never read as a pattern. Refuses a file that lacks a text of the English one or adds a field
to it. Called by `compose`, `pairing` and the tests; the files are read by `report.texts`.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, tzinfo

_FIELD = re.compile(r"\{([a-z_]+)\}")
_PLURALS: dict[str, Callable[[int], str]] = {
    # after CLDR: which form a whole number takes; languages of the same rule share a line
    "one-other": lambda n: "one" if n == 1 else "other",
    "upto-one-other": lambda n: "one" if n in (0, 1) else "other",
    "other": lambda _: "other",
    "slavic": lambda n: (
        "one"
        if n % 10 == 1 and n % 100 != 11
        else "few"
        if n % 10 in (2, 3, 4) and n % 100 not in (12, 13, 14)
        else "many"
    ),
}


class CatalogueError(ValueError):
    """A file of texts that cannot be used; one line for people."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The texts of one language. `texts` and `lists` are keyed by dotted names, e.g. "coverage.line"."""

    language: str
    direction: str
    texts: Mapping[str, str]
    lists: Mapping[str, tuple[str, ...]]

    def text(self, name: str, /, **fields: str) -> str:
        """The text `name` with its fields filled in.

        Raises:
            KeyError: no such text, or a field without a value.
        """
        return _FIELD.sub(lambda found: fields[found[1]], self.texts[name])

    def has(self, name: str) -> bool:
        """Whether there is a text `name`."""
        return name in self.texts

    def many(self, name: str, count: int, /, **fields: str) -> str:
        """The text `name` in the form that `count` takes; {n} is the count."""
        form = _PLURALS[self.texts["language.plural"]](count)
        return self.text(f"{name}.{form}", n=self.whole(count), **fields)

    def whole(self, number: int) -> str:
        """1234 as "1,234"."""
        return f"{number:,}".replace(",", self.texts["language.thousands"])

    def hours(self, minutes: int) -> str:
        """Minutes as hours with one digit, "61.2"."""
        whole, tenth = divmod((abs(minutes) * 10 + 30) // 60, 10)
        sign = "-" if minutes < 0 and (whole or tenth) else ""
        return f"{sign}{self.whole(whole)}{self.texts['language.decimal']}{tenth}"

    def duration(self, minutes: int) -> str:
        """Minutes in hours and minutes, "60 h 30 min"."""
        hours, rest = divmod(minutes, 60)
        if not hours:
            return self.text("date.minutes", n=str(rest))
        return self.text("date.hours", h=self.whole(hours), n=str(rest))

    def day(self, day: date) -> str:
        """ "Mon 16 Nov"."""
        return self.text("date.day", **self._parts(day))

    def short(self, day: date) -> str:
        """ "16 Nov"."""
        return self.text("date.short", **self._parts(day))

    def weekday(self, day: date) -> str:
        """ "Mon"."""
        return self.lists["date.weekdays"][day.weekday()]

    def span(self, first: date, last: date) -> str:
        """ "Mon 16 Nov to Sun 22 Nov 2026", or one day with its year."""
        end = self.text("date.full", **self._parts(last))
        return end if first == last else self.text("date.span", first=self.day(first), last=end)

    def moment(self, at_us: int, zone: tzinfo) -> str:
        """Unix microseconds as "Sunday 22 November 2026, 18:00" of `zone`."""
        at = datetime.fromtimestamp(at_us / 1e6, zone)
        fields = {
            "weekday": self.lists["date.weekday_names"][at.weekday()],
            "day": str(at.day),
            "month": self.lists["date.month_names"][at.month - 1],
            "year": str(at.year),
        }
        return self.text("date.moment", hour=f"{at.hour:02d}", minute=f"{at.minute:02d}", **fields)

    def _parts(self, day: date) -> dict[str, str]:
        month = self.lists["date.months"][day.month - 1]
        return {"weekday": self.weekday(day), "day": str(day.day), "month": month, "year": str(day.year)}


def parse(language: str, toml: str, model: Catalogue | None = None) -> Catalogue:
    """The catalogue of `language` from the text of its file, complete and with the fields of `model` (the English one).

    Raises:
        CatalogueError: not TOML, an unknown plural rule, or texts that differ from `model`.
    """
    try:
        tree = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(f"texts of {language}: {error}") from None
    texts: dict[str, str] = {}
    lists: dict[str, tuple[str, ...]] = {}
    _flatten("", tree, texts, lists)
    if texts.get("language.plural") not in _PLURALS:
        raise CatalogueError(f"texts of {language}: language.plural is one of {', '.join(_PLURALS)}")
    if model is not None:
        _compare(language, texts, lists, model)
    return Catalogue(language, texts["language.direction"], texts, lists)


def fields_of(text: str) -> set[str]:
    """The names of the fields in `text`."""
    return set(_FIELD.findall(text))


def _flatten(prefix: str, tree: Mapping[str, object], texts: dict[str, str], lists: dict[str, tuple[str, ...]]) -> None:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            _flatten(f"{prefix}{name}.", value, texts, lists)
        elif isinstance(value, list):
            lists[prefix + name] = tuple(str(item) for item in value)
        else:
            # a text over several lines of the file is one line for the reader
            texts[prefix + name] = " ".join(str(value).split()) if "\n" in str(value) else str(value)


def _compare(language: str, texts: Mapping[str, str], lists: Mapping[str, tuple[str, ...]], model: Catalogue) -> None:
    """Plural forms differ between languages, so of those only the stem has to be there."""
    missing = sorted((_stems(model.texts) | set(model.lists)) - (_stems(texts) | set(lists)))
    if missing:
        raise CatalogueError(f"texts of {language}: {len(missing)} are missing, the first is {missing[0]}")
    for name in sorted(set(texts) & set(model.texts)):
        extra = fields_of(texts[name]) - fields_of(model.texts[name])
        if extra:
            raise CatalogueError(f"texts of {language}: {name} has no field {{{min(extra)}}}")
    for name in ("date.weekdays", "date.months", "date.weekday_names", "date.month_names"):
        if len(lists[name]) != len(model.lists[name]):
            raise CatalogueError(f"texts of {language}: {name} has {len(model.lists[name])} entries")


def _stems(names: Mapping[str, str]) -> set[str]:
    return {re.sub(r"\.(one|few|many|other)$", "", name) for name in names}
