"""Homes whose notes go to a real mail server: one where nothing is agreed yet, one where both have agreed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.mailserver import MailServer, running
from tests.fakes.sharing import (
    NOON,
    Home,
    partner,
)

server = pytest.fixture(running)


@pytest.fixture
def home(tmp_path: Path, server: MailServer) -> Iterator[Home]:
    """An install whose settings name Robin, a spouse; nothing is agreed yet."""
    home = Home(tmp_path, server, NOON, partner("Robin", "spouse"))
    home.sign("start")
    home.beat()
    yield home
    home.close()


@pytest.fixture
def shared(home: Home) -> Home:
    """Both have agreed."""
    home.agree()
    home.pair("Robin")
    return home
