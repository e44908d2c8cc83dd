"""The figures of a note, section by section: what went well, requests, trend, time, coverage, settings. Pure.

Each takes facts already cut to the role and says nothing of what is not in them. Called by `compose` alone, which
decides their order.
"""

from collections.abc import Iterator

from blockerd.report.blocks import Bar, Bars, Block, Heading, Heat, Items, Para, Shade, Share, Shares, Table, Tone
from blockerd.report.catalogue import Catalogue
from blockerd.report.week import Span, WeekFacts

_BANDS = ("band.night", "band.morning", "band.afternoon", "band.evening")
_DAYS = 7
_GAPS = 3
_SITES, _WHOLE = 8, 50
_STATES = (
    ("monitored", Shade.FULL),
    ("unmonitored", Shade.HALF),
    ("unknown", Shade.HALF),
    ("not_running", Shade.FAINT),
    ("asleep", Shade.FAINT),
    ("off", Shade.NONE),
)
_ALWAYS = {"monitored", "unmonitored"}
_MARKS = ("unlocks", "bypass", "clock", "unclean", "rejected")


def coverage_line(facts: WeekFacts, c: Catalogue, lists_age: int | None, version: str) -> str:
    """How much of the time was seen: the first line of every summary."""
    cover = facts.cover
    if not cover.monitored and not cover.unmonitored:
        return c.text("coverage.nothing")
    return c.text(
        "coverage.line",
        monitored=c.hours(cover.monitored),
        on=c.hours(cover.powered_on),
        gaps=_gaps(facts, c),
        lists=_lists(lists_age, c),
        version=version,
    )


def _lists(age: int | None, c: Catalogue) -> str:
    if age is None:
        return c.text("coverage.lists_none")
    return c.many("coverage.lists_old", age) if age else c.text("coverage.lists_today")


def _gaps(facts: WeekFacts, c: Catalogue) -> str:
    cover = facts.cover
    days = [day for day in facts.days if day.cover.unmonitored]
    told = [
        c.text("coverage.gap", day=c.weekday(day.date), duration=c.duration(day.cover.unmonitored))
        for day in days[:_GAPS]
    ]
    if len(days) > _GAPS:
        told.append(c.text("coverage.more", n=c.many("count.day", len(days) - _GAPS)))
    found = [c.text("coverage.gaps", list=c.text("coverage.join").join(told))] if told else []
    found += [c.text("coverage.unsure", duration=c.duration(cover.not_running))] if cover.not_running else []
    found += [c.text("coverage.unknown", duration=c.duration(cover.unknown))] if cover.unknown else []
    return "; ".join(found) or c.text("coverage.no_gaps")


def progress(facts: WeekFacts, c: Catalogue, talks: int) -> tuple[Block, ...]:
    """What went well, which nothing takes away."""
    lines = tuple(_went_well(facts, c, talks)) or (c.text("progress.start"),)
    return (Heading(c.text("heading.progress")), Items(lines))


