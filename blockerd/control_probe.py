"""What the self-probe saw, taken up by `control`: put on record once when it begins and once when it ends, and the
roads that other resolvers are asked on for a while (a VPN's own domains, the sign-in page of a strange network).

The probe and the guard are processes of their own that write below /run; nothing they say can change what is blocked.
Called by `control`.
"""

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from blockerd import clock
from blockerd.dns import roads
from blockerd.lists.snapshot import replace
from blockerd.process import boot_id
from blockerd.settings import Settings
from blockerd.system import links, selfprobe
from blockerd.system.drift import Finding
from blockerd.system.selfprobe import Sight

EVERY = 15.0
SILENT_US = 300_000_000
"""A probe that has not written for so long (µs) is none."""

PORTAL_US = 600_000_000
"""How long (µs) the names by which systems look for a sign-in page are asked of a new network's own resolver."""

PORTALS = (
    *("captive.apple.com", "connectivitycheck.gstatic.com", "connectivitycheck.android.com", "clients3.google.com"),
    *("detectportal.firefox.com", "www.msftconnecttest.com", "www.msftncsi.com", "nmcheck.gnome.org"),
    *("connectivity-check.ubuntu.com", "network-test.debian.org", "ping.archlinux.org", "networkcheck.kde.org"),
)

_SIGNS = ("hosts", "proxy", "policy-", "doh")
"""Findings that are a sign at one moment; all others are a way that begins and ends."""

Record = Callable[[dict[str, Any]], object]


class ProbeNews:
    """Compares each look with what was told before, which a small file keeps over restarts."""

    def __init__(
        self,
        settings: Settings,
        record: Record,
        seen: Path = selfprobe.SEEN,
        kept: Path = links.KEPT,
    ) -> None:
        self._folder = settings.state.dir
        self._ours = any(endpoint.port == 53 for endpoint in settings.dns.listen)
        self._record = record
        self._seen = seen
        self._kept = kept

    async def tick(self) -> None:
        """One look. Nothing where this is no install: then no way of this machine was promised."""
        if self._ours:
            self.look(clock.now_us(), clock.boottime_us(), boot_id())

    def look(self, now: int, boottime: int, boot: str) -> None:
        """Records what began and ended, and lays the roads that hold at `boottime`."""
        before = self._told()
        sight = selfprobe.read(self._seen)
        if sight is None and not before:
            return
        findings = _findings(sight, now)
        after = {one.key: one.text for one in findings}
        for event in news(before.get("findings", {}), after):
            self._record({"at": now, **event})
        portal = self._portal(before.get("portal", {}), sight, boottime, boot, now)
        self._lay([*portal_roads(portal), *vpn_roads(links.read(self._kept), boot)], boottime)
        told = {"findings": after, "portal": portal}
        if told != before:
            with suppress(OSError):
                replace(self._folder / "probe.json", json.dumps(told).encode())

    def _portal(
        self, before: dict[str, Any], sight: Sight | None, boottime: int, boot: str, now: int
    ) -> dict[str, Any]:
        """The window for sign-in pages: opened by a network whose resolver is new here, closed by the time."""
        server = sight.offered[0] if sight and sight.offered else ""
        known = before.get("server") == server and before.get("boot") == boot
        portal: dict[str, Any] = before
        if server and not known:
            portal = {"server": server, "boot": boot, "until": boottime + PORTAL_US, "open": False}
        is_open = bool(portal) and portal["boot"] == boot and boottime < portal["until"]
        if portal and portal["open"] != is_open:
            old, new = (portal["server"], "") if portal["open"] else ("", portal["server"])
            self._record({"kind": "resolver-path", "at": now, "what": "portal", "old": old, "new": new})
        return {**portal, "open": is_open} if portal else {}

    def _lay(self, wanted: Iterable[roads.Road], boottime: int) -> None:
        path = self._folder / "run" / roads.FILE
        content = roads.to_bytes(road for road in wanted if not road.until or boottime < road.until)
        with suppress(OSError):
            if content != (path.read_bytes() if path.exists() else b"[]"):
                replace(path, content)

    def _told(self) -> dict[str, Any]:
        try:
            got = json.loads((self._folder / "probe.json").read_bytes())
        except (OSError, ValueError):
            return {}
        good = isinstance(got, dict) and isinstance(got.get("findings"), dict) and isinstance(got.get("portal"), dict)
        return got if good else {}


def news(before: dict[str, str], after: dict[str, str]) -> list[dict[str, Any]]:
    """Events for what is new and what is over; `before` and `after` are texts by key."""
    events: list[dict[str, Any]] = []
    for key in sorted(after.keys() - before.keys()):
        if key.startswith(_SIGNS):
            events.append({"kind": "bypass-sign", "what": key, "detail": after[key]})
        else:
            events.append({"kind": "resolver-path", "what": key, "old": "", "new": after[key]})
    over = sorted(key for key in before.keys() - after.keys() if not key.startswith(_SIGNS))
    events += [{"kind": "resolver-path", "what": key, "old": before[key], "new": ""} for key in over]
    return events


def portal_roads(portal: dict[str, Any]) -> list[roads.Road]:
    """One road for each name that a system asks for to find a sign-in page."""
    if not portal or not portal["open"]:
        return []
    return [roads.Road(name, portal["server"], portal["boot"], portal["until"]) for name in PORTALS]


def vpn_roads(told: Iterable[links.Told], boot: str) -> list[roads.Road]:
    """A VPN's own domains lead to its resolver while its link is there."""
    return [roads.Road(domain, one.servers[0], boot) for one in told if one.servers for domain in one.domains]


def _findings(sight: Sight | None, now: int) -> list[Finding]:
    if sight is None or now - sight.at > SILENT_US:
        return [Finding("probe", "the self-probe does not run", True)]
    return list(sight.findings)
