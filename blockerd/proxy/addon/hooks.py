"""The hooks of mitmproxy, thin over the gate: the one module that knows mitmproxy (11.0.2 on Python 3.11, 12.2.3 and
later on 3.12). Refuses nothing by itself: every answer is the gate's, and a surprise here falls back to the decision by
name. Loaded through `load.py` by mitmdump, which `proxy.process` starts in the proxy's own environment.
"""

import asyncio
import functools
import logging
import os
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from mitmproxy import certs, ctx, http
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers import TCPLayer
from mitmproxy.proxy.layers.tls import parse_client_hello

from blockerd import clock
from blockerd.process import Lifeline
from blockerd.proxy import blockpage, ca, resolve
from blockerd.proxy.decide_url import Verdict
from blockerd.proxy.gate import Gate, Refusal, Way
from blockerd.proxy.manifest import ca_folder
from blockerd.proxy.opening import undecided
from blockerd.proxy.record import Recorder
from blockerd.proxy.url import BadUrl, Url, of
from blockerd.settings import load

log = logging.getLogger(__name__)

TICK = 0.25
_HELLO_MOST = 65536
_NOT_TRUSTED = "The client does not trust"

Hook = TypeVar("Hook", bound=Callable[..., None])
Theirs = Any
"""An object of mitmproxy's, whose types differ between the two versions that are supported."""


class Closed(layer.Layer):
    """Ends the client's connection, whatever comes."""

    def _handle_event(self, event: events.Event) -> Generator[commands.Command, None, None]:
        yield commands.CloseConnection(self.context.client)


@dataclass(slots=True)
class Open:
    """A client's connection: the hosts it is for, the URLs last asked for, whether it is decrypted; `opens` is then its
    host and `began` when (monotonic seconds); `silent` is True until something was asked for, or we ended it."""

    hosts: set[str] = field(default_factory=set)
    urls: dict[str, Url] = field(default_factory=dict)
    opened: bool = False
    opens: str = ""
    began: float = 0.0
    silent: bool = True


def steady(hook: Hook) -> Hook:
    """A surprise in `hook` is told and leaves the rest of the proxy alone; what the hook judged is judged by name."""

    @functools.wraps(hook)
    def guarded(self: "Addon", data: Theirs) -> None:
        try:
            hook(self, data)
        except Exception:
            self.told(hook.__name__)
            self.by_name_alone(hook.__name__, data)

    return guarded  # type: ignore[return-value]  # it takes what `hook` takes, which the checker cannot see


