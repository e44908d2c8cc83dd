"""The road by mail (RFC 5321): aiosmtplib, with TLS (RFC 8314) or STARTTLS (RFC 3207), verified, never without.

Refuses a certificate that does not hold, a server that has no STARTTLS, and plain text to anywhere but this machine.
Names neither the machine nor its user to the server. Called through `report.deliver`.
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress

import aiosmtplib
from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from blockerd.report.deliver import NotDelivered, Outcome, secret
from blockerd.settings import Security, Smtp

HELLO = "[127.0.0.1]"
"""What the server is greeted with: the machine's own name is nobody's business."""

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
SECONDS = 30.0


class SmtpRoad:
    """The mail server of the settings; `context` gives the TLS settings, `seconds` is the limit of each step."""

    name = "smtp"

    def __init__(
        self,
        smtp: Smtp,
        context: Callable[[], ssl.SSLContext] = ssl.create_default_context,
        seconds: float = SECONDS,
    ) -> None:
        self._smtp = smtp
        self._context = context
        self._seconds = seconds
        self.hosts = ((smtp.host, smtp.port),)

    async def open(self) -> "SmtpSession":
        """A session that is encrypted and logged in.

        Raises:
            NotDelivered: there is none now.
        """
        smtp = self._smtp
        where = f"mail server {smtp.host}:{smtp.port}"
        if smtp.security == Security.NONE and smtp.host not in LOOPBACK:
            advice = 'plain mail goes to this machine only; set report.smtp.security to "starttls" or "tls"'
            raise NotDelivered(Outcome.UNSAFE, f"{where}: {advice}")
        password = secret(smtp.password_file) if smtp.user else ""
        client = _Client(
            hostname=smtp.host,
            port=smtp.port,
            use_tls=smtp.security == Security.TLS,
            start_tls=smtp.security == Security.STARTTLS,
            tls_context=None if smtp.security == Security.NONE else self._context(),
            local_hostname=HELLO,
            timeout=self._seconds,
        )
        try:
            await client.connect()
            if smtp.user:
                await client.login(smtp.user, password)
        except SMTPAuthenticationError as error:
            await _closed(client)
            raise NotDelivered(Outcome.LATER, f"{where}: user or password is not taken ({error.code})") from None
        except (SMTPException, OSError, ValueError) as error:
            await _closed(client)
            raise NotDelivered(*_why_closed(error, where)) from None
        return SmtpSession(client, smtp.from_, where)


class _Client(SMTP):
    """Ends a connection at once where the library would wait for the other side's last word, also in its own troubles:
    who closes has said goodbye before, or has nobody to say it to."""

    def close(self) -> None:
        transport = self.transport
        super().close()
        if isinstance(transport, asyncio.Transport):
            with suppress(AttributeError):  # Python 3.11.2, of Debian 12: one that was closed twice cannot be aborted
                transport.abort()


class SmtpSession:
    """One connection."""

    def __init__(self, client: SMTP, sender: str, where: str) -> None:
        self._client = client
        self._sender = sender
        self._where = where

    async def send(self, recipient: str, message: bytes) -> None:
        """Hands `message` over to `recipient`.

        Raises:
            NotDelivered: the server did not say yes; UNSURE where it had the whole mail and fell silent, or its
                answer is neither a yes nor a no.
        """
        try:
            await self._client.mail(self._sender)
            await self._client.rcpt(recipient)
        except (SMTPException, OSError) as error:
            await self._begin_anew(error)
            raise self._not_taken(error, recipient) from None
        except ValueError:
            told = f"{self._where}: an address with letters beyond ASCII cannot be told to it; write another"
            raise NotDelivered(Outcome.LATER, told) from None
        try:
            await self._client.data(message)
        except SMTPResponseException as error:
            await self._begin_anew(error)
            if error.code < 400:  # a reply that cannot be read, or none that this command has: it may have been a yes
                told = f"{self._where}: its answer to the mail cannot be understood ({error.code})"
                raise NotDelivered(Outcome.UNSURE, told) from None
            raise self._not_taken(error, recipient) from None
        except (SMTPException, OSError) as error:
            told = f"{self._where}: no answer after the mail was handed over ({_kind(error)})"
            raise NotDelivered(Outcome.UNSURE, told) from None

    async def _begin_anew(self, error: Exception) -> None:
        """Ends a mail that was refused midway: the next one cannot begin inside it (RFC 5321 section 4.1.4)."""
        if isinstance(error, SMTPResponseException):
            with suppress(SMTPException, OSError):
                await self._client.rset()

    async def close(self) -> None:
        """Says goodbye where the server still listens."""
        await _closed(self._client, polite=True)

    def _not_taken(self, error: Exception, recipient: str) -> NotDelivered:
        """A definite no: for good where the address is refused for good, else for now."""
        code = getattr(error, "code", 0)
        if isinstance(error, SMTPRecipientRefused) and code >= 500:
            return NotDelivered(Outcome.REFUSED, f"{self._where}: takes no mail for this address ({code})")
        what = "the sender" if isinstance(error, SMTPSenderRefused) else "the mail"
        if code:
            return NotDelivered(Outcome.LATER, f"{self._where}: does not take {what} now ({code})")
        return NotDelivered(Outcome.LATER, f"{self._where}: {_kind(error)}")


async def _closed(client: SMTP, *, polite: bool = False) -> None:
    """Ends the connection, also one that is half open, and lets the loop take it down."""
    with suppress(SMTPException, OSError):
        if polite:
            await client.quit(timeout=2)
    client.close()
    await asyncio.sleep(0)


def _why_closed(error: Exception, where: str) -> tuple[Outcome, str]:
    """Outcome and line for an error before there was a session."""
    text = str(error)
    if isinstance(error.__cause__, ssl.SSLError) or isinstance(error, ssl.SSLError) or "CERTIFICATE" in text.upper():
        return Outcome.UNSAFE, f"{where}: its certificate or encryption does not hold; nothing was sent"
    if "STARTTLS" in text:
        return Outcome.UNSAFE, f"{where}: offers no encryption (STARTTLS); nothing was sent"
    code = getattr(error, "code", 0)
    return Outcome.LATER, f"{where}: out of reach ({code or _kind(error)}); it is tried again"


def _kind(error: Exception) -> str:
    """The sort of an error in a word; never what the other side wrote."""
    if isinstance(error, aiosmtplib.SMTPTimeoutError | TimeoutError):
        return "no answer in time"
    if isinstance(error, aiosmtplib.SMTPServerDisconnected | ConnectionError):
        return "connection closed"
    if isinstance(error, OSError):
        return error.strerror or "no connection"
    return "no connection"
