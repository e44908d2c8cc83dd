"""A real SMTP server on loopback (aiosmtpd) with STARTTLS, which can be down, hang, refuse, or fall silent.

Runs in a thread of its own, so that tests with their own event loop, and other processes, can reach it. What it took
stands in `taken`, as it came. Called by the tests of delivery.
"""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from functools import cache

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

NAME = "localhost"


class Mood(Enum):
    """How the server behaves."""

    FINE = "fine"
    DOWN = "down"
    HANG = "hang before the greeting"
    BUSY = "4xx to every recipient"
    SILENT = "takes the mail and closes the connection without a word"
    MUTE = "takes the mail and never says so"
    ODD = "takes the mail and says something that is no reply"


@dataclass
class Taken:
    """One mail as it was taken: envelope and bytes."""

    sender: str
    recipient: str
    body: bytes


@dataclass
class MailServer:
    """The server; change `mood` and `refuse` (addresses that get 550) at any time."""

    certificate: trustme.LeafCert
    authority: trustme.CA
    starttls: bool = True
    password: bytes | None = None
    mood: Mood = Mood.FINE
    refuse: set[str] = field(default_factory=set)
    taken: list[Taken] = field(default_factory=list)
    connections: int = 0
    hello: list[str] = field(default_factory=list)
    on_data: Callable[[Taken], None] | None = None
    port: int = 0
    _open: list["SMTP | _Hanging"] = field(default_factory=list)

    def context(self) -> ssl.SSLContext:
        """What a client needs to trust this server."""
        return trusting(self.authority)

    def to(self, address: str) -> list[bytes]:
        """What came for an address."""
        return [one.body for one in self.taken if one.recipient == address]

    @contextmanager
    def running(self) -> Iterator["MailServer"]:
        """The server, from here to the end of the block."""
        loop = asyncio.new_event_loop()
        ready, end = threading.Event(), asyncio.Event()
        thread = threading.Thread(target=lambda: loop.run_until_complete(self._serve(ready, end)), daemon=True)
        thread.start()
        assert ready.wait(10)
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(end.set)
            thread.join(10)
            loop.close()

    async def _serve(self, ready: threading.Event, end: asyncio.Event) -> None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.certificate.configure_cert(tls)
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)
        server = await loop.create_server(lambda: self._protocol(tls), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await end.wait()
        server.close()
        for protocol in self._open:
            plain = getattr(protocol, "_original_transport", None)  # the only one while TLS is being agreed on
            for transport in (protocol.transport, plain):
                if isinstance(transport, asyncio.Transport):
                    with suppress(AttributeError):  # Python 3.11.2: one that was closed twice cannot be aborted
                        transport.abort()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for _ in range(3):  # what was aborted is taken down in the loop's next turns
            await asyncio.sleep(0)

    def _protocol(self, tls: ssl.SSLContext) -> asyncio.BaseProtocol:
        self.connections += 1
        if self.mood == Mood.DOWN:
            return _Closing()
        protocol = _Hanging() if self.mood == Mood.HANG else self._speaking(tls)
        self._open.append(protocol)
        return protocol

    def _speaking(self, tls: ssl.SSLContext) -> SMTP:
        return SMTP(
            _Handler(self),
            hostname=NAME,
            tls_context=tls if self.starttls else None,
            require_starttls=self.starttls,
            auth_required=self.password is not None,
            authenticator=self._login if self.password is not None else None,
            timeout=30,
        )

    def _login(self, _: object, __: object, ___: object, ____: str, data: object) -> AuthResult:
        good = isinstance(data, LoginPassword) and data.password == self.password
        return AuthResult(success=good, handled=good)


class _Hanging(asyncio.Protocol):
    transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport


class _Closing(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class _Handler:
    def __init__(self, server: MailServer) -> None:
        self._server = server

    async def handle_EHLO(
        self, _: SMTP, session: Session, __: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self._server.hello.append(hostname)
        return responses

    async def handle_RCPT(self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]) -> str:
        if self._server.mood == Mood.BUSY:
            return "451 4.3.0 try again later"
        if address in self._server.refuse:
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, smtp: SMTP, _: Session, envelope: Envelope) -> str:
        server = self._server
        for recipient in envelope.rcpt_tos:
            taken = Taken(str(envelope.mail_from), recipient, bytes(envelope.original_content or b""))
            server.taken.append(taken)
            if server.on_data:
                server.on_data(taken)
        if server.mood == Mood.SILENT:
            assert isinstance(smtp.transport, asyncio.Transport)
            smtp.transport.abort()
        if server.mood == Mood.MUTE:
            await asyncio.sleep(3600)
        return "yes, thanks" if server.mood == Mood.ODD else "250 OK"


def server_of(*names: str, starttls: bool = True, password: bytes | None = None) -> MailServer:
    """A server with a certificate for `names` (without any: its own) of the one authority of this process."""
    certificate = _certificate(names or (NAME, "127.0.0.1"))
    return MailServer(certificate, _authority(), starttls=starttls, password=password)


def running() -> Iterator[MailServer]:
    """A server that runs until the end of a test: `server = pytest.fixture(running)`."""
    with server_of().running() as server:
        yield server


@cache
def _authority() -> trustme.CA:
    return trustme.CA()


@cache
def _certificate(names: tuple[str, ...]) -> trustme.LeafCert:
    """Keys take a while to make, so each certificate is made once."""
    return _authority().issue_cert(*names)


@cache
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """A client's TLS settings that trust `authority`; made once, since reading the system's own takes a while."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def closed_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
