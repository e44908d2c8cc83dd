"""URLs as rules see them: one canonical form, so that no spelling of a path slips past a rule. Pure.

Reads http, https, ws, wss and tel URLs (RFC 3986, RFC 3966); refuses what has no host. Paths are percent-decoded,
lower case, without dot segments, doubled slashes and parameters (`;x`); queries keep their order. Called by
`decide_url` and by the parsers of rules.
"""

from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from blockerd.policy.name import BadName, from_text

PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_MAX = 16384  # characters looked at; longer ones are cut, and rules look at the beginning
_MAX_PAIRS = 100


class BadUrl(ValueError):
    """A text that is no URL with a host; the message says why in a few words."""


@dataclass(frozen=True, slots=True)
class Url:
    """A URL in canonical form.

    `name` is the host in canonical wire form, b"" where it is an address (then `address` holds it as text). `path`
    begins with "/"; `query` are (key, value) pairs, keys in lower case, values as they are. A tel URL has only
    `number`: digits, with + in front where it is international.
    """

    scheme: str
    name: bytes
    address: str
    port: int
    path: str = "/"
    query: tuple[tuple[str, str], ...] = ()
    number: str = ""

    def values(self, key: str) -> list[str]:
        """The values of the query key `key`."""
        return [value for one, value in self.query if one == key]


def read(text: str) -> Url:
    """The URL in `text`; a text without scheme is read as https.

    Raises:
        BadUrl: no host, another scheme, or a port that is none.
    """
    body = text.strip()[:_MAX]
    if body[:4].lower() == "tel:":
        return tel(body[4:])
    try:
        parts = urlsplit(body if "://" in body else f"https://{body}")
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise BadUrl(str(error)) from None
    if parts.scheme not in PORTS:
        raise BadUrl(f"no rule is for {parts.scheme}: URLs")
    return of(parts.scheme, host, port, f"{parts.path}?{parts.query}" if parts.query else parts.path)


def of(scheme: str, host: str, port: int | None, target: str) -> Url:
    """The URL for a request: `host` without brackets, `target` as in the request line (path and query).

    Raises:
        BadUrl: the host is neither a name nor an address.
    """
    path, _, query = target[:_MAX].partition("#")[0].partition("?")
    name, address = b"", ""
    if is_address(host):
        address = host.strip("[]").lower()
    else:
        try:
            name = from_text(host)
        except BadName as error:
            raise BadUrl(f"host: {error}") from None
    return Url(scheme, name, address, port or PORTS.get(scheme, 443), canonical_path(path), _pairs(query))


def tel(text: str) -> Url:
    """The URL for what follows `tel:` (RFC 3966): visual separators and parameters are left out."""
    body = unquote(text).partition(";")[0]
    digits = "".join(c for c in body if c.isdigit() and c.isascii())
    if not digits:
        raise BadUrl("no telephone number")
    international = "+" if body.lstrip().startswith("+") else ""
    return Url("tel", b"", "", 0, "", (), international + digits)


def is_address(host: str) -> bool:
    """True for an IPv6 literal and for what `inet_aton` reads as an IPv4 address (WHATWG URL: ends in a number)."""
    if ":" in host:
        return True
    last = host.rstrip(".").rpartition(".")[2].lower()
    if last.startswith("0x"):
        return all(c in "0123456789abcdef" for c in last[2:])
    return last.isascii() and last.isdigit()


def canonical_path(path: str) -> str:
    """`path` as rules compare it. Decoded twice, because servers do so too."""
    text = path
    for _ in range(2):
        if "%" not in text:
            break
        text = unquote(text)
    kept: list[str] = []
    for segment in text.lower().replace("\\", "/").split("/"):
        one = segment.partition(";")[0]
        if one == "..":
            del kept[-1:]
        elif one not in ("", "."):
            kept.append(one)
    return "/" + "/".join(kept) + ("/" if kept and text.endswith("/") else "")


def _pairs(query: str) -> tuple[tuple[str, str], ...]:
    if not query:
        return ()
    try:
        pairs = parse_qsl(query.replace(";", "&"), keep_blank_values=True, max_num_fields=_MAX_PAIRS)
    except ValueError:
        pairs = parse_qsl("&".join(query.replace(";", "&").split("&", _MAX_PAIRS)[:_MAX_PAIRS]), keep_blank_values=True)
    return tuple((key.lower(), value) for key, value in pairs)
