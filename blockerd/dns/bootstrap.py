"""Keeps the addresses of an upstream that is named, which the bootstrap servers tell in the clear.

Whoever answers wrongly gains little: the certificate is still to come. Called by `secure_dial`.
"""

import asyncio
import ipaddress
import time
from collections.abc import Callable, Sequence

from blockerd.dns.stub import LookupFailed, look_up
from blockerd.settings import Endpoint

PATIENCE, PATIENCE_IN_ALL = 1.5, 3.0
"""Seconds that one server has to answer, and all of them together."""

STALE_PATIENCE = 0.5
"""Seconds that a new answer is waited for where an old one is at hand."""

MIN_TTL, MAX_TTL = 60, 86400


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
                self._known, ttl = await self._look_up()
        except (LookupFailed, TimeoutError):
            if not self._known:
                raise
            ttl = MIN_TTL
        self._doubted = False
        self._until = self._now() + min(max(ttl, MIN_TTL), MAX_TTL)
        return self._known

    async def _look_up(self) -> tuple[tuple[str, ...], int]:
        patience = min(PATIENCE, PATIENCE_IN_ALL / max(len(self._servers), 1))
        return await look_up(self._host, self._servers, patience)

    def doubt(self) -> None:
        """Nobody at these addresses could be verified: the next call asks anew, and waits as long as it takes."""
        self._until = 0.0
        self._doubted = True


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
