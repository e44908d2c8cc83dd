"""What several tests of lists need: the eyes of a service that is another user than who wrote a file."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def service() -> Iterator[Callable[[Path], None]]:
    """Makes what is in a folder that of an ordinary user, and this process one, until the test is over.

    The folder must not be below pytest's own, which are closed to that user.
    """
    nobody = 65534

    def become(folder: Path) -> None:
        if os.geteuid() == 0:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, nobody, nobody)
            os.seteuid(nobody)

    user = os.geteuid()
    yield become
    os.seteuid(user)
