"""How long a VPN was up, or another way open: what coming and going in the record says, never more than was seen. Pure.

Seen by the process that keeps the record: where it did not run, nothing is counted, for coverage says already that
nothing is known of that time. Takes entries of the log; called by whoever prepares the summary of a day.
"""

from collections.abc import Iterable

from blockerd.journal.entry import Entry, ResolverPath, Start, Stop, Unclean

KINDS = ("resolver-path", "start", "stop", "unclean")
"""The kinds of entries that are looked at."""


def time_up(entries: Iterable[Entry], start: int, end: int, now: int | None = None, what: str = "vpn") -> int:
    """Microseconds between `start` and `end` (Unix µs) in which the way `what` was there.

    `now` where `end` is still to come.

    `entries` may begin before `start`: what came then is counted from `start` on.
    """
    last = end if now is None else min(end, now)
    total, alive = 0, start
    since: int | None = None

    for entry in sorted(entries, key=lambda one: one.at):
        match entry:
            case ResolverPath() if entry.what == what:
                since = alive if since is None and entry.old else since
                total += _within(since, entry.at, start, last)
                since = entry.at if entry.new else None
            case Stop(process="control"):
                total, since = total + _within(since, entry.at, start, last), None
            case Unclean(process="control"):
                total, since = total + _within(since, entry.last, start, last), None
            case Start(process="control"):
                since, alive = None, entry.at
    return total + _within(since, last, start, last)


def _within(since: int | None, until: int, start: int, last: int) -> int:
    return 0 if since is None else max(0, min(until, last) - max(since, start))
