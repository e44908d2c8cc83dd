"""Makes verified TLS connections to one upstream: its address, the context, the handshake, the protocol agreed on.

Refuses TLS below 1.2, certificates that the trusted authorities did not sign or that are for another name, and where
the protocol must be agreed on (h2), a server that does not. Called by `secure`.
"""

import asyncio
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blockerd.dns.bootstrap import Bootstrap
from blockerd.dns.secure_link import OPEN_SECONDS, Link

if TYPE_CHECKING:
    import ssl

MOST_ADDRESSES = 4

_SHUTDOWN_SECONDS = 2.0
_AGREED = "h2"


def system_context() -> "ssl.SSLContext":
    """A context that trusts the system's authorities. Takes some 50 ms of reading: not for the loop's thread."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    return context


@dataclass(slots=True)
class Dialer:
    """How to connect: `name` is what the certificate must say, an address where the upstream has no name.

    `needs` is a module that `link` wants loaded.
    """

    bootstrap: Bootstrap
    port: int
    name: str
    alpn: str
    link: Callable[[asyncio.AbstractEventLoop], Link]
    make_context: "Callable[[], ssl.SSLContext]"
    needs: str = ""
    _context: "ssl.SSLContext | None" = None
    _last: str = ""

    async def dial(self) -> Link:
        """A new connection, to the address that answered last where it is still one of the upstream's.

        Raises:
            OSError: no address, nobody there, or nobody who could be verified.
        """
        loop = asyncio.get_running_loop()
        if self._context is None:
            self._context = await loop.run_in_executor(None, self._prepare)
        addresses = self._order(await self.bootstrap.addresses())
        problem: OSError = OSError("the upstream has no address")
        for address in addresses:
            try:
                async with asyncio.timeout(OPEN_SECONDS / len(addresses)):
                    link = await self._connect(loop, self._context, address)
            except OSError as error:
                problem = error
                continue
            self._last = address
            return link
        self.bootstrap.doubt()
        raise problem

    async def _connect(self, loop: asyncio.AbstractEventLoop, context: "ssl.SSLContext", address: str) -> Link:
        transport, link = await loop.create_connection(
            lambda: self.link(loop),
            address,
            self.port,
            ssl=context,
            server_hostname=self.name,
            ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
        )
        agreed = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        if self.alpn == _AGREED and agreed != _AGREED:
            transport.abort()
            raise OSError("the upstream does not speak HTTP/2")
        return link

    def _order(self, addresses: Sequence[str]) -> list[str]:
        found = list(addresses[:MOST_ADDRESSES])
        if self._last in found:
            found.remove(self._last)
            found.insert(0, self._last)
        return found

    def _prepare(self) -> "ssl.SSLContext":
        """The context, and whatever has to be loaded; in a thread, as both take a while."""
        import ssl

        try:
            if self.needs:
                importlib.import_module(self.needs)
        except ImportError:
            raise OSError("https upstreams need the package h2; install blockerd with its extra doh") from None
        context = self.make_context()
        context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
        context.hostname_checks_common_name = False
        context.set_alpn_protocols([self.alpn])
        return context
