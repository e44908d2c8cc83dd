"""Who is at the other end of a Unix socket; what macOS answers is played, it was never asked there."""

import os
import socket
import struct
from typing import cast

import pytest

from blockerd.control.peer import peer_uid


class MacSocket:
    """Answers LOCAL_PEERCRED with a `struct xucred` (sys/ucred.h), and nothing else."""

    def __init__(self, version: int = 0) -> None:
        self._version = version

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        assert (level, option) == (0, 1)
        return struct.pack("=IIhxx16I", self._version, 501, 2, 20, 12, *([0] * 14))[:size]


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "SO_PEERCRED")
    monkeypatch.setattr(socket, "LOCAL_PEERCRED", 1, raising=False)


def test_the_peer_of_a_socket_is_known():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_uid(ours) == os.getuid()


@pytest.mark.usefixtures("mac")
def test_macos_tells_it_in_a_structure_of_its_own():
    assert peer_uid(cast("socket.socket", MacSocket())) == 501


@pytest.mark.usefixtures("mac")
def test_a_structure_of_another_version_tells_nothing():
    assert peer_uid(cast("socket.socket", MacSocket(version=1))) == -1


def test_a_system_that_does_not_tell_leaves_it_unknown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(socket, "SO_PEERCRED")
    monkeypatch.delattr(socket, "LOCAL_PEERCRED", raising=False)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_uid(ours) == -1
