"""Asks given servers for the addresses of a name, in the clear, as a stub resolver (RFC 9499) of our own.

The system's resolver is not asked: it may be this program, or ask it. UDP first, TCP where the answer is cut (RFC 1035
section 4.2); ID and port are random, and an answer must fit its question to the octet. Called for what is looked up
before there is a resolver: by `bootstrap` for upstreams, by `lists.fetch` for hosts of lists.
"""

import asyncio
import ipaddress
import secrets
import struct
from collections.abc import Sequence

from blockerd.dns import gate, reply
from blockerd.policy.name import BadName, from_text
from blockerd.settings import Endpoint

RESEND = 0.5
"""Seconds after which a question over UDP is sent again: datagrams get lost."""

_A, _AAAA = 1, 28
_LENGTHS = {_A: 4, _AAAA: 16}


class LookupFailed(OSError):
    """No server gave an address; the message says whose."""


async def look_up(host: str, servers: Sequence[Endpoint], patience: float) -> tuple[tuple[str, ...], int]:
    """The addresses of `host`, IPv4 first, and their TTL in seconds, from the first of `servers` that has any.

    Each server has `patience` seconds. Addresses that are no host's (0.0.0.0, ::, multicast) are not taken.

    Raises:
        LookupFailed: none of them has.
    """
    try:
        name = from_text(host)
    except BadName as error:
        raise LookupFailed(f"{host} is no name ({error})") from None
    problem = "no bootstrap server is configured"
    for server in servers:
        found = await asyncio.gather(*(_try(server, name, qtype, patience) for qtype in (_A, _AAAA)))
        given = [part for part in found if part and part[0]]
        if given:
            return tuple(address for addresses, _ in given for address in addresses), min(ttl for _, ttl in given)
        problem = f"{server} gives no " + ("answer" if None in found else "address")
    raise LookupFailed(f"{host}: {problem}")


async def _try(server: Endpoint, name: bytes, qtype: int, patience: float) -> tuple[list[str], int] | None:
    """Addresses and TTL; None where the server gave no answer of use."""
    query = struct.pack("!6H", secrets.randbits(16), 0x0100, 1, 0, 0, 0) + name + struct.pack("!2H", qtype, 1)
    try:
        async with asyncio.timeout(patience):
            answer = await _udp(server, query)
            if answer[2] & 0x02:
                answer = await _tcp(server, query)
        return addresses_in(answer, query)
    except (OSError, asyncio.IncompleteReadError, reply.Malformed):
        return None


def addresses_in(answer: bytes, query: bytes) -> tuple[list[str], int]:
    """The addresses that `answer` has for `query`, through CNAMEs, and for how many seconds.

    Raises:
        Malformed: no well-formed answer, or one that says that the server could not tell.
    """
    question = gate.read(query)
    seen = reply.scan(answer, question)
    if seen.rcode not in (0, 3):
        raise reply.Malformed(f"rcode {seen.rcode}")
    chain = (question.name, *seen.targets)
    at, found = 12 + len(question.raw), list[str]()
    for _ in range(seen.answers):
        owner, at = reply.read_name(answer, at)
        rtype, rclass, _, length = struct.unpack_from("!HHIH", answer, at)
        data, at = answer[at + 10 : at + 10 + length], at + 10 + length
        if owner in chain and rclass == 1 and rtype == question.qtype and length == _LENGTHS[rtype]:
            address = ipaddress.ip_address(data)
            if not (address.is_unspecified or address.is_multicast):
                found.append(str(address))
    return found, seen.ttl


class _Waiting(asyncio.DatagramProtocol):
    """Waits for the one datagram that answers `query`; others are passed over."""

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
    """The answer over UDP. The kernel chooses the port of the new socket; being connected, it hears one peer."""
    loop = asyncio.get_running_loop()
    transport, waiting = await loop.create_datagram_endpoint(
        lambda: _Waiting(query), remote_addr=(server.host, server.port)
    )
    try:
        while not waiting.answer.done():
            transport.sendto(query)
            await asyncio.wait((waiting.answer,), timeout=RESEND)
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
