"""Packets in and out of one UDP socket, up to 64 at a time: recvmmsg and sendmmsg on Linux, one by one elsewhere.

Both kinds have the same methods and one anonymous mmap as their buffer (a slice of it is `bytes` in one copy), and a
property test says that they answer alike. Answers are written over the questions, so a packet's address is already
where the answer needs it.
"""

import ctypes
import errno
import mmap
import socket
import sys
from array import array
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from blockerd.dns.wire import BATCH, SLOT


class Batch(Protocol):
    """What the listener needs of either kind."""

    buffer: mmap.mmap
    offsets: Sequence[int]

    def receive(self) -> Sequence[int]:
        """Takes what waits in the socket; the lengths of the packets, none where there was nothing."""
        ...

    def send(self, sizes: Sequence[int], unanswered: Sequence[int]) -> None:
        """Sends the answers, `sizes[i]` octets of packet i's slot, but for the sorted indexes `unanswered`."""
        ...

    def client(self, index: int) -> tuple[str, int]:
        """Address (with its scope where it is of a link) and port of packet `index`."""
        ...

    def sender(self, index: int) -> bytes:
        """Who sent packet `index`, in a form of this batch's own, for `later`."""
        ...

    def later(self, sender: bytes, answer: bytes) -> None:
        """Holds `answer` to an earlier packet until `flush`, or until there are BATCH of them."""
        ...

    def flush(self) -> None:
        """Sends what `later` holds."""
        ...

    def address(self, index: int) -> bytes:
        """The address of packet `index`: 4 or 16 octets."""
        ...


def open_batch(sock: socket.socket) -> Batch:
    """The best kind for this system."""
    return MultiBatch(sock) if sys.platform == "linux" else SingleBatch(sock)


class SingleBatch:
    """One packet at a time, with what every system has."""

    def __init__(self, sock: socket.socket) -> None:
        self.buffer = mmap.mmap(-1, SLOT)
        self.offsets: Sequence[int] = (0,)
        self._sock = sock
        self._view = memoryview(self.buffer)
        self._address: tuple[str, int] = ("", 0)

    def receive(self) -> Sequence[int]:
        """See Batch."""
        try:
            length, address = self._sock.recvfrom_into(self._view)
        except BlockingIOError:
            return ()
        except OSError:
            return ()
        self._address = address
        return (length,)

    def send(self, sizes: Sequence[int], unanswered: Sequence[int]) -> None:
        """See Batch."""
        if unanswered:
            return
        try:
            self._sock.sendto(self._view[: sizes[0]], self._address)
        except OSError:
            return

    def client(self, index: int) -> tuple[str, int]:
        """See Batch."""
        return self._address[0], self._address[1]

    def sender(self, index: int) -> bytes:
        """See Batch."""
        host, port = self.client(index)
        return f"{port} {host}".encode()

    def later(self, sender: bytes, answer: bytes) -> None:
        """See Batch; sent at once, since there is nothing to gain."""
        port, _, host = sender.decode().partition(" ")
        try:
            self._sock.sendto(answer, (host, int(port)))
        except OSError:
            return

    def flush(self) -> None:
        """See Batch."""

    def address(self, index: int) -> bytes:
        """See Batch."""
        return socket.inet_pton(self._sock.family, self._address[0].partition("%")[0])


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p), ("namelen", ctypes.c_uint), ("iov", ctypes.c_void_p), ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t), ("flags", ctypes.c_int),
    )  # fmt: skip


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("header", _Msghdr), ("length", ctypes.c_uint))


_NAME = 32
_DONTWAIT = 0x40
_SENT_AGAIN = (errno.EAGAIN, errno.ENOBUFS)


