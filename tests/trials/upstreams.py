"""Upstreams that go wrong: silent ones in the kernel's hands, lossy ones, ones that send drop by drop.

Each is a real socket on loopback. Called by the trials of outages; `tests.fakes.upstream` holds the ordinary stub.
"""

import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.fakes.packets import a, response
from tests.trials.stub import Call


@dataclass(slots=True)
class BlackHole:
    """Takes every packet and says nothing, at no cost to anybody; `answering` makes it an upstream like others."""

    sock: socket.socket
    answering: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        """Where it is."""
        return int(self.sock.getsockname()[1])

    def serve(self) -> None:
        """Waits to be turned into an upstream, forgets what came until then, answers from there on."""
        while not self.answering.wait(0.05):
            if self.ended.is_set():
                return
        self.sock.settimeout(0.05)
        while not self.ended.is_set():
            try:
                packet, client = self.sock.recvfrom(4096)
                self.sock.sendto(response(packet, [a(b"\xc0\x0c")]), client)
            except OSError:  # nothing came, or the asker has gone
                continue


@contextmanager
def black_hole(host: str = "127.0.0.1", port: int = 0, *, answering: bool = False) -> Iterator[BlackHole]:
    """A black hole at an address, until the block is left."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((host, port))
        hole = BlackHole(sock)
        if answering:
            hole.answering.set()
        thread = threading.Thread(target=hole.serve, daemon=True)
        thread.start()
        try:
            yield hole
        finally:
            hole.ended.set()
            thread.join(5)


class Lossy:
    """Loses every fifth packet in both directions, and needs 10 ms for the others."""

    def __init__(self, seed: int, part: float = 0.2) -> None:
        self._chance = random.Random(seed)
        self._part = part

    def __call__(self, call: Call) -> None:
        if self._chance.random() > self._part and self._chance.random() > self._part:
            call.later(0.01, response(call.packet, [a(b"\xc0\x0c")]))


@dataclass(slots=True)
class Dripping:
    """A TCP upstream that promises 65,535 octets and sends `rate` a second; `cut` are the seconds until it was left."""

    rate: int
    port: int = 0
    cut: list[float] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def drip(self, connection: socket.socket) -> None:
        """Sends to one client until it goes."""
        began = time.monotonic()
        with connection:
            try:
                query = connection.recv(4096)[2:]
                connection.sendall(b"\xff\xff" + query[:2] + b"\x81\x80" + query[4:12] + query[12:])
                while not self.ended.wait(0.02):
                    connection.sendall(bytes(max(1, self.rate // 50)))
            except OSError:
                self.cut.append(time.monotonic() - began)


@contextmanager
def dripping(rate: int) -> Iterator[Dripping]:
    """A dripping upstream until the block is left."""
    made = Dripping(rate)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made.port = listener.getsockname()[1]
        listener.settimeout(0.1)
        threads: list[threading.Thread] = []

        def accept() -> None:
            while not made.ended.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                connection.settimeout(5)
                threads.append(threading.Thread(target=made.drip, args=(connection,), daemon=True))
                threads[-1].start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            made.ended.set()
            for one in (thread, *threads):
                one.join(5)
