"""Notices list files and settings that were changed by hand, and tells what such a change does.

`Watcher` decides from stamps alone and is pure; `ListWatch` takes the stamps, `hand_edits` reads what changed. Nothing
here applies or records: `control` polls every half second, records, then builds or writes the state.
"""

import os
from collections.abc import Iterator, Mapping
from enum import Flag
from pathlib import Path

from blockerd.lists import added, edit
from blockerd.lists.sources import own_folder
from blockerd.lists.state import UNREADABLE
from blockerd.model import CATEGORIES, Change
from blockerd.settings import Settings

SETTLE = 0.3
"""Seconds that a file must stay as it is before a change of it counts: editors write in several steps."""


Stamp = tuple[tuple[int, int, int, int], ...]
"""(mtime and ctime in ns, size, inode) of a file, or of each file of a folder; empty where there is none. The ctime
tells that a file may be read again."""


class Touched(Flag):
    """What has to be done about files that changed."""

    NOTHING = 0
    STATE = 1
    """Only the own allow or block list: `edit.go_live`."""
    BUILD = 2
    """A list: `blockerd lists build`, which writes the state too."""
    CONFIG = 4
    """The settings: load them again, then build."""


class Watcher:
    """Says which files changed and have been left alone for `settle` seconds since. Pure."""

    def __init__(self, stamps: Mapping[Path, Stamp], settle: float = SETTLE) -> None:
        self._known = dict(stamps)
        self._settle = settle
        self._moving: dict[Path, tuple[Stamp, float]] = {}

    def look(self, stamps: Mapping[Path, Stamp], now: float) -> set[Path]:
        """The files that differ from when they were last told of, and have not moved since `settle` seconds before.

        `now` is in seconds on a clock that is never set. A file that comes to be watched is known as it is.
        """
        settled = set()
        for path, stamp in stamps.items():
            if self._known.setdefault(path, stamp) == stamp:
                self._moving.pop(path, None)
                continue
            moving = self._moving.get(path)
            if moving is None or moving[0] != stamp:
                self._moving[path] = (stamp, now)
            elif now - moving[1] >= self._settle:
                self._known[path] = stamp
                del self._moving[path]
                settled.add(path)
        for path in [path for path in self._known if path not in stamps]:
            del self._known[path]
            self._moving.pop(path, None)
        return settled


class ListWatch:
    """Watches the settings file, the own files and the lists that are files of this machine."""

    def __init__(self, settings: Settings, settle: float = SETTLE) -> None:
        self._settings = settings
        self._what = watched(settings)
        self._watcher = Watcher({path: stamp_of(path) for path in self._what}, settle)

    def poll(self, now: float) -> Touched:
        """What has to be done since the last call; `now` is in seconds on a clock that is never set."""
        changed = self._watcher.look({path: stamp_of(path) for path in self._what}, now)
        found = Touched.NOTHING
        for path in changed:
            found |= self._what[path]
        if own_folder(self._settings) / added.FILE in changed:
            self._what = watched(self._settings)
        return found

    def renew(self, settings: Settings) -> None:
        """Goes on with `settings`, which were read again; what was noticed before stays noticed."""
        self._settings = settings
        self._what = watched(settings)


def watched(settings: Settings) -> dict[Path, Touched]:
    """Every path to look at, and what a change of it asks for."""
    folder = own_folder(settings)
    found = {folder / "allow.txt": Touched.STATE, folder / "block.txt": Touched.STATE}
    found.update((folder / f"{category}.txt", Touched.BUILD) for category in CATEGORIES)
    found[folder / added.FILE] = Touched.BUILD
    sources = added.merged(settings).lists.source
    found.update((source.path, Touched.BUILD) for source in sources if source.path and source.enabled)
    if settings.path:
        found[settings.path] = Touched.CONFIG
    return found


def stamp_of(path: Path) -> Stamp:
    """The stamp of a file or folder."""
    try:
        first = os.stat(path)
        if not path.is_dir():
            return (_stamp(first),)
        return tuple(_stamp(os.stat(one)) for one in sorted(path.iterdir()))
    except OSError:
        return ()


def _stamp(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def hand_edits(settings: Settings, *, at: int) -> list[Change]:
    """What changed in the own files since a change of them was last recorded; `at` is Unix µs.

    Changes made by commands are on record already and are not among them. A sources.toml that does not load counts
    as unchanged: the last good one is in force.

    Raises:
        OSError: a file cannot be read.
    """
    edit.begin(own_folder(settings))
    found = []
    for name, before, after in _differing(settings):
        one = edit.delta(name, before, after, own_folder(settings))
        if one.added or one.removed:
            counts = f"{len(one.added):,} added, {len(one.removed):,} removed"
            found.append(Change(at, f"{title_of(name)}, edited by hand", "as it was", counts, one.direction, "user"))
    return found


def accept(settings: Settings, *, at: int) -> None:
    """Notes that what `hand_edits` told is on record, so that it is not told again and can be undone.

    Raises:
        OSError: it cannot be written, and is told again next time.
    """
    folder = own_folder(settings)
    changed = list(_differing(settings))
    if not changed:
        return
    after = {name: data for name, _, data in changed}
    edit.keep(folder, "edited by hand: " + ", ".join(after), at, {name: was for name, was, _ in changed}, after)
    edit.remember(folder, after)


def notes(settings: Settings) -> list[str]:
    """One line for each thing in the own files that has no effect; for `lists ls` and `status`."""
    _, problem = added.current(own_folder(settings))
    told = [f"{line}; the last good one is in force" for line in problem.splitlines()]
    for name in edit.OWN_FILES:
        path = own_folder(settings) / name
        try:
            data = edit.read(settings, (name,))[name] if name != added.FILE else None
        except OSError as error:
            left = UNREADABLE if name in ("allow.txt", "block.txt") else "check its permissions; a build leaves it out"
            told.append(f"{path}: {error.strerror or error}; {left}")
            continue
        unread = edit.delta(name, None, data, path.parent).unread if data else ()
        told += [f"{path}:{line}: {why}; the line is skipped" for line, _, why in unread[:3]]
        if len(unread) > 3:
            told.append(f"{path}: {len(unread) - 3:,} more lines are skipped")
    return told


def title_of(name: str) -> str:
    """An own file as people know it."""
    return "added lists" if name == added.FILE else f"own {name.removesuffix('.txt')} list"


def _differing(settings: Settings) -> Iterator[tuple[str, bytes | None, bytes | None]]:
    before, now = edit.recorded(settings), edit.read(settings)
    for name in edit.OWN_FILES:
        if before[name] == now[name]:
            continue
        if name == added.FILE:
            try:
                added.load(own_folder(settings))
            except added.AddedError:
                continue
        yield name, before[name], now[name]
