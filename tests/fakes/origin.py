"""An origin for proxies: HTTP/1.1 and HTTP/2 over TLS, plain HTTP, WebSocket echo; counts what reaches it.

`/big?N` is a body of N MB; any other path answers with its own text. The certificate names `names` and is of the
origin's own authority. Called by the proxy's end-to-end tests and its benchmark.
"""

import asyncio
import base64
import hashlib
import ssl
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import h2.config
import h2.connection
import h2.events
import trustme

_PIECE = b"\0" * 65536
_WS = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Origin:
    """Listens on `address`, TLS on `tls_port`, plain on `port` (0: any); `handshakes` counts by SNI."""

    def __init__(self, folder: Path, address: str, names: Sequence[str], tls_port: int = 0, port: int = 0) -> None:
        authority = trustme.CA(organization_name="Origin of these tests")
        self.authority = folder / "origin-ca.pem"
        authority.cert_pem.write_to_path(str(self.authority))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names).configure_cert(self._context)
        self._context.set_alpn_protocols(["h2", "http/1.1"])
        self._context.sni_callback = self._named
        self.address, self.tls_port, self.port = address, tls_port, port
        self.handshakes: Counter[str] = Counter()
        self.accepted = 0
        self.requests: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Origin":
        self._thread.start()
        assert self._up.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _named(self, sock: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        self.handshakes[name or ""] += 1

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._up.set()
        self._loop.run_forever()

    async def _listen(self) -> None:
        tls = await asyncio.start_server(self._serve, self.address, self.tls_port, ssl=self._context)
        plain = await asyncio.start_server(self._serve, self.address, self.port)
        self.tls_port, self.port = tls.sockets[0].getsockname()[1], plain.sockets[0].getsockname()[1]
        self._servers = (tls, plain)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        tls = writer.get_extra_info("ssl_object")
        try:
            if tls is not None and tls.selected_alpn_protocol() == "h2":
                await self._h2(reader, writer)
            else:
                while await self._h1(reader, writer):
                    pass
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _h1(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        target = head.split(" ", 2)[1]
        headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in head.split("\r\n")[1:])}
        self.requests.append(headers.get("host", "") + target)
        if headers.get("upgrade", "").lower() == "websocket":
            await _echo(reader, writer, headers["sec-websocket-key"])
            return False
        await reader.readexactly(int(headers.get("content-length", 0)))
        if target.startswith("/big?"):
            count = int(target.partition("?")[2]) * 16
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {count * len(_PIECE)}\r\n\r\n".encode())
            for _ in range(count):
                writer.write(_PIECE)
                await writer.drain()
                await asyncio.sleep(0)  # `drain` alone lets nobody else in, so it never hears of a client that left
            return True
        body = f"<html><title>origin</title><p>{target}</p></html>".encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        return True

    async def _h2(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        link.initiate_connection()
        writer.write(link.data_to_send())
        while data := await reader.read(65536):
            for event in link.receive_data(data):
                if isinstance(event, h2.events.RequestReceived) and event.headers and event.stream_id:
                    told = {bytes(k).decode(): bytes(v).decode() for k, v in event.headers}
                    self.requests.append(told.get(":authority", "") + told[":path"])
                    link.send_headers(event.stream_id, [(":status", "200"), ("content-type", "text/html")])
                    body = f"<html><title>origin</title><p>{told[':path']}</p></html>".encode()
                    link.send_data(event.stream_id, body, end_stream=True)
            writer.write(link.data_to_send())
            await writer.drain()


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str) -> None:
    """Accepts a WebSocket (RFC 6455) and sends each frame below 64 kB back."""
    accept = base64.b64encode(hashlib.sha1(key.encode() + _WS).digest()).decode()
    writer.write(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
    )
    while True:
        first, short = await reader.readexactly(2)
        long = await reader.readexactly(2) if short & 0x7F == 126 else b""
        mask = int.from_bytes(await reader.readexactly(4), "big")
        size = int.from_bytes(long, "big") if long else short & 0x7F
        data = await reader.readexactly(size)
        words = mask.to_bytes(4, "big") * (size // 4 + 1)
        plain = (int.from_bytes(data, "big") ^ int.from_bytes(words[:size], "big")).to_bytes(size, "big")
        writer.write(bytes((first, short & 0x7F)) + long + plain)
        await writer.drain()
