"""A publisher of lists on a local port: real TLS with a certificate of its own authority, and every way to misbehave.

A `Play` is a function per path that writes what it likes to the connection. `net()` lets it stand for public hosts:
names resolve to public addresses, and whatever is dialled ends here. Used as a context manager.
"""

import gzip
import io
import socket
import ssl
import tarfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import trustme

from blockerd.lists.fetch.http import Net
from blockerd.lists.fetch.resolve import Resolve

HOST, MIRROR = "lists.test", "mirror.test"
ADDRESS = "9.1.1.1"
"""A public address that stands for the publisher; nothing ever connects to it."""

Play = Callable[["Connection"], None]


class Connection(BaseHTTPRequestHandler):
    """One request as a play sees it: `path`, `headers`, and ways to answer."""

    protocol_version = "HTTP/1.1"
    server: "_Server"

    def answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """A whole answer with its length, and without a connection afterwards."""
        fields = {"Content-Length": str(len(body)), "Connection": "close", **(headers or {})}
        self.raw_head(status, fields)
        self.wfile.write(body)

    def raw_head(self, status: int, headers: Mapping[str, str]) -> None:
        """Status line and headers as given, nothing added."""
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
        self.wfile.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        self.close_connection = True

    def do_GET(self) -> None:
        """Hands the request to its play."""
        host = self.headers.get("Host", "")
        self.server.seen.append((host, self.path, dict(self.headers)))
        play = self.server.plays.get(self.path)
        if play is None:
            self.answer(404, b"<html>not here</html>")
        else:
            play(self)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    plays: dict[str, Play]
    seen: list[tuple[str, str, dict[str, str]]]
    context: ssl.SSLContext

    def finish_request(self, request: object, client_address: object) -> None:
        """The handshake is made here, in the connection's own thread."""
        assert isinstance(request, socket.socket)
        request.settimeout(20)
        with self.context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is what the plays are for."""


@dataclass(slots=True)
class ListServer:
    """The running publisher. `plays` by path may change at any time; `seen` grows with (host, path, headers)."""

    port: int
    authority: bytes
    plays: dict[str, Play]
    seen: list[tuple[str, str, dict[str, str]]]
    dialled: list[tuple[str, int]] = field(default_factory=list)

    def net(self, names: Mapping[str, list[str]] | None = None, seconds: float = 10.0, *, trusted: bool = True) -> Net:
        """The world of the fetcher: every public address is this server; `names` may say otherwise for a host."""
        context = ssl.create_default_context(cadata=self.authority.decode()) if trusted else None

        def dial(address: str, port: int) -> tuple[str, int]:
            self.dialled.append((address, port))
            return "127.0.0.1", self.port

        return Net(fixed(names or {}), dial, context, seconds)

    def publish(self, path: str, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Serves `data` at `path` from now on."""
        self.plays[path] = serving(data, headers)


def fixed(names: Mapping[str, list[str]]) -> Resolve:
    """A lookup that knows `names`, and ADDRESS for all others."""

    async def resolve(host: str) -> list[str]:
        return names.get(host, [ADDRESS])

    return resolve


@contextmanager
def list_server(hosts: Iterable[str] = (HOST, MIRROR)) -> Iterator[ListServer]:
    """A publisher whose certificate is for `hosts`."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*hosts).configure_cert(context)
    server = _Server(("127.0.0.1", 0), Connection)
    server.plays, server.seen, server.context = {}, [], context
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield ListServer(server.server_port, authority.cert_pem.bytes(), server.plays, server.seen)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def serving(data: bytes, headers: Mapping[str, str] | None = None) -> Play:
    """`data`, and 304 for whoever has it already by ETag or date."""
    known = dict(headers or {})

    def play(to: Connection) -> None:
        tag, date = known.get("ETag"), known.get("Last-Modified")
        if (tag and to.headers.get("If-None-Match") == tag) or (date and to.headers.get("If-Modified-Since") == date):
            to.answer(304, b"", known)
        else:
            to.answer(200, data, known)

    return play


def status(code: int, body: bytes = b"<html>no</html>") -> Play:
    """An error page."""
    return lambda to: to.answer(code, body)


def redirect(location: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Play:
    """A redirect, perhaps with a body."""
    return lambda to: to.answer(302, body, {"Location": location, **(headers or {})})


def cut(data: bytes, claimed: int) -> Play:
    """`data` under a Content-Length of `claimed`, then the end of the connection."""

    def play(to: Connection) -> None:
        to.raw_head(200, {"Content-Length": str(claimed)})
        to.wfile.write(data)

    return play


def chunks_cut(data: bytes) -> Play:
    """A chunked body that never says that it is over."""

    def play(to: Connection) -> None:
        to.raw_head(200, {"Transfer-Encoding": "chunked"})
        to.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    return play


def endless(line: bytes, headers: Mapping[str, str] | None = None) -> Play:
    """A body that goes on until the client hangs up."""

    def play(to: Connection) -> None:
        to.raw_head(200, headers or {})
        while True:
            to.wfile.write(line)

    return play


def drip(data: bytes, pause: threading.Event, *, head: bool) -> Play:
    """An octet every 20 ms until `pause` is set: of the head, or of the body."""

    def play(to: Connection) -> None:
        if not head:
            to.raw_head(200, {"Content-Length": str(len(data))})
        text = b"HTTP/1.1 200 X\r\nX-Long: " + data if head else data
        for octet in text:
            if pause.wait(0.02):
                return
            to.wfile.write(bytes((octet,)))
            to.wfile.flush()

    return play


def noise(data: bytes) -> Play:
    """`data` as it stands, then the end of the connection."""

    def play(to: Connection) -> None:
        to.wfile.write(data)
        to.close_connection = True

    return play


def hang_up(to: Connection) -> None:
    """Ends the connection without a word."""
    to.close_connection = True
    to.connection.shutdown(socket.SHUT_RDWR)


def zeros_gz(megabytes: int) -> bytes:
    """A gzip bomb: a thousandth of `megabytes` that opens into all of them."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=9) as file:
        block = b"a.test\n" * 149797
        for _ in range(megabytes):
            file.write(block)
    return out.getvalue()


def tar_gz(members: Mapping[str, bytes | tarfile.TarInfo]) -> bytes:
    """A .tar.gz of these files; a TarInfo is put in as it stands."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def names(count: int, start: int = 0) -> bytes:
    """A plain list of `count` names."""
    return "".join(f"n{number}.test\n" for number in range(start, start + count)).encode()


def settings_text(folder: Path, lists: str, sources: Mapping[str, str]) -> str:
    """A configuration whose lists are `sources` (id to address); `lists` are more lines of [lists]."""
    head = f'[state]\ndir = "{folder}"\n[lists]\nstarter = false\n{lists}\n'
    return head + "".join(
        f'[[lists.source]]\nid = "{id_}"\ncategory = "adult"\nurl = "{url}"\n' for id_, url in sources.items()
    )
