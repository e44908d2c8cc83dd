"""What the proxy keeps about itself: the certificate authority, the stores that trust it, the hosts that refused it.

Plain JSON files in `<state.dir>/proxy`, written beside and renamed, mode 0600; one that cannot be read counts as
empty, but is never written over then. Called by `ca`, `stores`, the gate and the commands; imports no cryptography.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from blockerd.settings import Settings

FILE, PASSED = "manifest.json", "passed.json"
KEY_FILE = "mitmproxy-ca.pem"
"""Private key and root, under the name that mitmproxy looks for; mode 0600."""
CERT_FILE = "blockerd-ca.crt"
"""The root alone, for trust stores."""


def copy_name(fingerprint: str) -> str:
    """The file name under which a root is kept until no store holds it any more."""
    return f"blockerd-{fingerprint[:12]}.crt"


class Unreadable(OSError):
    """A file of the proxy is damaged; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A trust store that holds a root: its kind, the file or folder, the name in it, and the root's fingerprint."""

    kind: str
    place: str
    nickname: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The root in force (`fingerprint` "" before there is one) and every store that was given one, old ones included.

    `made` and `ends` are Unix seconds; `hosts` are the names (text) that the root may sign for, and all below.
    """

    fingerprint: str = ""
    made: float = 0
    ends: float = 0
    hosts: tuple[str, ...] = ()
    stores: tuple[Entry, ...] = ()

    @property
    def trusted(self) -> bool:
        """True if a store holds the root in force."""
        return any(entry.fingerprint == self.fingerprint for entry in self.stores) and bool(self.fingerprint)

    def with_store(self, entry: Entry) -> "Manifest":
        """The same with one store more."""
        return self if entry in self.stores else replace(self, stores=(*self.stores, entry))

    def without_store(self, entry: Entry) -> "Manifest":
        """The same with one store less."""
        return replace(self, stores=tuple(one for one in self.stores if one != entry))


def proxy_folder(settings: Settings) -> Path:
    """`<state.dir>/proxy`, mode 0700, made where missing."""
    return _folder(settings.state.dir / "proxy")


def ca_folder(settings: Settings) -> Path:
    """Where key, root and manifest lie, mode 0700; it is the `confdir` of mitmproxy."""
    return _folder(proxy_folder(settings) / "ca")


def _folder(path: Path) -> Path:
    if not path.is_dir():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = owner_above(path)
        if owner:
            os.chown(path, *owner)
    return path


def owner_above(path: Path) -> tuple[int, int] | None:
    """Whose (user and group) a new `path` must be: root writes into the service's folder for the service. None for
    everybody but root."""
    if os.geteuid() != 0:
        return None
    above = path.parent.stat()
    return above.st_uid, above.st_gid


def read(folder: Path) -> Manifest:
    """The manifest in the CA folder; an empty one where there is none.

    Raises:
        Unreadable: it is damaged.
    """
    got = _json(folder / FILE)
    try:
        stores = tuple(Entry(**entry) for entry in got.get("stores", ()))
        hosts = tuple(map(str, got.get("hosts", ())))
        return Manifest(got.get("fingerprint", ""), got.get("made", 0), got.get("ends", 0), hosts, stores)
    except (TypeError, AttributeError):
        raise Unreadable(
            f"{folder / FILE}: damaged; put back a copy of it, it names the stores that trust us"
        ) from None


def write(folder: Path, manifest: Manifest) -> None:
    """Keeps the manifest.

    Raises:
        OSError: it cannot be written.
    """
    write_file(folder / FILE, json.dumps(asdict(manifest), indent=1).encode())


def passed(folder: Path) -> dict[str, float]:
    """Hosts (text) whose client refused our certificate, and since when (Unix seconds).

    Raises:
        Unreadable: the file is damaged.
    """
    return {str(host): float(at) for host, at in _json(folder / PASSED).items()}


def write_passed(folder: Path, hosts: Mapping[str, float]) -> None:
    """Keeps the hosts that pass.

    Raises:
        OSError: it cannot be written.
    """
    write_file(folder / PASSED, json.dumps(dict(hosts), indent=1).encode())


def write_file(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Writes `data` beside `path` with `mode` from the first moment, syncs and renames.

    Raises:
        OSError: it cannot be written; the old file stays.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            if owner := owner_above(path):
                os.fchown(file.fileno(), *owner)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _json(path: Path) -> dict[str, Any]:
    try:
        got = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError:
        raise Unreadable(f"{path}: damaged; remove it or put back a copy") from None
    if not isinstance(got, dict):
        raise Unreadable(f"{path}: damaged; remove it or put back a copy")
    return got
