"""The self-probe's hands: asks the way programs do, and by the ways that should be shut.

Judges nothing (that is `system.drift`). The names asked are reserved ones, made up each time so that no cache knows
them; getaddrinfo runs in a process of its own, for it keeps what it read of /etc/resolv.conf and has no time limit.
Called by `cli.looking`, by `doctor`, and each minute by whoever keeps time.
"""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress

from blockerd.policy.name import from_text
from blockerd.system.drift import Answer

RESERVED = "example.com"
"""Nobody's in particular (RFC 2606); it exists, so that what stands before it is asked for."""

_NOERROR, _NXDOMAIN = 0, 3
TIMES = 2
"""Names asked at once: one answer may have been lost on its way."""

ZONE = "path.home.arpa"
"""Whatever stands before it, blockerd answers with this machine's own address (`dns.special`); elsewhere it does not
exist (RFC 8375). Never recorded, never sent on."""

_CHILD = """
import socket, sys
for name in sys.argv[1:]:
    try:
        print("there", socket.getaddrinfo(name, None)[0][4][0])
    except socket.gaierror as error:
        print("none" if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", -5)) else "again")
"""


def system_path(number: Callable[[], str], seconds: float = 12.0) -> list[str]:
    """What getaddrinfo says to TIMES made-up names: "none", "again", or "there ADDRESS"; "again" for no end in time."""
    return lookup([f"{number()}.{ZONE}" for _ in range(TIMES)], seconds)


def lookup(names: Iterable[str], seconds: float = 12.0) -> list[str]:
    """getaddrinfo for each of `names`, in a process of its own."""
    asked = list(names)
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _CHILD, *asked],
            capture_output=True, text=True, timeout=seconds, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ["again"] * len(asked)
    return done.stdout.splitlines() or ["again"] * len(asked)


def filtered(address: str, name: str, port: int = 53, seconds: float = 1.5) -> Answer:
    """What the resolver at `address` says to a question of type A over UDP: FILTERED where it says that it filters."""
    reply = _ask(address, name, port, seconds)
    if reply is None:
        return Answer.NONE
    return Answer.FILTERED if any(code in reply for code in _FILTERED) else Answer.OPEN


def leads_here(address: str, number: Callable[[], str], port: int = 53, seconds: float = 1.5) -> Answer:
    """FILTERED if a question sent to `address` reaches blockerd, whoever passes it on; else as `filtered`."""
    reply = _ask(address, f"{number()}.{ZONE}", port, seconds)
    if reply is None:
        return Answer.NONE
    return Answer.FILTERED if _LOOPBACK in reply[12:] else Answer.OPEN


def goes_on(address: str, number: Callable[[], str], port: int = 53, seconds: float = 5.0) -> bool:
    """True if the resolver at `address` gets an answer for a made-up name, which no cache has, from whom it asks."""
    reply = _ask(address, f"{number()}.{RESERVED}", port, seconds)
    return reply is not None and reply[3] & 15 in (_NOERROR, _NXDOMAIN)


def _ask(address: str, name: str, port: int, seconds: float) -> bytes | None:
    query = b"\x42\x53\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01" + from_text(name) + b"\x00\x01\x00\x01" + _EDNS
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(seconds)
            sock.connect((address, port))
            sock.send(query)
            reply = sock.recv(4096)
    except OSError:
        return None
    return reply if len(reply) >= 12 and reply[:2] == query[:2] else None


def connects(address: str, port: int, seconds: float = 2.0) -> bool:
    """True if TCP to `address` opens; nothing is sent."""
    with suppress(OSError), socket.create_connection((address, port), seconds):
        return True
    return False


_EDNS = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"
_LOOPBACK = b"\x00\x04\x7f\x00\x00\x01"
_FILTERED = (b"\x00\x0f\x00\x02\x00\x11", b"\x00\x0f\x00\x02\x00\x04")
"""Extended DNS Errors 17 and 4 (RFC 8914), which no other resolver gives for the test name."""
