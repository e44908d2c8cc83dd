"""What a Windows machine looks like before anything is changed, and how PowerShell's answers are read. Pure.

Every question is a script that prints one piece of JSON in ASCII, so that neither the code page nor the language of the
system matters. What is not understood is left out, never guessed. Filled by `system.windows_look`.
"""

import json
import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from blockerd.system.picture import Machine
from blockerd.system.registry import Value
from blockerd.system.trust import Root

_ASCII = (
    "[regex]::Replace((ConvertTo-Json -InputObject @({}) -Depth 4 -Compress), '[^\\x20-\\x7e]', "
    "{{ param($m) '\\u{{0:x4}}' -f [int][char]$m.Value }})"
)
_TCPIP = "HKLM:\\SYSTEM\\CurrentControlSet\\Services\\Tcpip{}\\Parameters\\Interfaces\\"
_V4, _V6 = _TCPIP.format(""), _TCPIP.format("6")

ADAPTERS = _ASCII.format(
    "Get-NetAdapter -IncludeHidden -ErrorAction Stop | "
    f"Where-Object {{ Test-Path ('{_V4}' + $_.InterfaceGuid) }} | "
    "ForEach-Object { [pscustomobject]@{ Name = $_.Name; Guid = $_.InterfaceGuid; Up = ($_.Status -eq 'Up'); "
    f"V4 = (Get-ItemProperty ('{_V4}' + $_.InterfaceGuid) -ErrorAction SilentlyContinue).NameServer; "
    f"V6 = (Get-ItemProperty ('{_V6}' + $_.InterfaceGuid) -ErrorAction SilentlyContinue).NameServer }} }}"
)
"""Every adapter with an address family, and the resolvers that were set by hand, as the registry keeps them."""

RULES = _ASCII.format(
    "Get-DnsClientNrptRule -ErrorAction SilentlyContinue | ForEach-Object { [pscustomobject]@{ "
    "Namespace = @($_.Namespace); Comment = $_.Comment; Group = $false } }; "
    "Get-ChildItem 'HKLM:\\SOFTWARE\\Policies\\Microsoft\\Windows NT\\DNSClient\\DnsPolicyConfig' "
    "-ErrorAction SilentlyContinue | ForEach-Object { [pscustomobject]@{ "
    "Namespace = @($_.GetValue('Name')); Comment = $_.GetValue('Comment'); Group = $true } }"
)
"""The rules of the name resolution policy table: local ones, and those of group policy, which make Windows ignore the
local ones."""

SERVICES = _ASCII.format(
    "Get-Service -Name 'blockerd-*', 'Dnscache', 'SharedAccess' -ErrorAction SilentlyContinue | ForEach-Object { "
    "[pscustomobject]@{ Name = $_.Name; Running = ($_.Status -eq 'Running') } }"
)


def values_script(keys: tuple[str, ...]) -> str:
    """The script that reads every value of the registry keys `keys` that exist."""
    listed = ", ".join(f"'{key}'" for key in keys)
    return _ASCII.format(
        f"foreach ($key in {listed}) {{ "
        "$k = Get-Item -LiteralPath ('Registry::' + $key) -ErrorAction SilentlyContinue; "
        "if ($k) { [pscustomobject]@{ Key = $key; Values = @($k.GetValueNames() | ForEach-Object { [pscustomobject]@{ "
        "Name = $_; Kind = $k.GetValueKind($_).ToString(); "
        "Data = $k.GetValue($_, $null, 'DoNotExpandEnvironmentNames') } }) } } }"
    )


@dataclass(frozen=True, slots=True)
class Adapter:
    """A network adapter. `v4` and `v6` are resolvers set by hand, empty where the network names them."""

    name: str
    guid: str
    up: bool = True
    v4: tuple[str, ...] = ()
    v6: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the name resolution policy table."""

    namespaces: tuple[str, ...]
    comment: str = ""
    group: bool = False


@dataclass(frozen=True, slots=True)
class Windows(Machine):
    """One Windows machine. `keys` has the values of each registry key that exists among those that were asked for."""

    adapters: tuple[Adapter, ...] = ()
    rules: tuple[Rule, ...] = ()
    services: frozenset[str] = frozenset()
    running: frozenset[str] = frozenset()
    keys: tuple[tuple[str, tuple[Value, ...]], ...] = ()
    root: Root | None = None

    def value(self, key: str, name: str) -> Value | None:
        """The value `name` of `key`, which compare without regard to case; None where there is none."""
        found = (value for known, values in self.keys if known.lower() == key.lower() for value in values)
        return next((value for value in found if value.name.lower() == name.lower()), None)

    def exists(self, key: str) -> bool:
        """True if the registry key was there."""
        return any(known.lower() == key.lower() for known, _ in self.keys)


def objects(said: str) -> list[dict[str, Any]]:
    """The objects that a script printed.

    PowerShell prints nothing or null for none, an object for one, and in version 5 at times a list as {"value": [...],
    "Count": n}.

    Raises:
        ValueError: it is no JSON.
    """
    text = said.strip().removeprefix("\ufeff")
    got = json.loads(text) if text else []
    if isinstance(got, dict) and set(got) == {"value", "Count"}:
        got = got["value"]
    return [one for one in (got if isinstance(got, list) else [got]) if isinstance(one, dict)]


def adapters(said: str) -> tuple[Adapter, ...]:
    """What ADAPTERS printed; an adapter whose resolvers are not understood is left out and left alone.

    Raises:
        ValueError: it is no JSON.
    """
    found = []
    for one in objects(said):
        v4, v6 = addresses(one.get("V4")), addresses(one.get("V6"))
        name, guid = str(one.get("Name") or ""), str(one.get("Guid") or "")
        if v4 is not None and v6 is not None and re.fullmatch(r"\{[0-9A-Fa-f-]{36}\}", guid):
            found.append(Adapter(name, guid, bool(one.get("Up")), v4, v6))
    return tuple(found)


def addresses(said: object) -> tuple[str, ...] | None:
    """The value NameServer: addresses with commas or spaces between them; None where it is something else."""
    words = re.split(r"[,\s]+", said.strip()) if isinstance(said, str) and said.strip() else []
    try:
        return tuple(ip_address(word).compressed for word in words)
    except ValueError:
        return None


def rules(said: str) -> tuple[Rule, ...]:
    """What RULES printed.

    Raises:
        ValueError: it is no JSON.
    """
    found = []
    for one in objects(said):
        named = one.get("Namespace")
        namespaces = [named] if isinstance(named, str) else named if isinstance(named, list) else []
        found.append(Rule(tuple(map(str, namespaces)), str(one.get("Comment") or ""), bool(one.get("Group"))))
    return tuple(found)


def services(said: str) -> tuple[frozenset[str], frozenset[str]]:
    """What SERVICES printed: the names of those that exist, and of those that run.

    Raises:
        ValueError: it is no JSON.
    """
    found = objects(said)
    return (
        frozenset(str(one.get("Name")) for one in found),
        frozenset(str(one.get("Name")) for one in found if one.get("Running")),
    )


def keys(said: str) -> tuple[tuple[str, tuple[Value, ...]], ...]:
    """What a script of `values_script` printed.

    Raises:
        ValueError: it is no JSON, or has a kind of value that cannot be written back.
    """
    return tuple(
        (str(one["Key"]), tuple(Value.seen(value) for value in objects(json.dumps(one.get("Values") or []))))
        for one in objects(said)
        if one.get("Key")
    )
