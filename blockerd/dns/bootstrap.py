"""Finds the addresses of an upstream that is named, by asking the bootstrap servers in the clear.

The system's resolver is not asked: it is this program, or asks it. UDP first, TCP where the answer is cut (RFC 1035
section 4.2); ID and port are random, an answer must fit its question to the octet, and whoever answers wrongly gains
little: the certificate is still to come. Refuses addresses that are no host's. Called by `secure_dial`.
"""

import asyncio
import ipaddress
import secrets
import struct
import time
from collections.abc import Callable, Sequence

from blockerd.dns import gate, reply
from blockerd.policy.name import BadName, from_text
from blockerd.settings import Endpoint

PATIENCE, PATIENCE_IN_ALL = 1.5, 3.0
"""Seconds that one server has to answer, and all of them together."""

STALE_PATIENCE = 0.5
"""Seconds that a new answer is waited for where an old one is at hand."""

MIN_TTL, MAX_TTL = 60, 86400

_RESEND = 0.5
"""Seconds after which a question over UDP is sent again: datagrams get lost."""
_A, _AAAA = 1, 28
_LENGTHS = {_A: 4, _AAAA: 16}


class LookupFailed(OSError):
    """No bootstrap server gave an address; the message says whose."""


class Bootstrap:
    """The addresses of `host`, which `servers` know; a literal address is its own. `now` counts seconds.

    An answer is kept for its TTL, a minute to a day, and on while no new one can be had. One caller at a time.
    """

    def __init__(self, host: str, servers: Sequence[Endpoint], *, now: Callable[[], float] = time.monotonic) -> None:
        self._host = host
        self._servers = tuple(servers)
        self._now = now
        self._literal = _is_address(host)
        self._known: tuple[str, ...] = (host,) if self._literal else ()
        self._until = 0.0
        self._doubted = False

    async def addresses(self) -> tuple[str, ...]:
        """Numeric addresses, IPv4 first.

        Raises:
            LookupFailed: there are none.
        """
        if self._literal or (self._known and self._now() < self._until):
            return self._known
        try:
            async with asyncio.timeout(STALE_PATIENCE if self._known and not self._doubted else None):
                self._known, ttl = await look_up(self._host, self._servers)
        except (LookupFailed, TimeoutError):
            if not self._known:
                raise
            ttl = MIN_TTL
        self._doubted = False
        self._until = self._now() + min(max(ttl, MIN_TTL), MAX_TTL)
        return self._known

    def doubt(self) -> None:
        """Nobody at these addresses could be verified: the next call asks anew, and waits as long as it takes."""
        self._until = 0.0
        self._doubted = True


async def look_up(host: str, servers: Sequence[Endpoint]) -> tuple[tuple[str, ...], int]:
    """The addresses of `host` and their TTL in seconds, from the first of `servers` that has any.

    Raises:
        LookupFailed: none of them has.
    """
    try:
        name = from_text(host)
    except BadName as error:
        raise LookupFailed(f"{host} is no name ({error})") from None
    problem = "no bootstrap server is configured"
    for server in servers:
        patience = min(PATIENCE, PATIENCE_IN_ALL / len(servers))
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


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
