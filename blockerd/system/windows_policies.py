"""Browser policies on Windows: values below HKLM\\SOFTWARE\\Policies, each with the one that stood there before. Pure.

All five browsers get theirs, for one may be installed for a single person, run from a stick, or come later. Firefox
takes preferences as JSON in one value, into which ours are laid. Called by `system.windows` and its look.
"""

import json
from collections.abc import Iterator
from typing import Any

from blockerd.system.browsers import values
from blockerd.system.merge import added_to
from blockerd.system.picture import Vendor
from blockerd.system.registry import Registry, Value, dword, made, written
from blockerd.system.steps import Step
from blockerd.system.wish import BrowserWish

_POLICIES = "HKLM\\SOFTWARE\\Policies"
PLACES = {
    Vendor.FIREFOX: f"{_POLICIES}\\Mozilla\\Firefox",
    Vendor.CHROME: f"{_POLICIES}\\Google\\Chrome",
    Vendor.CHROMIUM: f"{_POLICIES}\\Chromium",
    Vendor.EDGE: f"{_POLICIES}\\Microsoft\\Edge",
    Vendor.BRAVE: f"{_POLICIES}\\BraveSoftware\\Brave",
}
KEYS = (*PLACES.values(), f"{PLACES[Vendor.FIREFOX]}\\DNSOverHTTPS")


def policies(registry: Registry, wish: BrowserWish | None) -> tuple[Step, ...]:
    """The values of every browser; none where policies were declined."""
    if wish is None:
        return ()
    wanted = {vendor: list(_values(registry, vendor, wish)) for vendor in PLACES}
    return (
        *made(registry, (key for found in wanted.values() for key, _ in found)),
        *(step for vendor, found in wanted.items() for step in written(registry, f"{vendor}", found)),
    )


def _values(registry: Registry, vendor: Vendor, wish: BrowserWish) -> Iterator[tuple[str, Value]]:
    said = values(vendor, wish)
    key = PLACES[vendor]
    for name, value in (said["policies"] if vendor is Vendor.FIREFOX else said).items():
        if name == "Preferences":
            yield key, _preferences(registry.value(key, name), value)
        elif isinstance(value, dict):
            yield from ((f"{key}\\{name}", _plain(inner, one)) for inner, one in value.items())
        else:
            yield key, _plain(name, value)


def _plain(name: str, value: object) -> Value:
    return dword(name, value) if isinstance(value, int) else Value(name, "REG_SZ", str(value))


def _preferences(old: Value | None, ours: dict[str, Any]) -> Value:
    """Ours laid into the JSON that is there; where that is none, ours alone, and theirs comes back with the inverse."""
    lines = "" if old is None else old.data.replace("\\0", "\n")
    try:
        merged = json.loads(added_to(lines.encode() or None, ours))
    except ValueError:
        merged = ours
    return Value("Preferences", "REG_MULTI_SZ", json.dumps(merged))
