"""How `time` writes lengths, bars and spans. Called by `cli.time`."""

from datetime import UTC, datetime, tzinfo

from blockerd.screentime.heartbeat import SECOND

WIDTH = 32
_EIGHTHS = " ▏▎▍▌▋▊▉"


def hours(length: int) -> str:
    """Microseconds as "3 h 05 min", under an hour "5 min", under a minute "12 s"."""
    seconds = length // SECOND
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h {seconds // 60 % 60:02d} min"


def bar(length: int, most: int) -> str:
    """A bar of at most WIDTH characters, `most` being the whole; something that is there is at least a sliver."""
    eighths = round(length * WIDTH * 8 / most) if most > 0 else 0
    if length > 0:
        eighths = max(1, eighths)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def span_text(start: int, end: int, zone: tzinfo) -> str:
    """ "Sun 22 21:10–23:40" in `zone`."""
    first, last = (datetime.fromtimestamp(at // SECOND, UTC).astimezone(zone) for at in (start, end))
    return f"{first:%a %d %H:%M}–{last:%H:%M}"
