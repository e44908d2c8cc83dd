"""The page shown in place of a withheld one: where to find help first, then what, why and how to go on. Pure.

Plain HTML without scripts, pictures or anything remote; it names no page, only the site. Refuses nothing. Called by
the gate, for plain HTTP and for hosts that the machine's own certificate authority may sign.
"""

from html import escape

from blockerd.model import Decision
from blockerd.policy.name import masked, to_text
from blockerd.report.helplines import FALLBACK, Country

HEADERS: tuple[tuple[str, str], ...] = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)
"""What goes with the page."""

_STYLE = (
    "body{font:1.05rem/1.6 system-ui,sans-serif;max-width:38rem;margin:4rem auto;padding:0 1rem;color:#234;"
    "background:#f6f8f7}aside{border-left:.3rem solid #6a9;padding:.2rem 1rem;background:#fff}"
    "code{background:#e8eeec;padding:.1rem .3rem}footer{color:#567;font-size:.9rem}"
)


def page(decision: Decision, host: bytes, country: Country | None, *, link: str = "") -> bytes:
    """The page in place of one of `host`, withheld by `decision`; `link` leads to the dashboard where there is one."""
    why = f"It stands under “{escape(decision.category)}”" if decision.category else "A rule holds it back"
    rule = f" ({escape(decision.rule.source)})" if decision.rule else ""
    reason = f"{why}{rule}: {escape(decision.reason)}."
    shown = masked(to_text(host)) if host else "this address"
    more = f'<p><a href="{escape(link, quote=True)}">More on this computer</a></p>' if link else ""
    return _whole(
        "A page was not opened.",
        f"<p>On <code>{escape(shown)}</code>. {reason}</p>"
        "<p>If that seems wrong, look why with <code>blockerd check --why</code> and the address. A wish to come back"
        " here can wait ten minutes; a walk, a glass of water or a word with somebody often is enough.</p>" + more,
        country,
    )


def refusal(what: str, country: Country | None) -> bytes:
    """The page for a request that the proxy does not make for anybody; `what` is one sentence."""
    return _whole("This was not opened.", f"<p>{escape(what)}</p>", country)


def _whole(title: str, body: str, country: Country | None) -> bytes:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>{_help(country)}<h1>{title}</h1>{body}"
        "<footer><p>blockerd, on this computer. Nothing was sent to anyone.</p></footer></body></html>"
    ).encode()


def _help(country: Country | None) -> str:
    others = " or ".join(escape(one) for one in FALLBACK)
    if country is None:
        return (
            f"<aside><p>In danger, or with thoughts of harming yourself: help in your country at {others}.</p></aside>"
        )
    lines = "; ".join(
        f"{escape(line.name)} {escape(line.number)}" + (f" ({escape(line.hours)})" if line.hours else "")
        for line in country.lines[:3]
    )
    return (
        f"<aside><p>In danger, or with thoughts of harming yourself ({escape(country.name)}): dial"
        f" {escape(country.emergency)}. Somebody listens: {lines}. Elsewhere: {others}.</p></aside>"
    )
