"""The page filter's own root as trust stores of macOS and Windows name it. Pure.

Made by the looks of both systems from the file on the disk; the plans ask for trust and take it back by the digest.
"""

import hashlib
import ssl
from dataclasses import dataclass

PLACE = ("proxy", "ca", "blockerd-ca.crt")
"""Below blockerd's own folder."""


@dataclass(frozen=True, slots=True)
class Root:
    """A certificate file, and the SHA-1 of its DER form in upper case."""

    path: str
    sha1: str


def root_of(path: str, content: bytes | None) -> Root | None:
    """The root in the PEM file `path`; None where there is none."""
    try:
        der = ssl.PEM_cert_to_DER_cert((content or b"").decode("ascii"))
    except ValueError:
        return None
    return Root(path, hashlib.sha1(der, usedforsecurity=False).hexdigest().upper())
