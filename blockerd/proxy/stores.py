"""Puts the root into trust stores and takes it out: the system's, Chromium's and each Firefox profile's NSS store.

Every store is written into the manifest before it is touched, so that a removal after a crash misses none. Windows and
macOS have documented commands instead (`BY_HAND`). Refuses nothing for want of rights: it says which command a person
with more rights must run. Called by `blockerd proxy-ca` and by uninstall.
"""

import hashlib
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from blockerd.proxy import manifest
from blockerd.proxy.manifest import CERT_FILE, Entry, Manifest

SYSTEM_DEBIAN, SYSTEM_P11, NSS, HAND = "system (Debian)", "system (p11-kit)", "nss", "by hand"

BY_HAND = {
    "macOS": (
        "sudo security add-trusted-cert -d -p ssl -k /Library/Keychains/System.keychain {certificate}",
        "sudo security delete-certificate -Z {sha1} /Library/Keychains/System.keychain",
    ),
    "Windows": ("certutil -addstore root {certificate}", "certutil -delstore root {sha1}"),
}
"""Commands of other systems: to install, to remove."""

_ANCHORS = "usr/local/share/ca-certificates"
_PROFILES = (
    ".mozilla/firefox/*",
    ".config/mozilla/firefox/*",
    "snap/firefox/common/.mozilla/firefox/*",
    ".var/app/org.mozilla.firefox/.mozilla/firefox/*",
    ".librewolf/*",
)
_CHROMIUM = (".pki/nssdb", "snap/chromium/current/.pki/nssdb", ".var/app/org.chromium.Chromium/.pki/nssdb",
             ".var/app/com.google.Chrome/.pki/nssdb", ".var/app/com.brave.Browser/.pki/nssdb")  # fmt: skip

Run = Callable[[Sequence[str]], str]
"""Runs a command; "" when it ended well, else why not in a few words."""


@dataclass(frozen=True, slots=True)
class Store:
    """A trust store of this machine: its kind and its file or folder."""

    kind: str
    place: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one store: `problem` is "" when it is done, else one line with what to do."""

    store: Store
    problem: str = ""


def run(words: Sequence[str]) -> str:
    """Runs a command of the system."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except OSError as error:
        return f"{words[0]}: {error.strerror}"
    if done.returncode == 0:
        return ""
    said = (done.stderr or done.stdout).strip().splitlines()
    return f"{words[0]} ended with {done.returncode}" + (f": {said[-1].strip()}" if said else "")


def found(root: Path, home: Path) -> list[Store]:
    """The stores of this machine (`root` is "/") and of the person whose home is `home`."""
    stores = [*_system(root)]
    for pattern in _CHROMIUM:
        stores += [Store(NSS, home / pattern)] if (home / pattern / "cert9.db").exists() else []
    for pattern in _PROFILES:
        stores += [Store(NSS, path.parent) for path in sorted(home.glob(f"{pattern}/cert9.db"))]
    return stores


def _system(root: Path) -> Iterator[Store]:
    if (root / _ANCHORS).is_dir() and (root / "usr/sbin/update-ca-certificates").exists():
        yield Store(SYSTEM_DEBIAN, root / _ANCHORS)
    elif shutil.which("trust") and root == Path("/"):
        yield Store(SYSTEM_P11, root / "etc/pki/ca-trust")


def begin_chromium(home: Path, run: Run) -> str:
    """Makes Chromium's NSS store where there is none yet; "" or why not."""
    place = home / ".pki" / "nssdb"
    if (place / "cert9.db").exists():
        return ""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    return run(["certutil", "-d", f"sql:{place}", "-N", "--empty-password"])


