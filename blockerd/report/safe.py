"""Text from outside made fit for a mail: one line, nothing that steers a terminal, a parser or the reading order. Pure.

Names of people, the user's own note, whatever a list or a site brought along. Escaping for HTML is a second step, of
`mail_html`; header fields are built from `line` alone. Refuses nothing: what cannot be shown is left out.
"""

import unicodedata

_LEFT_OUT = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Controls, format signs (direction overrides, zero widths, tags), half surrogates, private and unassigned signs."""
_JOINERS = {"\u200c", "\u200d"}
"""Format signs that Persian, Indic scripts and emoji are written with."""
KEPT_SPACE = "\u00a0"
"""A space at which no line is broken: inside telephone numbers."""
_MARKS = 4
"""Combining signs kept in a row; a tower of them would paint over the lines around."""


def line(text: str, length: int = 200) -> str:
    """`text` as one line of at most `length` signs, cut with an ellipsis."""
    kept: list[str] = []
    marks = 0
    for sign in text:
        kind = unicodedata.category(sign)
        marks = marks + 1 if kind == "Mn" else 0
        if sign == KEPT_SPACE:
            kept.append(sign)
        elif sign.isspace():
            kept.append(" ")
        elif marks <= _MARKS and (kind not in _LEFT_OUT or sign in _JOINERS):
            kept.append(sign)
    found = " ".join(word for word in "".join(kept).split(" ") if word.strip())
    return found if len(found) <= length else found[: length - 1].rstrip() + "…"


def paragraphs(text: str, length: int = 2000) -> tuple[str, ...]:
    """A text of several paragraphs, each a line as above; together at most about `length` signs."""
    found: list[str] = []
    for part in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        kept = line(part, max(2, length))
        if kept and length > 0:
            found.append(kept)
            length -= len(kept)
    return tuple(found)
