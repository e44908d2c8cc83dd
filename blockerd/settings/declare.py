"""How a setting is declared: on a dataclass field, with everything there is to know about it.

Knows no setting by name. Called by `settings.keys`, and by whoever walks the declarations.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from typing import Any, TypeVar

from blockerd.settings.value import Reader

T = TypeVar("T")


class Weaker(Enum):
    """Which change of a setting makes the filter or its record weaker."""

    NONE = "no change is weaker"
    LOWER = "a lower value is weaker"
    HIGHER = "a higher value is weaker"
    EARLIER = "a choice nearer the beginning of the list of choices is weaker"
    OFF = "off is weaker"
    REMOVAL = "taking something away is weaker"
    ANY = "any change counts as weaker: what it does cannot be told from the values"


@dataclass(frozen=True, slots=True)
class Setting:
    """One key. `default` is its TOML value, None where it has none; `sample` is what the example file shows instead.

    `each` is True for a key in an array of tables, where `name` is e.g. "lists.source.id". `built` False: no effect.
    A `required` key must stand in each table of its array.
    """

    name: str
    reader: Reader[Any]
    default: object
    unit: str
    help: str
    weaker: Weaker
    built: bool
    required: bool
    sample: object
    each: bool = False

    @property
    def key(self) -> str:
        """The last part of the name, as it stands in the file."""
        return self.name.rpartition(".")[2]


def setting(
    default: object,
    reader: Reader[T],
    help: str,  # noqa: A002  (as argparse calls it)
    *,
    unit: str = "",
    weaker: Weaker = Weaker.NONE,
    built: bool = True,
    required: bool = False,
    sample: object = None,
) -> T:
    """Declares a key; the name of the field, without a trailing "_", is the key. A required one has a sample only."""
    made = Setting("", reader, default, unit, help, weaker, built, required, sample)
    declared_field: Any = field(metadata={"setting": made})
    if not required:
        value = None if default is None else reader.read(default)
        declared_field = field(default=value, metadata={"setting": made})
    typed: T = declared_field
    return typed


def table(kind: type[T]) -> T:
    """Declares a table below this one."""
    declared_field: Any = field(default_factory=kind, metadata={"table": kind})
    typed: T = declared_field
    return typed


def tables(kind: type[T], *, label: str) -> tuple[T, ...]:
    """Declares an array of tables; `label` is the key by which people tell them apart."""
    declared_field: Any = field(default=(), metadata={"tables": kind, "label": label})
    typed: tuple[T, ...] = declared_field
    return typed


def declared(kind: Any, above: str = "", *, each: bool = False) -> Iterator[Setting]:  # noqa: ANN401  (any dataclass)
    """Every key of `kind` and of the tables below it, in the order declared, with full names."""
    for part in fields(kind):
        name = above + part.name.rstrip("_")
        if "setting" in part.metadata:
            yield replace(part.metadata["setting"], name=name, each=each)
        elif "table" in part.metadata:
            yield from declared(part.metadata["table"], f"{name}.", each=each)
        elif "tables" in part.metadata:
            yield from declared(part.metadata["tables"], f"{name}.", each=True)


def table_names(kind: Any, above: str = "") -> Iterator[tuple[str, bool]]:  # noqa: ANN401  (any dataclass)
    """(name, is an array) of every table below `kind`, in the order declared."""
    for part in fields(kind):
        below = part.metadata.get("table") or part.metadata.get("tables")
        if below:
            name = above + part.name.rstrip("_")
            yield name, "tables" in part.metadata
            yield from table_names(below, f"{name}.")
