"""Questions about ever new names at a fixed rate, from a process of its own so that it does not disturb who measures.

`python -m tests.trials.flood PORT RATE SECONDS LABEL`; at the end one line of JSON: how many were asked, answered by
rcode, never answered, and the longest time in seconds.
"""

import json
import socket
import sys
from collections import Counter
from collections.abc import Iterator

from tests.fakes.packets import query
from tests.trials.asking import ask_all, percentile


def main(port: int, rate: float, seconds: float, label: str) -> int:
    """The command."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.connect(("127.0.0.1", port))
        asked = ask_all(sock, _questions(label, int(rate * seconds)), window=60_000, rate=rate)
    took = [one.seconds for one in asked]
    said = {
        "asked": len(asked), "rcodes": dict(Counter(str(one.rcode) for one in asked)),
        "longest": round(max(took), 3), "p50": round(percentile(took, 0.5), 4),
    }  # fmt: skip
    sys.stdout.write(json.dumps(said) + "\n")
    return 0


def _questions(label: str, count: int) -> Iterator[bytes]:
    for number in range(count):
        yield query([b"%s%d" % (label.encode(), number), b"flood", b"test"])


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), sys.argv[4]))
