"""An install with a proxy, its own name server of the home, and plain looks at connections through it.

Called by the end-to-end tests of the proxy (`proxying`, `browsing`), inside a network of their own.
"""

import os
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

from blockerd.proxy.environment import Environment, checkout_folder
from blockerd.proxy.process import command
from blockerd.settings import load
from tests.e2e.install import Install, free_port, wait_until
from tests.e2e.stub import Stub

LISTED, OPEN, MIXED, PINNED, LATER = "cam.listed.test", "open.test", "mixed.test", "pinned.test", "later.test"
ROOM, NOTED, QUIET = "room.test", "noted.test", "quiet.test"
RULES = f"||{MIXED}/board^\n||{PINNED}/board^\n||{MIXED}/never\n||{ROOM}/board^\n||{QUIET}/board^\n"
NAMES = (LISTED, OPEN, MIXED, f"www.{MIXED}", PINNED, LATER, ROOM, NOTED, QUIET)


class Machine(Install):
    """An install with a proxy."""

    def __init__(self, folder: Path, upstream: int, config: str, dns: str = "") -> None:
        self.proxy_port = free_port()
        super().__init__(folder, upstream, dns=dns)
        source = self.add_list("cams", f"listed.test\n{NOTED}\n", "cam")
        self.configure(f'{source}[privacy]\nlevel = "name"\n[proxy]\nenabled = true\n'
                       f'listen = "127.0.0.1:{self.proxy_port}"\n{config}')  # fmt: skip
        self.root = self.var / "proxy" / "ca" / "blockerd-ca.crt"

    def run(self) -> subprocess.Popen[bytes]:
        """Starts the daemon and waits until the filter answers and the proxy listens."""
        process = super().run()
        wait_until(lambda: listens(self.proxy_port), 30, self.said)
        return process

    def curl(self, url: str, *words: str, trust: Path | None = None) -> dict[str, Any]:
        """What curl gets: exit code, status of CONNECT and of the page, HTTP version, the page's text."""
        done = subprocess.run(
            ["curl", "-sS", "-m", "10", "-x", f"http://127.0.0.1:{self.proxy_port}", *words,
             *(["--cacert", str(trust)] if trust else []),
             "-w", "\n%{http_connect} %{http_code} %{http_version} %{size_download}", url],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        page, _, told = done.stdout.rpartition("\n")
        connect, code, version, size = told.split()
        return {"exit": done.returncode, "connect": int(connect), "code": int(code), "version": version,
                "size": int(size), "page": page[-2000:]}  # fmt: skip

    def tunnel(self, host: str, port: int = 443) -> socket.socket:
        """A tunnel to `host`; raises OSError where the proxy refuses it."""
        sock = socket.create_connection(("127.0.0.1", self.proxy_port), 10)
        sock.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        if b" 200 " not in head(sock).split(b"\r\n")[0]:
            raise ConnectionRefusedError("not 200")
        return sock

    def issuer(self, asked: str, sni: str, trust: Path) -> str:
        """Who signed what a client sees; "closed" where the handshake ends without a certificate."""
        context = ssl.create_default_context(cafile=str(trust))
        try:
            with self.tunnel(asked) as sock, context.wrap_socket(sock, server_hostname=sni) as tls:
                names = (tls.getpeercert() or {}).get("issuer", ())
                return str(dict(pair for part in names for pair in part)["organizationName"])  # type: ignore[misc]
        except ssl.SSLCertVerificationError:
            return "not trusted"
        except OSError:
            return "closed"


class Home(Stub):
    """A name server of the home: every name is at 127.0.0.1."""

    def _serve(self) -> None:
        while True:
            packet, client = self._sock.recvfrom(4096)
            if not packet:
                return
            question = packet[12 : packet.index(b"\0", 12) + 5]
            is_a = question[-4:-2] == b"\0\1"
            record = b"\xc0\x0c\0\1\0\1\0\0\0\x1e\0\4\x7f\0\0\1" if is_a else b""
            self._sock.sendto(
                packet[:2] + b"\x81\x80\0\1\0" + bytes((int(is_a),)) + bytes(4) + question + record, client
            )


class started:
    """mitmdump with another script or mode, on the machine's port."""

    def __init__(self, machine: Machine, script: str, mode: str = "regular") -> None:
        folder = checkout_folder()
        assert folder
        words = command(load(machine.file, {}, machine.folder), Environment(folder), mode)
        if script:
            words[words.index("-s") + 1] = str(Path(__file__).with_name(script))
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        with (machine.folder / "said.txt").open("ab") as said:
            self._process = subprocess.Popen(words, env=environment, stdout=said, stderr=said, cwd=machine.folder)
        wait_until(lambda: listens(machine.proxy_port), 20, machine.said)

    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
    except OSError:
        return False
    return True


def head(sock: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(1)
        if not piece:
            raise ConnectionResetError("ended")
        data += piece
    return data


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
