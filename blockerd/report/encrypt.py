"""Files that one reader alone can open: age (age-encryption.org/v1) by pyrage, where it is installed.

Encrypts to a public key that the reader told; holds no secret of theirs and can open nothing. Refuses anything that is
no such key. Called by `control.mails` for names in a therapist's note, and by the command line to look at a key.
"""

import importlib
from typing import Any

from blockerd.report.mime import BINARY, Part


class AgeKeyError(ValueError):
    """The key cannot be used; one line for people."""


def checked(key: str) -> str:
    """`key` where it is an age recipient, "age1…".

    Raises:
        AgeKeyError: it is none, or pyrage is not installed.
    """
    _recipient(_pyrage(), key)
    return key.strip()


def sealed(key: str, name: str, text: str) -> Part:
    """`text` as a file `name`.age that only the owner of `key` opens.

    Raises:
        AgeKeyError: the key is none, or pyrage is not installed.
    """
    pyrage = _pyrage()
    return Part(BINARY, bytes(pyrage.encrypt(text.encode(), [_recipient(pyrage, key)])), f"{name}.age")


def _pyrage() -> Any:  # noqa: ANN401  (an extra that brings no types)
    try:
        return importlib.import_module("pyrage")
    except ImportError:
        raise AgeKeyError("closed attachments need pyrage: pip install blockerd[age]") from None


def _recipient(pyrage: Any, key: str) -> object:  # noqa: ANN401  (the same)
    try:
        found: object = pyrage.x25519.Recipient.from_str(key.strip())
    except pyrage.RecipientError:
        raise AgeKeyError("no age key: it looks like age1 and 58 more letters and digits; copy it whole") from None
    return found
