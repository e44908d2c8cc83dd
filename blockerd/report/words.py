"""What may be said of a time: the sentences about continuity, coverage and requests, no more than is known. Pure.

Says "requests made on this computer", never who; tells gaps to the day for a spouse, to a quarter of the day for a
mentor and a therapist, to the minute for the person themselves; always ends with what cannot be seen. Takes the
daily payloads that the reader holds too, so that every figure can be checked against them. Called by the reports.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, tzinfo

from blockerd.report.coverage import MINUTE_US, Stretch, gaps
from blockerd.report.daily import Json, told
from blockerd.report.signs import State
from blockerd.report.week import Cover
from blockerd.settings import Role

UNSEEN = "This program cannot see other devices, VPNs, or a system started from a stick."

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_SHOWN = 5
_CONTINUES = {
    True: "Nothing reported in earlier mails has been changed.",
    False: "What earlier mails reported does not continue here; the check of the mails names the place.",
    None: "Whether earlier mails continue here cannot be told yet.",
}


def sentences(
    days: Sequence[Mapping[str, Json]],
    parts: Iterable[Stretch],
    role: Role,
    zone: tzinfo,
    continues: bool | None,
    time: str = "this week",
) -> list[str]:
    """The sentences for `role` about `days` (daily payloads) and their coverage `parts`.

    `continues` is what the check against earlier mails gave, None where it could not be made.

    Raises:
        ValueError: a payload of another shape.
    """
    known = [told(day) for day in days]
    cover = sum((day.cover for day in known), Cover())
    requests, episodes = sum(day.total for day in known), sum(day.episodes for day in known)
    lost = sum(day.marks.lost for day in known)
    found = [_CONTINUES[continues], _coverage(cover, _places(parts, role, zone), time), *_rest(cover)]
    if lost:
        found.append(f"{_many(lost, 'record')} could not be kept.")
    return [*found, _requests(requests, episodes, cover), UNSEEN]


def _coverage(cover: Cover, places: str, time: str) -> str:
    if not cover.powered_on:
        return f"In {time} the machine is not known to have been awake."
    awake = f"In {time} the machine was awake {length(cover.powered_on)}"
    if not cover.unmonitored:
        return f"{awake}; all of it was monitored."
    where = f" ({places})" if places else ""
    return f"{awake}; {length(cover.monitored)} were monitored; {length(cover.unmonitored)} were not{where}."


def _rest(cover: Cover) -> Iterable[str]:
    """What is neither awake nor at rest for certain."""
    if cover.not_running:
        yield (
            f"For {length(cover.not_running)} blockerd was not running;"
            " whether the machine was on then, this system does not tell."
        )
    if cover.unknown:
        yield f"Of {length(cover.unknown)} nothing is known."


def _requests(requests: int, episodes: int, cover: Cover) -> str:
    if requests:
        gathered = f", in {_many(episodes, 'episode')}" if episodes else ""
        return f"{_many(requests, 'request')} for listed sites came from this computer while monitored{gathered}."
    if not cover.monitored:
        return "Nothing can be said about requests."
    return "No attempts were seen on this machine while monitored."


def _places(parts: Iterable[Stretch], role: Role, zone: tzinfo) -> str:
    """When it was not monitored, as finely as `role` is told, each place once."""
    unmonitored = [part for part in gaps(parts) if part.state == State.UNMONITORED]
    places = list(dict.fromkeys(place for part in unmonitored for place in _place(part, role, zone)))
    more = len(places) - _SHOWN
    return ", ".join(places[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _place(part: Stretch, role: Role, zone: tzinfo) -> Iterable[str]:
    first, last = _local(part.start_us, zone), _local(part.end_us - 1, zone)
    if role == Role.SELF:
        end = _local(part.end_us, zone)
        day = f"{_DAYS[end.weekday()]} " if end.date() != first.date() else ""
        return [f"{_DAYS[first.weekday()]} {first:%H:%M}-{day}{end:%H:%M}"]
    places = []
    at = part.start_us
    while at < part.end_us:
        local = _local(at, zone)
        band = "" if role == Role.SPOUSE else f" {local.hour // 6 * 6}-{local.hour // 6 * 6 + 6} h"
        places.append(f"{_DAYS[local.weekday()]}{band}")
        at += 60 * MINUTE_US
    band = "" if role == Role.SPOUSE else f" {last.hour // 6 * 6}-{last.hour // 6 * 6 + 6} h"
    return [*places, f"{_DAYS[last.weekday()]}{band}"]


def length(minutes: int) -> str:
    """Minutes as hours and minutes, e.g. 61 h 10 min."""
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{rest} min"
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def _local(at_us: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(at_us / 1e6, zone)


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
