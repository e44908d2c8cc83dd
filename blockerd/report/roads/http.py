"""Roads over HTTPS: a webhook of one's own that takes a mail as it is, and ntfy (https://ntfy.sh), self-hosted or not.

Opens no connection but to the address given; follows no redirect; refuses plain HTTP to anywhere but this machine. The
notice that ntfy shows is as neutral as the subject of the mail, which hangs on it as a file. Called through
`report.deliver`, only where somebody set such an address.
"""

import ssl
from collections.abc import Callable, Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

import httpx2

from blockerd.report.deliver import NotDelivered, Outcome

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
SECONDS = 30.0
_AGAIN = frozenset({401, 403, 425, 429})


class WebhookRoad:
    """POSTs each mail as message/rfc822 to `url`; what `token` gives (from a file) goes along as a bearer token."""

    name = "webhook"

    def __init__(
        self,
        url: str,
        token: Callable[[], str] = str,
        context: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        parts = urlsplit(url)
        self.hosts = ((parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)),)
        self._url = url
        self._token = token
        self._context = context
        self._safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)

    async def open(self) -> "HttpSession":
        """A session; no connection is made before a mail is handed over.

        Raises:
            NotDelivered: the address is not https, or the token cannot be read or sent.
        """
        where = f"{self.name} {self.hosts[0][0]}"
        if not self._safe:
            raise NotDelivered(Outcome.UNSAFE, f"{where}: plain http goes to this machine only; write https://")
        client = httpx2.AsyncClient(verify=self._context(), trust_env=False, timeout=SECONDS, follow_redirects=False)
        return HttpSession(client, self._url, self._headers(), where)

    def _headers(self) -> Mapping[str, str]:
        token = self._token()
        if not (token.isascii() and token.isprintable()):
            raise NotDelivered(
                Outcome.UNSAFE, f"{self.name}: its token has a letter that no header takes; write it anew"
            )
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        return {"Content-Type": "message/rfc822", "User-Agent": "note", **bearer}


class NtfyRoad(WebhookRoad):
    """PUTs each mail as a file to the topic `url` of an ntfy server; what is shown is neutral."""

    name = "ntfy"

    def _headers(self) -> Mapping[str, str]:
        return {**super()._headers(), "Title": "Weekly note", "Filename": "note.eml", "Message": "A note is here."}


class HttpSession:
    """Hands mails to one address."""

    def __init__(self, client: httpx2.AsyncClient, url: str, headers: Mapping[str, str], where: str) -> None:
        self._client = client
        self._url = url
        self._headers = headers
        self._where = where

    async def send(self, recipient: str, message: bytes) -> None:
        """Hands `message` over; `recipient` stands in the mail itself and is not told otherwise.

        Raises:
            NotDelivered: no 2xx came back; UNSURE where the connection ended after the mail was on its way, and where
                what stands before the server answers in its place (502, 504, 408), or a redirect follows the taking.
        """
        method = "PUT" if "Filename" in self._headers else "POST"
        try:
            answer = await self._client.request(method, self._url, content=message, headers=dict(self._headers))
        except (
            httpx2.ConnectError,
            httpx2.ConnectTimeout,
            httpx2.InvalidURL,
            httpx2.UnsupportedProtocol,
            OSError,
            ValueError,
        ):
            raise NotDelivered(Outcome.LATER, f"{self._where}: out of reach; it is tried again") from None
        except httpx2.HTTPError as error:
            kind = type(error).__name__
            raise NotDelivered(Outcome.UNSURE, f"{self._where}: no answer after the mail was sent ({kind})") from None
        code = answer.status_code
        if 200 <= code < 300:
            return
        if not 400 <= code < 500 or code == HTTPStatus.REQUEST_TIMEOUT:
            raise NotDelivered(Outcome.UNSURE, f"{self._where}: does not say that it took the mail ({code})")
        outcome = Outcome.LATER if code in _AGAIN else Outcome.REFUSED
        raise NotDelivered(outcome, f"{self._where}: does not take the mail ({code})")

    async def close(self) -> None:
        """Ends the connection, where there was one."""
        await self._client.aclose()
