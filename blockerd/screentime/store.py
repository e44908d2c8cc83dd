"""Screen time in the journal: its tables, the statements, and records from and to rows. Pure: the database comes in.

Each record counts once: an agent numbers its records without a hole, and only the next number is taken. What was lost
on the way is so sent again, and what comes again is known. Called by the journal inside its transactions, and by
whoever reads; `Execute` is the `execute` of its connection.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blockerd.screentime.intake import NAME_CHARS, record_in, text_in, whole_in
from blockerd.screentime.track import LONGEST, Record, Stream
from blockerd.screentime.usage import Known

SCHEMA = """
    CREATE TABLE agents (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, uid INTEGER NOT NULL, probe TEXT NOT NULL,
        stored INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE screen (
        id INTEGER PRIMARY KEY, agent INTEGER NOT NULL REFERENCES agents, seq INTEGER NOT NULL, stream TEXT NOT NULL,
        start_us INTEGER NOT NULL, end_us INTEGER NOT NULL, value TEXT NOT NULL, title TEXT NOT NULL,
        anchor_us INTEGER NOT NULL, boot TEXT NOT NULL, UNIQUE (agent, seq)
    ) STRICT;
    CREATE INDEX screen_by_time ON screen (start_us);
"""
"""One migration of the journal. `stored` is the number of the last record taken from the agent `name`."""

Execute = Callable[[str, Sequence[Any]], Iterable[Sequence[Any]]]

_ROW = "agent, stream, start_us, end_us, value, title, anchor_us, boot"


@dataclass(frozen=True, slots=True)
class Sent:
    """A record on its way: number `seq` of the agent `name` (of the user `uid`, measuring by `probe`).

    `base` is the oldest number the agent still had: it knows all before as stored.
    """

    name: str
    uid: int
    probe: str
    seq: int
    base: int
    record: Record


def sent_in(event: Mapping[str, Any]) -> Sent:
    """The record in an event of one of `intake.KINDS`.

    Raises:
        ValueError: it makes no sense.
    """
    name, probe = text_in(event, "agent", 2 * NAME_CHARS), text_in(event, "probe", NAME_CHARS)
    numbers = [whole_in(event, key) for key in ("uid", "seq", "base")]
    return Sent(name, numbers[0], probe, numbers[1], numbers[2], record_in(event, titles=True))


def put(execute: Execute, sent: Iterable[Sent]) -> int:
    """Stores those that are next of their agent, inside the caller's transaction; how many that were."""
    return sum(_put(execute, one) for one in sent)


def _put(execute: Execute, sent: Sent) -> int:
    known = next(iter(execute("SELECT stored FROM agents WHERE name = ?", (sent.name,))), None)
    # Where the journal is new (the old one was moved aside), it goes on at what the agent still has.
    due = max(sent.base, int(known[0]) + 1) if known else sent.base
    if sent.seq != due:
        return 0
    execute(
        "INSERT INTO agents (name, uid, probe, stored) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET probe = excluded.probe, stored = excluded.stored",
        (sent.name, sent.uid, sent.probe, sent.seq),
    )
    r = sent.record
    execute(
        f"INSERT INTO screen (seq, {_ROW}) SELECT ?, id, ?, ?, ?, ?, ?, ?, ? FROM agents WHERE name = ?",
        (sent.seq, r.stream, r.start, r.end, r.value, r.title, r.anchor, r.boot, sent.name),
    )
    return 1


def acknowledged(execute: Execute) -> dict[str, int]:
    """Number of the last record stored, by name of the agent: what `intake.accept` answers."""
    return {str(name): int(stored) for name, stored in execute("SELECT name, stored FROM agents", ())}


def agents(execute: Execute) -> dict[int, tuple[int, str]]:
    """(uid, name of the probe) by number of the agent."""
    return {int(key): (int(uid), str(probe)) for key, uid, probe in execute("SELECT id, uid, probe FROM agents", ())}


def records(execute: Execute, since: int, until: int) -> Iterator[Known]:
    """The records that touch [since, until), Unix µs, with the numbers of their agents, oldest first."""
    sql = f"SELECT {_ROW} FROM screen WHERE start_us >= ? AND start_us < ? AND end_us > ? ORDER BY start_us, id"
    for agent, stream, start, end, value, title, anchor, boot in execute(sql, (since - LONGEST, until, since)):
        yield Known(int(agent), Record(Stream(stream), start, end, value, title, anchor, boot))
