"""Values of the Windows registry: written with what stood there before as the inverse, by the system's own `reg`. Pure.

A key that was not there goes with its last value, but only if it is empty by then: what others have put into it since
stays. Called by `system.windows` and `windows_policies`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from blockerd.system.steps import Command, Step

KINDS = {
    "String": "REG_SZ",
    "ExpandString": "REG_EXPAND_SZ",
    "DWord": "REG_DWORD",
    "QWord": "REG_QWORD",
    "MultiString": "REG_MULTI_SZ",
    "Binary": "REG_BINARY",
    "None": "REG_NONE",
}
"""As .NET names them, and as `reg` does."""

ROOTS = ("HKLM\\SOFTWARE\\Policies", "HKCU\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion", "HKLM\\SYSTEM")
"""Keys that every Windows has; those below may have to be made."""


STOP = "$ErrorActionPreference = 'Stop'; "
"""Stands before every script: an error ends it, and PowerShell with 1."""


@dataclass(frozen=True, slots=True)
class Value:
    """A named value: `kind` and `data` as `reg add` takes them."""

    name: str
    kind: str
    data: str

    @classmethod
    def seen(cls, got: dict[str, Any]) -> "Value":
        """A value as `windows_picture.values_script` prints it.

        Raises:
            ValueError: it is of a kind that cannot be written back.
        """
        kind, data = KINDS.get(str(got.get("Kind"))), got.get("Data")
        if kind is None:
            raise ValueError(f"{got.get('Name')}: a registry value of an unknown kind")
        if kind == "REG_MULTI_SZ":
            text = "\\0".join(map(str, data if isinstance(data, list) else [data]))
        elif kind in ("REG_BINARY", "REG_NONE"):
            text = bytes(data or ()).hex()
        elif kind in ("REG_DWORD", "REG_QWORD"):
            text = str(int(data or 0) % (1 << (32 if kind == "REG_DWORD" else 64)))
        else:
            text = str(data if data is not None else "")
        return cls(str(got.get("Name") or ""), kind, text)


class Registry(Protocol):
    """What is asked of the picture."""

    def value(self, key: str, name: str) -> Value | None: ...
    def exists(self, key: str) -> bool: ...


def dword(name: str, number: int) -> Value:
    """A number, which is what most policies are."""
    return Value(name, "REG_DWORD", str(int(number)))


def parents(key: str) -> tuple[str, ...]:
    """`key` and the keys above it that may have to be made, outermost first."""
    root = next((root for root in ROOTS if key.startswith(root + "\\")), key)
    parts = key.removeprefix(root).strip("\\").split("\\")
    return tuple("\\".join([root, *parts[: n + 1]]) for n in range(len(parts))) if key != root else ()


def made(registry: Registry, keys: Iterable[str]) -> tuple[Step, ...]:
    """A step for each key that is missing of `keys` and those above them; going back it goes if it is empty."""
    wanted = dict.fromkeys(above for key in keys for above in parents(key))
    return tuple(
        Command(f"the key {key}", ("reg.exe", "add", key, "/f"), powershell(_REMOVE.format(key=key)))
        for key in wanted
        if not registry.exists(key)
    )


def written(registry: Registry, title: str, wanted: Iterable[tuple[str, Value]]) -> Iterator[Step]:
    """A step for each value that is not yet as wanted."""
    for key, value in wanted:
        old = registry.value(key, value.name)
        if old is None or (old.kind, old.data) != (value.kind, value.data):
            back = add(key, old) if old else ("reg.exe", "delete", key, "/v", value.name, "/f")
            yield Command(f"{title}: {value.name}", add(key, value), back)


def add(key: str, value: Value) -> tuple[str, ...]:
    """The command that writes a value."""
    data = ("/d", value.data) if value.data or value.kind in ("REG_SZ", "REG_EXPAND_SZ") else ()
    return ("reg.exe", "add", key, "/v", value.name, "/t", value.kind, *data, "/f")


def powershell(script: str) -> tuple[str, ...]:
    """The command that runs `script`: nobody's profile, nobody asked, an error ends it with 1."""
    return ("powershell.exe", "-NoProfile", "-NonInteractive", "-Command", STOP + script)


def quoted(text: str) -> str:
    """A literal string of PowerShell, which also takes typographic quotes for the end of one."""
    return "'" + "".join(char * 2 if char in "'\u2018\u2019\u201a\u201b" else char for char in text) + "'"


_REMOVE = (
    "Get-Item -LiteralPath 'Registry::{key}' -ErrorAction SilentlyContinue | "
    "Where-Object {{ $_.ValueCount + $_.SubKeyCount -eq 0 }} | Remove-Item"
)