class Addon:
    """One proxy process."""

    gate_type: ClassVar[type[Gate]] = Gate

    def __init__(self) -> None:
        self._open: dict[str, Open] = {}
        self._leafs: dict[str, ca.Leaf] = {}
        self._root: tuple[str, ca.Root] | None = None
        self._surprises: set[str] = set()
        self._ticking: asyncio.Task[None] | None = None

    def load(self, loader: Any) -> None:  # noqa: ANN401 - mitmproxy's own
        """Reads the settings that `proxy.process` names in the option."""
        loader.add_option("blockerd_config", str, "", "configuration file of blockerd; empty: the defaults")

    def configure(self, updated: set[str]) -> None:
        """Begins to follow the policy: before the port is taken, so that no request comes to an empty gate."""
        if self._ticking is None and "blockerd_config" in updated:
            self._begin()

    def running(self) -> None:
        """Everything is bound."""
        self._lifeline.say("ready")

    def _begin(self) -> None:
        name = str(ctx.options.blockerd_config)
        self._settings = load(Path(name) if name else None, os.environ, Path.cwd())
        self._recorder = Recorder(self._settings)
        self.gate = self.gate_type(self._settings, self._recorder)
        self.gate.tick(clock.now())
        loop = asyncio.get_running_loop()
        # Ours asks theirs, so that ours has the last word: theirs would choose where ours waits for more.
        self._theirs = ctx.master.addons.get("nextlayer")
        ctx.master.addons.remove(self._theirs)
        self._lifeline = Lifeline.from_environment()
        self._lifeline.watch(loop, ctx.master.shutdown)
        servers = [(_here(one.host), one.port) for one in self._settings.dns.listen if one.port]
        listen = (*self._settings.dns.listen, self._settings.proxy.listen, self._settings.web.listen)
        self._own_ports = {one.port for one in listen}
        loop.getaddrinfo = resolve.guard(  # type: ignore[method-assign,assignment]
            servers, loop.getaddrinfo, self._near, self._own_ports
        )
        self._ticking = loop.create_task(self._tick_for_ever())

    def done(self) -> None:
        """The last words."""
        if self._ticking:
            self._ticking.cancel()
            self._ticking = None
            self._open.clear()
            self.gate.close()
            _end_quietly(asyncio.get_running_loop())

    async def _tick_for_ever(self) -> None:
        while True:
            try:
                if self.gate.tick(clock.now()):
                    self._judge_again()
            except Exception:  # the timer outlives what it could not do this time
                self.told("the timer")
            await asyncio.sleep(TICK)

    def _judge_again(self) -> None:
        """Cuts the connections that a change has closed or that are to be opened from now on."""
        handlers = ctx.master.addons.get("proxyserver").connections
        for handler in list(handlers.values()):
            held = self._open.get(handler.client.id)
            if held and not self.gate.goes_on(held.hosts, held.urls.values(), opened=held.opened):
                self.gate.counters.cut += 1
                held.silent = False
                for io in list(handler.transports.values()):
                    if io.handler:
                        io.handler.cancel("withheld from now on")

    def told(self, where: str) -> None:
        """Tells a surprise: the first in a place with where it came from, the others in a line."""
        log.error("surprise in %s", where, exc_info=where not in self._surprises)
        self._surprises.add(where)

    def client_disconnected(self, client: Theirs) -> None:
        """Forgets the connection."""
        held = self._open.pop(client.id, None)
        if held and held.opened and held.silent:
            self.gate.gave_up(held.opens, held.began)

    @steady
    def http_connect(self, flow: http.HTTPFlow) -> None:
        """CONNECT: a host that is withheld gets no connection at all."""
        host = flow.request.host
        refusal = self.gate.connect((host,), _peer(flow.client_conn))
        if refusal:
            flow.response = _response(refusal)
        else:
            self._held(flow.client_conn).hosts.add(host)

    @steady
    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        """What runs inside a tunnel: TLS is judged by its SNI; what is neither TLS nor HTTP passes untouched."""
        context, data = nextlayer.context, nextlayer.data_client()
        inside = context.server.address is not None and not context.client.tls_established
        if inside and context.client.transport_protocol == "tcp":
            if starts_like_tls_record(data):
                nextlayer.layer = self._tls(nextlayer, data)
                return
            if data and undecided(data):
                return
        self._theirs.next_layer(nextlayer)
        if inside and isinstance(nextlayer.layer, TCPLayer):
            nextlayer.layer = TCPLayer(context, ignore=True)

    def _tls(self, nextlayer: layer.NextLayer, data: bytes) -> layer.Layer | None:
        context = nextlayer.context
        try:
            hello = parse_client_hello(data)
        except ValueError:
            return TCPLayer(context, ignore=True)  # no handshake that we know; its host was judged already
        if hello is None:
            return None if len(data) < _HELLO_MOST else Closed(context)
        asked, sni = context.server.address[0], hello.sni or ""
        way = self.gate.way(asked, sni, _peer(context.client))
        if way is Way.CLOSE:
            return Closed(context)
        held = self._held(context.client)
        held.hosts |= {asked, sni} - {""}
        if way is Way.PASS:
            return TCPLayer(context, ignore=True)
        self._give_leaf(sni)
        held.opened, held.opens, held.began = True, sni, clock.monotonic()
        self._theirs.next_layer(nextlayer)
        chosen: layer.Layer | None = nextlayer.layer
        return chosen

    def tls_clienthello(self, data: Theirs) -> None:
        """A second belt: a connection that was not chosen to be opened is not opened."""
        if not self._held(data.context.client).opened:
            data.ignore_connection = True

    @steady
    def tls_failed_client(self, data: Theirs) -> None:
        """A client that says that it does not take our certificate: its host passes from now on."""
        if (data.conn.error or "").startswith(_NOT_TRUSTED) and data.conn.sni:
            self._held(data.context.client).silent = False
            self.gate.refuses_certificate(data.conn.sni)

    @steady
    def server_connect(self, data: Theirs) -> None:
        """Addresses of this machine and the home are not reached; names are looked at again when they are resolved."""
        host, port = data.server.address[:2]
        address = resolve.literal(host)
        if address and (resolve.is_near(address) or (port in self._own_ports and resolve.is_own(address))):
            self.gate.near(host)
            data.server.error = "leads to this machine or into the home"

    @steady
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """A request that we can read: plain HTTP, or one inside an opened connection."""
        request = flow.request
        request.stream = True
        hosts = (request.host, _host_of(request.host_header), flow.client_conn.sni or "")
        found = self.gate.request(hosts, request.scheme, request.port, request.path, _peer(flow.client_conn))
        if isinstance(found, Refusal):
            request.stream = False
            flow.response = _response(found)
            self._remember(flow, ())
            return
        if isinstance(found, Verdict):
            for key, value in found.sets:
                request.query[key] = value
        self._remember(flow, hosts)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Bodies are handed on as they come."""
        if flow.response is not None and flow.response.status_code != 101:
            flow.response.stream = True

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        """Frames are not kept."""
        if flow.websocket is not None:
            del flow.websocket.messages[:-1]

    def tcp_message(self, flow: Theirs) -> None:
        """Nor are pieces of other protocols inside an opened connection."""
        del flow.messages[:-1]

    def by_name_alone(self, hook: str, data: Theirs) -> None:
        """What stands in for a hook that could not judge: the names decide, and without them this one is refused."""
        if hook == "http_connect" or hook == "requestheaders":
            hosts = (data.request.host, _host_of(data.request.host_header))
            refusal = self._plainly(hosts)
            data.request.stream = refusal is None and hook == "requestheaders"
            if refusal:
                data.response = _response(refusal)
        elif hook == "next_layer":
            context = data.context
            if context.server.address is None:
                self._theirs.next_layer(data)
                return
            hello = _hello(data.data_client())
            shut = self._plainly((context.server.address[0], (hello.sni if hello else "") or ""))
            data.layer = Closed(context) if shut else TCPLayer(context, ignore=True)
        elif hook == "server_connect":
            data.server.error = "could not be judged"

    def _plainly(self, hosts: tuple[str, ...]) -> Refusal | None:
        try:
            return self.gate.connect(hosts, "")
        except Exception:  # not even by name: this request alone is refused
            self.told("the decision by name")
            return Refusal(403, blockpage.refusal("This could not be decided.", None))

    def _remember(self, flow: http.HTTPFlow, hosts: tuple[str, ...]) -> None:
        held = self._held(flow.client_conn)
        held.silent = False
        if held.opened:
            self.gate.asked(held.opens)
        for host in filter(None, hosts):
            held.hosts.add(host)
            try:
                held.urls[host] = of(flow.request.scheme, host, flow.request.port, flow.request.path)
            except BadUrl:
                continue

    def _near(self, host: str) -> None:
        self.gate.near(host)

    def _held(self, client: Theirs) -> Open:
        return self._open.setdefault(client.id, Open())

    def _give_leaf(self, host: str) -> None:
        """Puts our own leaf for `host` where mitmproxy looks for one, so that it signs none itself."""
        now, print_ = clock.now(), self.gate.source.manifest.fingerprint
        if self._root is None or self._root[0] != print_:
            self._root = (print_, ca.load(ca_folder(self._settings)))
            self._leafs.clear()
        leaf = self._leafs.get(host)
        if leaf is None or leaf.renew_at <= now:
            leaf = self._leafs[host] = ca.make_leaf(self._root[1], host, now)
            entry = certs.CertStoreEntry(certs.Cert(leaf.certificate), leaf.key, None, [])
            ctx.master.addons.get("tlsconfig").certstore.certs[host] = entry


def _end_quietly(loop: asyncio.AbstractEventLoop) -> None:
    """Connections that are cut by the end are no error (Python 3.11 tells of each with a traceback)."""
    tell = loop.call_exception_handler

    def told(context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), asyncio.CancelledError):
            tell(context)

    loop.call_exception_handler = told  # type: ignore[method-assign]  # asyncio has no other way to tell less


def _response(refusal: Refusal) -> http.Response:
    return http.Response.make(refusal.status, refusal.page, dict(blockpage.HEADERS))


def _peer(client: Theirs) -> str:
    return str(client.peername[0]) if client.peername else ""


def _host_of(header: str | None) -> str:
    """The host in a Host header, without port and brackets."""
    text = (header or "").strip()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


def _here(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def _hello(data: bytes) -> Theirs:
    try:
        return parse_client_hello(data)
    except ValueError:
        return None
