"""Addresses in the configuration: where to listen, which resolvers to ask, networks, local domains. Pure.

Hosts are numeric except in https addresses: to look a name up, a resolver would have to ask itself. Refuses wildcard
addresses to listen on. Called as `settings.value` is.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from blockerd.settings.value import Bad, Reader, one_line, quoted


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A numeric address and a port; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Scheme(StrEnum):
    """How an upstream is spoken to: RFC 1035 over UDP or TCP, DoT (RFC 7858), DoH (RFC 8484)."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"
    HTTPS = "https"


@dataclass(frozen=True, slots=True)
class Upstream:
    """One upstream resolver. `host` is an address, with https a name or an address.

    `name` is what its certificate must say (tls, https), `path` belongs to https alone.
    """

    scheme: Scheme
    host: str
    port: int
    name: str = ""
    path: str = ""

    def __str__(self) -> str:
        if self.scheme is Scheme.HTTPS:
            bare = f"[{self.host}]" if ":" in self.host else self.host
            return f"https://{bare if self.port == 443 else Endpoint(self.host, self.port)}{self.path}"
        place = str(Endpoint(self.host, self.port))
        if self.scheme is Scheme.UDP:
            return place
        return f"{self.scheme}://{place}" + (f"#{self.name}" if self.name else "")


def listener(*, default_port: int) -> Reader[Endpoint]:
    """A numeric address to listen on. A wildcard is refused: replies must leave from the address that was asked."""

    def read(raw: object) -> Endpoint:
        host, port = _address(one_line(raw), default_port)
        at = ipaddress.ip_address(host)
        if at.is_unspecified or (isinstance(at, ipaddress.IPv6Address) and at.ipv4_mapped is not None):
            raise Bad(
                f"{quoted(raw)} stands for every address of this machine, on every network it joins; "
                "name each address, e.g. 127.0.0.1:5335"
            )
        if at.is_multicast or host == "255.255.255.255":
            raise Bad(f"{quoted(raw)} is a group address; name one of this machine, e.g. 127.0.0.1:5335")
        return Endpoint(host, port)

    return Reader("address:port", read)


def bootstrap() -> Reader[Endpoint]:
    """A numeric address of a resolver, port 53 unless given."""
    return Reader("IP[:port]", lambda raw: _server(one_line(raw), 53))


def upstream() -> Reader[Upstream]:
    """ "IP[:port]", "tcp://IP[:port]", "tls://IP[:port]#name" or "https://name[:port]/path"."""
    return Reader("upstream", lambda raw: _upstream(one_line(raw)))


_FORMS = "write IP[:port], tcp://IP[:port], tls://IP[:port]#name or https://name/path"
_HOST = r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?)*"
_HTTPS = re.compile(rf"https://(?P<host>{_HOST}|\[[0-9A-Fa-f:.]+\])(:(?P<port>\d{{1,5}}))?(?P<path>/[!-~]*)?")


def _upstream(line: str) -> Upstream:
    scheme, separator, rest = line.partition("://")
    if not separator:
        at = _server(line, 53)
        return Upstream(Scheme.UDP, at.host, at.port)
    if scheme == "tcp":
        at = _server(rest, 53)
        return Upstream(Scheme.TCP, at.host, at.port)
    if scheme == "tls":
        return _tls(line, rest)
    if scheme == "https":
        return _https(line)
    raise Bad(f"{quoted(line)}: {scheme}:// is unknown; {_FORMS}")


def _tls(line: str, rest: str) -> Upstream:
    place, _, name = rest.partition("#")
    at = _server(place, 853)
    if not re.fullmatch(_HOST, name):
        raise Bad(f"{quoted(line)}: add the name that its certificate says, e.g. tls://{place}#dns.example")
    return Upstream(Scheme.TLS, at.host, at.port, name.lower())


