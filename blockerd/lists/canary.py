"""Names that no list of these categories means: one that holds any of them is poisoned or broken.

A published list named google.com and facebook.com for 15 months; a guard on size alone does not notice eight names.
Data for `verdict`; the protected names are another matter and stay open anyway.
"""

from blockerd.policy.name import from_text

EVERYWHERE = {
    "google.com": "the search engine most people begin at",
    "wikipedia.org": "the encyclopedia",
    "wikimedia.org": "its pictures",
    "apple.com": "updates and shop of Apple",
    "microsoft.com": "updates and sign-in of Microsoft",
    "windows.com": "updates of Windows",
    "debian.org": "updates of Debian",
    "ubuntu.com": "updates of Ubuntu",
    "mozilla.org": "updates of Firefox",
    "github.com": "where lists and programs are kept",
    "paypal.com": "payments",
    "visa.com": "payments",
    "who.int": "the World Health Organization",
    "nih.gov": "medical research and MedlinePlus",
    "nhs.uk": "the health service of the United Kingdom",
    "europa.eu": "the European Union",
    "bbc.co.uk": "news",
    "nytimes.com": "news",
    "openstreetmap.org": "maps",
    "icann.org": "the names themselves",
    "amazon.com": "a shop for everything",
    "ebay.com": "a shop for everything",
    "python.org": "what this program is written in",
}
"""Popular name to why it is harmless; a list of any category that holds one is not taken."""

NOT_ADULT = {
    "youtube.com": "videos of every kind, with a restricted mode",
    "bing.com": "a search engine with a safe mode",
    "yahoo.com": "mail and news",
    "outlook.com": "mail",
    "gmail.com": "mail",
    "zoom.us": "meetings",
    "cloudflare.com": "carries a fifth of the web",
    "stackoverflow.com": "questions and answers of programmers",
    "netflix.com": "films",
    "spotify.com": "music",
}
"""The same for lists that are about people and pictures; lists of ways round a filter, or of search engines, may hold
some of these on purpose (an encrypted resolver below cloudflare.com, a search engine)."""

SPARED = frozenset(("bypass", "no-safe-search", "shortener"))
"""Categories to which NOT_ADULT does not apply."""


def canaries(category: str) -> frozenset[bytes]:
    """Canonical wire names of which a list of `category` must hold none."""
    names = EVERYWHERE if category in SPARED else EVERYWHERE | NOT_ADULT
    return frozenset(from_text(name) for name in names)
