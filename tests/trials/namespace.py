"""A network of one's own: `unshare` around a command, and what has to be done inside before it is one.

Linux alone; `ALONE` says whether this kernel allows it to this user. `up` and `address` are called inside only.
"""

import ctypes
import fcntl
import shutil
import socket
import struct
import subprocess

_SIOCSIFADDR, _SIOCSIFFLAGS, _SIOCSIFNETMASK = 0x8916, 0x8914, 0x891C
_IFF_UP = 1
_MS_BIND = 4096


def alone(*command: str) -> list[str]:
    """The command in a user, network and mount namespace of its own, where it is root over nothing but itself."""
    return ["unshare", "--user", "--map-root-user", "--net", "--mount", *command]


def _possible() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(alone("true"), capture_output=True, check=False).returncode == 0


ALONE = _possible()


def _networks() -> bool:
    """True if a namespace can have network cards too."""
    if not ALONE or shutil.which("ip") is None:
        return False
    made = subprocess.run(alone(*_PAIR), capture_output=True, check=False)
    return made.returncode == 0


_PAIR = ("ip", "link", "add", "home0", "type", "veth", "peer", "name", "home1")
NETWORK = _networks()


def up() -> None:
    """Brings the loopback up."""
    _ioctl(_SIOCSIFFLAGS, "lo", struct.pack("H14x", _IFF_UP))


def address(name: str, host: str) -> None:
    """Gives the loopback one more address; `name` is `lo:1`, `lo:2` …"""
    for request, value in ((_SIOCSIFADDR, host), (_SIOCSIFNETMASK, "255.255.255.255")):
        _ioctl(request, name, struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(value)))


def network(host: str) -> None:
    """Gives the machine a network card with this address: browsers call themselves offline with the loopback alone."""
    for command in (_PAIR, ("ip", "address", "add", f"{host}/24", "dev", "home0"), *_UP):
        subprocess.run(command, check=True)


_UP = tuple(("ip", "link", "set", card, "up") for card in ("home0", "home1"))


def bind_over(source: str, target: str) -> None:
    """Puts one file in another's place, for this namespace.

    Raises:
        OSError: the kernel does not want to.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source.encode(), target.encode(), None, _MS_BIND, None):
        raise OSError(ctypes.get_errno(), f"cannot mount {source} over {target}")


def _ioctl(request: int, name: str, rest: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, request, struct.pack("16s", name.encode()) + rest + bytes(8))
