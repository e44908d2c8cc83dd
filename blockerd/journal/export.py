"""The record in forms that other programs read: JSON Lines, CSV, ActivityWatch buckets, as text.

A cell of a CSV never begins with what a spreadsheet takes for a formula. Called by the command line, which writes it.
"""

import csv
import heapq
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from blockerd.clock import rfc3339
from blockerd.journal.entry import Entry, Screen, encode
from blockerd.model import Attempt

FIELDS = (
    "time", "last", "site", "names", "category", "source", "list", "action", "channel", "client", "user", "count",
    "kind",
)  # fmt: skip
"""Of an attempt, in the order of the columns."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def json_lines(attempts: Iterable[Attempt], entries: Iterable[Entry]) -> Iterator[str]:
    """One object a line, by time: attempts with `"entry": "attempt"`, others with their kind and all they say."""
    told = ((attempt.time, {"entry": "attempt", **fields(attempt)}) for attempt in attempts)
    others = (_said(entry) for entry in entries)
    for _, said in heapq.merge(told, others, key=lambda one: one[0]):
        yield json.dumps(said, ensure_ascii=False) + "\n"


def csv_lines(attempts: Iterable[Attempt]) -> Iterator[str]:
    """A heading and a line for each attempt (RFC 4180); names of one attempt are parted by spaces."""
    yield _csv(FIELDS)
    for attempt in attempts:
        values = fields(attempt)
        values["names"] = " ".join(values["names"])
        yield _csv([cell(str(values[name])) for name in FIELDS])


def activitywatch(attempts: Iterable[Attempt], entries: Iterable[Entry], host: str, created: int) -> dict[str, Any]:
    """Buckets as ActivityWatch imports them: attempts, and screen time where there is any. `created` is Unix µs."""
    buckets = {
        "attempts": ("blockerd.attempt", [_event(one.time, one.last, _kept(one)) for one in attempts]),
    }
    screens = [one for one in entries if isinstance(one, Screen)]
    windows = [_event(one.at, one.until, {"app": one.app, "title": ""}) for one in screens if one.app]
    active = [_event(one.at, one.until, {"status": "not-afk"}) for one in screens if not one.app]
    if windows:
        buckets["window"] = ("currentwindow", windows)
    if active:
        buckets["afk"] = ("afkstatus", active)
    return {"buckets": {f"blockerd-{name}_{host}": _bucket(f"blockerd-{name}_{host}", *about, host, created)
                        for name, about in buckets.items()}}  # fmt: skip


def fields(attempt: Attempt) -> dict[str, Any]:
    """`attempt` with the keys of FIELDS; times in RFC 3339."""
    found = {name: getattr(attempt, name) for name in FIELDS}
    return {**found, "time": _stamp(attempt.time), "last": _stamp(attempt.last), "names": list(attempt.names)}


def cell(text: str) -> str:
    """`text` as a cell that no spreadsheet takes for a formula."""
    return "'" + text if text.startswith(_FORMULA) else text


def _csv(values: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(values)
    return out.getvalue()


def _said(entry: Entry) -> tuple[int, dict[str, Any]]:
    said: dict[str, Any] = json.loads(encode(entry))
    kind = said.pop("kind")
    return entry.at, {"entry": kind, "time": _stamp(said.pop("at")), **said}


def _kept(attempt: Attempt) -> dict[str, Any]:
    """What an event of the bucket says beside its time."""
    return {name: value for name, value in fields(attempt).items() if name not in ("time", "last", "client", "user")}


def _event(start: int, end: int, data: Mapping[str, Any]) -> dict[str, Any]:
    return {"timestamp": _stamp(start), "duration": max(0, end - start) / 1e6, "data": dict(data)}


def _bucket(name: str, kind: str, events: list[dict[str, Any]], host: str, created: int) -> dict[str, Any]:
    return {
        "id": name, "created": _stamp(created), "type": kind, "client": "blockerd", "hostname": host, "events": events,
    }  # fmt: skip


def _stamp(at: int) -> str:
    """Unix µs as RFC 3339 in UTC with milliseconds, cut, not rounded."""
    seconds, rest = divmod(at, 1_000_000)
    return f"{rfc3339(seconds).partition('.')[0]}.{rest // 1000:03d}Z"
