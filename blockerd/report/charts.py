"""Charts of a note as HTML tables: they show in every mail program, with images off, on paper and read aloud. Pure.

SVG is dropped by most mail programs and a picture is blocked until asked for; a coloured table cell is neither. The
figure stands beside each bar as text, the bar itself is hidden from screen readers. Called by `mail_html` only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from blockerd.report.blocks import Bars, Heat, Shade, Shares, Table
from blockerd.report.safe import line

LIGHT = {
    "page": "#f4f1ea", "card": "#fffdf8", "ink": "#2c2a26", "soft": "#635e54", "line": "#ddd6c8", "head": "#2f5a68",
    "help": "#e6efed", "rail": "#4f8291", "mark": "#35606e", "bar": "#a9c5cb", "full": "#5c8f9c", "half": "#d8c596",
    "faint": "#c8d3d0", "none": "#e3ddcf", "on-mark": "#ffffff", "empty": "#f3efe6",
}  # fmt: skip
DARK = {
    "page": "#191b1c", "card": "#232628", "ink": "#e9e5db", "soft": "#b0aa9e", "line": "#3d4245", "head": "#9fcbd5",
    "help": "#21373a", "rail": "#6fa5b2", "mark": "#8fc6d3", "bar": "#41626a", "full": "#6fa5b2", "half": "#a08c5a",
    "faint": "#4a5654", "none": "#383d40", "on-mark": "#101a1c", "empty": "#2d3134",
}  # fmt: skip
"""Calm inks by what they are for; no red in either."""

_SHADES = {Shade.FULL: "full", Shade.HALF: "half", Shade.FAINT: "faint", Shade.NONE: "none"}
_HEAT = ("empty", "bar", "full", "mark")
_LEAST = 3
"""Per cent: what is not nothing can be seen."""
_CALM = 6
"""A count below this is never painted as the darkest, however quiet the other days were."""
_GAP, _NARROW, _ROOMY = 10, 4, 5
"""Pixels between columns; the narrow ones where there are more columns than are roomy on a phone."""
_NESTED = '<table role="presentation" width="{0}%" cellpadding="0" cellspacing="0" border="0" style="width:{0}%">'


def words(text: str) -> str:
    """`text` from anywhere as HTML text or attribute value."""
    return escape(line(text, 4000), quote=True)


def ground(ink: str, classes: str = "") -> str:
    """Class, colour attribute and the beginning of the style of an element painted in `ink`."""
    return f'class="g-{ink}{classes}" bgcolor="{LIGHT[ink]}" style="background:{LIGHT[ink]};'


@dataclass(frozen=True, slots=True)
class Charts:
    """Lays out in one reading direction: old mail programs know left and right only, not where a line begins."""

    start: str
    end: str

    def table(self, block: Table) -> str:
        """Figures as a table with caption and headers; numbers stand under each other."""
        last, gap = len(block.rows) - 1, _GAP if len(block.head) <= _ROOMY else _NARROW
        rows = "".join(self._row(row, gap, strong=block.total and at == last) for at, row in enumerate(block.rows))
        return self._framed(block.caption, self._head(block.head, gap), rows)

    def bars(self, block: Bars) -> str:
        """Label, figure, bar; all of one scale."""
        most = max((bar.value for bar in block.bars), default=0)
        rows = "".join(
            f"<tr>{self._name(bar.label, strong=bar.marked, wraps=False)}"
            f"{self._figure(bar.shown, strong=bar.marked, wraps=False)}"
            f'<td aria-hidden="true" width="60%" style="width:60%;padding:4px 0;padding-{self.start}:12px">'
            f"{_bar(bar.value, most, 'mark' if bar.marked else 'bar')}</td></tr>"
            for bar in block.bars
        )
        return self._framed(block.caption, self._head((*block.head, "")) if any(block.head) else "", rows)

    def shares(self, block: Shares) -> str:
        """One bar in parts with its table below."""
        whole = sum(part.value for part in block.parts) or 1
        cells = "".join(
            f'<td {ground(_SHADES[part.shade])}height:18px;font-size:1px;line-height:18px" '
            f'width="{max(1, round(100 * part.value / whole))}%">&nbsp;</td>'
            for part in block.parts
            if part.value
        )
        strip = f'<td colspan="2" style="padding:4px 0 8px">{_NESTED.format(100)}<tr>{cells}</tr></table></td>'
        rows = "".join(
            f"<tr>{self._name(part.label, swatch=_SHADES[part.shade])}{self._figure(part.shown)}</tr>"
            for part in block.parts
        )
        total = f"<tr>{self._name(block.total_label, strong=True)}{self._figure(block.total, strong=True)}</tr>"
        return self._framed(block.caption, self._head(block.head), f'<tr aria-hidden="true">{strip}</tr>{rows}{total}')

    def heat(self, block: Heat) -> str:
        """Days by parts of the day; the count stands in its cell, an empty cell means none."""
        most = max((count for _, counts in block.rows for count in counts), default=0)
        most = max(most, _CALM)
        width = 84 // max(1, len(block.columns))
        style = f"{_ink('soft')}font-weight:normal;font-size:11px;padding:0 0 2px"
        head = "".join(
            f'<th scope="col" class="i-soft" align="center" style="text-align:center;{style}">{words(column)}</th>'
            for column in block.columns
        )
        rows = "".join(
            f"<tr>{self._name(name)}{''.join(_cell(count, most, width) for count in counts)}</tr>"
            for name, counts in block.rows
        )
        corner = f'<th scope="col" class="i-soft" align="{self.start}" style="text-align:{self.start};{style}">'
        return self._framed(block.caption, f"<tr>{corner}{words(block.corner)}</th>{head}</tr>", rows, spacing=2)

    def _framed(self, caption: str, head: str, rows: str, spacing: int = 0) -> str:
        collapse = "separate" if spacing else "collapse"
        return (
            f'<table width="100%" cellpadding="0" cellspacing="{spacing}" border="0" class="i-ink" '
            f'style="{_ink("ink")}width:100%;border-collapse:{collapse};font-size:15px;'
            'line-height:1.4;margin:0 0 18px">'
            f'<caption class="i-soft" align="top" style="text-align:{self.start};{_ink("soft")}font-size:14px;'
            f'padding:0 0 6px">{words(caption)}</caption>'
            f"{f'<thead>{head}</thead>' if head else ''}<tbody>{rows}</tbody></table>"
        )

    def _head(self, names: Sequence[str], gap: int = _GAP) -> str:
        """A line of column names; without any it is left out."""
        if not any(names):
            return ""
        cells = []
        for at, name in enumerate(names):
            side = self.end if at else self.start
            size, room = (13 if gap == _GAP else 12), self._gap(at, gap)
            style = f"text-align:{side};{_ink('soft')}font-weight:normal;font-size:{size}px;padding:0 0 3px;{room}"
            kind = ("th", 'scope="col" ') if name else ("td", "")
            cells.append(f'<{kind[0]} {kind[1]}class="i-soft" align="{side}" style="{style}">{words(name)}</{kind[0]}>')
        return f"<tr>{''.join(cells)}</tr>"

    def _row(self, cells: Sequence[str], gap: int, *, strong: bool) -> str:
        figures = "".join(self._figure(cell, gap, strong=strong) for cell in cells[1:])
        return f"<tr>{self._name(cells[0], strong=strong)}{figures}</tr>"

    def _name(self, label: str, *, strong: bool = False, swatch: str = "", wraps: bool = True) -> str:
        """The header cell of a row; with `swatch` behind a small square of that ink."""
        square = (
            f'<span aria-hidden="true" class="g-{swatch}" style="display:inline-block;width:11px;height:11px;'
            f'background:{LIGHT[swatch]};margin-{self.end}:8px">&nbsp;</span>'
            if swatch
            else ""
        )
        weight = "bold" if strong else "normal"
        return (
            f'<th scope="row" align="{self.start}" style="text-align:{self.start};font-weight:{weight};padding:3px 0;'
            f'vertical-align:top{_wrap(wraps)}">{square}{words(label)}</th>'
        )

    def _figure(self, shown: str, gap: int = _GAP, *, strong: bool = False, wraps: bool = True) -> str:
        weight, room = "bold" if strong else "normal", self._gap(1, gap)
        return (
            f'<td align="{self.end}" style="text-align:{self.end};font-weight:{weight};padding:3px 0;{room}'
            f'vertical-align:top;font-variant-numeric:tabular-nums{_wrap(wraps)}">{words(shown)}</td>'
        )

    def _gap(self, at: int, gap: int) -> str:
        return f"padding-{self.start}:{gap}px;" if at else ""


LTR = Charts("left", "right")
RTL = Charts("right", "left")


def _bar(value: int, most: int, ink: str) -> str:
    if not value:
        return "&nbsp;"
    share = max(_LEAST, round(100 * value / most))
    cell = f'<td {ground(ink)}height:13px;font-size:1px;line-height:13px;border-radius:2px">&nbsp;</td>'
    return f"{_NESTED.format(share)}<tr>{cell}</tr></table>"


def _cell(count: int, most: int, width: int) -> str:
    level = -(-(len(_HEAT) - 1) * count // most) if count else 0
    text = "on-mark" if level >= 2 else "ink"
    style = f"{_ink(text)}height:22px;font-size:13px;text-align:center;border-radius:3px"
    painted = ground(_HEAT[level], f" i-{text}")
    return f'<td width="{width}%" align="center" {painted}{style}">{count or "&nbsp;"}</td>'


def _wrap(wraps: bool) -> str:
    return "" if wraps else ";white-space:nowrap"


def _ink(name: str) -> str:
    return f"color:{LIGHT[name]};"
