"""The road into a folder: each mail as a file that its owner alone can read. Opens no connection.

Refuses nothing but a folder that cannot be written. Here lie the user's own copies of what was sent; whoever wants a
mail carried by hand takes it from there. Called through `report.deliver`.
"""

import os
from hashlib import sha256
from pathlib import Path

from blockerd.report.deliver import NotDelivered, Outcome


class FileRoad:
    """A folder; made where missing. A mail that lies there already is left as it is."""

    hosts: tuple[tuple[str, int], ...] = ()

    def __init__(self, folder: Path, name: str = "file") -> None:
        self.folder = folder
        self.name = name

    async def open(self) -> "FileRoad":
        """Itself.

        Raises:
            NotDelivered: the folder cannot be made.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise NotDelivered(Outcome.LATER, f"{self.folder}: {error.strerror}; name a folder to write to") from None
        return self

    async def send(self, recipient: str, message: bytes) -> None:
        """Writes `message`; the name says nothing but which mail it is.

        Raises:
            NotDelivered: it cannot be written.
        """
        self.put(f"note-{sha256(recipient.encode() + message).hexdigest()[:16]}.eml", message)

    def put(self, name: str, message: bytes) -> Path:
        """Writes `message` as `name`, whole or not at all, on the disk when this returns.

        Raises:
            NotDelivered: it cannot be written.
        """
        path, beside = self.folder / name, self.folder / f".{name}.new"
        try:
            fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0), 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(message)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError as error:
            raise NotDelivered(Outcome.LATER, f"{path}: {error.strerror}; free some space there") from None
        return path

    async def close(self) -> None:
        """Nothing is open."""
