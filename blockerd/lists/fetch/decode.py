"""Takes a body as it arrives, decompresses it and writes it to a file, never more than a cap.

gzip (RFC 1952) is the only coding: as Content-Encoding, and as the file itself (`.gz`, `.tar.gz`). Others are never
asked for, so a bomb in one of them is not even begun. Called by `fetch.http`.
"""

import zlib
from collections.abc import Callable
from typing import BinaryIO

GZIP = b"\x1f\x8b"
_CHUNK = 1 << 16


class BodyError(Exception):
    """A body that is over the cap, damaged cut short, or that the disk does not take; the message says which."""


class Gunzip:
    """One layer of gzip, several members allowed; hands on at most 64 KiB at a time, so a bomb gains no memory."""

    def __init__(self, out: Callable[[bytes], None]) -> None:
        self._out = out
        self._member = zlib.decompressobj(wbits=31)

    def feed(self, data: bytes) -> None:
        """Takes octets in pieces of any size.

        Raises:
            BodyError: damaged.
        """
        try:
            while data:
                if self._member.eof:
                    data = data.lstrip(b"\0")  # padding, as tapes leave it
                    if not data:
                        return
                    self._member = zlib.decompressobj(wbits=31)
                if part := self._member.decompress(data, _CHUNK):
                    self._out(part)
                data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
        except zlib.error as error:
            raise BodyError(f"damaged gzip data ({error})") from None

    def finish(self) -> None:
        """Ends the layer.

        Raises:
            BodyError: a member is cut short.
        """
        while not self._member.eof:
            part = self._member.decompress(b"", _CHUNK)
            if not part:
                raise BodyError("gzip data that is cut short")
            self._out(part)


class Body:
    """Writes a body into `file`, decoded: first Content-Encoding, then a gzip file. `size` is what was written."""

    def __init__(self, file: BinaryIO, max_bytes: int, *, encoded: bool) -> None:
        self._file = file
        self._max = max_bytes
        self.size = 0
        self._head: bytes | None = b""
        self._inner: Gunzip | None = None
        self._outer = Gunzip(self._decoded) if encoded else None

    def feed(self, data: bytes) -> None:
        """Takes octets as they came over the wire.

        Raises:
            BodyError: over the cap, or damaged.
        """
        if self._outer:
            self._outer.feed(data)
        else:
            self._decoded(data)

    def finish(self) -> None:
        """Ends the body.

        Raises:
            BodyError: cut short, or over the cap.
        """
        if self._outer:
            self._outer.finish()
        if self._head:
            self._write(self._head)
        if self._inner:
            self._inner.finish()

    def _decoded(self, data: bytes) -> None:
        if self._head is not None:
            self._head += data
            if len(self._head) < len(GZIP):
                return
            data, self._head = self._head, None
            if data.startswith(GZIP):
                self._inner = Gunzip(self._write)
        if self._inner:
            self._inner.feed(data)
        else:
            self._write(data)

    def _write(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self._max:
            raise BodyError(f"over max_bytes ({self._max:,} octets decoded): raise max_bytes if it is meant to be")
        try:
            self._file.write(data)
        except OSError as error:
            raise BodyError(f"could not be written ({error.strerror or error})") from None
