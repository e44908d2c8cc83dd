"""What a note is made of: paragraphs, lists, tables, bars. Pure records; every text in them is plain, none is markup.

Made by `compose` and `pairing`, laid out by `mail_text` and `mail_html`: both say the same because both read this.
"""

from dataclasses import dataclass
from enum import StrEnum


class Tone(StrEnum):
    """How a paragraph stands out; there is none for alarm."""

    PLAIN = "plain"
    LEAD = "lead"
    HELP = "help"
    QUIET = "quiet"


class Shade(StrEnum):
    """What a part of a coverage bar stands for; told in words beside it, never by colour alone."""

    FULL = "full"
    HALF = "half"
    FAINT = "faint"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Heading:
    """Begins a section, or with `top` the note itself."""

    text: str
    top: bool = False


@dataclass(frozen=True, slots=True)
class Para:
    """One paragraph."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Items:
    """A list of short sentences."""

    lines: tuple[str, ...]
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Table:
    """Figures in rows; the first cell of each row names it. `total`: the last row sums the others."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    total: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: `value` decides its length, `shown` is what is read; `marked` is the one the note is about."""

    label: str
    value: int
    shown: str
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars below each other, of one scale. `head` names the label and the value."""

    caption: str
    head: tuple[str, str]
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole."""

    label: str
    value: int
    shown: str
    shade: Shade


@dataclass(frozen=True, slots=True)
class Shares:
    """One bar cut into parts, and the table of them; `total` is what they sum to."""

    caption: str
    head: tuple[str, str]
    parts: tuple[Share, ...]
    total: str
    total_label: str


@dataclass(frozen=True, slots=True)
class Heat:
    """Counts of days (rows) by part of the day (columns)."""

    caption: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[int, ...]], ...]


Block = Heading | Para | Items | Table | Bars | Shares | Heat


@dataclass(frozen=True, slots=True)
class Note:
    """A whole mail before it is laid out. `direction` is "ltr" or "rtl"."""

    language: str
    direction: str
    subject: str
    blocks: tuple[Block, ...]
