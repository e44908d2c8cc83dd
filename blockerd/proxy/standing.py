"""How the proxy stands: what it lacks, in a line each with what to do, and what it says of itself while it runs.

Refuses nothing: a file that cannot be read is a line too. Called by `status`, `config check` and `proxy-ca status`.
"""

import json
from typing import Any

from blockerd.policy.name import to_text
from blockerd.proxy import environment, manifest
from blockerd.proxy.manifest import Manifest
from blockerd.proxy.shipped import load
from blockerd.settings import Settings

SOON_DAYS = 30
"""A root that ends within so many days is told of."""
_DAY = 86400


def lacks(settings: Settings, now: float) -> list[str]:
    """What keeps the proxy from doing all it could at `now` (Unix seconds); nothing where it is switched off."""
    if not settings.proxy.enabled:
        return []
    told = []
    if environment.find(settings) is None:
        told.append("pages are not filtered: the proxy has no environment yet; run: blockerd proxy setup")
    try:
        held = manifest.read(settings.state.dir / "proxy" / "ca")
        return [*told, *_of_root(held, now, missing(settings, held))]
    except OSError as error:
        return [*told, f"pages: {error}"]


def _of_root(held: Manifest, now: float, without: list[str]) -> list[str]:
    if not held.trusted:
        return ["no page rule has an effect: nobody trusts a root of this machine; run: blockerd proxy-ca install"]
    told = []
    if held.ends - now <= SOON_DAYS * _DAY:
        told.append(f"the root ends in {max(0, int((held.ends - now) / _DAY))} days; run: blockerd proxy-ca rotate")
    if without:
        told.append(f"page rules without effect, for the root does not name their host: {', '.join(without[:5])}; "
                    "run: blockerd proxy-ca rotate")  # fmt: skip
    return told


def hosts(settings: Settings) -> list[str]:
    """Every host that has a rule for which its connection would be opened.

    Raises:
        OSError: the own rules cannot be read.
    """
    pages = load(settings.state.dir / "own", safe_search=settings.dns.safe_search).pages
    return [to_text(host) for host in pages.rules.hosts]


def missing(settings: Settings, held: Manifest) -> list[str]:
    """Hosts with rules that the root may not sign for.

    Raises:
        OSError: the own rules cannot be read.
    """
    return sorted(set(hosts(settings)) - set(held.hosts))


def live(settings: Settings) -> dict[str, Any]:
    """What the running proxy last wrote about itself; empty where it wrote nothing."""
    try:
        got = json.loads((settings.state.dir / "run" / "proxy.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return got if isinstance(got, dict) else {}
