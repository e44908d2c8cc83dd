"""A note as one HTML file: for mail programs, for a browser, for paper. Pure; the same note gives the same bytes.

Styles stand on each element, since many programs drop the style sheet; what the sheet adds is darkness and print.
Nothing in it is fetched: no picture, font, script or link. Refuses nothing; every text is escaped here and nowhere
else. Called by whoever builds the mail, by previews and tests.
"""

from blockerd.report.blocks import Bars, Block, Heading, Heat, Items, Note, Para, Shares, Table, Tone
from blockerd.report.charts import DARK, LIGHT, LTR, RTL, Charts, ground, words

_FONT = "font-family:-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;"

_PAD = {"<p": "10px 14px 4px;margin:0", "<u": "2px 14px 8px;margin:0 0 16px"}
"""A paragraph and the list below it make one box, and what comes next stands apart from it."""


def html(note: Note) -> str:
    """The whole note as a document of at most 100 kB that holds all it needs."""
    side, charts = ("rtl", RTL) if note.direction == "rtl" else ("ltr", LTR)
    body = "\n".join(_block(block, charts) for block in note.blocks)
    return (
        f'<!doctype html>\n<html lang="{words(note.language)}" dir="{side}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="supported-color-schemes" content="light dark">\n'
        f"<title>{words(note.subject)}</title>\n<style>\n{_sheet()}\n</style>\n</head>\n"
        f'<body {ground("page")}margin:0;padding:0;-webkit-text-size-adjust:100%">\n'
        f'<div {ground("page")}padding:16px 8px">\n'
        f'<!--[if mso]><table role="presentation" align="center" width="600"><tr><td><![endif]-->\n'
        f'<div role="article" lang="{words(note.language)}" dir="{side}" class="g-card i-ink page" '
        f'style="background:{LIGHT["card"]};color:{LIGHT["ink"]};max-width:600px;margin:0 auto;padding:24px 22px 14px;'
        f'border-radius:10px;box-sizing:border-box;{_FONT}font-size:16px;line-height:1.5">\n{body}\n</div>\n'
        "<!--[if mso]></td></tr></table><![endif]-->\n</div>\n</body>\n</html>\n"
    )


def _block(block: Block, charts: Charts) -> str:
    match block:
        case Heading(text, top):
            level, size, above = ("h1", 21, 24) if top else ("h2", 17, 26)
            return (
                f'<{level} class="i-head" style="color:{LIGHT["head"]};font-size:{size}px;line-height:1.3;'
                f'margin:{above}px 0 8px;font-weight:600">{words(text)}</{level}>'
            )
        case Para(text, tone):
            return _boxed(f'<p style="{_tone(tone)}"{_class(tone)}>{words(text)}</p>', tone, charts)
        case Items(lines, tone):
            items = "".join(f'<li style="margin:0 0 5px">{words(text)}</li>' for text in lines)
            return _boxed(
                f'<ul style="{_tone(tone)}padding-{charts.start}:22px"{_class(tone)}>{items}</ul>', tone, charts
            )
        case Table():
            return charts.table(block)
        case Bars():
            return charts.bars(block)
        case Shares():
            return charts.shares(block)
        case Heat():
            return charts.heat(block)


def _tone(tone: Tone) -> str:
    match tone:
        case Tone.LEAD:
            return "margin:0 0 16px;font-weight:600;"
        case Tone.QUIET:
            return f"margin:0 0 14px;font-size:14px;color:{LIGHT['soft']};"
        case Tone.HELP:
            return "margin:0;"
        case Tone.PLAIN:
            return "margin:0 0 14px;"


def _class(tone: Tone) -> str:
    return ' class="i-soft"' if tone is Tone.QUIET else ""


def _boxed(inner: str, tone: Tone, charts: Charts) -> str:
    """What tells where help is stands in a box of its own."""
    if tone is not Tone.HELP:
        return inner
    return (
        f'<div class="g-help help" style="background:{LIGHT["help"]};border-{charts.start}:4px solid {LIGHT["rail"]};'
        f'padding:{_PAD[inner[:2]]}">{inner}</div>'
    )


def _sheet() -> str:
    """Darkness where the reader asked for it, and paper. `!important` is what beats the styles on the elements."""
    inks = "\n".join(
        f"  .g-{name} {{ background: {ink} !important }} .i-{name} {{ color: {ink} !important }}"
        for name, ink in DARK.items()
    )
    return (
        ":root { color-scheme: light dark; supported-color-schemes: light dark }\n"
        f"@media screen and (prefers-color-scheme: dark) {{\n{inks}\n}}\n"
        "@media print {\n  body, .page { background: #ffffff !important; color: #000000 !important }\n"
        "  .page { max-width: none !important; padding: 0 !important }\n"
        "  table, .help, li { break-inside: avoid } h1, h2 { break-after: avoid }\n"
        "  td, span, div { print-color-adjust: exact; -webkit-print-color-adjust: exact }\n}"
    )
