"""The user's own consent, and names of readers who are to get nothing more: small files beside the journal.

Files, because sharing less has to work at once, whatever else runs or is broken: `control` looks at them before each
mail. Without the consent file nothing is shared. Refuses nothing. Called by the command line, which writes, and by
`control.reports`, which reads.
"""

import json
import os
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

FILE, LEAVING = "consent.json", "leaving"

_NAME = re.compile("[0-9a-f]{32}")

WORDS = "I am 18 or older and this is my own decision"
"""What the person at the machine types."""


@dataclass(frozen=True, slots=True)
class Consent:
    """Given at `at` (Unix µs) with these words."""

    at: int
    words: str


def read(folder: Path) -> Consent | None:
    """The consent that holds now; None where none was given, it was withdrawn, or the file says none.

    Raises:
        OSError: nobody can tell, so nobody may get anything, not even word of an end.
    """
    try:
        kept = json.loads((folder / FILE).read_bytes())
        return Consent(int(kept["at"]), str(kept["words"]))
    except (FileNotFoundError, ValueError, TypeError, LookupError):
        return None


def give(folder: Path, consent: Consent) -> None:
    """Keeps `consent`.

    Raises:
        OSError: it cannot be written.
    """
    _write(folder / FILE, json.dumps(asdict(consent)))


def withdraw(folder: Path) -> bool:
    """Takes it back, on the disk when this returns; False where there was none.

    Raises:
        OSError: the file cannot be removed.
    """
    try:
        (folder / FILE).unlink()
    except FileNotFoundError:
        return False
    _sync(folder)
    return True


def leave(folder: Path, name: str) -> None:
    """Reader `name` gets nothing more from now on.

    Raises:
        OSError: it cannot be written.
    """
    (folder / LEAVING).mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(folder / LEAVING / sha256(name.encode()).hexdigest()[:32], name)


def leaving(folder: Path) -> set[str]:
    """Readers who are to get nothing more.

    Raises:
        OSError: the names cannot be read, so nobody may get anything.
    """
    found = set[str]()
    try:
        names = os.listdir(folder / LEAVING)
    except FileNotFoundError:
        return found
    for name in filter(_NAME.fullmatch, names):
        with suppress(FileNotFoundError, ValueError):
            found.add((folder / LEAVING / name).read_text("utf-8"))
    return found


def left(folder: Path, name: str) -> None:
    """It was done for `name`."""
    (folder / LEAVING / sha256(name.encode()).hexdigest()[:32]).unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)  # of a write that was killed; never followed, should it be a link
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(fd)
    beside.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    if os.name != "posix":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
