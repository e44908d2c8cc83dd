"""What the self-probe saw, taken up by `control`: put on record once when it begins and once when it ends.

The probe is a process of its own that writes below /run; nothing it says can change what is blocked. VPNs that come and
go are `control.networks`'s to record. Called by `control`.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from blockerd import clock
from blockerd.lists.snapshot import replace
from blockerd.settings import Settings
from blockerd.system import selfprobe
from blockerd.system.drift import Finding
from blockerd.system.selfprobe import Sight

EVERY = 15.0
SILENT_US = 300_000_000
"""A probe that has not written for so long (µs) is none; nor is one whose file has been missing for so long."""

_SIGNS = ("hosts", "proxy", "policy-", "doh")
"""Findings that are a sign at one moment; all others are a way that begins and ends."""

_VPN = "vpn-"
_MOST = 50
HAND = "byhand.json"
KEPT = "probe.json"
"""In the state: what was told before."""

Record = Callable[[dict[str, Any]], object]


class ProbeNews:
    """Compares each look with what was told before, which a small file keeps over restarts."""

    def __init__(
        self,
        settings: Settings,
        record: Record,
        seen: Path = selfprobe.SEEN,
    ) -> None:
        self._folder = settings.state.dir
        self._ours = any(endpoint.port == 53 for endpoint in settings.dns.listen)
        self._record = record
        self._seen = seen
        self._missing: int | None = None

    async def tick(self) -> None:
        """One look. Nothing where this is no install: then no way of this machine was promised."""
        if self._ours:
            self.look(clock.now_us())

    def look(self, now: int) -> None:
        """Records what began and ended since the last look.

        systemd takes the file away with the probe that it stops: once a probe has been seen here, a file that stays
        away is a loss itself. A probe that only starts again is none.
        """
        before = self._told()
        sight = selfprobe.read(self._seen)
        if sight is None:
            self._missing = now if self._missing is None else self._missing
            if now - self._missing <= SILENT_US or not (self._folder / KEPT).exists():
                return
        else:
            self._missing = None
        after = {one.key: one.text for one in _findings(sight, now)}
        for event in news(before, after):
            self._record({"at": now, **event})
        if after != before or not (self._folder / KEPT).exists():
            with suppress(OSError):
                replace(self._folder / KEPT, json.dumps({"findings": after}).encode())

    def _told(self) -> dict[str, str]:
        try:
            got = json.loads((self._folder / KEPT).read_bytes())["findings"]
            return {str(key): str(text) for key, text in got.items()}
        except (OSError, ValueError, TypeError, LookupError, AttributeError):
            return {}


class HandNews:
    """Takes up what agents have seen in the settings of their own users, and records each choice once."""

    def __init__(self, folder: Path, record: Record) -> None:
        self._path = folder / HAND
        self._record = record

    def take(self, request: dict[str, Any], uid: int) -> dict[str, Any]:
        """The answer to `{"do": "signs", "found": {key: text}}` of user `uid`."""
        found = request.get("found")
        if not isinstance(found, dict) or len(found) > _MOST:
            return {"error": "found is an object of texts"}
        after = {str(key)[:40]: str(text)[:120] for key, text in found.items() if str(key).startswith(_SIGNS)}
        told = self._told()
        before = told.get(str(uid), {})
        for event in news(before, after):
            self._record(event)
        if after != before:
            with suppress(OSError):
                replace(self._path, json.dumps({**told, str(uid): after}).encode())
        return {"taken": len(after)}

    def _told(self) -> dict[str, dict[str, str]]:
        try:
            got = json.loads(self._path.read_bytes())
            return {str(uid): {str(key): str(text) for key, text in one.items()} for uid, one in got.items()}
        except (OSError, ValueError, AttributeError):
            return {}


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


def _findings(sight: Sight | None, now: int) -> list[Finding]:
    if sight is None or now - sight.at > SILENT_US:
        return [Finding("probe", "the self-probe does not run", True)]
    return [one for one in sight.findings if not one.key.startswith(_VPN)]
