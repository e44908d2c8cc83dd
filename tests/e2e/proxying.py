"""The proxy on a machine of its own: one namespace with an origin, a resolver, clients of several kinds.

`unshare --user --map-root-user --net --mount python -m tests.e2e.proxying FOLDER WHAT`, where WHAT is `clients` or
`browser`; prints as JSON what each client got, what the origin saw and what was recorded. Called by test_proxy.py.
"""

import http.client
import json
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from blockerd.proxy.doubt import IN_A_ROW
from blockerd.proxy.process import resident
from tests.e2e.browsing import browser
from tests.e2e.install import NXDOMAIN, alive, kill, members, wait_until
from tests.e2e.proxied import (
    LATER,
    LISTED,
    MIXED,
    NAMES,
    NOTED,
    OPEN,
    PINNED,
    QUIET,
    ROOM,
    RULES,
    Home,
    Machine,
    children,
    head,
    listens,
    started,
)
from tests.e2e.stub import ADDRESS, Stub
from tests.fakes.origin import Origin

NEAR = ("127.0.0.1", "[::1]", "0.0.0.0", "2130706433", "localhost", "169.254.1.1", "10.0.0.1", "nas.home.test")
FRAMES, FRAME = 80, 65_000
"""WebSocket frames that come back, and the octets of each."""


def main(folder: Path, what: str) -> int:
    """The course of events."""
    for words in (("link", "set", "lo", "up"), ("addr", "add", f"{ADDRESS}/32", "dev", "lo")):
        subprocess.run(["ip", *words], check=True, capture_output=True)
    told: dict[str, Any] = {}
    with Stub() as stub, Home() as home, Origin(folder, ADDRESS, NAMES, 443, 80) as origin:
        machine = Machine(folder, stub.port, "", f'local_domains = {{"home.test" = "127.0.0.1:{home.port}"}}')
        (machine.var / "own").mkdir(parents=True)
        (machine.var / "own" / "url-rules.txt").write_text(RULES)
        try:
            told["install"] = machine.call("proxy-ca", "install", "--by-hand").returncode
            (machine.var / "proxy" / "upstream-ca.pem").write_bytes(origin.authority.read_bytes())
            process = machine.run()
            if what == "browser":
                told |= browser(machine, origin)
            else:
                told |= clients(machine, origin, process)
                told["without policy"] = without_policy(folder, stub.port, origin)
        finally:
            machine.end()
            told["said"] = machine.said()[-3000:]
    sys.stdout.write(json.dumps(told))
    return 0


