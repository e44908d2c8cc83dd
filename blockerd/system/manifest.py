"""The manifest of an install: what must be done to take each change back, on the disk before the change is made.

One JSON object a line, appended and synced; a torn last line is a change that was not begun. A piece of ballast lies
beside it, so that taking back has room on a full disk. Knows nothing of what the steps do. Called by `system.apply`.
"""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from blockerd.system.steps import Undo, from_json, to_json

FOLDER = "var/lib/blockerd-install"
"""Under the root of the machine; not in the state folder, which a person may move or remove."""

BALLAST = 256 * 1024
_VERSION = 1


class ManifestError(Exception):
    """The manifest is of a newer version or cannot be read; the text says which file and what to do."""


class Manifest:
    """The manifest of the machine whose files are under `root`."""

    def __init__(self, root: Path) -> None:
        self.folder = root / FOLDER
        self.path = self.folder / "manifest.jsonl"
        self._ballast = self.folder / "ballast"

    def exists(self) -> bool:
        """True if something was installed, wholly or in part, and not taken back wholly."""
        return self.folder.exists()

    def begin(self) -> None:
        """Makes the folder, the head and the ballast where missing.

        Raises:
            OSError: there is no room or no right; nothing was changed then.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.path.exists():
            self._append({"manifest": _VERSION})
        self._mend()
        if not self._ballast.exists():
            _write_synced(self._ballast, os.urandom(BALLAST))  # not zeros: a filesystem may keep those in no space
        _sync_folder(self.folder.parent)

    def add(self, undo: Undo) -> None:
        """Keeps what takes the next change back; on the disk when this returns.

        Raises:
            OSError: it could not be kept; the change must not be made.
        """
        self._append(to_json(undo))

    def note(self, key: str, value: object) -> None:
        """Keeps a remark about the machine as it was."""
        self._append({"note": key, "value": value})

    def noted(self, key: str) -> object:
        """The last remark under `key`, None where there is none."""
        found = [line.get("value") for line in self._lines() if line.get("note") == key]
        return found[-1] if found else None

    def finish(self) -> None:
        """Notes that the whole plan was done."""
        self._append({"installed": True})

    def installed(self) -> bool:
        """True if something of the system was changed: settings and record alone are no install.

        Raises:
            ManifestError: it cannot be read.
        """
        return any(not undo.data for undo in self.undos())

    def finished(self) -> bool:
        """True if no change to the system was begun after the last install that came to its end.

        Settings and record, which `setup` makes and a person may keep, are no change to the system.
        """
        for line in reversed(self._lines()):
            if "installed" in line:
                return True
            if line.get("data") is False:
                return False
        return True

    def undos(self) -> list[Undo]:
        """What was begun, in the order of doing.

        Raises:
            ManifestError: it cannot be read.
        """
        try:
            return [from_json(line) for line in self._lines() if "title" in line]
        except (KeyError, TypeError, ValueError) as error:
            raise ManifestError(f"{self.path}: not a manifest of this version: {error}") from None

    def make_room(self) -> None:
        """Gives the ballast's space back to the disk."""
        with suppress(OSError):
            self._ballast.unlink()

    def keep_only(self, undos: Iterable[Undo], first: int = 0) -> None:
        """Replaces the manifest by `undos`; removes it with its folder where there are none.

        The `first` ones of them stay as they stand, with the remarks among them.
        """
        left = list(undos)
        if left:
            lines = [*self._before(first), *map(to_json, left[first:])]
            beside = self.path.with_suffix(".new")
            _write_synced(beside, b"".join(map(_line, lines)))
            beside.replace(self.path)
            return
        for path in (self._ballast, self.path.with_suffix(".new"), self.path):
            with suppress(FileNotFoundError):
                path.unlink()
        with suppress(FileNotFoundError):
            self.folder.rmdir()

    def _before(self, first: int) -> list[dict[str, object]]:
        """All lines above the undo number `first`; the head alone for the one number 0."""
        lines = self._lines()
        at = [number for number, line in enumerate(lines) if "title" in line]
        return lines[: at[first] if first < len(at) else None] if first else [{"manifest": _VERSION}]

    def _lines(self) -> list[dict[str, object]]:
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ManifestError(f"{self.path}: {error.strerror}; read it as root") from None
        lines = [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]
        if lines and lines[0].get("manifest", _VERSION) != _VERSION:
            raise ManifestError(f"{self.path}: made by another version of blockerd; use that one")
        return lines

    def _mend(self) -> None:
        """Cuts a torn last line off, so that the next one begins a line."""
        text = self.path.read_bytes()
        whole = text.rfind(b"\n") + 1
        if whole < len(text):
            os.truncate(self.path, whole)

    def _append(self, thing: dict[str, object]) -> None:
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            data = _line(thing)
            if os.write(fd, data) != len(data):
                raise OSError(28, "No space left on device")
            os.fsync(fd)
        finally:
            os.close(fd)
        _sync_folder(self.folder)


def settings_file(root: Path, usual: Path) -> Path | None:
    """The configuration that the machine below `root` was installed with, or `usual` before that; None where nothing
    was set up there, or the file is gone."""
    manifest = Manifest(root)
    if not manifest.exists():
        return None
    try:
        noted = manifest.noted("config")
    except (ManifestError, ValueError):
        noted = None
    files = [*([Path(noted)] if isinstance(noted, str) else []), usual]
    return next((file for file in files if file.is_file()), None)


def _line(thing: object) -> bytes:
    return json.dumps(thing, ensure_ascii=True).encode("ascii") + b"\n"


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
