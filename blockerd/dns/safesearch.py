"""Safe search and YouTube's restricted mode by CNAME: the provider's own documented host answers instead. Pure.

The names are facts from the providers' help pages (Google "SafeSearch VIP", YouTube "Restricted Mode by DNS", Bing
"Strict", DuckDuckGo "safe", Brave, Ecosia, Yandex "family", Pixabay). Only the exact hosts are rewritten: a
subdomain of a search engine is often another service. Google has one host per country, kept as endings.
"""

from collections.abc import Mapping

from blockerd.policy.name import from_text

_GOOGLE = """
com ac ad ae al am as at az ba be bf bg bi bj bs bt by ca cat cd cf cg ch ci cl cm cn co.ao co.bw co.ck co.cr
co.id co.il co.in co.jp co.ke co.kr co.ls co.ma co.mz co.nz co.th co.tz co.ug co.uk co.uz co.ve co.vi co.za
co.zm co.zw com.af com.ag com.ai com.ar com.au com.bd com.bh com.bn com.bo com.br com.bz com.co com.cu com.cy
com.do com.ec com.eg com.et com.fj com.gh com.gi com.gt com.hk com.jm com.kh com.kw com.lb com.ly com.mm com.mt
com.mx com.my com.na com.nf com.ng com.ni com.np com.om com.pa com.pe com.pg com.ph com.pk com.pr com.py com.qa
com.sa com.sb com.sg com.sl com.sv com.tj com.tr com.tw com.ua com.uy com.vc com.vn cv cz de dj dk dm dz ee es
fi fm fr ga ge gg gl gm gp gr gy hn hr ht hu ie im iq is it je jo kg ki kz la li lk lt lu lv md me mg mk ml mn
ms mu mv mw ne nl no nr nu pl pn ps pt ro rs ru rw sc se sh si sk sm sn so sr st td tg tk tl tm tn to tt vg vu
ws
""".split()  # noqa: SIM905 - a list a line each would fill two screens
_YANDEX = """
ru com by kz ua uz com.tr com.ge com.am az co.il fr ee lt lv kg md tj tm eu fi pl
""".split()  # noqa: SIM905 - a list a line each would fill two screens

_ENGINES: dict[str, tuple[str, ...]] = {
    "forcesafesearch.google.com": tuple(f"www.google.{end}" for end in _GOOGLE),
    "strict.bing.com": ("www.bing.com", "bing.com", "edgeservices.bing.com"),
    "safe.duckduckgo.com": ("duckduckgo.com", "www.duckduckgo.com", "start.duckduckgo.com", "duck.com", "www.duck.com"),
    "forcesafe.search.brave.com": ("search.brave.com",),
    "strict-safe-search.ecosia.org": ("www.ecosia.org", "ecosia.org"),
    "familysearch.yandex.ru": tuple(f"{head}yandex.{end}" for end in _YANDEX for head in ("", "www.")),
    "safesearch.pixabay.com": ("pixabay.com", "www.pixabay.com"),
}
_YOUTUBE = (
    "www.youtube.com",
    "m.youtube.com",
    "youtubei.googleapis.com",
    "youtube.googleapis.com",
    "www.youtube-nocookie.com",
)
_YOUTUBE_HOSTS = {"moderate": "restrictmoderate.youtube.com", "strict": "restrict.youtube.com"}


def table(*, engines: bool, youtube: str) -> Mapping[bytes, bytes]:
    """Wire names to the wire name of the host that answers for them.

    `engines` is the setting `dns.safe_search`, `youtube` is "off", "moderate" or "strict".
    """
    found: dict[bytes, bytes] = {}
    if engines:
        for target, hosts in _ENGINES.items():
            found |= dict.fromkeys(map(from_text, hosts), from_text(target))
    if youtube in _YOUTUBE_HOSTS:
        found |= dict.fromkeys(map(from_text, _YOUTUBE), from_text(_YOUTUBE_HOSTS[youtube]))
    return found