class _Messages:
    """BATCH message headers, each with a slot of one buffer and room for an address; `step` octets apart."""

    def __init__(self, name_length: int = _NAME) -> None:
        self.buffer = mmap.mmap(-1, SLOT * BATCH)
        base = ctypes.addressof((ctypes.c_char * (SLOT * BATCH)).from_buffer(self.buffer))
        names = (ctypes.c_char * (_NAME * BATCH))()
        iovs = (_Iovec * BATCH)()
        headers = (_Mmsghdr * BATCH)()
        for index in range(BATCH):
            iovs[index] = _Iovec(base + SLOT * index, SLOT)
            headers[index].header = _Msghdr(
                ctypes.addressof(names) + _NAME * index, name_length,
                ctypes.addressof(iovs) + ctypes.sizeof(_Iovec) * index, 1, None, 0, 0,
            )  # fmt: skip
        self.names = memoryview(names).cast("B")
        self.step = ctypes.sizeof(_Mmsghdr)
        self.address = ctypes.addressof(headers)
        self.lengths = memoryview(headers).cast("B").cast("I")[_Mmsghdr.length.offset // 4 :: self.step // 4]
        self.iovs = memoryview(iovs).cast("B")
        self.sizes = self.iovs.cast("L")[1::2]


class MultiBatch:
    """Up to BATCH packets a system call (Linux, recvmmsg(2) and sendmmsg(2) through ctypes)."""

    def __init__(self, sock: socket.socket) -> None:
        self.offsets: Sequence[int] = tuple(range(0, SLOT * BATCH, SLOT))
        self._fd = sock.fileno()
        self._in = _Messages()
        self._out = _Messages(28 if sock.family == socket.AF_INET6 else 16)  # sizeof(struct sockaddr_in6, _in)
        self._held = 0
        self.buffer = self._in.buffer
        self._names, self._lengths = self._in.names, self._in.lengths
        self._iovs, self._sizes = self._in.iovs, self._in.sizes
        self._fresh_iovs = bytes(self._iovs)
        self._address = self._in.address
        libc = ctypes.CDLL(None, use_errno=True)
        self._recvmmsg, self._sendmmsg = libc.recvmmsg, libc.sendmmsg
        self._recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
        self._sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)

    def receive(self) -> Sequence[int]:
        """See Batch."""
        self._iovs[:] = self._fresh_iovs
        count = self._recvmmsg(self._fd, self._address, BATCH, _DONTWAIT, None)
        return self._lengths[:count].tolist() if count > 0 else ()

    def send(self, sizes: Sequence[int], unanswered: Sequence[int]) -> None:
        """See Batch."""
        count = len(sizes)
        if len(unanswered) == count:
            return
        self._sizes[:count] = memoryview(array("L", sizes))
        start = 0
        for stop in unanswered:
            if start < stop:
                self._run(self._in, start, stop)
            start = stop + 1
        self._run(self._in, start, count)

    def _run(self, messages: _Messages, start: int, stop: int) -> None:
        """Sends the packets from `start` to before `stop`; one that the kernel refuses is passed over."""
        while start < stop:
            sent = self._sendmmsg(self._fd, messages.address + messages.step * start, stop - start, _DONTWAIT)
            if sent <= 0 and ctypes.get_errno() in _SENT_AGAIN:
                return
            start += max(sent, 1)

    def client(self, index: int) -> tuple[str, int]:
        """See Batch."""
        raw = self.sender(index)
        return _host(raw[:2] + raw[4:28]), raw[2] << 8 | raw[3]

    def sender(self, index: int) -> bytes:
        """See Batch; the address as the system has it."""
        return bytes(self._names[_NAME * index : _NAME * (index + 1)])

    def later(self, sender: bytes, answer: bytes) -> None:
        """See Batch."""
        out, held = self._out, self._held
        offset = self.offsets[held]
        out.buffer[offset : offset + len(answer)] = answer
        out.names[_NAME * held : _NAME * (held + 1)] = sender
        out.sizes[held] = len(answer)
        self._held = held + 1
        if self._held == BATCH:
            self.flush()

    def flush(self) -> None:
        """See Batch."""
        held, self._held = self._held, 0
        self._run(self._out, 0, held)

    def address(self, index: int) -> bytes:
        """See Batch."""
        at = _NAME * index
        if int.from_bytes(self._names[at : at + 2], sys.byteorder) == socket.AF_INET:
            return bytes(self._names[at + 4 : at + 8])
        return bytes(self._names[at + 8 : at + 24])


@lru_cache(1024)
def _host(raw: bytes) -> str:
    """The address in a system's form without its port: family, then from the fifth octet on."""
    if int.from_bytes(raw[:2], sys.byteorder) == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, raw[2:6])
    host = socket.inet_ntop(socket.AF_INET6, raw[6:22])
    scope = int.from_bytes(raw[22:26], sys.byteorder)
    return f"{host}%{scope}" if scope else host
