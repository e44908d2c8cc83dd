"""DoT on the wire (RFC 7858): messages behind two octets of length, answered in any order (RFC 7766 section 6.2.1).

Questions get IDs of their own that count up, so that two with the same ID may be under way and a late answer meets
nobody. Refuses frames that cannot be a message by ending the connection. Called by `secure_link` and `secure`.
"""

import asyncio
import secrets

from blockerd.dns.secure_link import Asked, Link

_HEADER = 12


class Tls(Link):
    """A DoT connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._data = bytearray()
        self._next = secrets.randbits(16)

    def frame(self, asked: Asked) -> bytes:
        """Length and message in one piece (RFC 7858 section 3.3)."""
        while self._next in self.pending:
            self._next = (self._next + 1) & 0xFFFF
        asked.key = self._next
        self._next = (self._next + 1) & 0xFFFF
        query = asked.query
        return b"".join((len(query).to_bytes(2, "big"), asked.key.to_bytes(2, "big"), query[2:]))

    def take(self, data: bytes) -> bytes:
        """Settles the questions whose answers are whole."""
        kept = self._data
        kept += data
        at = 0
        while len(kept) - at >= 2:
            length = int.from_bytes(kept[at : at + 2], "big")
            if length < _HEADER:
                raise OSError("the upstream sent a frame that is no DNS message")
            if len(kept) - at - 2 < length:
                break
            message = bytes(kept[at + 2 : at + 2 + length])
            at += 2 + length
            self.settle(int.from_bytes(message[:2], "big"), message)
        del kept[:at]
        return b""
