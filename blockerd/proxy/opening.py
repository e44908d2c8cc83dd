"""What the first octets inside a tunnel may still become. Pure. Called by `addon.hooks`."""

import re

TLS = b"\x16\x03\x01"
"""How a client's first TLS record begins (RFC 8446 section 5.1)."""
LINE_MOST = 16384
"""Octets of the longest request line that is waited for."""
# A method is a token and ends in a space (RFC 9112 section 3); servers take nearly anything in the rest of the line.
_REQUEST = re.compile(rb"[A-Za-z][!#$%&'*+.^_`|~0-9A-Za-z-]*(?: [^\n]*)?")


def undecided(data: bytes) -> bool:
    """True while `data` may become TLS or the first line of an HTTP request and is too short to tell."""
    if TLS.startswith(data):
        return True
    return len(data) < LINE_MOST and _REQUEST.fullmatch(data) is not None
