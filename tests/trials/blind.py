"""A forger who sees nothing: packets with the upstream's own address and port as source, guesses at port and ID.

`unshare -Urnm python -m tests.trials.blind FOLDER COUNT`; needs a namespace, where a raw socket is allowed. Prints how
many were sent; fails where one was believed.
"""

import random
import socket
import struct
import sys
import threading
from pathlib import Path

from tests.fakes.packets import a, query, response
from tests.trials.asking import ask_all
from tests.trials.namespace import up
from tests.trials.seed import LIE
from tests.trials.server import Server
from tests.trials.stub import Call, upstream

AT_ONCE = 50
LOW, HIGH = 32768, 60999


def main(folder: Path, count: int) -> int:
    """The attack; 0 where nothing was believed and every true answer came."""
    up()
    with upstream(_late) as stub, Server(folder, stub.port) as server:
        sent, turn, harmed = 0, 0, 0
        while sent < count:
            turn += 1
            names = [f"blind-{turn}-{n}.test" for n in range(AT_ONCE)]
            ended = threading.Event()
            counts: list[int] = []
            thread = threading.Thread(target=lambda e=ended, n=names, c=counts: c.append(_guess(stub.port, n, e)))
            thread.start()
            with server.socket() as sock:
                asked = ask_all(sock, [query(name) for name in names], window=AT_ONCE)
            ended.set()
            thread.join()
            sent += counts[0]
            harmed += sum(one.rcode != 0 or one.reply is None or LIE in one.reply for one in asked)
    sys.stdout.write(f"{sent:,} guesses, {turn * AT_ONCE} questions\n")
    return 1 if harmed else 0


def _late(call: Call) -> None:
    call.later(0.2, response(call.packet, [a(b"\xc0\x0c")]))


def _guess(port: int, names: list[str], ended: threading.Event) -> int:
    """Sends guesses until told to stop; how many."""
    chance, sent = random.Random(port), 0
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        while not ended.is_set():
            name = chance.choice(names)
            answer = response(query(name, qid=chance.randrange(65536)), [a(b"\xc0\x0c", "203.0.113.66")])
            raw.sendto(_datagram(answer, port, chance.randint(LOW, HIGH)), ("127.0.0.1", 0))
            sent += 1
    return sent


def _datagram(payload: bytes, source: int, target: int) -> bytes:
    """IPv4 and UDP headers around it; the kernel fills in what is zero."""
    here = socket.inet_aton("127.0.0.1")
    length = 28 + len(payload)
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, length, 0, 0, 64, socket.IPPROTO_UDP, 0, here, here)
    return head + struct.pack("!HHHH", source, target, length - 20, 0) + payload


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
