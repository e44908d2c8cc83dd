"""From spool records to attempts, spans and events, cut to the privacy level. Touches no file and no database.

What a record holds is trusted to be whole (its CRC was checked) but not to make sense: one that cannot be read is
counted in `bad` and adds nothing. Called by `journal.append` and `journal.read`, which so merge alike.
"""

import json
import re
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blockerd.journal.decode import Chunk, clients, wire_names
from blockerd.journal.ended import UNTOLD
from blockerd.journal.entry import LATEST, of_event
from blockerd.journal.merge import UNCONFIRMED, Marks, Merger, Origin, Question, Span
from blockerd.journal.spool import COMBO, Level, Meta, RawAttempt, Record, RecordKind, raw_attempts
from blockerd.model import Action, Channel, Kind
from blockerd.policy.name import ROOT, site_of, to_text
from blockerd.screentime.intake import KINDS
from blockerd.screentime.store import Sent, sent_in

Confirm = Callable[[Sequence[RawAttempt]], Sequence[bool]]
"""Says for each question whether its full name really is what the table slot stands for."""

_PLAIN = b"abcdefghijklmnopqrstuvwxyz0123456789-_."
_REMEMBERED = 65536
_NO_NAME = re.compile(r"[/?#@]")
"""What stands in an address of a page and in no name: it never reaches the journal."""

WIPED = "wiped"
"""Kind of the events that stand where stored ones were overwritten (`journal.wipe`): nothing."""


class Names:
    """Site and full name of wire names as the privacy level stores them, remembered for a while."""

    def __init__(self, level: Level) -> None:
        self.level = level
        self._seen: dict[bytes, tuple[str, str]] = {}

    def cut(self, wire: bytes) -> tuple[str, str]:
        """(site, full name or "") of `wire`: both empty at the levels category and counts."""
        got = self._seen.get(wire)
        if got is None:
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            got = self._seen[wire] = self._cut(wire)
        return got

    def _cut(self, wire: bytes) -> tuple[str, str]:
        if wire == ROOT or self.level in (Level.CATEGORY, Level.COUNTS):
            return "", ""
        labels = _labels(wire)
        full = _text(wire, labels)
        site = full if len(labels) < 3 else _site(wire)  # of two labels the site is the name, whatever the suffixes
        return site, full if self.level == Level.NAME else ""


class Confirmed:
    """Asks `confirm` once for each (name, table slot) and remembers the answers for a while."""

    def __init__(self, confirm: Confirm) -> None:
        self.confirm = confirm
        self._seen: dict[tuple[bytes, int], bool] = {}

    def answers(self, record: Record, meta: Meta, names: Sequence[bytes], slots: Sequence[int]) -> list[bool]:
        """For each question of `record`: True if it is confirmed, or if there is no name left to look at."""
        pairs = list(zip(names, slots, strict=True))
        new = {pair for pair in pairs if pair[0] != ROOT and pair not in self._seen}
        if new:
            self._ask([raw for raw in raw_attempts(record, meta) if (raw.name, raw.slot) in new])
        answers = [self._seen.get(pair, True) for pair in pairs]
        if len(self._seen) > _REMEMBERED:
            self._seen.clear()
        return answers

    def _ask(self, raw: list[RawAttempt]) -> None:
        for question, listed in zip(raw, self.confirm(raw), strict=True):
            self._seen[question.name, question.slot] = listed


@dataclass(frozen=True, slots=True)
class _Taken:
    names: list[bytes]
    slots: Sequence[int]
    origins: list[int]


