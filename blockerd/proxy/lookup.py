"""What `check` says about a URL: the same decision that the proxy takes, over the rules of this installation.

Refuses a text that is no URL with a host. Called by `blockerd check`; opens no connection.
"""

from blockerd.model import Decision
from blockerd.policy.decide import Policy
from blockerd.policy.name import to_text
from blockerd.proxy.decide_url import decide_url
from blockerd.proxy.shipped import load
from blockerd.proxy.url import read
from blockerd.settings import Settings


def is_page(text: str) -> bool:
    """True for a text that is more than a name: a URL, a name with a path, a telephone number."""
    return "/" in text or text[:4].lower() == "tel:"


def page_decision(settings: Settings, policy: Policy, text: str, at: float, group: str = "") -> tuple[str, Decision]:
    """The host (or number) in `text` and the decision for the page at Unix time `at`.

    Raises:
        url.BadUrl: the text is no URL.
        OSError: the own rules cannot be read.
    """
    url = read(text)
    pages = load(settings.state.dir / "own", safe_search=settings.dns.safe_search).pages
    return _shown(url.name, url.address, url.number), decide_url(policy, pages, url, at, group).decision


def _shown(name: bytes, address: str, number: str) -> str:
    return to_text(name) if name else address or number
