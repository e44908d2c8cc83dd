"""Fetches every configured list that has an address, at most four at once, and says what became of each.

The policy is not built here: whoever calls does that next. Two updates of one state folder are kept apart. Called by
`lists update` and by the jobs of `control`, which pass `due_only`.
"""

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from blockerd.lists.added import merged
from blockerd.lists.catalogue import CatalogueError, Entry, load
from blockerd.lists.fetch import record as fetch_record
from blockerd.lists.fetch.fetch import Job, Result, Row, fetch_list, row
from blockerd.lists.fetch.hosts import mirrors_of
from blockerd.lists.fetch.http import Net
from blockerd.lists.fetch.resolve import resolver
from blockerd.lists.sources import copy_of
from blockerd.lists.verdict import due
from blockerd.settings import Settings, Source

AT_ONCE = 4

Progress = Callable[[int, int, int], None]
"""Called with (octets received, lists done, lists in all)."""


class UpdateError(Exception):
    """An update that cannot begin; one line with what and what to do. `usage` is true for a wrong call."""

    def __init__(self, message: str, *, usage: bool) -> None:
        super().__init__(message)
        self.usage = usage


def update(
    settings: Settings,
    now: float,
    *,
    ids: Sequence[str] = (),
    due_only: bool = False,
    net: Net | None = None,
    catalogue: Sequence[Entry] | None = None,
    progress: Progress | None = None,
) -> list[Row]:
    """Fetches the lists `ids`, or all that are enabled and have an address; rows in the order of the settings.

    `now` is Unix time. With `due_only` a list is tried only when its time has come (`verdict.due`).

    Raises:
        UpdateError: no such list, or another update is under way.
        OSError: the state folder cannot be written.
    """
    settings = merged(settings)
    sources = _chosen(settings, ids)
    net = net or Net(resolver(settings.dns.bootstrap))
    if catalogue is None:
        catalogue = _catalogue()
    jobs = [Job(settings, source, _places(source, tuple(catalogue)), now) for source in sources]
    with _alone(copy_of(settings, "any").parent):
        return asyncio.run(_all(jobs, net, due_only=due_only, tell=_Tally(progress, len(jobs))))


class _Tally:
    """Adds up what comes in and passes it on."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._octets, self._done, self._total = 0, 0, total

    def octets(self, count: int) -> None:
        self._octets += count
        self._show()

    def done(self) -> None:
        self._done += 1
        self._show()

    def _show(self) -> None:
        if self._progress:
            self._progress(self._octets, self._done, self._total)


async def _all(jobs: Sequence[Job], net: Net, *, due_only: bool, tell: _Tally) -> list[Row]:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(job: Job) -> Row:
        async with room:
            meta = fetch_record.load(job.settings, job.source.id)
            if due_only and not due(asdict(meta), job.now, job.settings.lists.refresh_hours):
                found = row(job, Result.WAITING, meta, meta.problem)
            else:
                found = await fetch_list(job, net, tell.octets)
            tell.done()
            return found

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(job)) for job in jobs]
    return [task.result() for task in tasks]


def _chosen(settings: Settings, ids: Sequence[str]) -> list[Source]:
    remote = {source.id: source for source in settings.lists.source if source.url}
    for id_ in ids:
        if id_ not in remote:
            known = ", ".join(remote) or "none yet"
            raise UpdateError(f"{id_}: no list with an address; there is: {known}", usage=True)
    return [source for source in remote.values() if (source.id in ids if ids else source.enabled)]


def _places(source: Source, catalogue: tuple[Entry, ...]) -> tuple[str, ...]:
    url = source.url or ""
    return (url, *mirrors_of(url, catalogue))


def _catalogue() -> tuple[Entry, ...]:
    """The shipped catalogue; without it lists have no mirrors, which is no reason not to fetch them."""
    try:
        return load()
    except CatalogueError:
        return ()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(folder / "update.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UpdateError("another update is under way; wait for it", usage=False) from None
        yield
    finally:
        os.close(fd)
