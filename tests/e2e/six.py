"""A network without IPv4: the resolver, its upstream, its clients and all answers have IPv6 addresses alone.

`unshare --user --map-root-user --net --mount python -m tests.e2e.six FOLDER`; prints as JSON what was answered.
Called by test_six.py.
"""

import json
import socket
import subprocess
import sys
from pathlib import Path

from tests.e2e.install import Install, packet, wait_until
from tests.fakes import packets
from tests.fakes.packets import record, response, soa, type_of
from tests.fakes.upstream import Call, stub_upstream
from tests.trials.namespace import bind_over, up

HOME, DEVICE = "fd00:77::1", "fd00:77::30"
ADDRESSES = {
    "open.test": "2001:db8::80",
    "translated.test": "64:ff9b::c633:6407",  # 198.51.100.7 behind NAT64 (RFC 6052)
    "home.rebind.test": "fd00:77::1",
    "translated.rebind.test": "64:ff9b::c0a8:101",  # 192.168.1.1 behind NAT64
}
MANY = 100
"""Addresses of large.test: too many for a datagram."""


def _answer(call: Call) -> None:
    owner = b"\xc0\x0c"
    if type_of(call.packet) != packets.AAAA:
        call.send(response(call.packet, [], [soa("test")]))
    elif call.name.lower() != "large.test":
        data = socket.inet_pton(socket.AF_INET6, ADDRESSES.get(call.name.lower(), "2001:db8::99"))
        call.send(response(call.packet, [record(owner, packets.AAAA, data)]))
    elif call.stream:
        data = socket.inet_pton(socket.AF_INET6, "2001:db8::")[:15]
        call.send(response(call.packet, [record(owner, packets.AAAA, data + bytes([n])) for n in range(MANY)]))
    else:
        call.send(response(call.packet, flags=packets.QR | packets.TC))


def main(folder: Path) -> int:
    """The course of events."""
    up()
    install = Install(folder, 9)
    _ip("address", "del", "127.0.0.1/8", "dev", "lo")
    for address in (HOME, DEVICE):
        _ip("-6", "address", "add", f"{address}/128", "dev", "lo", "nodad")
    (folder / "resolv.conf").write_text("nameserver ::1\n")
    bind_over(str(folder / "resolv.conf"), "/etc/resolv.conf")
    with stub_upstream(_answer, host="::1") as stub:
        listed = install.add_list("adult", "listed.test\n")
        install.file.write_text(
            f'[dns]\nlisten = ["[::1]:53", "[{HOME}]:53"]\nupstreams = ["[::1]:{stub.port}"]\n'
            f"[lists]\nstarter = false\n{listed}"
        )
        try:
            built = install.call("lists", "build")
            assert built.returncode == 0, built.stderr
            install.start("dns")
            wait_until(lambda: _asked("::1", "blocked.example", 28, "udp"), said=install.said)
            said: dict[str, list[int] | str | list[str]] = {
                f"{name} {kind} {server} {way}": _asked(server, name, number, way)
                for name in (*ADDRESSES, "listed.test", "large.test")
                for kind, number in (("A", 1), ("AAAA", packets.AAAA))
                for server in ("::1", HOME)
                for way in ("udp", "tcp")
            }
            said["getent open.test"] = _output("getent", "ahosts", "open.test")
            said["getent listed.test"] = _output("getent", "ahosts", "listed.test")
            said["upstream"] = sorted({call.name.lower() for call in stub.calls})
        finally:
            install.end()
    sys.stdout.write(json.dumps(said))
    return 0


def _asked(server: str, name: str, qtype: int, way: str) -> list[int]:
    """Rcode, TC and number of answers that a client gets; nothing where nobody answers."""
    asked = packet(name, qtype)
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM if way == "tcp" else socket.SOCK_DGRAM) as sock:
            sock.settimeout(3)
            sock.bind((DEVICE if server == HOME else "::1", 0))
            sock.connect((server, 53))
            if way == "udp":
                sock.send(asked)
                got = sock.recv(4096)
            else:
                sock.sendall(len(asked).to_bytes(2, "big") + asked)
                with sock.makefile("rb") as stream:
                    got = stream.read(int.from_bytes(stream.read(2), "big"))
    except OSError:
        return []
    return [got[3] & 15, got[2] >> 1 & 1, got[6] << 8 | got[7]]


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
