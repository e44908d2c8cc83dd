"""Reading the record: what is stored together with what still waits in the spool, each question once.

Works while `control` writes, before there is a journal, and while nothing writes at all; changes nothing and keeps no
snapshot open between two results, so a slow reader does not make the writer's log grow. Called by the command line
and the reports.
"""

import heapq
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import FileIO
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

import apsw

from blockerd.journal.decode import meta_in, whole_records
from blockerd.journal.entry import Entry, Other, decode
from blockerd.journal.intake import Intake, Names, feed_all
from blockerd.journal.lookup import ATTEMPT_COLUMNS, Lookup, to_attempt, to_row
from blockerd.journal.merge import LONGEST_US, UNCONFIRMED, Marks, Merger, Origin, Row, Span
from blockerd.journal.schema import JournalError, connect, unreadable
from blockerd.journal.spool import Level, record_at, segments
from blockerd.journal.sums import Sums, deltas, parted
from blockerd.model import Attempt, Kind
from blockerd.report.summarise import Facts, Stretch, Tally

_EVER = 1 << 62
_PAGE = 5000
_BATCH = 20_000
_SHOWN = f"+origin NOT IN (SELECT id FROM origins WHERE kind = '{UNCONFIRMED}')"
_RANGE = f"first_us >= ? AND first_us < ? AND id <= ? AND {_SHOWN}"
_ONWARD = (
    f"SELECT {ATTEMPT_COLUMNS} FROM attempts WHERE (first_us, id) > (?, ?) AND {_RANGE}"
    f" ORDER BY first_us, id LIMIT {_PAGE}"
)
_NEWEST = f"SELECT {ATTEMPT_COLUMNS} FROM attempts WHERE {_RANGE} ORDER BY first_us DESC, id DESC LIMIT ?"
_CHANGED = (
    "SELECT id, count FROM attempts WHERE id IN (SELECT value FROM json_each(?)) AND first_us >= ? AND first_us < ?"
)
_COUNTS = f"SELECT origin, count(*), sum(count) FROM attempts WHERE {_RANGE} GROUP BY origin"