class Intake:
    """Takes records in order; leaves rows in `merger` (after `settle`), spans in `marks`, the rest in `events`.

    `events` are (Unix µs, kind, canonical JSON), `screen` the records of agents; `intern` gives the number of an
    origin; `questions` counts what was taken, `bad` what could not be read.
    """

    def __init__(
        self,
        names: Names,
        intern: Callable[[Origin], int],
        merger: Merger,
        marks: Marks,
        confirmed: Confirmed | None = None,
    ) -> None:
        self.merger = merger
        self.marks = marks
        self.events: list[tuple[int, str, str]] = []
        self.screen: list[Sent] = []
        self.questions = 0
        self.bad = 0
        self._waiting: list[Question] = []
        self._names = names
        self._intern = intern
        self._confirmed = confirmed
        self._numbers: dict[tuple[int, int, str, str], int] = {}
        self._origins: dict[int, Origin] = {}
        self._held: list[Meta] = []  # so that no other META gets the id of one in `_numbers`

    def feed(self, record: Record, meta: Meta | None, process: str) -> None:
        """One record of a segment of `process`; `meta` is the last META before it in its segment."""
        try:
            if record.time >= LATEST:
                raise ValueError("time")
            taken = self._decoded(record, meta, process) if record.kind == RecordKind.ATTEMPTS else None
            if record.kind == RecordKind.EVENT:
                self._event(record)
        except (ValueError, TypeError, LookupError):
            self.bad += max(1, record.count)
            return
        if taken and meta:
            self._take(record, meta, taken)

    def settle(self) -> None:
        """Merges the questions taken since the last call."""
        self.merger.add(self._waiting)
        self.questions += len(self._waiting)
        self._waiting = []

    def meta(self, record: Record) -> Meta | None:
        """The META that `record` holds; None, counted as bad, where it cannot be read."""
        try:
            return Meta.from_json(record.payload)
        except (ValueError, TypeError, LookupError):
            self.bad += 1
            return None

    def _decoded(self, record: Record, meta: Meta | None, process: str) -> _Taken:
        if meta is None:
            raise ValueError("no META before it")
        numbers = array("Q", record.payload[: 16 * record.count])
        names = wire_names(record)
        combos = [entry & COMBO for entry in numbers[1::2]]
        asked_by = clients(record)
        origins = [self._origin(meta, combo, client, process) for combo, client in zip(combos, asked_by, strict=True)]
        return _Taken(names, numbers[0::2], origins)

    def _take(self, record: Record, meta: Meta, taken: _Taken) -> None:
        names, origins = taken.names, taken.origins
        if self._confirmed:
            listed = self._confirmed.answers(record, meta, names, taken.slots)
            origins = [o if yes else self._unconfirmed(o) for o, yes in zip(origins, listed, strict=True)]
        cut, at = self._names.cut, record.time
        for wire, origin in zip(names, origins, strict=True):
            site, name = cut(wire)
            self._waiting.append(Question(at, site, origin, name))

    def _origin(self, meta: Meta, combo: int, client: str, process: str) -> int:
        key = (id(meta), combo, client, process)
        got = self._numbers.get(key)
        if got is None:
            source, title, category, kind = meta.combos[combo]
            action, channel = Action(meta.action), Channel(process)
            origin = self._cut(Origin(category, source, title, action, channel, client, "", Kind(kind)))
            got = self._numbers[key] = self._intern(origin)
            self._origins[got] = origin
            self._held.append(meta)
        return got

    def _unconfirmed(self, number: int) -> int:
        return self._intern(self._origins[number]._replace(kind=UNCONFIRMED))

    def _cut(self, origin: Origin) -> Origin:
        if self._names.level != Level.COUNTS:
            return origin
        return origin._replace(category="", source="", list="")

    def _event(self, record: Record) -> None:
        event = json.loads(record.payload)
        if event["kind"] == "attempt":
            self._spelled_out(event)
        elif event["kind"] == "coverage":
            self._coverage(record.time, event)
        elif event["kind"] in KINDS:
            self.screen.append(sent_in(event))
        elif event["kind"] != WIPED:
            self.events.append(of_event(record.time, event))

    def _coverage(self, at: int, event: dict[str, Any]) -> None:
        """A sign of life: a span, and for a start or a stop an entry too."""
        process, state, boot = str(event["process"]), event["state"], str(event.get("boot", ""))
        before = self.marks.before(process) if state == "start" else None
        told = [of_event(at, {**_without(event, "state", "mark", "ended"), "kind": state})] if state != "alive" else []
        if before and not before.ended:
            mark = event.get("mark")
            ended = str(event.get("ended", "")) or UNTOLD
            told.insert(0, _unclean(at, before, boot, mark if isinstance(mark, dict) else {}, ended))
        self.marks.add(at, process, boot, state)
        self.events += told

    def _spelled_out(self, event: dict[str, Any]) -> None:
        """An attempt whose fields stand in the event itself (`proxy`, `cli`)."""
        at = event["time"]
        if not isinstance(at, int) or not 0 <= at < LATEST:
            raise ValueError("time")
        texts = [event.get(key, "") for key in ("name", "site", "category", "source", "list", "client", "user")]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("text")
        "".join(texts).encode()  # a lone surrogate is no text
        name, site, category, source, title, client, user = texts
        if _NO_NAME.search(name) or _NO_NAME.search(site):
            raise ValueError("more than a name")
        action, channel, kind = Action(event["action"]), Channel(event["channel"]), Kind(event["attempt"])
        level = self._names.level
        site = site if level in (Level.NAME, Level.SITE) else ""
        origin = self._cut(Origin(category, source, title, action, channel, client, user, kind))
        kept = name if level == Level.NAME and " " not in name else ""
        self._waiting.append(Question(at, site, self._intern(origin), kept))


def feed_all(intake: Intake, chunk: Chunk, meta: Meta | None, meta_at: int, process: str) -> tuple[Meta | None, int]:
    """Feeds the records of `chunk`; gives the META that holds behind it and its offset (-1: none yet)."""
    for record in chunk.records:
        if record.kind == RecordKind.META:
            meta, meta_at = intake.meta(record), record.offset
        else:
            intake.feed(record, meta, process)
    intake.settle()
    return meta, meta_at


def _unclean(at: int, before: Span, boot: str, mark: Mapping[str, int | str], ended: str) -> tuple[int, str, str]:
    """The entry for a start after a run that wrote no stop; `mark`: its last alive mark, where there is one; `ended`:
    what whoever started it says of that run."""
    last, where = max(before.last, int(mark.get("at", 0))), str(mark.get("boot", before.boot))
    why = ended if where == boot else "power cut or reset"
    known = {key: int(mark.get(key, 0)) for key in ("run", "boottime", "monotonic")}
    event = {"kind": "unclean", "process": before.process, "last": last, "boot": where, "why": why, **known}
    return of_event(at, event)


def _without(event: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key not in keys}


def _labels(wire: bytes) -> list[bytes]:
    labels, at = [], 0
    while length := wire[at]:
        labels.append(wire[at + 1 : at + 1 + length])
        at += 1 + length
    return labels


def _text(wire: bytes, labels: list[bytes]) -> str:
    """As `to_text`, several times faster for names made of letters, digits and hyphens."""
    joined = b".".join(labels)
    if joined.count(b".") == len(labels) - 1 and not joined.translate(None, _PLAIN):
        return joined.decode("ascii")
    return to_text(wire)


def _site(wire: bytes) -> str:
    try:
        site = site_of(wire)
    except (LookupError, ValueError):
        site = wire  # labels with dots in them, for which the suffix list has no reading
    return _text(site, _labels(site))
