"""What an agent tells `control`: judged, and turned into events for the spool. Pure.

An agent speaks only for the user whose process it is: the uid comes from the socket, never from the request. Titles
are dropped here again where they are switched off. Refuses a request as a whole, in one line. Called by `control`;
`record_in` also by `store`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blockerd.screentime.afk import Presence
from blockerd.screentime.track import LONGEST, Record, Stream

KINDS = frozenset(stream.value for stream in Stream)
"""Kinds of the events made here: `app` and `afk`."""

MOST_RECORDS = 200
"""Records of one request; a line of the socket holds at most 64 KiB."""

APP_CHARS, TITLE_CHARS, NAME_CHARS = 128, 256, 64
_LATEST = 1 << 62


class Refused(ValueError):
    """The request is not one; the message is one line for the log of the agent."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """`events` for the spool of `control`, in this order, and the `answer` to the agent.

    The answer's `stored` is the number of the last record that is safe in the journal: the agent keeps all later ones.
    """

    events: tuple[dict[str, Any], ...]
    answer: dict[str, Any]


def accept(request: Mapping[str, Any], uid: int, stored: Mapping[str, int], *, titles: bool) -> Accepted:
    """The events of `{"do": "heartbeats", "agent": ID, "probe": NAME, "base": N, "records": [...]}` from user `uid`.

    `stored` is `store.acknowledged`. A record that is stored already makes no event. `base` is the number of the oldest
    record that the agent still keeps.

    Raises:
        Refused: the request makes no sense; nothing of it is taken.
    """
    name = f"{uid}:{text_in(request, 'agent', NAME_CHARS)}"
    probe, base = text_in(request, "probe", NAME_CHARS), whole_in(request, "base", least=1)
    records = request.get("records")
    if not isinstance(records, list) or len(records) > MOST_RECORDS:
        raise Refused(f"records: give a list of at most {MOST_RECORDS}")
    done = stored.get(name, 0)
    events = list[dict[str, Any]]()
    for got in records:
        if not isinstance(got, dict):
            raise Refused("records: each is an object")
        seq = whole_in(got, "seq", least=base)
        record = record_in(got, titles=titles)
        if seq > done:
            events.append(event_of(record, {"agent": name, "uid": uid, "probe": probe, "seq": seq, "base": base}))
    return Accepted(tuple(events), {"stored": done})


def event_of(record: Record, head: Mapping[str, Any]) -> dict[str, Any]:
    """`record` as an event or, without the head's fields of `control`, as an agent writes it."""
    return {
        "kind": record.stream.value,
        **head,
        "start": record.start,
        "end": record.end,
        "value": record.value,
        **({"title": record.title} if record.title else {}),
        "anchor": record.anchor,
        "boot": record.boot,
    }


def record_in(got: Mapping[str, Any], *, titles: bool) -> Record:
    """The record that an event or a line of an agent holds.

    Raises:
        Refused: it makes no sense.
    """
    kind = text_in(got, "kind", NAME_CHARS)
    if kind not in KINDS:
        raise Refused(f"kind: write one of {' '.join(sorted(KINDS))}")
    stream = Stream(kind)
    start, end = whole_in(got, "start"), whole_in(got, "end")
    if not 0 < end - start <= LONGEST:
        raise Refused("start, end: a record has a length, of one hour at most")
    value = text_in(got, "value", APP_CHARS)
    if stream == Stream.AFK and value not in set(Presence):
        raise Refused(f"value: write one of {' '.join(Presence)}")
    title = text_in(got, "title", TITLE_CHARS, least=0) if titles and stream == Stream.APP and "title" in got else ""
    anchor = whole_in(got, "anchor", least=-_LATEST)
    return Record(stream, start, end, value, title, anchor, text_in(got, "boot", NAME_CHARS))


def whole_in(got: Mapping[str, Any], key: str, least: int = 0) -> int:
    """The whole number `key` of `got`, at least `least`; raises Refused where there is none."""
    value = got.get(key)
    if type(value) is not int or not least <= value < _LATEST:
        raise Refused(f"{key}: give a whole number from {least} on")
    return value


def text_in(got: Mapping[str, Any], key: str, most: int, least: int = 1) -> str:
    """The text `key` of `got`, of `least` to `most` printable characters; raises Refused where there is none."""
    value = got.get(key)
    if not isinstance(value, str) or not least <= len(value) <= most or not (value.isprintable() or not value):
        raise Refused(f"{key}: give a text of {least} to {most} printable characters")
    return value
