"""Asks blockerd's own resolver for the addresses of a host, and lets none through that lies on this machine or in the
home: so a name that is turned to 127.0.0.1 (DNS rebinding) leads nowhere, with one lookup and no gap behind it.

Falls back to the system's resolver where ours does not answer; what that gives passes the same sieve. `guard` puts it
below asyncio's connections of the process that calls it: the proxy.
"""

import asyncio
import secrets
import socket
from collections.abc import Awaitable, Callable, Collection, Sequence
from ipaddress import ip_address
from typing import Any

from blockerd.dns.private import is_private
from blockerd.policy.name import BadName, from_text

_PATIENCE = 2.0

Found = list[tuple[int, int, int, str, Any]]
"""As `socket.getaddrinfo` gives it."""


class Refused(OSError):
    """The host lies on this machine or in the home; pages do not get there through the proxy."""


def is_near(address: str) -> bool:
    """True for an address in text that the proxy does not connect to: loopback, link-local, private, multicast."""
    try:
        one = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    octets = one.packed
    shared = len(octets) == 4 and octets[0] == 100 and octets[1] & 0xC0 == 64  # RFC 6598
    return is_private(octets) or one.is_multicast or shared


def is_own(address: str) -> bool:
    """True for an address that this machine has, public ones too."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((address, 0))
        except OSError:
            return False
        return True


def literal(host: str) -> str:
    """The address that `host` stands for in any spelling of `inet_aton` or in brackets; "" where it is a name."""
    body = host.strip("[]")
    if ":" in body:
        return body
    try:
        return socket.inet_ntoa(socket.inet_aton(body))
    except OSError:
        return ""


async def ask(server: tuple[str, int], name: bytes, qtype: int) -> list[str] | None:
    """The addresses of `name` (wire form) by the resolver at `server`; None where it does not answer.

    An answer that withholds the name is an empty list.
    """
    loop = asyncio.get_running_loop()
    reply: asyncio.Future[bytes] = loop.create_future()
    number = secrets.token_bytes(2)
    query = number + b"\x01\x00\x00\x01" + bytes(6) + name + qtype.to_bytes(2, "big") + b"\x00\x01"

    class Once(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            if data[:2] == number and not reply.done():
                reply.set_result(data)

        def error_received(self, exc: Exception) -> None:
            if not reply.done():
                reply.set_exception(exc)

    try:
        transport, _ = await loop.create_datagram_endpoint(Once, remote_addr=server)
    except OSError:
        return None
    try:
        transport.sendto(query)
        return addresses(await asyncio.wait_for(reply, _PATIENCE), qtype)
    except (OSError, TimeoutError):
        return None
    finally:
        transport.close()


def addresses(packet: bytes, qtype: int) -> list[str]:
    """The addresses in the answer section of a DNS reply (RFC 1035 section 4); what is cut off is left out."""
    found: list[str] = []
    try:
        at = _skip(packet, 12) + 4
        for _ in range(int.from_bytes(packet[6:8], "big")):
            at = _skip(packet, at)
            kind, length = int.from_bytes(packet[at : at + 2], "big"), int.from_bytes(packet[at + 8 : at + 10], "big")
            data = packet[at + 10 : at + 10 + length]
            if kind == qtype and len(data) == (4 if qtype == 1 else 16):
                found.append(str(ip_address(data)))
            at += 10 + length
    except IndexError:
        return found
    return found


def _skip(packet: bytes, at: int) -> int:
    """Where the name at `at` ends."""
    while length := packet[at]:
        if length >= 0xC0:
            return at + 2
        at += 1 + length
    return at + 1


def guard(
    servers: Sequence[tuple[str, int]],
    system: Callable[..., Awaitable[Any]],
    refused: Callable[[str], None],
    own_ports: Collection[int] = (),
) -> Callable[..., Awaitable[Found]]:
    """A replacement for `loop.getaddrinfo`; `system` is the one it replaces, `refused` is told of each refusal.

    `own_ports` are ours: at an address that this machine has, public ones too, they are not reached either.
    """

    async def getaddrinfo(host: str | None, port: int | str | None, **more: int) -> Found:
        text = host or ""
        if local := literal(text):
            addresses_found = [local]
        else:
            addresses_found = await _by_name(servers, text)
        if not addresses_found:
            answer = await system(host, port, **more)
            addresses_found = [str(entry[4][0]) for entry in answer]
        far = [one for one in dict.fromkeys(addresses_found) if not is_near(one)]
        if port in own_ports:
            far = [one for one in far if not is_own(one)]
        if addresses_found and not far:
            refused(text)
            raise Refused(f"{text} leads to this machine or into the home")
        return [_entry(one, int(port or 0)) for one in far]

    return getaddrinfo


async def _by_name(servers: Sequence[tuple[str, int]], text: str) -> list[str]:
    try:
        name = from_text(text)
    except BadName:
        return []
    for server in servers:
        both = await asyncio.gather(ask(server, name, 1), ask(server, name, 28))
        if both[0] is not None or both[1] is not None:
            found = [one for part in both for one in part or ()]
            if not found:
                raise socket.gaierror(socket.EAI_NONAME, "the resolver has no address for it")
            return found
    return []


def _entry(address: str, port: int) -> tuple[int, int, int, str, Any]:
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)