def _went_well(facts: WeekFacts, c: Catalogue, talks: int) -> Iterator[str]:
    cover, marks = facts.cover, facts.marks
    if facts.free_days:
        yield c.many("progress.free_days", facts.free_days, first=c.short(facts.since))
    this = facts.trend[-1] if facts.trend else None
    if this and facts.base and _known(this, facts.base) and this.requests < facts.base.requests:
        yield c.text("progress.fewer_base", requests=_requests(this, c), base=c.whole(facts.base.requests))
    elif this and len(facts.trend) > 1 and _known(*facts.trend[-2:]) and this.requests < facts.trend[-2].requests:
        yield c.text("progress.fewer_last", requests=_requests(this, c), last=c.whole(facts.trend[-2].requests))
    if facts.regained:
        yield c.text("progress.regained", hours=c.hours(facts.regained))
    if marks.kept:
        yield c.text("progress.kept", kept=c.whole(marks.kept), all=c.whole(marks.protected))
    if talks:
        yield c.many("progress.talked", talks)
    if marks.stronger:
        yield c.many("progress.stronger", marks.stronger)
    if cover.monitored:
        yield c.text("progress.monitored", share=str(100 * cover.monitored // cover.powered_on))


def _requests(span: Span, c: Catalogue) -> str:
    return c.many("count.request", span.requests)


def requests(facts: WeekFacts, c: Catalogue, *, reveal: bool = False) -> tuple[Block, ...]:
    """Requests and episodes by day, kind and part of the day, as far as the role is told; `reveal`: names are whole."""
    head = Heading(c.text("heading.requests"))
    if not facts.requests:
        return (head, Para(c.text("requests.none")), *_background(facts, c))
    told = c.text(
        "requests.sum",
        requests=c.many("count.request", facts.requests),
        episodes=c.many("count.episode", facts.episodes),
    )
    kinds = facts.categories()
    figures = [_by_kind(facts, kinds, c)] if any(kind for kind, _ in kinds) else [_by_day(facts, c)]
    figures += [_by_hour(facts, c)] if any(day.hours for day in facts.days) else _by_band(facts, c)
    meaning = Para(c.text("requests.meaning"), Tone.QUIET)
    return (head, Para(told), *figures, *_by_site(facts, c, reveal=reveal), *_background(facts, c), meaning)


def _background(facts: WeekFacts, c: Catalogue) -> list[Block]:
    count = sum(day.background or 0 for day in facts.days)
    return [Para(c.many("requests.background", count), Tone.QUIET)] if count else []


def _by_day(facts: WeekFacts, c: Catalogue) -> Block:
    bars = tuple(Bar(c.day(day.date), day.total, c.whole(day.total)) for day in facts.days)
    return Bars(c.text("requests.by_day"), (c.text("requests.column_day"), c.text("requests.column_requests")), bars)


def _by_kind(facts: WeekFacts, kinds: tuple[tuple[str, int], ...], c: Catalogue) -> Block:
    rows = []
    for kind, total in kinds:
        counts = (dict(day.requests).get(kind, 0) for day in facts.days)
        rows.append((kind_name(kind, c), *(_figure(count, c) for count in counts), c.whole(total)))
    if len(kinds) > 1:
        sums = (_figure(day.total, c) for day in facts.days)
        rows.append((c.text("requests.together"), *sums, c.whole(facts.requests)))
    head = (c.text("requests.column_kind"), *(c.weekday(day.date) for day in facts.days), c.text("requests.column_sum"))
    return Table(c.text("requests.by_category"), head, tuple(rows), total=len(kinds) > 1)


def kind_name(kind: str, c: Catalogue) -> str:
    """A category in calm words; one the texts do not know is "other"."""
    name = f"category.{kind or 'all'}"
    return c.text(name if c.has(name) else "category.other")


def _figure(count: int, c: Catalogue) -> str:
    return c.whole(count) if count else "–"


def _by_band(facts: WeekFacts, c: Catalogue) -> list[Block]:
    rows = tuple((c.weekday(day.date), day.bands) for day in facts.days if len(day.bands) == len(_BANDS))
    columns = tuple(c.text(name) for name in _BANDS)
    return [Heat(c.text("requests.by_band"), c.text("requests.column_day"), columns, rows)] if rows else []


def _by_hour(facts: WeekFacts, c: Catalogue) -> Block:
    pairs = tuple(range(0, 24, 2))
    rows = tuple(
        (c.weekday(day.date), tuple(sum(day.hours[hour : hour + 2]) for hour in pairs))
        for day in facts.days
        if day.hours
    )
    return Heat(c.text("requests.by_hour"), c.text("requests.column_day"), tuple(map(str, pairs)), rows)


def _by_site(facts: WeekFacts, c: Catalogue, *, reveal: bool) -> list[Block]:
    counts: dict[str, int] = {}
    for day in facts.days:
        for site, count in day.sites:
            counts[site] = counts.get(site, 0) + count
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[: _WHOLE if reveal else _SITES]
    rows = tuple((site, c.whole(count)) for site, count in most)
    head = (c.text("requests.column_site"), c.text("requests.column_requests"))
    caption = c.text("requests.by_site_whole" if reveal else "requests.by_site")
    return [Table(caption, head, rows)] if rows else []


def trend(facts: WeekFacts, c: Catalogue) -> tuple[Block, ...]:
    """The last weeks as bars; a hard one is told beside what the others were."""
    head = Heading(c.text("heading.trend"))
    if len(facts.trend) < 2:
        return (head, Para(c.text("trend.few")))
    last = len(facts.trend) - 1
    bars = tuple(
        Bar(c.short(week.first), week.requests, _in_hours(week, c), at == last) for at, week in enumerate(facts.trend)
    )
    columns = (c.text("trend.column_week"), c.text("trend.column_requests"))
    return (head, *_compared(facts.trend, c), Bars(c.text("trend.requests"), columns, bars))


def _in_hours(week: Span, c: Catalogue) -> str:
    """A count beside the hours in which it could be seen; of a week without a summary nothing is said."""
    if not week.days:
        return "–"
    return c.text("trend.shown", n=c.whole(week.requests), hours=c.whole(round(week.monitored / 60)))


def _known(*weeks: Span) -> bool:
    """Whether every day of each has a summary, so that they can be compared."""
    return all(week.days == _DAYS for week in weeks)


def _compared(weeks: tuple[Span, ...], c: Catalogue) -> list[Block]:
    this, before = weeks[-1], weeks[-2]
    if not _known(this, before) or this.requests < before.requests:
        return []
    if this.requests == before.requests:
        return [Para(c.text("progress.same", requests=_requests(this, c)))]
    mean = round(sum(week.requests for week in weeks) / len(weeks))
    return [
        Para(
            c.text(
                "progress.more_last",
                requests=_requests(this, c),
                last=c.whole(before.requests),
                weeks=c.many("count.week", len(weeks)),
                mean=c.whole(mean),
            )
        )
    ]


def time(facts: WeekFacts, c: Catalogue) -> tuple[Block, ...]:
    """Active time, where it was measured and is told."""
    measured = [day for day in facts.days if day.screen is not None]
    if not measured:
        return ()
    late = [day.late for day in measured if day.late is not None]
    hours = c.hours(sum(day.screen or 0 for day in measured))
    told = c.text("time.sum", hours=hours, late=c.hours(sum(late))) if late else c.text("time.sum_no_late", hours=hours)
    bars = tuple(Bar(c.day(day.date), day.screen or 0, c.hours(day.screen or 0)) for day in measured)
    columns = (c.text("requests.column_day"), c.text("time.column_time"))
    return (Heading(c.text("heading.time")), Para(told), Bars(c.text("time.screen"), columns, bars), *_listed(facts, c))


def _listed(facts: WeekFacts, c: Catalogue) -> list[Block]:
    minutes = [day.episode_minutes for day in facts.days if day.episode_minutes is not None]
    return [Para(c.text("time.listed", hours=c.hours(sum(minutes))))] if minutes else []


def coverage(facts: WeekFacts, c: Catalogue) -> tuple[Block, ...]:
    """Every minute of the period by state, and what this cannot tell."""
    cover = facts.cover
    parts = tuple(
        Share(_state(name, c), getattr(cover, name), c.duration(getattr(cover, name)), shade)
        for name, shade in _STATES
        if name in _ALWAYS or getattr(cover, name)
    )
    columns = (c.text("coverage.column_state"), c.text("coverage.column_time"))
    whole = Shares(c.text("coverage.caption"), columns, parts, c.duration(cover.total), c.text("coverage.total"))
    also = [Para(c.many("coverage.absent", facts.absent))] if facts.absent else []
    also += [Para(c.many("coverage.lost", facts.marks.lost))] if facts.marks.lost else []
    also += [Para(c.text("coverage.another", duration=c.duration(facts.marks.another)))] if facts.marks.another else []
    return (Heading(c.text("heading.coverage")), whole, *also, Para(c.text("coverage.limits"), Tone.QUIET))


def _state(name: str, c: Catalogue) -> str:
    return c.text("coverage.unseen" if name == "unknown" else f"coverage.{name}")


def settings(facts: WeekFacts, c: Catalogue) -> tuple[Block, ...]:
    """What was done to the filter, as counts."""
    marks = facts.marks
    lines = [c.many("settings.weaker", marks.weaker)] if marks.weaker else []
    lines += [c.many("settings.pauses", marks.pauses, duration=c.duration(marks.paused))] if marks.pauses else []
    lines += [c.text(f"settings.{name}", duration=c.duration(getattr(marks, name)))
              for name in ("elsewhere", "vpn") if getattr(marks, name)]  # fmt: skip
    lines += [c.many(f"settings.{name}", getattr(marks, name)) for name in _MARKS if getattr(marks, name)]
    if not (marks.weaker or marks.pauses or marks.unlocks):
        lines.insert(0, c.text("settings.none"))
    return (Heading(c.text("heading.settings")), Items(tuple(lines)))


def yardsticks(facts: WeekFacts, c: Catalogue) -> tuple[Block, ...]:
    """The mark of 11 to 12 hours and the three signs; only for those who are told and asked for it."""
    signs = [day.signs for day in facts.days if day.signs is not None]
    if not signs:
        return ()
    minutes = sum(day.episode_minutes or 0 for day in facts.days)
    days = sum(1 for day in facts.days if day.episodes)
    lines = (
        c.text("yardsticks.mark", hours=c.hours(minutes)),
        c.text("yardsticks.control", n=c.whole(sum(one.control for one in signs))),
        c.text("yardsticks.continuation", n=c.whole(sum(one.continuation for one in signs))),
        c.text("yardsticks.preoccupation", n=c.whole(facts.episodes), days=c.many("count.day", days)),
    )
    return (Heading(c.text("heading.yardsticks")), Para(c.text("yardsticks.opt"), Tone.QUIET), Items(lines))