def _https(line: str) -> Upstream:
    found = _HTTPS.fullmatch(line)
    if not found or not found["path"]:
        raise Bad(f"{quoted(line)} is no DoH address; write https://name/path, e.g. https://dns.example/dns-query")
    host = found["host"].strip("[]").lower()
    if ":" in found["host"]:
        host = _ip(host)
    return Upstream(Scheme.HTTPS, host, _port(found["port"] or "443", line, low=1), host, found["path"])


def https_url() -> Reader[str]:
    """An https address of a list; names and passwords inside it are refused."""

    def read(raw: object) -> str:
        line = one_line(raw)
        found = re.fullmatch(rf"https://({_HOST}|\[[0-9A-Fa-f:.]+\])(:\d{{1,5}})?([/?][!-~]*)?", line)
        if not found:
            raise Bad(f"{quoted(raw)} is no https address; write https://host/path")
        return line

    return Reader("https address", read)


def network() -> Reader[str]:
    """An address or a network in CIDR form, given back in CIDR form."""

    def read(raw: object) -> str:
        line = one_line(raw)
        try:
            return str(ipaddress.ip_network(line))
        except ValueError:
            raise Bad(f"{quoted(raw)} is no address or network; write e.g. 192.168.1.30 or 192.168.1.0/24") from None

    return Reader("address or network", read)


def local_domains() -> Reader[tuple[tuple[str, Upstream], ...]]:
    """A table from domain to the upstream that answers for it: (domain, upstream) pairs in the order written."""

    def read(raw: object) -> tuple[tuple[str, Upstream], ...]:
        if not isinstance(raw, dict):
            raise Bad(f'{quoted(raw)} is not a table; write {{ "lan" = "192.168.1.1" }}')
        found: list[tuple[str, Upstream]] = []
        reasons: list[str] = []
        for domain, place in _flat(raw):
            try:
                found.append((_domain(domain), _upstream(one_line(place))))
            except Bad as error:
                reasons.extend(f"{domain}: {reason}" for reason in error.args)
        if reasons:
            raise Bad(*reasons)
        return tuple(found)

    return Reader(
        "table of domain = upstream", read, plain=lambda pairs: {domain: str(place) for domain, place in pairs}
    )


def _flat(table: dict[str, object], above: str = "") -> Iterable[tuple[str, object]]:
    """Pairs of `table`; the TOML key home.lan without quotes is a table in a table and means one name."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield above + key, value


def _domain(line: str) -> str:
    from blockerd.policy import name

    try:
        return name.to_text(name.from_text(line))
    except name.BadName as error:
        raise Bad(f"no domain name ({error})") from None


def _server(line: str, default_port: int) -> Endpoint:
    host, port = _address(line, default_port)
    at = ipaddress.ip_address(host)
    if at.is_unspecified or at.is_multicast or port == 0:
        raise Bad(f"{quoted(line)} is no address of one server; {_FORMS}")
    return Endpoint(host, port)


def _address(line: str, default_port: int) -> tuple[str, int]:
    """Host and port of "IP", "IP:port", "[IPv6]:port" or "IPv6"."""
    bracketed = re.fullmatch(r"\[(?P<host>[^\]]+)\](:(?P<port>[^:]*))?", line)
    if bracketed:
        host, port = bracketed["host"], bracketed["port"]
        return _ip(host, need=6), default_port if port is None else _port(port, line)
    if line.count(":") == 1:
        host, _, port = line.partition(":")
        return _ip(host), _port(port, line)
    return _ip(line), default_port


def _ip(host: str, *, need: int = 0) -> str:
    try:
        at = ipaddress.ip_address(host)
    except ValueError:
        raise Bad(f"{quoted(host)} is no numeric address; write e.g. 127.0.0.1 or [::1]") from None
    if need and at.version != need:
        raise Bad(f"[{host}]: brackets are for IPv6; write {host} without them")
    return str(at)


def _port(line: str, whole_line: str, *, low: int = 0) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", line) or not low <= int(line) <= 65535:
        raise Bad(f"{quoted(whole_line)}: {quoted(line)} is no port; write {low} to 65535")
    return int(line)
