"""Which user is at the other end of a Unix socket. Called by `process`."""

import socket
import struct

_UCRED = struct.Struct("3i")
"""Linux, unix(7): process, user and group."""
_XUCRED = struct.Struct("=II")
"""macOS, sys/ucred.h: version and user; the user's groups follow."""
_XUCRED_OCTETS, _XUCRED_VERSION = 76, 0
_SOL_LOCAL = 0
"""macOS, sys/un.h; Python has no name for it."""


def peer_uid(sock: socket.socket) -> int:
    """The user behind the Unix socket `sock`, -1 where the system does not tell."""
    if hasattr(socket, "SO_PEERCRED"):
        return int(_UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))[1])
    option = getattr(socket, "LOCAL_PEERCRED", None)
    if option is None:
        return -1
    version, uid = _XUCRED.unpack_from(sock.getsockopt(_SOL_LOCAL, option, _XUCRED_OCTETS))
    return int(uid) if version == _XUCRED_VERSION else -1
