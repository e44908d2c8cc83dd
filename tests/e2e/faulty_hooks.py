"""A script for mitmdump: what the hooks ask first always raises. Called by proxying.py alone."""

from typing import Any

from blockerd.proxy.addon.hooks import Addon
from blockerd.proxy.gate import Gate


class Faulty(Gate):
    """Judges nothing but names."""

    def way(self, *_: object) -> Any:  # noqa: ANN401 - it never returns
        """Raises."""
        raise RuntimeError("a fault in a hook")

    def request(self, *_: object) -> Any:  # noqa: ANN401 - it never returns
        """Raises."""
        raise RuntimeError("a fault in a hook")


class FaultyAddon(Addon):
    """Hooks over a gate that raises."""

    gate_type = Faulty


addons = [FaultyAddon()]