def install(folder: Path, stores: Sequence[Store], run: Run) -> list[Outcome]:
    """Puts the root of the CA `folder` into `stores`; each is in the manifest before it is touched.

    Raises:
        OSError: the manifest cannot be written; nothing was touched then.
    """
    held = manifest.read(folder)
    outcomes = []
    for store in stores:
        name = manifest.copy_name(held.fingerprint)
        place = store.place / name if store.kind == SYSTEM_DEBIAN else store.place
        entry = Entry(store.kind, str(place), nickname(held.fingerprint), held.fingerprint)
        held = _keep(folder, held.with_store(entry))
        problem = _put(folder / CERT_FILE, entry, run)
        if problem and not _holds(entry, run):
            held = _keep(folder, held.without_store(entry))
        outcomes.append(Outcome(store, problem))
    return outcomes


def by_hand(folder: Path) -> None:
    """Notes that the person trusts the root somewhere we cannot see (`curl --cacert`, macOS, Windows, Java).

    Raises:
        OSError: the manifest cannot be written.
    """
    held = manifest.read(folder)
    manifest.write(folder, held.with_store(Entry(HAND, "", nickname(held.fingerprint), held.fingerprint)))


def commands(folder: Path, system: str) -> tuple[str, str] | None:
    """The commands of `system` (as `platform.system` names it) that install and remove the root of the CA `folder`.

    None where we do it ourselves, or there is no root.
    """
    name = {"Darwin": "macOS"}.get(system, system)
    certificate = folder / CERT_FILE
    if name not in BY_HAND or not certificate.exists():
        return None
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text("ascii"))
    words = {"certificate": str(certificate), "sha1": hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()}
    there, back = BY_HAND[name]
    return there.format(**words), back.format(**words)


def remove(folder: Path, run: Run, *, keep: str = "") -> list[Outcome]:
    """Takes every root that the manifest names out of its store, but for the one with fingerprint `keep`.

    Raises:
        OSError: the manifest cannot be written.
    """
    held = manifest.read(folder)
    outcomes = []
    for entry in held.stores:
        if entry.fingerprint == keep:
            continue
        problem = "" if entry.kind == HAND or not Path(entry.place).parent.exists() else _take(folder, entry, run)
        if not problem:
            held = _keep(folder, held.without_store(entry))
        outcomes.append(Outcome(Store(entry.kind, Path(entry.place)), problem))
    return outcomes


def nickname(fingerprint: str) -> str:
    """The name of a root inside a store."""
    return f"blockerd {fingerprint[:12]}"


def _keep(folder: Path, held: Manifest) -> Manifest:
    manifest.write(folder, held)
    return held


def _put(certificate: Path, entry: Entry, run: Run) -> str:
    place = Path(entry.place)
    if entry.kind == NSS:
        words = ["certutil", "-d", f"sql:{place}", "-A", "-t", "C,,", "-n", entry.nickname, "-i", str(certificate)]
        return run(words)
    if entry.kind == SYSTEM_P11:
        return run(["trust", "anchor", "--store", str(certificate)])
    try:
        shutil.copyfile(certificate, place)
        place.chmod(0o644)
    except OSError as error:
        return f"{place}: {error.strerror}; run the command again with sudo"
    return run(["update-ca-certificates"])


def _take(folder: Path, entry: Entry, run: Run) -> str:
    place = Path(entry.place)
    if entry.kind == SYSTEM_DEBIAN and place.name != manifest.copy_name(entry.fingerprint):
        return f"{place}: not a file of ours, though the manifest names it; it is left as it is"
    if entry.kind == NSS:
        return run(["certutil", "-d", f"sql:{place}", "-D", "-n", entry.nickname]) if _holds(entry, run) else ""
    if entry.kind == SYSTEM_P11:
        return run(["trust", "anchor", "--remove", str(folder / manifest.copy_name(entry.fingerprint))])
    try:
        place.unlink(missing_ok=True)
    except OSError as error:
        return f"{place}: {error.strerror}; run the command again with sudo"
    return run(["update-ca-certificates", "--fresh"])


def _holds(entry: Entry, run: Run) -> bool:
    """True if the store holds the root of `entry`."""
    if entry.kind == NSS:
        return not run(["certutil", "-d", f"sql:{entry.place}", "-L", "-n", entry.nickname])
    return Path(entry.place).exists()
