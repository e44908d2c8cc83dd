"""A room for a test, unplugged when that is over."""

import os
import shutil
from collections.abc import Iterator
from typing import Protocol

import pytest

from tests.room import homes
from tests.room.room import PLAIN, POSSIBLE, STORE, Kit, Room, program

SUITES = ("bookworm", "trixie")
long_run = [
    pytest.mark.soak,
    pytest.mark.needs_kernel("a Debian in namespaces: root, debootstrap, overlayfs", POSSIBLE),
]


class Make(Protocol):
    """Boots a room of a Debian release as one kind of machine, with its network up."""

    def __call__(self, suite: str, kind: str, kit: Kit = PLAIN) -> Room: ...


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    rooms: list[Room] = []
    work = STORE / "runs" / "".join(c if c.isalnum() else "-" for c in f"{request.node.name}-{os.getpid()}")

    def made(suite: str, kind: str, kit: Kit = PLAIN) -> Room:
        shutil.rmtree(work, ignore_errors=True)
        rooms.append(Room(program(suite, kit), work))
        homes.furnish(rooms[-1], homes.home_of(kind))
        return rooms[-1]

    yield made
    for room in rooms:
        room.unplug()
    shutil.rmtree(work, ignore_errors=True)
