"""The transparent mode: programs that know nothing of a proxy, on a machine whose packet filter leads them to it.

`unshare --net --mount python -m tests.e2e.diverted FOLDER` as root, for the proxy needs a user of its own; prints
as JSON what came of it. Called by test_diverted.py.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.install import environment, wait_until
from tests.e2e.proxied import LISTED, MIXED, NAMES, OPEN, RULES, Machine
from tests.e2e.stub import ADDRESS, Stub
from tests.fakes.origin import Origin

USER = "nobody"
AWAY = "198.51.100.7"
"""An address behind a card that leads nowhere."""
_NETWORK = (
    ("link", "set", "lo", "up"),
    ("addr", "add", f"{ADDRESS}/32", "dev", "lo"),
    ("link", "add", "away0", "type", "veth", "peer", "name", "away1"),
    ("addr", "add", "198.51.100.1/24", "dev", "away0"),
    ("link", "set", "away0", "up"),
    ("link", "set", "away1", "up"),
)


def main(folder: Path) -> int:
    """The course of events."""
    for words in _NETWORK:
        subprocess.run(["ip", *words], check=True, capture_output=True)
    with Stub() as stub, Origin(folder, ADDRESS, NAMES, 443, 80) as origin:
        machine = Machine(folder, stub.port, 'mode = "transparent"\n')
        (machine.var / "own").mkdir(parents=True)
        (machine.var / "own" / "url-rules.txt").write_text(RULES)
        assert machine.call("proxy-ca", "install", "--by-hand").returncode == 0
        (machine.var / "proxy" / "upstream-ca.pem").write_bytes(origin.authority.read_bytes())
        machine.start("dns")
        assert machine.call("lists", "build").returncode == 0
        try:
            _start(machine)
            quic_before = _quic()
            _filter(machine, "transparent", "--user", USER)
            told = {**_clients(machine, origin), "quic before": quic_before, "quic": _quic()}
            _filter(machine, "undo")
            listing = subprocess.run([_nft(), "list", "ruleset"], capture_output=True, text=True, check=True)
            told["rules left"] = listing.stdout
            told["undone"] = _curl(f"https://{LISTED}/", origin.authority)
        finally:
            machine.end()
    sys.stdout.write(json.dumps(told))
    return 0


def _start(machine: Machine) -> None:
    """Starts the proxy as USER, who may read everything here; the folder itself stays ours, so that commands do too."""
    for path in machine.var.rglob("*"):
        shutil.chown(path, USER)
    words = ["setpriv", "--reuid", USER, "--clear-groups", "--inh-caps", "+dac_override", "--ambient-caps",
             "+dac_override", *machine.command("proxy")]  # fmt: skip
    with (machine.folder / "said.txt").open("ab") as said:
        machine.started.append(subprocess.Popen(words, cwd=machine.folder, env=environment(), stdout=said, stderr=said,
                                                stdin=subprocess.DEVNULL, start_new_session=True))  # fmt: skip
    wait_until(lambda: "ready on" in machine.said(), 30, machine.said)  # a look at the port is a mistake of its start


def _clients(machine: Machine, origin: Origin) -> dict[str, Any]:
    told: dict[str, Any] = {
        "listed": _curl(f"https://{LISTED}/", origin.authority),
        "listed http": _curl(f"http://{LISTED}/", origin.authority),
        "open": _curl(f"https://{OPEN}/", origin.authority),
        "board": _curl(f"https://{MIXED}/board", machine.root),
        "other": _curl(f"https://{MIXED}/other", machine.root),
    }
    return {**told, "handshakes": dict(origin.handshakes), "said": machine.said()[-2000:]}


def _curl(url: str, trust: Path) -> list[int]:
    """The exit code and the status that a client without any proxy gets."""
    host = url.partition("://")[2].partition("/")[0]
    there = [word for port in (80, 443) for word in ("--resolve", f"{host}:{port}:{ADDRESS}")]
    words = ["curl", "-s", "-m", "10", "-o", os.devnull, "--cacert", str(trust), *there, "-w", "%{http_code}", url]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return [done.returncode, int(done.stdout)]


def _quic() -> str:
    """What becomes of a datagram to UDP 443: "refused" is what makes browsers fall back to TCP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.2)
        sock.connect((AWAY, 443))
        try:
            sock.send(b"x")
            sock.recv(1)
        except TimeoutError:
            return "sent"
        except OSError:
            return "refused"
    return "answered"


def _filter(machine: Machine, *words: str) -> None:
    """Hands the printed rules to the packet filter, as the documentation says."""
    rules = machine.call("proxy", "mode", *words).stdout
    subprocess.run([_nft(), "-f", "-"], input=rules, text=True, check=True)


def _nft() -> str:
    return shutil.which("nft") or "/usr/sbin/nft"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
