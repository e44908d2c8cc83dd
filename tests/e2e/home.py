"""A home's network inside one namespace: the resolver on 192.168.77.1 and fd00:77::1, devices that ask it.

`unshare --user --map-root-user --net --mount python -m tests.e2e.home FOLDER`; prints as JSON what each device got and
what was recorded. Called by test_home.py.
"""

import json
import socket
import subprocess
import sys
from pathlib import Path

from tests.e2e.install import Install, packet, wait_until
from tests.fakes.upstream import stub_upstream

SERVER4, SERVER6 = "192.168.77.1", "fd00:77::1"
ENROLLED, OTHER, STRANGER, NAMED = "192.168.77.30", "192.168.77.31", "198.51.100.9", "198.51.100.10"
SIX, SIX_STRANGER = "fd00:77::30", "2001:db8:5::9"

CLIENTS = f"""
[[client]]
name = "own-laptop"
addresses = ["{ENROLLED}/32", "{SIX}/128"]
enrolled = true
[[client]]
name = "routed-network"
addresses = ["{NAMED}/32"]
enrolled = false
[privacy]
level = "name"
"""


def main(folder: Path) -> int:
    """The course of events."""
    for address in (SERVER4, ENROLLED, OTHER, STRANGER, NAMED):
        _ip("addr", "add", f"{address}/32", "dev", "lo")
    for address in (SERVER6, SIX, SIX_STRANGER):
        _ip("-6", "addr", "add", f"{address}/128", "dev", "lo", "nodad")
    _ip("link", "set", "lo", "up")
    with stub_upstream() as stub:
        install = Install(folder, stub.port, dns="")
        source = install.add_list("adult", "listed.test\n")
        install.configure(source + CLIENTS)
        text = install.file.read_text().replace(
            f'"127.0.0.1:{install.port}"', f'"127.0.0.1:{install.port}", "{SERVER4}:53", "[{SERVER6}]:53"'
        )
        install.file.write_text(text)
        try:
            install.run()
            got: dict[str, int | None] = {
                f"{device} {how}": _asked(device, f"{how}.listed.test", how)
                for device in (ENROLLED, OTHER, STRANGER, NAMED, SIX, SIX_STRANGER)
                for how in ("udp", "tcp")
            }
            got["open"] = _asked(OTHER, "open.test", "udp")
            # Recorded by the engine, not by the hot path: the question carries a cookie.
            slow = [_asked(device, "slow.listed.test", "cookie") for device in (ENROLLED, OTHER)]
            flood = _flood(OTHER, 4000)
            calm = _asked(ENROLLED, "calm.listed.test", "udp")
            wait_until(lambda: any("calm" in name for one in install.log() for name in one["names"]))
            recorded = sorted({(one["client"], name) for one in install.log() for name in one["names"]})
        finally:
            install.end()
        raw = b"".join(path.read_bytes() for path in install.var.rglob("*") if path.is_file())
    sys.stdout.write(
        json.dumps(
            {
                "got": {**got, "slow": slow, "after the flood": calm},
                "flood": flood,
                "recorded": recorded,
                "others_on_disk": [
                    text for text in (OTHER, NAMED, STRANGER) if _octets(text) in raw or text.encode() in raw
                ],
            }
        )
    )
    return 0


def _asked(device: str, name: str, how: str) -> int | None:
    """The rcode that the device at `device` gets; None where nobody answers it."""
    family, server = (socket.AF_INET6, SERVER6) if ":" in device else (socket.AF_INET, SERVER4)
    query = packet(name)
    if how == "cookie":
        query = query[:11] + b"\x01" + query[12:] + b"\0\0\x29\x04\xd0\0\0\0\0\0\x0c\0\x0a\0\x08cookie42"
    try:
        with socket.socket(family, socket.SOCK_STREAM if how == "tcp" else socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.5)
            sock.bind((device, 0))
            sock.connect((server, 53))
            if how != "tcp":
                sock.send(query)
                return sock.recv(4096)[3] & 15
            sock.sendall(len(query).to_bytes(2, "big") + query)
            data = sock.recv(4096)
            return data[5] & 15 if data else None
    except OSError:
        return None


def _flood(device: str, count: int) -> int:
    """How many of `count` questions at once are answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((device, 0))
        sock.connect((SERVER4, 53))
        sock.settimeout(0.3)
        query, answered = packet("flood.listed.test"), 0
        for at in range(0, count, 50):
            for _ in range(50):
                sock.send(query)
            try:
                for _ in range(50):
                    sock.recv(4096)
                    answered += 1
            except TimeoutError:
                if at > count // 2:
                    break
        return answered


def _octets(address: str) -> bytes:
    return socket.inet_aton(address)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
