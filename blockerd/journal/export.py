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
from blockerd.journal.entry import Entry, encode
from blockerd.model import Attempt
from blockerd.screentime import export as screen_time
from blockerd.screentime.usage import Known

Users = Mapping[int, str]

FIELDS = (
    "time", "last", "site", "names", "category", "source", "list", "action", "channel", "client", "user", "count",
    "kind",
)  # fmt: skip
"""Of an attempt, in the order of the columns."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def json_lines(
    attempts: Iterable[Attempt], entries: Iterable[Entry], screen: Iterable[Known] = (), users: Users | None = None
) -> Iterator[str]:
    """One object a line, by time: attempts with `"entry": "attempt"`, records of screen time with "app" or "afk", other
    entries with their kind and all they say. `users` names the user of each agent."""
    told = ((attempt.time, {"entry": "attempt", **fields(attempt)}) for attempt in attempts)
    others = (_said(entry) for entry in entries)
    records = (_recorded(known, users or {}) for known in screen)
    for _, said in heapq.merge(told, others, records, key=lambda one: one[0]):
        yield json.dumps(said, ensure_ascii=False) + "\n"


def csv_lines(attempts: Iterable[Attempt]) -> Iterator[str]:
    """A heading and a line for each attempt (RFC 4180); names of one attempt are parted by spaces."""
    yield _csv(FIELDS)
    for attempt in attempts:
        values = fields(attempt)
        values["names"] = " ".join(values["names"])
        yield _csv([cell(str(values[name])) for name in FIELDS])


def activitywatch(
    attempts: Iterable[Attempt], screen: Iterable[Known], users: Users, host: str, created: int
) -> dict[str, Any]:
    """Buckets as ActivityWatch imports them: attempts, and screen time of each agent. `created` is Unix µs."""
    key = f"blockerd-attempts_{host}"
    events = [_event(one.time, one.last, _kept(one)) for one in attempts]
    bucket = {
        "id": key, "created": _stamp(created), "type": "blockerd.attempt", "client": "blockerd", "hostname": host,
        "events": events,
    }  # fmt: skip
    return {"buckets": {key: bucket, **screen_time.export(screen, host, users)["buckets"]}}


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


def _recorded(known: Known, users: Users) -> tuple[int, dict[str, Any]]:
    r = known.record
    said = {"value": r.value, **({"title": r.title} if r.title else {}), "user": users.get(known.agent, "")}
    return r.start, {"entry": str(r.stream), "time": _stamp(r.start), "until": _stamp(r.end), **said}


def _kept(attempt: Attempt) -> dict[str, Any]:
    """What an event of the bucket says beside its time."""
    return {name: value for name, value in fields(attempt).items() if name not in ("time", "last", "client", "user")}


def _event(start: int, end: int, data: Mapping[str, Any]) -> dict[str, Any]:
    return {"timestamp": _stamp(start), "duration": max(0, end - start) / 1e6, "data": dict(data)}


def _stamp(at: int) -> str:
    """Unix µs as RFC 3339 in UTC with milliseconds, cut, not rounded."""
    seconds, rest = divmod(at, 1_000_000)
    return f"{rfc3339(seconds).partition('.')[0]}.{rest // 1000:03d}Z"
