"""Which hosts the fetcher and the daemon itself live on: mirrors of a list, and names that no list may close.

Opens no connection. Called by `fetch` for mirrors and by the guards of a build for `lifelines`.
"""

import re
from urllib.parse import urlsplit

from blockerd.lists.catalogue import CatalogueError, Entry, load
from blockerd.policy.name import BadName, from_text
from blockerd.settings import Settings


def mirrors_of(url: str, catalogue: tuple[Entry, ...]) -> tuple[str, ...]:
    """Where else the list at `url` may be had, in order: the other addresses of its entry in `catalogue`."""
    for entry in catalogue:
        places = (entry.url, *entry.mirrors)
        if url in places:
            return tuple(place for place in places if place != url)
    return ()


def lifelines(settings: Settings) -> frozenset[bytes]:
    """Canonical wire names that the program itself needs: upstreams, list hosts with their mirrors, the mail server.

    Addresses have no name to close and are left out. A catalogue that cannot be read costs its mirrors only.
    """
    try:
        catalogue = load()
    except CatalogueError:
        catalogue = ()
    hosts = {upstream.name for upstream in settings.dns.upstreams}
    hosts |= {upstream.host for upstream in settings.dns.upstreams}
    hosts |= {host for _, upstream in settings.dns.local_domains for host in (upstream.name, upstream.host)}
    for source in settings.lists.source:
        if source.url:
            hosts |= {host_of(url) for url in (source.url, *mirrors_of(source.url, catalogue))}
    hosts.add(settings.report.smtp.host)
    return frozenset(wire for host in hosts if (wire := _wire(host)))


def host_of(url: str) -> str:
    """The host of `url` without port and brackets; "" where there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _wire(host: str) -> bytes:
    if ":" in host or re.fullmatch(r"[0-9.]*", host):
        return b""
    try:
        return from_text(host)
    except BadName:
        return b""
