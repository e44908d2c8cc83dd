"""A script for mitmdump: the gate's look at page rules always raises. Called by proxying.py alone."""

from typing import Any

from blockerd.proxy import gate
from blockerd.proxy.addon.hooks import Addon


def _raise(*_: object, **__: object) -> Any:  # noqa: ANN401 - it never returns
    raise RuntimeError("a fault in the rules")


for name in ("decide_url", "opens"):
    setattr(gate, name, _raise)
addons = [Addon()]
