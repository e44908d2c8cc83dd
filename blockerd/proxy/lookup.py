"""What `check` says about a URL: the same decision that the proxy takes, over the rules of this installation.

Refuses a text that is no URL with a host. Called by `blockerd check`; opens no connection.
"""

from dataclasses import dataclass

from blockerd.model import Decision
from blockerd.policy.decide import Policy
from blockerd.policy.name import to_text
from blockerd.proxy.decide_url import decide_url
from blockerd.proxy.shipped import load
from blockerd.proxy.url import read
from blockerd.settings import Settings


@dataclass(frozen=True, slots=True)
class Page:
    """A page looked up: its host, address or number as text, the host in wire form (b"" for none), the decision, and
    the title of the page rules it comes from ("" where the host's name decided)."""

    shown: str
    name: bytes
    decision: Decision
    title: str = ""


def is_page(text: str) -> bool:
    """True for a text that is more than a name: a URL, a name with a path, a telephone number."""
    return "/" in text or text[:4].lower() == "tel:"


def page_decision(settings: Settings, policy: Policy, text: str, at: float, group: str = "") -> Page:
    """The decision for the page `text` at Unix time `at`, asked for by the client `group`.

    Raises:
        url.BadUrl: the text is no URL.
        OSError: the own rules cannot be read.
    """
    url = read(text)
    pages = load(settings.state.dir / "own", safe_search=settings.dns.safe_search).pages
    decision = decide_url(policy, pages, url, at, group).decision
    shown = to_text(url.name) if url.name else url.address or url.number
    return Page(shown, url.name, decision, pages.rules.titles.get(decision.rule.source, "") if decision.rule else "")
