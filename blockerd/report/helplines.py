"""Help lines by country, from the shipped `helplines.toml`: offline, each with its source and date. Pure.

The country of a computer is guessed from its time zone, never looked up. Refuses an entry without a number, source or
date. Called by `compose` and `pairing`; the file is read by `report.texts`.
"""

import tomllib
from dataclasses import dataclass
from datetime import date

FALLBACK = ("findahelpline.com", "befrienders.org")
"""Directories of help lines in every country; they stand beside each entry."""


class HelplinesError(ValueError):
    """An entry that cannot be used; one line for people."""


@dataclass(frozen=True, slots=True)
class Line:
    """Somebody who listens; `hours` is empty for day and night."""

    name: str
    number: str
    hours: str


@dataclass(frozen=True, slots=True)
class Country:
    """One country: ISO 3166-1 `code`, what to dial in danger, who listens, and where that can be looked up again."""

    code: str
    name: str
    emergency: str
    lines: tuple[Line, ...]
    source: str
    checked: date
    zones: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Helplines:
    """All countries by code."""

    countries: dict[str, Country]

    def of(self, code: str, zone: str = "") -> Country | None:
        """The country of `code`, else the one whose time zone (IANA name) is `zone`, else None."""
        named = self.countries.get(code.upper())
        if named or code:
            return named
        return next((one for one in self.countries.values() if zone in one.zones), None)


def parse(toml: str) -> Helplines:
    """The help lines in the text of the file.

    Raises:
        HelplinesError: not TOML, or an entry that lacks something.
    """
    try:
        tree = tomllib.loads(toml)
        return Helplines({code: _country(code, entry) for code, entry in tree["country"].items()})
    except tomllib.TOMLDecodeError as error:
        raise HelplinesError(f"help lines: {error}") from None
    except KeyError as error:
        raise HelplinesError(f"help lines: an entry has no {error}") from None


def _country(code: str, entry: dict[str, object]) -> Country:
    checked, lines, zones = entry["checked"], entry["line"], entry["zones"]
    if not isinstance(checked, date) or not isinstance(lines, list) or not isinstance(zones, list) or not lines:
        raise HelplinesError(
            f"help lines of {code}: `checked` is a date, `line` and `zones` are lists that hold something"
        )
    return Country(
        code=code,
        name=str(entry["name"]),
        emergency=str(entry["emergency"]),
        lines=tuple(Line(one["name"], one["number"], one.get("hours", "")) for one in lines),
        source=str(entry["source"]),
        checked=checked,
        zones=tuple(map(str, zones)),
    )
