"""Unbound and Knot Resolver as forwarders on loopback, with the same upstream as the resolver under trial.

Validation is off in both, as it is in ours: the upstream validates. Called by the comparison of answers.
"""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.install import free_port, wait_until
from tests.fakes.packets import query

_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"

UNBOUND = """server:
  interface: 127.0.0.1
  port: {port}
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  do-ip6: no
  module-config: "iterator"
  do-not-query-localhost: no
  rrset-roundrobin: no
remote-control:
  control-enable: no
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{upstream}
"""
KNOT = """net.listen("127.0.0.1", {port}, {{ kind = "dns" }})
net.ipv6 = false
trust_anchors.remove(".")
cache.size = 64 * MB
policy.add(policy.all(policy.STUB("127.0.0.1@{upstream}")))
"""


def path(program: str) -> str:
    """Where a program of the system is; empty where it is not."""
    return shutil.which(program) or shutil.which(program, path=_SBIN) or ""


@contextmanager
def unbound(folder: Path, upstream: int) -> Iterator[int]:
    """The port of a running Unbound."""
    port = _written(folder, "unbound.conf", UNBOUND, upstream)
    with _running([path("unbound"), "-d", "-c", str(folder / "unbound.conf")], folder, port):
        yield port


@contextmanager
def knot(folder: Path, upstream: int) -> Iterator[int]:
    """The port of a running Knot Resolver."""
    port = _written(folder, "kresd.conf", KNOT, upstream)
    command = [path("kresd"), "--noninteractive", "--quiet", "--config", str(folder / "kresd.conf"), str(folder)]
    with _running(command, folder, port):
        yield port


def _written(folder: Path, name: str, text: str, upstream: int) -> int:
    folder.mkdir(parents=True)
    port = free_port()
    (folder / name).write_text(text.format(port=port, upstream=upstream, folder=folder))
    return port


@contextmanager
def _running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    with (folder / "said.txt").open("wb") as said:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        wait_until(lambda: _answers(port), 20, lambda: (folder / "said.txt").read_text()[-1000:])
        yield
    finally:
        process.kill()
        process.wait(10)


def _answers(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.5)
        sock.connect(("127.0.0.1", port))
        try:
            sock.send(query("ready.alike.example"))
            return len(sock.recv(512)) >= 12
        except OSError:
            return False
