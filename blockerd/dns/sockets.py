"""The resolver's own sockets: all that it is to listen on, or none. Called by `dns.process` before anything else."""

import socket
from collections.abc import Callable, Sequence

from blockerd.settings import Endpoint

_RECEIVE_BYTES = 4 * 1024 * 1024


Bind = Callable[[Sequence[Endpoint]], list[tuple[socket.socket, socket.socket]]]


class BindError(OSError):
    """An address cannot be listened on; the message says which, why and by whom it is held where that is known."""


def bind(endpoints: Sequence[Endpoint]) -> list[tuple[socket.socket, socket.socket]]:
    """A UDP and a listening TCP socket for every endpoint; all or none.

    Raises:
        BindError: one of them is taken or not allowed.
    """
    pairs: list[tuple[socket.socket, socket.socket]] = []
    try:
        for endpoint in endpoints:
            pair = _pair(endpoint)
            if pair:
                pairs.append(pair)
    except BindError:
        for udp, tcp in pairs:
            udp.close()
            tcp.close()
        raise
    return pairs


def _pair(endpoint: Endpoint) -> tuple[socket.socket, socket.socket] | None:
    """None where the machine has no IPv6 at all and the endpoint is its loopback address."""
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    made: list[socket.socket] = []
    try:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            sock = socket.socket(family, kind)
            made.append(sock)
            sock.setblocking(False)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if kind == socket.SOCK_STREAM:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((endpoint.host, endpoint.port))
    except OSError as error:
        for sock in made:
            sock.close()
        if family == socket.AF_INET6 and endpoint.host == "::1" and error.errno in _NO_IPV6:
            return None
        raise BindError(error.errno, f"{endpoint}: {error.strerror}") from None
    made[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
    made[1].listen(256)
    return made[0], made[1]


_NO_IPV6 = (97, 99, 49, 10047, 10049)
"""EAFNOSUPPORT and EADDRNOTAVAIL of Linux, macOS and Windows: a machine without IPv6 still gets its filter."""
