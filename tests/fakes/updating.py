"""A process that updates lists over and over, to be killed at any moment. Called by the test of kill -9."""

import ssl
from pathlib import Path

from blockerd.lists import formats
from blockerd.lists.fetch.http import Net
from blockerd.lists.update import update
from blockerd.settings import load
from tests.fakes.listserver import fixed

formats.parse(b"warm.test\n")  # reads the public suffix list here, once, and not in every child


def run(config: str, port: int, authority: str, start: float) -> None:
    """Updates for ever, each time a day later, from the publisher at `port`."""
    settings = load(Path(config), {}, Path(config).parent)
    context = ssl.create_default_context(cadata=authority)
    net = Net(fixed({}), lambda _address, _port: ("127.0.0.1", port), context)
    while True:
        update(settings, start, net=net, catalogue=())
        start += 86400
