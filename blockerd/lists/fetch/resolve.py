"""Finds the addresses of a list's host by asking the bootstrap servers, and says which addresses may be connected to.

The system's resolver is not asked: it may be this program, which may be the one that is waiting. UDP first, TCP where
the answer is truncated (RFC 1035 section 4.2); ID and port are random and an answer must fit its question to the
octet. Called by `fetch.http`.
"""

import asyncio
import ipaddress
import secrets
import struct
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from blockerd.dns import gate, reply
from blockerd.policy.name import BadName, from_text
from blockerd.settings import Endpoint

PATIENCE = 3.0
"""Seconds that one server has to answer one question."""

Resolve = Callable[[str], Coroutine[Any, Any, Sequence[str]]]
"""From a host to its numeric addresses, best first."""

_RESEND = 1.0
"""Seconds after which a question over UDP is asked again: datagrams get lost."""
_A, _AAAA = 1, 28
_RDATA = {_A: 4, _AAAA: 16}
_V6 = ipaddress.ip_network("2000::/3")
# Inside 2000::/3, and yet a way to addresses that are not public, or to nowhere (IANA special-purpose registry).
_V6_EXCEPT = tuple(map(ipaddress.ip_network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))


class LookupFailed(Exception):
    """No address could be had; the message says why in a few words."""


def is_public(address: str) -> bool:
    """True for a unicast address of the open internet; loopback, private, link-local, reserved and mapped ones are not.

    IPv4 inside IPv6 (mapped, NAT64, 6to4, Teredo) is refused as a whole: it could name any of the others.
    """
    try:
        at = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(at, ipaddress.IPv6Address):
        return at in _V6 and not any(at in net for net in _V6_EXCEPT)
    return at.is_global and not (at.is_multicast or at.is_reserved or at in ipaddress.ip_network("192.0.0.0/24"))


def resolver(servers: Sequence[Endpoint], patience: float = PATIENCE) -> Resolve:
    """A `Resolve` that asks `servers` in their order; IPv4 addresses come first. Raises LookupFailed."""

    async def resolve(host: str) -> Sequence[str]:
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            pass
        try:
            name = from_text(host)
        except BadName as error:
            raise LookupFailed(f"{host} is no name ({error})") from None
        problem = "no bootstrap server is configured"
        for server in servers:
            found = await asyncio.gather(*(_try(server, name, qtype, patience) for qtype in (_A, _AAAA)))
            if addresses := [address for part in found for address in part or ()]:
                return addresses
            problem = f"{server} gives no " + ("answer" if None in found else "address")
        raise LookupFailed(f"{host}: {problem}")

    return resolve


async def _try(server: Endpoint, name: bytes, qtype: int, patience: float) -> list[str] | None:
    """As `_ask`; None where the server gave no answer that could be used."""
    try:
        return await _ask(server, name, qtype, patience)
    except (OSError, TimeoutError, asyncio.IncompleteReadError, reply.Malformed):
        return None


async def _ask(server: Endpoint, name: bytes, qtype: int, patience: float) -> list[str]:
    """The addresses of type `qtype` in the answer of one server."""
    number = secrets.randbits(16)
    query = struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + name + struct.pack("!2H", qtype, 1)
    async with asyncio.timeout(patience):
        answer = await _udp(server, query)
        if answer[2] & 0x02:
            answer = await _tcp(server, query)
    return addresses_in(answer, query)


def addresses_in(answer: bytes, query: bytes) -> list[str]:
    """The addresses that `answer` gives to `query`, through CNAMEs; others that it carries are left. Pure.

    Raises:
        Malformed: no well-formed answer, or one that says that the server could not tell.
    """
    question = gate.read(query)
    seen = reply.scan(answer, question)
    if seen.rcode not in (0, 3):
        raise reply.Malformed(f"rcode {seen.rcode}")
    chain = {question.name, *seen.targets}
    at, found = 12 + len(question.raw), list[str]()
    for _ in range(seen.answers):
        owner, at = reply.read_name(answer, at)
        rtype, rclass, _, length = struct.unpack_from("!HHIH", answer, at)
        rdata, at = answer[at + 10 : at + 10 + length], at + 10 + length
        if owner in chain and rclass == 1 and rtype == question.qtype and length == _RDATA[rtype]:
            found.append(str(ipaddress.ip_address(rdata)))
    return found


class _Waiting(asyncio.DatagramProtocol):
    """Waits for the one datagram that answers `query`; all others are let go."""

    def __init__(self, query: bytes) -> None:
        self._query = query
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        if reply.matches(data, self._query) and not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _udp(server: Endpoint, query: bytes) -> bytes:
    """The answer over UDP. The socket is new, so the kernel chooses its port; being connected, it hears one peer."""
    loop = asyncio.get_running_loop()
    transport, waiting = await loop.create_datagram_endpoint(
        lambda: _Waiting(query), remote_addr=(server.host, server.port)
    )
    try:
        while not waiting.answer.done():
            transport.sendto(query)
            await asyncio.wait((waiting.answer,), timeout=_RESEND)
        return waiting.answer.result()
    finally:
        transport.close()


async def _tcp(server: Endpoint, query: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        writer.write(len(query).to_bytes(2, "big") + query)
        length = int.from_bytes(await reader.readexactly(2), "big")
        answer = await reader.readexactly(length)
    finally:
        writer.close()
    if not reply.matches(answer, query):
        raise reply.Malformed("answers another question")
    return answer
