"""Adds our values to a JSON object and takes them out again, leaving what others put there. Pure.

A value of another that we replace is known from the file before us and comes back. Called by `system.browsers` when a
plan is made and by `system.apply` when a file has changed since.
"""

import json
from typing import Any


def added_to(content: bytes | None, ours: dict[str, Any]) -> bytes:
    """The JSON object in `content` (None: none) with `ours` laid over it; nested objects are merged key by key.

    Raises:
        ValueError: `content` is not a JSON object.
    """
    got = json.loads(content) if content is not None and content.strip() else {}
    if not isinstance(got, dict):
        raise ValueError("not a JSON object")
    return _text(_over(got, ours))


def taken_out(content: bytes, added: dict[str, Any], before: dict[str, Any]) -> bytes:
    """The object in `content` without the values of `added`, which was laid over `before`.

    A value that somebody has changed since stays theirs.

    Raises:
        ValueError: `content` is not a JSON object.
    """
    got = json.loads(content)
    if not isinstance(got, dict):
        raise ValueError("not a JSON object")
    return _text(_out(got, added, before))


def _over(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _out(got: dict[str, Any], added: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    rest = dict(got)
    for key, value in added.items():
        if key not in rest:
            continue
        old = before.get(key)
        if isinstance(value, dict) and isinstance(rest[key], dict):
            inner = _out(rest[key], value, old if isinstance(old, dict) else {})
            rest[key] = inner
            if not inner and key not in before:
                del rest[key]
        elif rest[key] == value:
            if key in before:
                rest[key] = old
            else:
                del rest[key]
    return rest


def _text(thing: dict[str, Any]) -> bytes:
    return json.dumps(thing, indent=2, ensure_ascii=False).encode() + b"\n"
