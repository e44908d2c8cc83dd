"""One conditional GET of a list over HTTPS into a file: capped in octets and time, from checked addresses only.

Refuses everything but https, redirects beyond five, and addresses that are not public, at first and after each
redirect. The address that was checked is the one connected to, so a name cannot mean another machine a moment later;
certificate and SNI are those of the name. Redirect bodies are never read. Called by `fetch`.
"""

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

import httpx2

import blockerd
from blockerd.dns.stub import LookupFailed
from blockerd.lists.fetch.decode import Body, BodyError
from blockerd.lists.fetch.resolve import Resolve, is_public
from blockerd.policy.name import from_text, to_text

MAX_REDIRECTS = 5
SECONDS = 60.0
"""What one download may take in all, from the first lookup to the last octet."""
CONNECT_SECONDS = 10.0

_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_ADDRESSES = 4

Dial = Callable[[str, int], tuple[str, int]]
"""From the checked address and port to those really connected to; tests let a local server play a public host."""


class FetchError(Exception):
    """A list that could not be had: what and why, in one line without its address."""


@dataclass(frozen=True, slots=True)
class Net:
    """How the fetcher reaches the world. `context` None: the system's trusted certificates."""

    resolve: Resolve
    dial: Dial = lambda address, port: (address, port)
    context: ssl.SSLContext | None = None
    seconds: float = SECONDS


@dataclass(frozen=True, slots=True)
class Got:
    """An answer: `unchanged` is 304. `size` counts decoded octets, `etag` and `last_modified` are as received."""

    unchanged: bool
    size: int = 0
    etag: str = ""
    last_modified: str = ""


async def get(
    net: Net,
    url: str,
    file: BinaryIO,
    max_bytes: int,
    *,
    validators: Mapping[str, str],
    on_bytes: Callable[[int], None],
) -> Got:
    """Downloads `url` into `file`; `validators` are request headers (If-None-Match, If-Modified-Since).

    Raises:
        FetchError: it could not be had whole, within cap and time. `file` may hold a part of it.
    """
    try:
        async with asyncio.timeout(net.seconds):
            return await _follow(net, url, file, max_bytes, validators, on_bytes)
    except TimeoutError:
        raise FetchError(f"took over {net.seconds:g} seconds; stopped") from None
    except (BodyError, LookupFailed) as error:
        raise FetchError(str(error)) from None
    except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, OSError, ValueError) as error:
        raise FetchError(_said(error)) from None


async def _follow(
    net: Net, url: str, file: BinaryIO, max_bytes: int, validators: Mapping[str, str], on_bytes: Callable[[int], None]
) -> Got:
    headers = {"Accept-Encoding": "gzip", "Accept": "text/plain, */*;q=0.5", **validators}
    headers["User-Agent"] = f"blockerd/{blockerd.__version__}"
    verify = net.context or httpx2.create_ssl_context(trust_env=False)
    timeout = httpx2.Timeout(net.seconds, connect=CONNECT_SECONDS)
    async with httpx2.AsyncClient(verify=verify, trust_env=False, timeout=timeout, http2=False) as client:
        for _ in range(MAX_REDIRECTS + 1):
            response = await _answer(net, client, url, headers)
            try:
                if response.status_code in _REDIRECTS:
                    url = _target(url, response.headers.get("location", ""))
                    continue
                return await _body(response, file, max_bytes, validators, on_bytes)
            finally:
                await response.aclose()
    raise FetchError(f"over {MAX_REDIRECTS} redirects")


async def _answer(net: Net, client: httpx2.AsyncClient, url: str, headers: Mapping[str, str]) -> httpx2.Response:
    """The response to one request, its body not yet read, from the first checked address that takes the connection."""
    host, port, target = _parts(url)
    addresses = await net.resolve(host)
    if closed := [address for address in addresses if not is_public(address)]:
        raise FetchError(f"{host} leads to {closed[0]}, which is no public address; refused")
    shown = f"[{host}]" if ":" in host else host
    asked = {**headers, "Host": shown if port == 443 else f"{shown}:{port}"}
    problem: Exception = FetchError(f"{host} has no address")
    for address in addresses[:_MAX_ADDRESSES]:
        at, to = net.dial(address, port)
        place = f"[{at}]:{to}" if ":" in at else f"{at}:{to}"
        request = client.build_request(
            "GET", f"https://{place}{target}", headers=asked, extensions={"sni_hostname": host}
        )
        # build_request leaves out the time-outs when extensions are given.
        request.extensions["timeout"] = client.timeout.as_dict()
        try:
            return await client.send(request, stream=True, follow_redirects=False)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            problem = error
    raise problem


async def _body(
    response: httpx2.Response,
    file: BinaryIO,
    max_bytes: int,
    validators: Mapping[str, str],
    on_bytes: Callable[[int], None],
) -> Got:
    if response.status_code == 304 and validators:
        return Got(unchanged=True)
    if response.status_code != 200:
        raise FetchError(f"the server answered {response.status_code}")
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip", "x-gzip", ""):
        raise FetchError("came in a coding that was not asked for; not read")
    body = Body(file, max_bytes, encoded=coding.endswith("gzip"))
    async for part in response.aiter_raw():
        body.feed(part)
        on_bytes(len(part))
    body.finish()
    return Got(False, body.size, _header(response, "etag"), _header(response, "last-modified"))


def _header(response: httpx2.Response, name: str) -> str:
    """A header that is sent back next time; one of unlikely length or content is not."""
    value = str(response.headers.get(name, ""))
    return value if re.fullmatch(r"[ -~]{0,512}", value) else ""


def _target(base: str, location: str) -> str:
    """The address that a redirect names; only https has a next step."""
    try:
        url = urljoin(base, location)
        scheme = urlsplit(url).scheme
    except ValueError:
        raise FetchError("redirects to what is no address") from None
    if not location or scheme != "https":
        raise FetchError(f"redirects to {scheme or 'nothing'}:, and only https is followed" if location else
                         "redirects to nowhere")  # fmt: skip
    return url


def _parts(url: str) -> tuple[str, int, str]:
    """Host (an international one as A-labels), port and request target of an https address.

    Raises:
        FetchError: another scheme, a name and password, or no host.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
        host = host if host.isascii() else to_text(from_text(host))
    except ValueError:
        raise FetchError("is no address") from None
    if parts.scheme != "https":
        raise FetchError(f"is {parts.scheme or 'nothing'}:, and only https is fetched")
    if not host or parts.username is not None:
        raise FetchError("has no host, or a name and password in its address")
    target = parts.path or "/"
    return host, port, f"{target}?{parts.query}" if parts.query else target


def _said(error: Exception) -> str:
    """One line for an error of the transport."""
    text = " ".join(str(error).split())[:200]
    if "CERTIFICATE_VERIFY" in text.upper():
        return f"its certificate does not fit ({text.rpartition(': ')[2]})"
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()
    return f"the connection broke ({text or kind})"
