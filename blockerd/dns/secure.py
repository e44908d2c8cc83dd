"""Encrypted upstreams: one kept connection each, DoT (RFC 7858) or DoH over HTTP/2 (RFC 8484).

Refuses whatever cannot be verified; there is no way from here to clear text. `ssl` and `h2` are loaded by the first
question, in a thread, so that a resolver that forwards in the clear never pays for them. Called by `dns.upstream`.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from blockerd.dns.bootstrap import Bootstrap
from blockerd.dns.secure_dial import Dialer, system_context
from blockerd.dns.secure_https import Https
from blockerd.dns.secure_link import Kept, Link
from blockerd.dns.secure_tls import Tls
from blockerd.settings import Endpoint, Scheme, Upstream

if TYPE_CHECKING:
    import ssl

PAD = 128
"""Octets of which a query's length is made a multiple (RFC 8467 section 4.1)."""

_OPT_LENGTH = 11
_PADDING = b"\x00\x0c"


class Channel(Protocol):
    """A way to one upstream."""

    async def ask(self, query: bytes) -> bytes:
        """The upstream's message for `query`, under its ID. To be cancelled by the caller when it takes too long.

        Raises:
            OSError: no connection, none that could be verified, or it ended or said nonsense; TimeoutError is one.
        """

    def close(self) -> None:
        """Lets the connection go; questions under way end with OSError."""


def open_channel(
    upstream: Upstream, bootstrap: Sequence[Endpoint], *, context: "Callable[[], ssl.SSLContext] | None" = None
) -> Channel:
    """A channel to `upstream` (tls or https), whose name, if it has one, the servers of `bootstrap` resolve.

    Nothing is loaded or opened before the first question. `context` makes a new TLS context; by default one that
    trusts the system's certificates.
    """
    found = Bootstrap(upstream.host, bootstrap)
    name = upstream.name or upstream.host
    make = context or system_context
    if upstream.scheme is Scheme.TLS:
        dialer = Dialer(found, upstream.port, name, "dot", Tls, make)
    elif upstream.scheme is Scheme.HTTPS:
        dialer = Dialer(found, upstream.port, name, "h2", _https(upstream), make, needs="h2.connection")
    else:
        raise ValueError(f"{upstream} is not encrypted")
    return Kept(dialer.dial, padded)


def padded(query: bytes) -> bytes:
    """`query` with an RFC 7830 padding option where it ends in an OPT record without options; else as it is."""
    opt = query[-_OPT_LENGTH:]
    if query[10:12] != b"\x00\x01" or opt[:3] != b"\x00\x00\x29" or opt[9:] != b"\x00\x00":
        return query
    count = -(len(query) + 4) % PAD
    return b"".join((query[:-2], (4 + count).to_bytes(2, "big"), _PADDING, count.to_bytes(2, "big"), bytes(count)))


def _https(upstream: Upstream) -> Callable[[asyncio.AbstractEventLoop], Link]:
    host = f"[{upstream.name}]" if ":" in upstream.name else upstream.name
    authority = host if upstream.port == 443 else f"{host}:{upstream.port}"
    return lambda loop: Https(loop, authority.encode("ascii"), upstream.path.encode("ascii"))
