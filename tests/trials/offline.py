"""A start without a network: the upstream's address has no route, then one appears and the upstream with it.

`unshare -Urnm python -m tests.trials.offline FOLDER`; prints seconds until it blocked, until an open name was refused
with SERVFAIL, and from the network's coming to the first answer.
"""

import json
import sys
import time
from pathlib import Path

from tests.e2e.install import wait_until
from tests.fakes.packets import query
from tests.trials.namespace import address, up
from tests.trials.server import Server
from tests.trials.upstreams import black_hole

UPSTREAM = "192.0.2.53"


def main(folder: Path) -> int:
    """The course of events."""
    up()
    with Server(folder, f"{UPSTREAM}:53") as server:
        began = time.monotonic()
        reply = server.udp(query("open.test"))
        servfail = time.monotonic() - began
        assert reply is not None
        assert reply[3] & 15 == 2
        assert server.blocks()
        address("lo:1", UPSTREAM)
        with black_hole(UPSTREAM, 53, answering=True):
            back = wait_until(lambda: _answered(server), 20)
    sys.stdout.write(json.dumps({"ready": server.ready, "servfail": servfail, "back": back}) + "\n")
    return 0


def _answered(server: Server) -> bool:
    reply = server.udp(query("back.test"), 5)
    return reply is not None and reply[3] & 15 == 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
