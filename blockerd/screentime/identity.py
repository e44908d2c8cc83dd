"""The name of an app: what its window says, else what its process is called. Knows processes by pid and start time.

A pid alone is not enough: it is used again. Called by the probes.
"""

import psutil

from blockerd.screentime.titles import printable

_REMEMBERED = 500


class Names:
    """Names of processes, each asked for once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, float], str] = {}

    def of(self, said: str, pid: int) -> str:
        """The app of a window that calls itself `said` (its class or app id, "" none) and belongs to `pid` (0
        unknown), in lower case; "unnamed" where neither tells."""
        name = printable(said).lower()
        return (name or self._process(pid) or "unnamed")[:128]

    def _process(self, pid: int) -> str:
        if pid <= 0:
            return ""
        try:
            process = psutil.Process(pid)
            key = (pid, process.create_time())
            if key not in self._known:
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                self._known[key] = printable(process.name()).lower().removesuffix(".exe")
            return self._known[key]
        except (psutil.Error, OSError):
            return ""


def related(pid: int, other: int) -> bool:
    """Whether the processes are one, or one descends from the other within four steps (a launcher, a helper)."""
    return pid > 0 and other > 0 and (other in _ancestry(pid) or pid in _ancestry(other))


def _ancestry(pid: int) -> list[int]:
    found = [pid]
    try:
        process = psutil.Process(pid)
        while len(found) < 5 and (above := process.parent()) and above.pid > 1:
            found.append(above.pid)
            process = above
    except (psutil.Error, OSError):
        pass
    return found
