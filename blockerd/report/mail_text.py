"""A note as plain text that reads well alone: 72 columns, tables aligned by spaces, nothing drawn. Pure.

Refuses nothing; a table too wide for the page becomes lines. Called by whoever builds the mail, by previews and tests.
"""

import textwrap
import unicodedata
from itertools import chain

from blockerd.report.blocks import Bars, Block, Heading, Heat, Items, Note, Para, Shares, Table, Tone
from blockerd.report.safe import KEPT_SPACE, line

WIDTH = 72


def text(note: Note) -> str:
    """The whole note; lines end in a line feed, sections are apart by a blank line."""
    return "\n\n".join("\n".join(_lines(block)) for block in note.blocks) + "\n"


def _lines(block: Block) -> list[str]:
    match block:
        case Heading(words, top):
            shown = line(words, WIDTH)
            return [shown, ("=" if top else "-") * _width(shown)]
        case Para(words, tone):
            return _wrapped(words, "  " if tone is Tone.HELP else "")
        case Items(items, tone):
            indent = "  " if tone is Tone.HELP else ""
            return list(chain.from_iterable(_wrapped(item, indent, "- ") for item in items))
        case Table(caption, head, rows, _):
            return [*_wrapped(caption), "", *_table(head, rows)]
        case Bars(caption, head, bars):
            return [*_wrapped(caption), "", *_table(head, tuple((bar.label, bar.shown) for bar in bars))]
        case Shares(caption, head, parts, total, total_label):
            rows = (*((part.label, part.shown) for part in parts), (total_label, total))
            return [*_wrapped(caption), "", *_table(head, rows)]
        case Heat(caption, corner, columns, rows):
            cells = tuple((name, *(str(count) if count else "." for count in counts)) for name, counts in rows)
            return [*_wrapped(caption), "", *_table((corner, *columns), cells)]


def _wrapped(words: str, indent: str = "", bullet: str = "") -> list[str]:
    lines = textwrap.wrap(
        line(words, 4000),
        WIDTH,
        initial_indent=indent + bullet,
        subsequent_indent=indent + " " * len(bullet),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [one.replace(KEPT_SPACE, " ") for one in lines]


def _table(head: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> list[str]:
    """Columns aligned, the first to the left; without a first line where no column has a name."""
    named = [tuple(line(cell) for cell in row) for row in ([head] if any(head) else [])]
    shown = [tuple(line(cell) for cell in row) for row in rows]
    widths = [max((_width(row[at]) for row in named + shown), default=0) for at in range(len(head))]
    if sum(widths) + 2 * (len(widths) - 1) + 2 > WIDTH:
        return list(chain.from_iterable(_spelled(head, row) for row in shown))
    return ["  " + _aligned(row, widths) for row in named + shown]


def _aligned(row: tuple[str, ...], widths: list[int]) -> str:
    first = row[0] + " " * (widths[0] - _width(row[0]))
    rest = (" " * (width - _width(cell)) + cell for cell, width in zip(row[1:], widths[1:], strict=True))
    return "  ".join((first, *rest)).rstrip()


def _spelled(head: tuple[str, ...], row: tuple[str, ...]) -> list[str]:
    """A row as words: "Mon: morning 1, evening 2"."""
    told = ", ".join(f"{name} {cell}".strip() for name, cell in zip(head[1:], row[1:], strict=True))
    return _wrapped(f"{row[0]}: {told}", "  ")


def _width(words: str) -> int:
    """Columns on a terminal: wide signs take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in words
    )