def clients(machine: Machine, origin: Origin, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Everything but the browser."""
    told: dict[str, Any] = {"mode of key": oct((machine.root.parent / "mitmproxy-ca.pem").stat().st_mode & 0o777)}
    for part in (plain, opened, shaped, near, notice, cut, downloads, checked):
        began = time.monotonic()
        told[part.__name__] = part(machine, origin)
        told[f"{part.__name__} took"] = round(time.monotonic() - began, 1)
    told["status"] = json.loads(machine.call("status", "--json").stdout)
    told["killed"] = killed(machine, process)
    wait_until(lambda: any(one["channel"] == "proxy" for one in machine.log()))
    told["recorded"] = [[one["names"], one["category"], one["channel"]] for one in machine.log()]
    told["spool"] = b"board" in b"".join(p.read_bytes() for p in machine.var.rglob("*.seg"))
    told["root"] = json.loads(machine.call("proxy-ca", "status", "--json").stdout)
    told["ended"] = ended(process)
    machine.start("dns")
    machine.wait_answering()
    told["faults"] = faults(machine, origin)
    return told


def plain(machine: Machine, origin: Origin) -> dict[str, Any]:
    """Hosts without rules: by curl and an HTTP library, plain and TLS."""
    before = origin.accepted
    got: dict[str, Any] = {
        "listed": machine.curl(f"https://{LISTED}/"),
        "listed http": machine.curl(f"http://{LISTED}/page"),
        "listed by host header": machine.curl(f"http://{OPEN}/", "-H", f"Host: {LISTED}"),
        "listed post": machine.curl(f"http://{LISTED}/page", "-d", "a" * 100_000),
        "listed websocket": machine.curl(f"http://{LISTED}/ws", *_upgrade()),
    }
    got["connections for listed"] = origin.accepted - before
    got["open"] = machine.curl(f"https://{OPEN}/x", trust=origin.authority)
    got["open http"] = machine.curl(f"http://{OPEN}/y")
    got["post"] = machine.curl(f"http://{OPEN}/z", "-d", "a" * 100_000)
    got["issuer"] = machine.issuer(OPEN, OPEN, origin.authority)
    got["library"] = _library(machine, origin)
    got["handshakes"] = dict(origin.handshakes)
    return got


def opened(machine: Machine, origin: Origin) -> dict[str, Any]:
    """A host with rules is decrypted; one whose client does not take our certificate passes from then on."""
    got: dict[str, Any] = {
        "board": machine.curl(f"https://{MIXED}/board/1", trust=machine.root),
        "encoded": machine.curl(f"https://{MIXED}/x/../%42oard", "--path-as-is", trust=machine.root),
        "other": machine.curl(f"https://{MIXED}/other", trust=machine.root),
        "h1": machine.curl(f"https://{MIXED}/other", "--http1.1", trust=machine.root),
        "below": machine.curl(f"https://www.{MIXED}/board", trust=machine.root),
        "issuer": machine.issuer(MIXED, MIXED, machine.root),
        "websocket": _frames(machine, MIXED),
        "pinned first": machine.issuer(PINNED, PINNED, origin.authority),
    }
    wait_until((machine.var / "proxy" / "passed.json").exists, 5, machine.said)
    for _ in range(IN_A_ROW):
        _hang_up(machine, QUIET)
    _hang_up(machine, MIXED)
    wait_until(lambda: QUIET in (machine.var / "proxy" / "passed.json").read_text(), 5, machine.said)
    got["quiet then"] = machine.issuer(QUIET, QUIET, origin.authority)
    got["pinned then"] = machine.issuer(PINNED, PINNED, origin.authority)
    got["origin saw"] = [one for one in origin.requests if "oard" in one]
    return got


def shaped(machine: Machine, origin: Origin) -> dict[str, Any]:
    """Handshakes that name another host than was asked for, addresses, handshakes in pieces."""
    before = origin.handshakes[LISTED]
    got = {
        "other sni": machine.issuer(OPEN, LISTED, origin.authority),
        "address, listed sni": machine.issuer(ADDRESS, LISTED, origin.authority),
        "address, open sni": machine.issuer(ADDRESS, OPEN, origin.authority),
        "ruled host, other sni": machine.issuer(MIXED, OPEN, origin.authority),
        **{
            f"first {first} octets, {sni}": _in_pieces(machine, sni, first)
            for first in (1, 2, 4, 50)
            for sni in (LISTED, OPEN)
        },
        "plain in a tunnel, in pieces": _plain_in_pieces(machine),
        "ssh": _raw(machine, b"SSH-2.0-test\r\n"),
        "amqp": _raw(machine, b"AMQP\0\0\x09\x01"),
    }
    return {**got, "handshakes": origin.handshakes[LISTED] - before}


def near(machine: Machine, origin: Origin) -> dict[str, Any]:
    """What leads to this machine or into the home."""
    port, got = machine.proxy_port, dict[str, Any]()
    for host in NEAR:
        tunnel = machine.curl(f"https://{host}:{port}/")
        got[f"CONNECT {host}"], got[f"exit {host}"] = tunnel["connect"], tunnel["exit"]
        got[host] = machine.curl(f"http://{host}:{port}/")["code"]
    assert not _recorded(machine, ADDRESS)
    got["own port"] = machine.curl(f"http://{ADDRESS}:{port}/")["code"]
    wait_until(lambda: _recorded(machine, ADDRESS), 5, machine.said)
    return got


def cut(machine: Machine, origin: Origin) -> dict[str, Any]:
    """Open tunnels end when a block begins, passed and decrypted ones; others go on."""
    context = ssl.create_default_context(cafile=str(origin.authority))
    with (
        context.wrap_socket(machine.tunnel(LATER), server_hostname=LATER) as shut,
        context.wrap_socket(machine.tunnel(OPEN), server_hostname=OPEN) as stays,
        _websocket(machine, ROOM) as room,
    ):
        assert machine.call("block", LATER, ROOM).returncode == 0
        began = time.monotonic()
        shut.settimeout(5)
        ended = shut.recv(1) == b""
        took = time.monotonic() - began
        room.settimeout(5)
        assert room.recv(1) == b"", "a WebSocket inside a decrypted connection"
        stays.sendall(f"GET /still HTTP/1.1\r\nHost: {OPEN}\r\n\r\n".encode())
        return {"ended": ended, "seconds": took, "other": b"200 OK" in stays.recv(4096)}


def notice(machine: Machine, origin: Origin) -> str:
    """Over HTTPS a listed host has no page of ours: the agent is told."""
    last = _ask(machine, {"do": "notices", "after": 0})["last"]
    machine.curl(f"https://{NOTED}/")
    return str(_ask(machine, {"do": "notices", "after": last})["notices"][0]["site"])


def checked(machine: Machine, origin: Origin) -> dict[str, bool]:
    """What `check` says about pages that the clients have asked for."""
    pages = (f"https://{LISTED}/", f"https://{MIXED}/board/1", f"https://{MIXED}/other", f"https://{OPEN}/x")
    rows = json.loads(machine.call("check", "--json", *pages).stdout)
    return {page: row["blocked"] for page, row in zip(pages, rows, strict=True)}


def downloads(machine: Machine, origin: Origin) -> dict[str, int]:
    """Large bodies arrive whole, passed and decrypted."""
    return {
        "passed": machine.curl(f"https://{OPEN}/big?32", "--http1.1", "-o", "/dev/null", trust=origin.authority)[
            "size"
        ],
        "decrypted": machine.curl(f"https://{MIXED}/big?32", "--http1.1", "-o", "/dev/null", trust=machine.root)[
            "size"
        ],
    }


def killed(machine: Machine, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """mitmdump comes again after its death and after that of the process around it; names are answered meanwhile."""
    pages = []
    for what in ("mitmdump", "proxy"):
        parent = machine.pid("proxy")
        (child,) = children(parent)
        kill(child if what == "mitmdump" else parent, signal.SIGKILL)
        assert machine.rcode("blocked.example") == NXDOMAIN
        wait_until(lambda gone=child: not alive(gone), 5)  # type: ignore[misc]
        wait_until(lambda: listens(machine.proxy_port), 30, machine.said)
        pages.append(machine.curl(f"http://{OPEN}/again")["code"])
    everybody = members(process.pid)
    return {"pages": pages, "children": len(everybody)}


def ended(process: subprocess.Popen[bytes]) -> dict[str, float]:
    """Told to end, the daemon ends with all of its processes."""
    everybody, began = members(process.pid), time.monotonic()
    process.terminate()
    return {"code": process.wait(10), "seconds": time.monotonic() - began, "left": sum(map(alive, everybody))}


def faults(machine: Machine, origin: Origin) -> dict[str, Any]:
    """A gate that raises in its rules, and one that raises in every hook: listed stays shut, others flow."""
    found: dict[str, Any] = {}
    for fault in ("rules", "hooks"):
        with started(machine, f"faulty_{fault}.py"):
            found[fault] = {
                "listed": machine.curl(f"https://{LISTED}/")["connect"],
                "listed http": machine.curl(f"http://{LISTED}/")["code"],
                "address, listed sni": machine.issuer(ADDRESS, LISTED, origin.authority),
                "open": machine.issuer(OPEN, OPEN, origin.authority),
                "open http": machine.curl(f"http://{OPEN}/")["code"],
            }
    with started(machine, "", "socks5"):
        found["socks"] = {sni: _socks(machine, sni, origin.authority) for sni in (LISTED, OPEN)}
    return found


def without_policy(folder: Path, upstream: int, origin: Origin) -> dict[str, Any]:
    """Proxies that have no policy: what `proxy.on_policy_error` says."""
    machines = {}
    for what in ("block", "pass"):
        (folder / what).mkdir()
        machines[what] = Machine(folder / what, upstream, f'on_policy_error = "{what}"\n')
        machines[what].start("proxy")
    try:
        for machine in machines.values():
            wait_until(lambda port=machine.proxy_port: listens(port), 30, machine.said)  # type: ignore[misc]
        return {what: [machine.curl(f"https://{OPEN}/", trust=origin.authority)["connect"],
                       machine.curl(f"http://{LISTED}/")["code"]] for what, machine in machines.items()}  # fmt: skip
    finally:
        for machine in machines.values():
            machine.end()


def _upgrade() -> list[str]:
    told = (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    )
    return ["--http1.1", *(word for one in told for word in ("-H", one))]


def _library(machine: Machine, origin: Origin) -> dict[str, Any]:
    """Python's own HTTP library through the proxy, and httpx2."""
    context = ssl.create_default_context(cafile=str(origin.authority))
    link = http.client.HTTPSConnection("127.0.0.1", machine.proxy_port, context=context, timeout=10)
    link.set_tunnel(OPEN, 443)
    link.request("GET", "/library")
    status = link.getresponse().status
    refused = http.client.HTTPSConnection("127.0.0.1", machine.proxy_port, context=context, timeout=10)
    refused.set_tunnel(LISTED, 443)
    return {"open": status, "listed": _error(lambda: refused.request("GET", "/")), "httpx2": _httpx2(machine, origin)}


def _httpx2(machine: Machine, origin: Origin) -> list[object]:
    """The versions and statuses of an open page, a decrypted one and a withheld one; why there is none of a listed
    host."""
    found: list[object] = []
    wanted = (OPEN, origin.authority), (MIXED, machine.root), (f"{MIXED}/board", machine.root), (LISTED, machine.root)
    for page, trust in wanted:
        context = ssl.create_default_context(cafile=str(trust))
        with httpx2.Client(proxy=f"http://127.0.0.1:{machine.proxy_port}", verify=context, http2=True) as client:
            try:
                reply = client.get(f"https://{page}")
                found.append([reply.http_version, reply.status_code])
            except httpx2.ProxyError as error:
                found.append(str(error))
    return found


def _error(call: Callable[[], object]) -> str:
    try:
        call()
    except OSError as error:
        return str(error)
    return ""


def _websocket(machine: Machine, host: str) -> ssl.SSLSocket:
    """A WebSocket through a decrypted connection."""
    context = ssl.create_default_context(cafile=str(machine.root))
    tls = context.wrap_socket(machine.tunnel(host), server_hostname=host)
    words = "\r\n".join(_upgrade()[2::2])
    tls.sendall(f"GET /ws HTTP/1.1\r\nHost: {host}\r\n{words}\r\n\r\n".encode())
    assert b" 101 " in head(tls)
    return tls


def _frames(machine: Machine, host: str) -> dict[str, float]:
    """How many of FRAMES frames come back through a decrypted connection, and by how many MB mitmdump has grown."""
    size = b"\x7e" + FRAME.to_bytes(2, "big")
    sent, wanted = b"\x82" + bytes((size[0] | 0x80,)) + size[1:] + bytes(4) + bytes(FRAME), 4 + FRAME
    (pid,) = children(machine.pid("proxy"))
    with _websocket(machine, host) as tls:
        back = 0
        before = resident(pid)
        for _ in range(FRAMES):
            tls.sendall(sent)
            left = wanted
            while left and (piece := tls.recv(left)):
                left -= len(piece)
            back += not left
        return {"back": back, "grown": (resident(pid) - before) / 2**20}


def _recorded(machine: Machine, text: str) -> bool:
    """True once `text` stands in the journal."""
    return any(text.encode() in path.read_bytes() for path in machine.var.glob("journal.sqlite*"))


def _ask(machine: Machine, request: dict[str, Any]) -> dict[str, Any]:
    """One request to control's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(20)
        sock.connect(str(machine.var / "run" / "control.sock"))
        sock.sendall(json.dumps(request).encode() + b"\n")
        got: dict[str, Any] = json.loads(sock.makefile("rb").readline())
        return got


def _hello(sni: str) -> bytes:
    inside, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    try:
        context.wrap_bio(inside, out, server_hostname=sni).do_handshake()
    except ssl.SSLWantReadError:
        return out.read()
    raise AssertionError("no hello")


def _hang_up(machine: Machine, sni: str) -> None:
    """A client that sees our certificate and goes away without a word."""
    with machine.tunnel(sni) as sock:
        sock.sendall(_hello(sni))
        assert sock.recv(1) == b"\x16"


def _in_pieces(machine: Machine, sni: str, first: int) -> str:
    """A handshake sent in two pieces: whether the origin answers."""
    hello = _hello(sni)
    with machine.tunnel(ADDRESS) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(hello[:first])
        sock.settimeout(0.05)
        try:
            assert not sock.recv(1)
        except TimeoutError:
            sock.settimeout(5)
        sock.sendall(hello[first:])
        return "answered" if sock.recv(1) == b"\x16" else "closed"


def _plain_in_pieces(machine: Machine) -> list[str]:
    """Plain HTTP for a listed host, inside a tunnel to an address, its first letters alone: the status lines."""
    found = []
    for first in (1, 3, 9):
        with machine.tunnel(ADDRESS, 80) as sock:
            text = f"PROPPATCH /page HTTP/1.1\r\nHost: {LISTED}\r\n\r\n".encode()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(text[:first])
            sock.settimeout(0.05)
            try:
                assert not sock.recv(1)
            except TimeoutError:
                sock.settimeout(5)
            sock.sendall(text[first:])
            found.append(head(sock).split(b"\r\n")[0].decode())
    return found


def _raw(machine: Machine, first: bytes) -> bool:
    """A tunnel that carries no TLS and no HTTP is passed on as it is; the origin does not like it and ends it."""
    with machine.tunnel(OPEN) as sock:
        sock.sendall(first)
        try:
            sock.recv(64)
        except TimeoutError:
            return False
        return True


def _socks(machine: Machine, sni: str, trust: Path) -> str:
    """Who signed what a client sees that asks for an address by SOCKS, as in the modes where no name is asked for."""
    context = ssl.create_default_context(cafile=str(trust))
    try:
        with socket.create_connection(("127.0.0.1", machine.proxy_port), 10) as sock:
            sock.sendall(b"\5\1\0")
            assert sock.recv(2) == b"\5\0"
            sock.sendall(b"\5\1\0\1" + socket.inet_aton(ADDRESS) + (443).to_bytes(2, "big"))
            assert sock.recv(10)[1] == 0
            with context.wrap_socket(sock, server_hostname=sni) as tls:
                return str(tls.version())
    except OSError:
        return "closed"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
