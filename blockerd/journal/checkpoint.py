"""Heads of the log as signed notes, and the key that signs them: C2SP tlog-checkpoint, signed-note, Ed25519.

Keeps the key in one file of mode 0600 and never gives the secret to a caller. Refuses to write over a key and to use
one that others can read. Called by `control`: at each head, for the evidence in mails, and when the key is changed.
"""

import os
import stat
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from blockerd.journal.merkle import DIGEST

DASH = "\u2014"
"""Opens a signature line (signed-note)."""

_ED25519 = b"\x01"  # the type of such a key in names, ids and texts (signed-note)
_SECRET = "PRIVATE+KEY+"
NEXT = ".next"
"""What the name of the file has at its end in which the next key lies ready."""


class CheckpointError(Exception):
    """A key or a note cannot be used; the text is one line: what, where, what to do."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Whose signatures are accepted: `name` is the origin of the log, `raw` the 32 bytes of the key."""

    name: str
    raw: bytes

    def __post_init__(self) -> None:
        if not self.name or "+" in self.name or len(self.name.split()) != 1 or len(self.raw) != 32:
            raise CheckpointError("key: a name without spaces or + and 32 bytes make one")

    @property
    def id(self) -> bytes:
        """4 bytes that stand for the key in a signature line (signed-note)."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.raw).digest()[:4]

    @property
    def text(self) -> str:
        """The key as one word: name+id+base64 (signed-note)."""
        return f"{self.name}+{self.id.hex()}+{_b64(_ED25519 + self.raw)}"

    @property
    def fingerprint(self) -> str:
        """Six groups of five digits (99 bits) to be read aloud.

        Digits, because they are the same words in a phone call whatever language the two speak, need no list of words
        that would have to be translated, and five at a time fit into one breath.
        """
        digest = sha256(b"blockerd/fingerprint/1\n" + self.text.encode()).digest()
        return " ".join(f"{int.from_bytes(digest[at : at + 5]) % 100_000:05}" for at in range(0, 30, 5))

    @classmethod
    def parse(cls, text: str) -> "PublicKey":
        """The key that `.text` wrote.

        Raises:
            CheckpointError: it is none, or a letter of it is wrong.
        """
        name, _, rest = text.strip().partition("+")
        try:
            key = cls(name, _typed(rest.partition("+")[2]))
        except (ValueError, CheckpointError):
            raise CheckpointError("key: this is none; it looks like name+8 digits+44 letters, copy it whole") from None
        if key.text != text.strip():
            raise CheckpointError("key: its parts do not belong together; copy it whole")
        return key


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The secret half. Never printed: `repr` shows the public half only."""

    public: PublicKey
    _secret: Ed25519PrivateKey = field(repr=False)

    def sign(self, text: str) -> str:
        """The signed note over `text`: text, empty line, signature line (signed-note).

        Raises:
            ValueError: the text does not end with a line end, or has control characters.
        """
        if not text.endswith("\n") or any(one < " " and one != "\n" for one in text):
            raise ValueError("a note is lines of text without control characters, each ended")
        return f"{text}\n{DASH} {self.public.name} {_b64(self.public.id + self.signature(text))}\n"

    def signature(self, text: str) -> bytes:
        """The bare signature over `text`, 64 bytes (RFC 8032, 5.1.6)."""
        return self._secret.sign(text.encode())


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One head: `size` leaves under `root` in the log `origin`; `extensions` are further lines, for us "rows N"."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """What is signed (tlog-checkpoint)."""
        return "".join(f"{line}\n" for line in (self.origin, str(self.size), _b64(self.root), *self.extensions))

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """The head that `.text()` wrote.

        Raises:
            CheckpointError: it is none.
        """
        lines = text.split("\n")
        try:
            found = cls(lines[0], int(lines[1]), _raw(lines[2]), tuple(lines[3:-1]))
        except (ValueError, IndexError):
            raise CheckpointError("head: not three lines of origin, size and root") from None
        if found.text() != text or found.size < 0 or len(found.root) != DIGEST or not found.origin:
            raise CheckpointError("head: not three lines of origin, size and root")
        return found


@dataclass(frozen=True, slots=True)
class Rotation:
    """From now on `key` signs; `signature` is by the key before it."""

    key: PublicKey
    signature: bytes

    def verify(self, old: PublicKey) -> bool:
        return old.name == self.key.name and _verifies(old, self.signature, rotation_text(self.key))


def origin_of(install: str) -> str:
    """Name of the log of an install: origin line and key name. `install` is lower-case hexadecimal."""
    if not install or set(install) - set("0123456789abcdef"):
        raise ValueError(f"install id {install!r} is not hexadecimal")
    return f"blockerd/{install}"


def rotation_text(key: PublicKey) -> str:
    """What the old key signs. The second line is no number, so it can never be taken for a head."""
    return f"{key.name}\nrotation 1\n{key.text}\n"


def open_note(note: str, key: PublicKey) -> str:
    """The text of a signed note, once a signature by `key` holds; lines of other signers are passed over.

    Raises:
        CheckpointError: no line is by this key, or the text was changed.
    """
    text, gap, lines = note.rpartition("\n\n")
    for line in lines.split("\n"):
        dash, name, blob = [*line.split(" "), "", ""][:3]
        if gap and dash == DASH and name == key.name:
            try:
                signed = _raw(blob)
            except ValueError:
                continue
            if signed[:4] == key.id and _verifies(key, signed[4:], text + "\n"):
                return text + "\n"
    raise CheckpointError("note: no signature by the known key holds for this text")


def create(path: Path, name: str, secret: bytes) -> SigningKey:
    """A new key in a new file, mode 0600 from its first moment, on the disk with its folder when this returns.

    `secret` are 32 random bytes.

    Raises:
        FileExistsError: there is one already.
        OSError: it cannot be written.
    """
    key, beside = _key(name, secret), path.with_name(f"new-{path.name}")
    beside.unlink(missing_ok=True)  # of a start that was killed; nothing was ever signed with it
    opened = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        with open(opened, "wb") as file:
            file.write(f"{_SECRET}{name}+{key.public.id.hex()}+{_b64(_ED25519 + secret)}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        _put(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    _sync_folder(path)
    return key


def _put(beside: Path, path: Path) -> None:
    """Gives a file its name, whole and never over another: half a key would stop every later start."""
    try:
        os.link(beside, path)
    except FileExistsError:
        raise
    except OSError:  # a file system on which a file has one name
        if path.exists():
            raise FileExistsError(path) from None
        beside.rename(path)


def load(path: Path) -> SigningKey:
    """The key in `path`.

    Raises:
        CheckpointError: the file holds none, or others may read it.
        OSError: it cannot be read; FileNotFoundError where there is none.
    """
    with path.open("rb") as file:
        if os.name == "posix" and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
            raise CheckpointError(f"{path}: others can read the key; chmod 600 it, or change the key")
        text = file.read(1024).decode("ascii", "replace").strip()
    try:
        if not text.startswith(_SECRET):
            raise ValueError
        name, number, blob = text.removeprefix(_SECRET).split("+", 2)
        key = _key(name, _typed(blob))
        if key.public.id.hex() != number:
            raise ValueError
    except (ValueError, CheckpointError):
        raise CheckpointError(f"{path}: holds no key; take it back from a backup, or begin a new log") from None
    return key


def prepare_rotation(path: Path, secret: bytes) -> Rotation:
    """Step one of a change: the next key in a file beside `path`, and the record that goes into the log.

    Called again before `adopt`, it gives the same record: a crash between the steps changes nothing.
    """
    old, beside = load(path), path.with_name(path.name + NEXT)
    new = load(beside) if beside.exists() else create(beside, old.public.name, secret)
    return Rotation(new.public, old.signature(rotation_text(new.public)))


def adopt(path: Path) -> SigningKey:
    """Step two, once the record is in the log: the next key takes the place of the old, which is gone."""
    os.replace(path.with_name(path.name + NEXT), path)
    _sync_folder(path)
    return load(path)


def _key(name: str, secret: bytes) -> SigningKey:
    private = Ed25519PrivateKey.from_private_bytes(secret)
    return SigningKey(PublicKey(name, private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)), private)


def _verifies(key: PublicKey, signature: bytes, text: str) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, text.encode())
    except InvalidSignature:
        return False
    return True


def _typed(blob: str) -> bytes:
    """The 32 bytes behind the type byte."""
    raw = _raw(blob)
    if len(raw) != 33 or raw[:1] != _ED25519:
        raise ValueError("no Ed25519 key")
    return raw[1:]


def _sync_folder(path: Path) -> None:
    """A name is on the disk once its folder is. Windows opens no folders and needs none of this."""
    if os.name != "posix":
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _b64(raw: bytes) -> str:
    return b64encode(raw).decode()


def _raw(text: str) -> bytes:
    """What `_b64` wrote; ValueError for any other spelling of it."""
    raw = b64decode(text, validate=True)
    if _b64(raw) != text:
        raise ValueError("not the one spelling in base64")
    return raw
