"""Every connection of every process of a running install, as the kernel saw it, beside what its settings name."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from blockerd.report.consent import WORDS
from tests.e2e.install import NOERROR, NXDOMAIN, Install
from tests.e2e.stub import Stub
from tests.e2e.test_sharing import ADDRESS, CONFIG, SECRET
from tests.fakes.mailserver import MailServer, closed_port, server_of
from tests.fakes.sharing import code_in, mail

pytestmark = [pytest.mark.once, pytest.mark.needs_tool("strace", package="strace")]
PEER = re.compile(
    r"(\w+)\(.*?sa_family=AF_INET6?, sin6?_port=htons\((\d+)\), "
    r"(?:sin_addr=inet_addr\(\"([^\"]+)\"\)|.*?inet_pton\(AF_INET6, \"([^\"]+)\")"
)
SENDS = "connect,sendto,sendmsg,sendmmsg"


@pytest.fixture
def server() -> Iterator[MailServer]:
    server = server_of(password=SECRET.encode())
    with server.running():
        yield server


@pytest.fixture
def stub() -> Iterator[Stub]:
    with Stub() as stub:
        yield stub


class Watched(Install):
    """An install whose processes run under strace."""

    def command(self, *words: str) -> list[str]:
        plain = super().command(*words)
        trace = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", f"trace={SENDS}", "-o", str(self.folder / "trace")]
        return [*trace, *plain] if words == ("run",) else plain

    def peers(self) -> dict[str, set[tuple[str, int]]]:
        """(address, port) of everything that was addressed, by system call."""
        found: dict[str, set[tuple[str, int]]] = {}
        for line in (self.folder / "trace").read_text("utf-8", errors="replace").splitlines():
            if told := PEER.search(line):
                found.setdefault(told[1], set()).add((told[3] or told[4], int(told[2])))
        return found


def watched(folder: Path, server: MailServer, stub: Stub, config: str) -> Watched:
    """It runs."""
    server.authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    install = Watched(folder, stub.port)
    install.configure(install.add_list("mine", "listed.test\n") + config)
    password = folder / "smtp-password"
    password.touch(0o600)
    password.write_text(f"{SECRET}\n")
    install.run()
    return install


def test_no_process_addresses_anything_that_the_settings_do_not_name(
    tmp_path: Path, server: MailServer, stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    install = watched(tmp_path, server, stub, CONFIG.format(port=server.port))
    try:
        assert (install.rcode("listed.test"), install.ask("open.test").rcode) == (NXDOMAIN, NOERROR)
        assert install.ask_tcp("open.test").rcode == NOERROR
        assert server.connections == 0, "nothing is agreed, so nobody is asked for anything"
        assert install.call("consent", stdin=f"{WORDS}\n").returncode == 0
        assert install.call("partner", "invite", "Robin").returncode == 0
        assert install.call("report", "send").returncode == 0
        assert install.call("partner", "accept", "Robin", code_in(mail(server.to(ADDRESS)[0]))).returncode == 0
        assert install.call("report", "send").returncode == 0
        assert len(server.to(ADDRESS)) == 2
        peers = install.peers()
    finally:
        install.end()
    named = {("127.0.0.1", stub.port), ("127.0.0.1", server.port)}
    looked_up = {("::1", server.port)}  # "localhost" may be either
    probes = {peer for peer in peers["connect"] if peer[1] == 0}  # how the C library orders addresses: nothing is sent
    assert named <= peers.pop("connect") - probes <= named | looked_up
    assert {host for hosts in peers.values() for host, _ in hosts} <= {"127.0.0.1"}, "answers to who asked"


def test_without_readers_nothing_but_the_upstream_is_addressed(tmp_path: Path, server: MailServer, stub: Stub):
    install = watched(tmp_path, server, stub, "")
    try:
        assert (install.rcode("listed.test"), install.ask("open.test").rcode) == (NXDOMAIN, NOERROR)
        assert install.call("report", "send").returncode == 0
        peers = install.peers()
    finally:
        install.end()
    assert peers.pop("connect") == {("127.0.0.1", stub.port)}
    assert {host for hosts in peers.values() for host, _ in hosts} <= {"127.0.0.1"}


def test_a_connection_that_is_not_named_would_be_seen(tmp_path: Path):
    """The eye itself: a TCP, a UDP and an IPv6 one."""
    install = Watched(tmp_path, closed_port())
    code = (
        "import socket\n"
        "for family, host in ((2, '127.0.0.9'), (10, '::1')):\n"
        "    for kind in (1, 2):\n"
        "        try: socket.socket(family, kind).connect((host, 9))\n"
        "        except OSError: pass\n"
        "socket.socket(2, 2).sendto(b'x', ('127.0.0.8', 9))\n"
    )
    command = install.command("run")
    strace = command[: command.index("-o") + 2]
    subprocess.run([*strace, sys.executable, "-c", code], check=True, timeout=30)
    assert install.peers() == {"connect": {("127.0.0.9", 9), ("::1", 9)}, "sendto": {("127.0.0.8", 9)}}