class View:
    """The record as it was at one moment, cut to `level` where it comes from the spool. Use it in a `with`.

    `unread` are segments of the spool that this user may not read: what they hold is missing.

    Raises:
        JournalError: the journal was made by a newer blockerd, or cannot be read now.
    """

    def __init__(self, journal: Path, spool: Path, level: Level = Level.SITE) -> None:
        self._path = journal
        self._db: apsw.Connection | None = None
        self._changed: dict[int, Row] = {}
        self._new: list[Row] = []
        self._spans: list[Span] = []
        self._events: list[tuple[int, str, str]] = []
        self._origins: dict[int, Origin] = {}
        self._newest = self._newest_span = self._newest_event = -1
        self._sums = Sums((), {})
        self.unread: list[Path] = []
        with ExitStack() as files:
            # Opened before the snapshot begins: what is stored and deleted from then on can still be read, and the
            # snapshot says how much of it to leave out.
            waiting = self._opened(spool, files)
            try:
                self._db = connect(journal)
                self._look(waiting, level)
            except apsw.Error as error:
                self.close()
                raise unreadable(journal, error) from None

    def __enter__(self) -> "View":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the view."""
        if self._db is not None:
            self._db.close()

    def attempts(
        self, since: int | None = None, until: int | None = None, limit: int | None = None
    ) -> Iterator[Attempt]:
        """Attempts that began from `since` up to, not at, `until` (Unix µs), oldest first; the newest `limit` of them.

        Raises:
            JournalError: the journal became unreadable.
        """
        start, end = since or 0, _EVER if until is None else until
        waiting = [row for row in (*self._new, *self._changed.values()) if start <= row.first < end]
        waiting.sort(key=_by_time)
        stored: Iterable[Row] = self._onward(start, end) if limit is None else self._last(start, end, limit)
        rows: Iterable[Row] = (row for row in stored if row.key not in self._changed)
        if waiting:
            rows = heapq.merge(rows, waiting, key=_by_time)
        if limit is not None:
            rows = list(rows)[-limit:] if limit > 0 else []
        for row in rows:
            yield to_attempt(row, self._origins[row.origin])

    def tallies(self, bounds: Sequence[int]) -> list[Tally]:
        """Attempts by category and kind that began between each two neighbours of `bounds` (ascending Unix µs)."""
        found: list[Tally] = []
        for bucket, (start, end) in enumerate(pairwise(bounds)):
            sums: dict[tuple[str, str], list[int]] = {}
            for category, kind, attempts, questions in self._counted(start, end):
                total = sums.setdefault((category, kind), [0, 0])
                total[0] += attempts
                total[1] += questions
            found += [Tally(bucket, c, Kind(k), *total) for (c, k), total in sorted(sums.items())]
        return found

    def entries(self, since: int, until: int, kinds: Sequence[str] = (), *, recorded: bool = False) -> list[Entry]:
        """Entries of these kinds (all but attempts where none is named) from `since` up to `until` (Unix µs), in order
        of their times; `recorded`: in the order of the record, which a clock that was set does not change.

        Raises:
            JournalError: the journal became unreadable.
        """
        sql = "SELECT at_us, kind, payload FROM events WHERE at_us >= ? AND at_us < ? AND id <= ? ORDER BY id"
        waiting = [event for event in self._events if since <= event[0] < until]
        rows = [*self._rows(sql, since, until, self._newest_event), *waiting]
        if not recorded:
            rows.sort(key=lambda row: row[0])
        return [_entry(*row) for row in rows if not kinds or row[1] in kinds]

    def waits(self, until: int) -> bool:
        """True if something from before `until` (Unix µs) is not stored yet, or has no leaf, which takes an attempt an
        hour at the most.

        Raises:
            JournalError: the journal became unreadable.
        """
        over = until - LONGEST_US
        if any(at < until for at, _, _ in self._events) or any(row.first < over for row in self._new):
            return True
        return bool(self._rows("SELECT 1 FROM unsettled CROSS JOIN attempts ON id = attempt WHERE first_us < ?", over))

    def late(self, leaf: int, until: int) -> list[Entry]:
        """Entries behind `leaf` of the log that bear a time before `until` (Unix µs): the clock was set back.

        Raises:
            JournalError: the journal became unreadable.
        """
        sql = (
            "SELECT at_us, kind, payload FROM openings CROSS JOIN events ON events.id = event"
            " WHERE n > ? AND at_us < ? AND events.id <= ? ORDER BY n"
        )
        return [_entry(*row) for row in self._rows(sql, leaf, until, self._newest_event)]

    def late_attempts(self, leaf: int, until: int) -> list[Attempt]:
        """Attempts behind `leaf` of the log that began before `until` (Unix µs), as their times say.

        Raises:
            JournalError: the journal became unreadable.
        """
        sql = (
            f"SELECT {ATTEMPT_COLUMNS} FROM openings CROSS JOIN attempts ON id = attempt"
            f" WHERE n > ? AND first_us < ? AND id <= ? AND {_SHOWN} ORDER BY n"
        )
        rows = [to_row(got) for got in self._rows(sql, leaf, until, self._newest)]
        return [to_attempt(row, self._origins[row.origin]) for row in rows]

    def query(self, sql: str, values: Sequence[int | str] = ()) -> list[tuple[Any, ...]]:
        """Rows of a table that another part keeps in the journal, as it is now; none where there is no journal.

        Raises:
            JournalError: the journal became unreadable.
        """
        return self._rows(sql, *values)

    def facts(self, since: int, until: int) -> Facts:
        """Signs of life, losses, and the ends of the record."""
        spans = [span for span in self._stored_spans() if span.last >= since and span.first < until]
        ends = self._ends()
        return Facts(
            stretches=tuple(Stretch(span.process, span.first, span.last) for span in spans),
            first=min(ends, default=None),
            last=max(ends, default=None),
            lost=self._lost(since, until),
        )

    def _opened(self, spool: Path, files: ExitStack) -> list[tuple[Path, FileIO]]:
        """The segments of `spool`, opened; one that goes away before it is opened was stored before that."""
        found: list[tuple[Path, FileIO]] = []
        for path in segments(spool):
            try:
                found.append((path, files.enter_context(FileIO(path))))
            except FileNotFoundError:
                continue
            except PermissionError:
                self.unread.append(path)
            except OSError as error:
                raise JournalError(f"{path}: cannot be read ({error.strerror}): look at the disk") from None
        return found

    def _look(self, waiting: list[tuple[Path, FileIO]], level: Level) -> None:
        """Takes what is in the spool and not in the journal, both as of one moment."""
        lookup = Lookup(self._db)
        merger, marks = Merger(lookup.rows, lookup.names), Marks(lookup.span)
        with self._snapshot():
            numbers = lookup.origins()
            stored = {name: (at, meta) for name, at, meta in self._rows("SELECT name, offset, meta_at FROM segments")}
            intake = Intake(Names(level), lambda new: numbers.setdefault(new, _EVER + len(numbers)), merger, marks)
            for path, file in waiting:
                _take(intake, path, file, *stored.get(path.name, (0, -1)))
            self._newest = self._last_id("attempts")
            self._newest_span, self._newest_event = self._last_id("spans"), self._last_id("events")
            sums = self._rows("SELECT begins, category, kind, attempts, questions FROM sums")
        self._origins = {number: origin for origin, number in numbers.items()}
        self._new = [row for row in merger.rows if row.key is None]
        self._changed = {row.key: row for row in merger.rows if row.key is not None}
        self._spans, self._events = marks.spans, intake.events
        self._sums = Sums(sums, deltas(merger.rows, self._origins.__getitem__))

    def _last_id(self, table: str) -> int:
        return next((got[0] for got in self._rows(f"SELECT max(id) FROM {table}") if got[0] is not None), -1)

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """What is read inside is of one moment."""
        self._rows("BEGIN")
        try:
            yield
        finally:
            self._rows("COMMIT")

    def _rows(self, sql: str, *values: int | str) -> list[tuple[Any, ...]]:
        """All result rows at once, so that no statement stays open."""
        if self._db is None:
            return []
        try:
            return list(self._db.execute(sql, values))
        except apsw.Error as error:
            raise unreadable(self._path, error) from None
        except UnicodeDecodeError:
            raise unreadable(self._path, apsw.CorruptError("a text in it is none")) from None

    def _onward(self, start: int, end: int) -> Iterator[Row]:
        at, key = start, -1
        while page := [to_row(got) for got in self._rows(_ONWARD, at, key, start, end, self._newest)]:
            yield from page
            at, key = page[-1].first, page[-1].key or 0

    def _last(self, start: int, end: int, limit: int) -> list[Row]:
        """The newest `limit` rows and as many more as may drop out because they changed."""
        return [to_row(got) for got in self._rows(_NEWEST, start, end, self._newest, limit + len(self._changed))][::-1]

    def _counted(self, start: int, end: int) -> Iterator[tuple[str, str, int, int]]:
        """(category, kind, attempts, questions) that began from `start` up to `end`; a pair may come several times."""
        whole, sides = parted(start, end)
        yield from self._sums.between(*whole)
        for side in sides:
            for number, attempts, questions in self._by_row(*side):
                origin = self._origins[number]
                yield origin.category, origin.kind, attempts, questions

    def _by_row(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """(origin, attempts, questions) that began from `start` up to `end`; an origin may come several times."""
        changed = {key: row for key, row in self._changed.items() if start <= row.first < end}
        with self._snapshot():
            sums = self._rows(_COUNTS, start, end, self._newest)
            # What waited when this view began may be stored by now: those rows count as they were seen then.
            stored = self._rows(_CHANGED, json.dumps(list(changed)), start, end)
        yield from sums
        for key, questions in stored:
            yield changed[key].origin, 0, changed[key].count - questions
        for row in self._new:
            if start <= row.first < end:
                yield row.origin, 1, row.count

    def _stored_spans(self) -> list[Span]:
        changed = {span.key for span in self._spans}
        sql = "SELECT id, process, boot, first_us, last_us, ended FROM spans WHERE id <= ? ORDER BY id"
        stored = [Span(*row) for row in self._rows(sql, self._newest_span)]
        return [span for span in stored if span.key not in changed] + self._spans

    def _ends(self) -> list[int]:
        sql = (
            "SELECT (SELECT min(first_us) FROM attempts),"
            " (SELECT last_us FROM attempts ORDER BY first_us DESC LIMIT 1),"
            " (SELECT min(first_us) FROM spans), (SELECT max(last_us) FROM spans)"
        )
        ends = [end for got in self._rows(sql) for end in got if end is not None]
        ends += [end for row in self._new for end in (row.first, row.last)]
        return ends + [end for span in self._spans for end in (span.first, span.last)]

    def _lost(self, since: int, until: int) -> int:
        sql = "SELECT payload FROM events WHERE kind = 'lost' AND at_us >= ? AND at_us < ? AND id <= ?"
        payloads = [got[0] for got in self._rows(sql, since, until, self._newest_event)]
        payloads += [payload for at, kind, payload in self._events if kind == "lost" and since <= at < until]
        counts = [json.loads(payload).get("count") for payload in payloads]
        return sum(count for count in counts if isinstance(count, int))


def _entry(at: int, kind: str, payload: str) -> Entry:
    try:
        return decode(payload)
    except ValueError:  # somebody wrote it by hand; `check` says so, readers go on
        return Other(kind, at, {"was": payload})


def _by_time(row: Row) -> tuple[int, int]:
    return row.first, _EVER if row.key is None else row.key


def _take(intake: Intake, path: Path, file: FileIO, offset: int, meta_at: int) -> None:
    """Feeds what `file` holds from `offset` on."""
    meta = meta_in(record_at(file, meta_at)) if meta_at >= 0 else None
    file.seek(offset)
    data = file.readall()
    process = path.name.partition("-")[0]
    while (chunk := whole_records(data, offset, _BATCH)).records:
        meta, meta_at = feed_all(intake, chunk, meta, meta_at, process)
        data = data[chunk.end - offset :]
        offset = chunk.end
