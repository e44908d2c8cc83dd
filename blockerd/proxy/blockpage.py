"""The page shown in place of a withheld one: where to find help first, then what, why, until when, how to go on. Pure.

Plain HTML without scripts, pictures or anything remote, for narrow and wide screens, light and dark; it names no page,
only the site. Refuses nothing. Called by the gate, for plain HTTP and for hosts that the machine's own certificate
authority may sign.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from blockerd.report.charts import DARK, LIGHT
from blockerd.report.helplines import FALLBACK, Country

HEADERS: tuple[tuple[str, str], ...] = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)
"""What goes with the page."""

_INKS = ("page", "card", "ink", "soft", "head", "help", "rail")


def _inks(inks: Mapping[str, str]) -> str:
    return "".join(f"--{name}:{inks[name]};" for name in _INKS)


_STYLE = (
    f":root{{color-scheme:light dark;{_inks(LIGHT)}}}"
    f"@media(prefers-color-scheme:dark){{:root{{{_inks(DARK)}}}}}"
    "body{font:1rem/1.55 system-ui,sans-serif;margin:0;padding:1rem .6rem;background:var(--page);color:var(--ink)}"
    "main{max-width:36rem;margin:4vh auto;padding:1.4rem;background:var(--card);border-radius:.7rem}"
    "aside{border-inline-start:.25rem solid var(--rail);background:var(--help);padding:.7rem 1rem}"
    "aside p,dd{margin:0}ul{margin:.3rem 0 0;padding-inline-start:1.2rem}"
    "h1{font-size:1.3rem;color:var(--head);margin:1.6rem 0 .8rem}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.3rem 1rem;margin:0 0 1.2rem}dt{color:var(--soft)}"
    "dd{overflow-wrap:anywhere}p{margin:0 0 .8rem}code{font-size:.95em;overflow-wrap:anywhere}"
    "footer{color:var(--soft);font-size:.875rem;margin-top:1.4rem}footer p{margin:0}"
)


@dataclass(frozen=True, slots=True)
class Why:
    """Texts about a withheld page: `site` already masked, the `kind` of page in calm words, the `source` (a list or
    rules by title), the `reason`, and `until` when ("" for no end)."""

    site: str
    kind: str
    source: str
    reason: str
    until: str = ""


def page(why: Why, country: Country | None) -> bytes:
    """The page in place of a withheld one."""
    reason = why.reason if why.reason != why.source else ""
    rows = (("Site", why.site or "an address"), ("Kind", why.kind), ("List", why.source), ("Reason", reason),
            ("Until", why.until))  # fmt: skip
    facts = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in rows if text)
    return _whole(
        "A page was not opened.",
        f"<dl>{facts}</dl>"
        "<p>A wish to be here can wait ten minutes. A walk, a glass of water or a word with somebody is often"
        " enough.</p>"
        "<p>If this seems wrong, <code>blockerd check</code> and the address say which line it is, and"
        " <code>blockerd allow</code> opens what was meant otherwise.</p>",
        country,
        "No message goes out because of this. What is noted here, <code>blockerd log</code> shows.",
    )


def refusal(what: str, country: Country | None) -> bytes:
    """The page for a request that the proxy does not make for anybody; `what` is one sentence."""
    return _whole("This was not opened.", f"<p>{escape(what)}</p>", country, "")


def _whole(title: str, body: str, country: Country | None, end: str) -> bytes:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main>{_help(country)}<h1>{title}</h1>{body}"
        f"<footer><p>blockerd, on this computer. {end}</p></footer></main></body></html>"
    ).encode()


def _help(country: Country | None) -> str:
    others = " or ".join(escape(one) for one in FALLBACK)
    told = "<p>If you are in danger or think of harming yourself, please talk to somebody now.</p>"
    if country is None:
        return f"<aside>{told}<ul><li>In your country: {others}</li></ul></aside>"
    lines = ", ".join(
        f"{escape(line.name)} {escape(line.number)}" + (f" ({escape(line.hours)})" if line.hours else "")
        for line in country.lines[:3]
    )
    return (
        f"<aside>{told}<ul><li>{escape(country.name)}: in an emergency {escape(country.emergency)}; {lines}</li>"
        f"<li>Every other country: {others}</li></ul></aside>"
    )
