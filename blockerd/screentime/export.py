"""Screen time in the export format of ActivityWatch: two buckets for each agent. Pure.

The form is what its server writes and reads: `{"buckets": {id: {…, "events": […]}}}`, times in ISO 8601 with an offset,
durations in seconds. Titles are there only where they were kept. What is unknown has no event there, as in a time in
which its own watchers did not run. Called by the command line.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from blockerd.screentime.afk import Presence
from blockerd.screentime.heartbeat import SECOND
from blockerd.screentime.track import Record, Stream
from blockerd.screentime.usage import Known

_TYPES = {Stream.APP: "currentwindow", Stream.AFK: "afkstatus"}
_CLIENTS = {Stream.APP: "blockerd-window", Stream.AFK: "blockerd-afk"}


def export(records: Iterable[Known], hostname: str, users: Mapping[int, str]) -> dict[str, Any]:
    """The export of `records`, in order of time; `users` names the user of each agent number."""
    buckets: dict[str, dict[str, Any]] = {}
    for known in sorted(records, key=lambda known: known.record.start):
        stream = known.record.stream
        if known.record.value == Presence.UNKNOWN and stream == Stream.AFK:
            continue
        key = f"{_CLIENTS[stream]}_{hostname}_{users.get(known.agent, known.agent)}"
        bucket = buckets.setdefault(key, _bucket(key, stream, hostname, known.record.start))
        bucket["events"].append(_event(known.record))
    return {"buckets": buckets}


def _bucket(key: str, stream: Stream, hostname: str, created: int) -> dict[str, Any]:
    return {
        "id": key,
        "type": _TYPES[stream],
        "client": _CLIENTS[stream],
        "hostname": hostname,
        "created": _stamp(created),
        "events": list[dict[str, Any]](),
    }


def _event(record: Record) -> dict[str, Any]:
    data = {"status": record.value} if record.stream == Stream.AFK else {"app": record.value, "title": record.title}
    return {"timestamp": _stamp(record.start), "duration": (record.end - record.start) / SECOND, "data": data}


def _stamp(at: int) -> str:
    seconds, rest = divmod(at, SECOND)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest).isoformat()
