"""Many questions at once over one socket, their answers by ID, and how long they took.

Called by the trials; nothing here knows what is asked.
"""

import selectors
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice


@dataclass(frozen=True, slots=True)
class Asked:
    """One question and what came of it; `reply` None where nothing did in time."""

    packet: bytes
    reply: bytes | None
    seconds: float

    @property
    def rcode(self) -> int | None:
        """The answer's code."""
        return None if self.reply is None else self.reply[3] & 15


def ask_all(
    sock: socket.socket, packets: Iterable[bytes], *, window: int = 64, patience: float = 6.0, rate: float = 0.0,
    meanwhile: Callable[[], object] = lambda: None,
) -> list[Asked]:  # fmt: skip
    """Asks all `packets` (their IDs are replaced) with at most `window` under way, `rate` a second where it is given.

    `meanwhile` is called about a thousand times a second.
    """
    waiting: dict[bytes, tuple[int, bytes, float]] = {}
    found: dict[int, Asked] = {}
    source, began, number, more = iter(packets), time.monotonic(), 0, True
    sock.setblocking(False)
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        while more or waiting:
            while more and len(waiting) < window and (not rate or number <= (time.monotonic() - began) * rate):
                packet = next(source, None)
                if packet is None:
                    more = False
                    break
                _send(sock, number, packet, waiting)
                number += 1
            selector.select(0.001)
            _receive(sock, waiting, found)
            _give_up(waiting, found, patience)
            meanwhile()
    return [found[n] for n in range(number)]


def _send(sock: socket.socket, number: int, packet: bytes, waiting: dict[bytes, tuple[int, bytes, float]]) -> None:
    packet = (number & 0xFFFF).to_bytes(2, "big") + packet[2:]
    assert packet[:2] not in waiting, "65,536 questions under way"
    waiting[packet[:2]] = (number, packet, time.monotonic())
    sock.send(packet)


def _receive(sock: socket.socket, waiting: dict[bytes, tuple[int, bytes, float]], found: dict[int, Asked]) -> None:
    while True:
        try:
            reply = sock.recv(65535)
        except BlockingIOError:
            return
        entry = waiting.pop(reply[:2], None)
        if entry:
            found[entry[0]] = Asked(entry[1], reply, time.monotonic() - entry[2])


def _give_up(waiting: dict[bytes, tuple[int, bytes, float]], found: dict[int, Asked], patience: float) -> None:
    """The oldest stand first."""
    now = time.monotonic()
    for key, (number, packet, since) in list(islice(waiting.items(), 8)):
        if now - since > patience:
            found[number] = Asked(packet, None, now - since)
            del waiting[key]


def latencies(sock: socket.socket, packet: bytes, until: Callable[[], bool], *, pause: float = 0.002) -> list[float]:
    """Asks `packet` again and again, one at a time; the seconds each took, infinity for no answer within 2 s."""
    found: list[float] = []
    sock.settimeout(2)
    number = 0
    while not until():
        number += 1
        began = time.perf_counter()
        sock.send(number.to_bytes(4, "big")[2:] + packet[2:])
        try:
            while sock.recv(4096)[:2] != number.to_bytes(4, "big")[2:]:
                pass
            found.append(time.perf_counter() - began)
        except TimeoutError:
            found.append(float("inf"))
        time.sleep(pause)
    return found


def after(count: int) -> Callable[[], bool]:
    """False `count` times, true from then on: for `latencies`."""
    left = iter(range(count))
    return lambda: next(left, None) is None


def percentile(values: list[float], part: float) -> float:
    """The value below which `part` of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]
